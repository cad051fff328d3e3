"""The endpoints of plans: tenants see their own, operators define them."""

from pydantic import Field

from signalops import db, errors
from signalops.endpoint import endpoint, for_operators
from signalops.http import Query, Response, answer
from signalops.types import Caller, Operator
from signalops.usage.plans import plan_queries, plan_service
from signalops.usage.plans.plan_models import PlanDocument, PlanList, PlanSummary, PlanVersion, TenantPlan


class VersionQuery(Query):
    """Which version of a plan is shown."""

    version: int | None = Field(None, ge=1, le=2**31 - 1, description="Default: the newest.")


@for_operators("/api/tenants/{tenant}/plan", "getTenantPlan", "Show a tenant's plan, the next one and the days of the period")
@endpoint("GET /api/plan", "getPlan", "Show the plan, the next one and the days of the period", "usage:read")
async def get_plan(connection: db.Connection, caller: Caller) -> TenantPlan:
    """Show the tenant's plan, the one that comes next, and the days of the present period."""
    return await plan_service.plan_of(connection, caller.tenant)


@endpoint("GET /api/plans", "listPlans", "List plans", "tenants:read")
async def list_plans(connection: db.Connection, operator: Operator) -> PlanList:
    """List the plans, each in its newest version."""
    rows = await plan_queries.list_plans(connection)
    return PlanList(data=[PlanSummary(**row) for row in rows])


@endpoint("GET /api/plans/{plan}", "getPlanVersion", "Show a version of a plan", "tenants:read", problems=(errors.NotFound,))
async def get_plan_version(connection: db.Connection, operator: Operator, plan: str, query: VersionQuery) -> PlanVersion:
    """Show a version of a plan."""
    version, terms = await plan_service.document_of(connection, plan, query.version)
    return PlanVersion(plan=plan, version=version, terms=terms)


@endpoint(
    "POST /api/plans/{plan}",
    "addPlanVersion",
    "Make a plan, or a new version; the same once more is the one there is",
    "tenants:*",
    answers={201: PlanVersion, 200: PlanVersion},
    problems=(errors.Conflict,),
)
async def add_plan(connection: db.Connection, operator: Operator, plan: str, body: PlanDocument) -> Response:
    """Create a plan, or a new version of it, unless its newest is the same; tenants keep their version until subscribed again."""
    version, is_new = await plan_service.define(connection, plan, body)
    return answer(PlanVersion(plan=plan, version=version, terms=body), 201 if is_new else 200)
