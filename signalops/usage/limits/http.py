"""The endpoints of limits: a tenant sees them, an operator sets them."""

from signalops import db, errors
from signalops.endpoint import endpoint, for_operators
from signalops.terms import Caller, FoundTenant, Operator
from signalops.usage.limits import manage
from signalops.usage.limits.model import LimitList
from signalops.usage.plans.model import LimitAmounts, LimitTerms

_TENANTS = "/api/tenants/{tenant}/limits"


@for_operators(_TENANTS, "listTenantLimits", "Show a tenant's limits, and how much of them is used")
@endpoint("GET /api/limits", "listLimits", "Show the limits that hold, and how much of them is used", "usage:read")
async def list_limits(connection: db.Connection, caller: Caller) -> LimitList:
    """Show the limits that hold, and how much of them is used."""
    return LimitList(data=await manage.list_limits(connection, caller.tenant))


@endpoint(
    f"PUT {_TENANTS}/{{meter}}",
    "setTenantLimit",
    "Set a limit of the tenant's own; it holds at once",
    "tenants:*",
    lock="open tenant",
)
async def set_limit(
    connection: db.Connection, operator: Operator, tenant: FoundTenant, meter: str, body: LimitAmounts
) -> LimitList:
    """Set a limit of the tenant's own, which goes before its plan's; it holds at once."""
    await manage.set_limit(connection, tenant.id, LimitTerms(meter=meter, **body.model_dump()))
    return LimitList(data=await manage.list_limits(connection, tenant.id))


@endpoint(
    f"DELETE {_TENANTS}/{{meter}}",
    "removeTenantLimit",
    "Take a limit of the tenant's own away",
    "tenants:*",
    lock="tenant",
    problems=(errors.Conflict,),
)
async def remove_limit(connection: db.Connection, operator: Operator, tenant: FoundTenant, meter: str) -> LimitList:
    """Take a limit of the tenant's own away: its plan's holds at once, if it has one."""
    await manage.remove_limit(connection, tenant.id, meter)
    return LimitList(data=await manage.list_limits(connection, tenant.id))
