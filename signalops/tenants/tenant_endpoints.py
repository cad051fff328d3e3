"""The operator endpoints of tenants."""

from signalops import db, errors
from signalops.endpoint import endpoint
from signalops.http import Response, answer
from signalops.tenants import find_tenant, tenant_queries, tenant_service
from signalops.tenants.tenant_models import (
    PlanSubscription,
    SuspensionReason,
    TenantIn,
    TenantList,
    TenantPatch,
    TenantShown,
    TenantsPage,
    TenantSummary,
)
from signalops.types import FoundTenant, Operator
from signalops.usage.plans.plan_models import TenantPlan
from signalops.usage.plans.plan_service import plan_of

_ONE = "/api/tenants/{tenant}"


@endpoint("GET /api/tenants", "listTenants", "List tenants, newest first", "tenants:read", answers={200: TenantList})
async def list_tenants(connection: db.Connection, operator: Operator, query: TenantsPage) -> Response:
    """List tenants, newest first."""
    window = query.window(await db.settled(connection))
    rows = await tenant_queries.list_tenants(connection, status=query.status, upwards=query.upwards, **window)
    return query.listed(rows, TenantSummary.model_validate)


@endpoint(
    "POST /api/tenants",
    "createTenant",
    "Make a tenant with its plan and limits",
    "tenants:*",
    answers={201: TenantShown},
    problems=(errors.Conflict,),
)
async def create_tenant(connection: db.Connection, operator: Operator, body: TenantIn) -> Response:
    """Make a tenant with its plan, limits and rate limit; all of it, or nothing."""
    tenant = await tenant_service.create(connection, body, operator.author)
    shown = await tenant_service.show(connection, tenant)
    return answer(shown, 201, {"location": f"/api/tenants/{tenant}"})


@endpoint(f"GET {_ONE}", "getTenant", "Show a tenant", "tenants:read")
async def get_tenant(connection: db.Connection, operator: Operator, tenant: FoundTenant) -> TenantShown:
    """Show a tenant by its id or slug."""
    return await tenant_service.show(connection, tenant.id)


@endpoint(
    f"PATCH {_ONE}",
    "changeTenant",
    "Change a tenant's name, time zone or rate limit",
    "tenants:*",
    lock="tenant",
    problems=(errors.Conflict,),
)
async def change_tenant(connection: db.Connection, operator: Operator, tenant: FoundTenant, body: TenantPatch) -> TenantShown:
    """Change a tenant's name, rate limit, or time zone, which is fixed once something was counted."""
    await tenant_service.change(connection, tenant.id, body)
    return await tenant_service.show(connection, tenant.id)


@endpoint(
    f"POST {_ONE}/suspend",
    "suspendTenant",
    "Refuse a tenant's requests, and have its work wait",
    "tenants:*",
    lock="tenant",
    problems=(errors.Conflict,),
)
async def suspend_tenant(
    connection: db.Connection, operator: Operator, tenant: FoundTenant, body: SuspensionReason
) -> TenantShown:
    """Refuse a tenant's requests from now on, everywhere within a second; what was accepted waits until it is resumed."""
    await find_tenant.move(connection, tenant, "suspended", body.reason)
    return await tenant_service.show(connection, tenant.id)


@endpoint(
    f"POST {_ONE}/resume",
    "resumeTenant",
    "Let a suspended tenant in again",
    "tenants:*",
    lock="tenant",
    problems=(errors.Conflict,),
)
async def resume_tenant(connection: db.Connection, operator: Operator, tenant: FoundTenant) -> TenantShown:
    """Let a suspended tenant in again; what waited goes on."""
    await find_tenant.move(connection, tenant, "active")
    return await tenant_service.show(connection, tenant.id)


@endpoint(
    f"POST {_ONE}/close", "closeTenant", "Close a tenant permanently", "tenants:*", lock="tenant", problems=(errors.Conflict,)
)
async def close_tenant(connection: db.Connection, operator: Operator, tenant: FoundTenant, body: SuspensionReason) -> TenantShown:
    """Close a tenant permanently: its requests are refused, and it costs nothing from today on."""
    await tenant_service.close(connection, tenant, body.reason, operator.author)
    return await tenant_service.show(connection, tenant.id)


@endpoint(f"POST {_ONE}/plan", "setTenantPlan", "Give a tenant a plan", "tenants:*", lock="open tenant")
async def set_plan(connection: db.Connection, operator: Operator, tenant: FoundTenant, body: PlanSubscription) -> TenantPlan:
    """Give a tenant a plan, from today or from the next month; whatever was scheduled for then or later is withdrawn."""
    await tenant_service.subscribe(connection, tenant.id, body, operator.author)
    return await plan_of(connection, tenant.id)
