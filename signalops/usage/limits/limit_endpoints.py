"""The endpoints of limits: tenants list them, operators set them."""

from signalops import db, errors
from signalops.endpoint import endpoint, for_operators
from signalops.types import Caller, FoundTenant, Operator
from signalops.usage.limits import limit_service
from signalops.usage.limits.limit_models import LimitList
from signalops.usage.plans.plan_models import LimitAmounts, LimitPatch, LimitTerms

_TENANTS = "/api/tenants/{tenant}/limits"


@for_operators(_TENANTS, "listTenantLimits", "Show a tenant's limits, and how much of them is used")
@endpoint("GET /api/limits", "listLimits", "Show the limits in effect, and how much of them is used", "usage:read")
async def list_limits(connection: db.Connection, caller: Caller) -> LimitList:
    """Show the limits in effect, and how much of them is used."""
    return LimitList(data=await limit_service.list_limits(connection, caller.tenant))


@endpoint(
    f"PUT {_TENANTS}/{{meter}}",
    "setTenantLimit",
    "Set a limit of the tenant's own, in effect at once",
    "tenants:*",
    lock="open tenant",
)
async def set_limit(
    connection: db.Connection, operator: Operator, tenant: FoundTenant, meter: str, body: LimitAmounts
) -> LimitList:
    """Set a tenant's own limit, which takes precedence over its plan's. It takes effect immediately."""
    await limit_service.set_limit(connection, tenant.id, LimitTerms(meter=meter, **body.model_dump()))
    return LimitList(data=await limit_service.list_limits(connection, tenant.id))


@endpoint(
    f"PATCH {_TENANTS}/{{meter}}",
    "patchTenantLimit",
    "Change some fields of a limit of the tenant's own",
    "tenants:*",
    lock="open tenant",
    problems=(errors.Conflict,),
)
async def patch_limit(
    connection: db.Connection, operator: Operator, tenant: FoundTenant, meter: str, body: LimitPatch
) -> LimitList:
    """Change the fields that are named of a tenant's own limit; null takes an amount away. The rest stays as it is."""
    await limit_service.patch_limit(connection, tenant.id, meter, body)
    return LimitList(data=await limit_service.list_limits(connection, tenant.id))


@endpoint(
    f"DELETE {_TENANTS}/{{meter}}",
    "removeTenantLimit",
    "Take a limit of the tenant's own away",
    "tenants:*",
    lock="tenant",
    problems=(errors.Conflict,),
)
async def remove_limit(connection: db.Connection, operator: Operator, tenant: FoundTenant, meter: str) -> LimitList:
    """Remove a tenant's own limit: its plan's limit, if any, takes effect immediately."""
    await limit_service.remove_limit(connection, tenant.id, meter)
    return LimitList(data=await limit_service.list_limits(connection, tenant.id))
