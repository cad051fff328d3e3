"""The SQL queries of plans."""

from datetime import date
from typing import Any, NamedTuple

from signalops import db
from signalops.errors import NotFound
from signalops.types import TenantId

SQL = db.queries("usage/plans")


class SubscriptionStart(NamedTuple):
    """Which plan a tenant has, or will have, from which day."""

    plan: str
    version: int
    starts_on: date


class SubscriptionChoice(NamedTuple):
    """Which plan a tenant is to have (without a version the newest), and whether from today or from the next month."""

    plan: str
    at_once: bool
    version: int | None = None


class BillingSegment(NamedTuple):
    """Days of a period under one plan: from starts_on until before ends_on, `days` of the `of_days` of the period."""

    plan: str
    version: int
    terms: db.Row
    starts_on: date
    ends_on: date
    days: int
    of_days: int


def no_such_plan(plan: str, version: int | None) -> NotFound:
    """Return the refusal of a plan that there is not."""
    what = f"plan {plan!r}" if version is None else f"version {version} of a plan {plan!r}"
    return NotFound(f"There is no {what}: see `signalops plan list`.")


async def find_plan(connection: db.Connection, plan: str, version: int | None = None) -> db.Row | None:
    """Return plan, version, document and created_at of a version, or of the newest."""
    name = "newest-plan" if version is None else "plan-version"
    return await db.row(connection, SQL[name], {"plan": plan, "version": version})


async def list_plans(connection: db.Connection) -> list[db.Row]:
    """Return every plan in its newest version: plan, version, name, currency, base_fee, tenants and created_at."""
    return await db.rows(connection, SQL["list-plans"])


async def add_plan(connection: db.Connection, document: db.Row, **fields: Any) -> None:
    """Store a version of a plan: plan, version, grammar; Conflict if a concurrent transaction stored it."""
    await connection.execute(SQL["add-plan"], {"document": db.Jsonb(document), **fields})


async def subscribe(
    connection: db.Connection, tenant: TenantId, subscription: SubscriptionChoice, author: str
) -> SubscriptionStart:
    """Give the tenant that the transaction acts for a plan; NotFound, or Conflict with what it has."""
    parameters = {"tenant": tenant, "author": author, **subscription._asdict()}
    try:
        (made,) = await db.records(connection, SubscriptionStart, SQL["subscribe"], parameters)
    except db.NoDataFound as error:
        raise no_such_plan(subscription.plan, subscription.version) from error
    return made


async def plans_of(connection: db.Connection, tenant: TenantId) -> list[db.Row]:
    """Return the tenant's plan (plan, version, terms, starts_on, period, retention_days, kept_since), then those to come."""
    return await db.rows(connection, SQL["plans-of-tenant"], {"tenant": tenant})


async def billing_segments(connection: db.Connection, tenant: TenantId, period: date) -> list[BillingSegment]:
    """Return the billing_segments of the period that begins on a day, in order."""
    return await db.records(connection, BillingSegment, SQL["billing-segments"], {"tenant": tenant, "period": period})
