"""The operator's hand: makes plans, and gives them to tenants, on the test's own database."""

from datetime import date
from typing import Any, NamedTuple

import psycopg
import pytest

from signalops import db
from signalops.config import Settings
from signalops.usage.plans import plan_queries, plan_service
from signalops.usage.plans.plan_models import PlanDocument
from signalops.usage.plans.plan_queries import SubscriptionStart
from tests.support.rows import add_subscription
from tests.support.tenants import Tenant

CALLS = {"key": "api_calls", "name": "API calls", "pattern": {"type": ["api.call"]}}
PER_CALL = {"meter": "api_calls", "model": "per_unit", "unitAmount": "0.01"}
LIMITED = {"meter": "api_calls", "soft": "800", "hard": "1000", "thresholds": [50], "overage": "accept"}


class Subscription(NamedTuple):
    """A plan, and the first day on which a tenant has it."""

    plan: str
    starts_on: date


class Office:
    """What the command line does as the owner, and a look at what came of it."""

    def __init__(self, settings: Settings, owner: psycopg.Connection) -> None:
        self._settings = settings
        self.owner = owner

    async def define(self, plan: str, **terms: Any) -> int:
        """Make a version of a plan in EUR; return its number."""
        document = PlanDocument.model_validate({"name": plan, "currency": "EUR", "baseFee": "10"} | terms)
        async with db.as_owner(self._settings) as connection:
            return (await plan_service.define(connection, plan, document))[0]

    async def subscribe(self, tenant: Tenant, plan: str, at_once: bool = True) -> SubscriptionStart:
        """Give a tenant a plan, acting for it."""
        async with db.as_owner(self._settings) as connection:
            await db.set_tenant(connection, tenant.id)
            return await plan_queries.subscribe(connection, tenant.id, plan_queries.SubscriptionChoice(plan, at_once), "ann")

    def subscriptions(self, tenant: Tenant) -> list[Subscription]:
        """The tenant's plans after its first, by their first days."""
        rows = self.owner.execute(
            "select plan, starts_on from signalops.subscriptions where tenant_id = %s order by starts_on offset 1", [tenant.id]
        )
        return [Subscription(*row) for row in rows]

    def had(self, tenant: Tenant, plan: str, starts_on: date, **terms: Any) -> None:
        """Let a tenant have had a plan from a day on."""
        add_subscription(self.owner, tenant.id, plan, {"currency": "EUR", "meters": []} | terms, starts_on)

    def days(self, tenant: Tenant) -> tuple[date, date]:
        """Today where the tenant is, and the first day of its next month."""
        row = self.owner.execute(
            "select d::date, (date_trunc('month', d) + interval '1 month')::date "
            "from signalops.tenants t, lateral (select now() at time zone t.time_zone as d) n where t.id = %s",
            [tenant.id],
        ).fetchone()
        assert row
        return row

    def meters(self, tenant: Tenant) -> dict[str, str]:
        """The meters that count, with their origin."""
        return dict(
            self.owner.execute(
                "select key, origin from signalops.meters where tenant_id = %s and end_version is null", [tenant.id]
            ).fetchall()
        )


@pytest.fixture
def office(settings: Settings, owner: psycopg.Connection) -> Office:
    """The operator."""
    return Office(settings, owner)


@pytest.fixture
def old(office: Office, acme: Tenant) -> Tenant:
    """A tenant since the beginning of 2023."""
    office.owner.execute("delete from signalops.subscriptions where tenant_id = %s", [acme.id])
    office.had(acme, "free", date(2023, 1, 1))
    return acme
