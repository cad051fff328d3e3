"""Adds versions of plans, and assigns plans to tenants."""

import re

from signalops import db
from signalops.errors import Invalid
from signalops.patterns import CURRENT_GRAMMAR
from signalops.types import TenantId
from signalops.usage.plans import plan_queries
from signalops.usage.plans.plan_models import BillingSegmentShown, PeriodShown, PlanDocument, PlanShown, TenantPlan

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)


async def define(connection: db.Connection, plan: str, document: PlanDocument) -> tuple[int, bool]:
    """Create a version of a plan; return its number, and False when the newest has the same content."""
    if not _NAME.fullmatch(plan):
        raise Invalid(f"{plan!r} can't be a plan's name: use lower-case letters, digits, - and _, a letter first.")
    newest = await plan_queries.find_plan(connection, plan)
    if newest and PlanDocument.model_validate(newest["document"]) == document:
        return newest["version"], False
    version = newest["version"] + 1 if newest else 1
    # What is not said is left out: the release before knows no such field, and reads plans that are made while it still runs.
    document_json = document.model_dump(mode="json", exclude={"retention_days"} if document.retention_days is None else None)
    await plan_queries.add_plan(connection, document_json, plan=plan, version=version, grammar=CURRENT_GRAMMAR)
    return version, True


async def document_of(connection: db.Connection, plan: str, version: int | None = None) -> tuple[int, PlanDocument]:
    """Return a version of a plan (by default the newest) and its number; NotFound."""
    found = await plan_queries.find_plan(connection, plan, version)
    if found is None:
        raise plan_queries.no_such_plan(plan, version)
    return found["version"], PlanDocument.model_validate(found["document"])


async def plan_of(connection: db.Connection, tenant: TenantId) -> TenantPlan:
    """Return the plan that a tenant has, the one that is scheduled, and the days of the present period."""
    current, *scheduled = await plan_queries.plans_of(connection, tenant)
    billing_segments = await plan_queries.billing_segments(connection, tenant, current["period"])
    return TenantPlan(
        current=_shown(current),
        next=_shown(scheduled[0]) if scheduled else None,
        period=PeriodShown(
            period=f"{current['period']:%Y-%m}",
            days=billing_segments[0].of_days,
            billing_segments=[
                BillingSegmentShown(plan=s.plan, version=s.version, starts_on=s.starts_on, days=s.days) for s in billing_segments
            ],
        ),
        retention_days=current["retention_days"],
        kept_since=current["kept_since"],
    )


def _shown(row: db.Row) -> PlanShown:
    return PlanShown(
        plan=row["plan"], version=row["version"], starts_on=row["starts_on"], terms=PlanDocument.model_validate(row["terms"])
    )
