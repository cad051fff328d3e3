"""The requests of operators for tenants."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.access.tenants import manage, store
from signalops.access.tenants.model import Because, TenantsPage, TenantSummary
from signalops.http import answer, read_model
from signalops.operate import tenants
from signalops.operate.desk import Desk, Find, author
from signalops.operate.model import PlanWanted, TenantIn, TenantPatch
from signalops.terms import Caller, Operator
from signalops.usage.limits.manage import list_limits, remove_limit, set_limit
from signalops.usage.limits.model import LimitList
from signalops.usage.plans.manage import plan_of
from signalops.usage.plans.model import LimitAmounts, LimitTerms

ForCaller = Callable[[Request, Caller], Awaitable[Response]]
ForOperator = Callable[[Request, Operator], Awaitable[Response]]


class Tenants:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool) -> None:
        self._desk = Desk(connections)

    def lend(self, handler: ForCaller, find: Find = manage.find) -> ForOperator:
        """Return a tenant's own handler, on connections of operators, as one that acts for the tenant in the path."""

        async def lent(request: Request, operator: Operator) -> Response:
            return await handler(request, await self._desk.caller(request, operator, find))

        lent.__doc__ = handler.__doc__  # which the OpenAPI document shows
        return lent

    async def create(self, request: Request, operator: Operator) -> Response:
        """Make a tenant with its plan, limits and rate limit; all of it, or nothing."""
        new = await read_model(request, TenantIn)
        async with self._desk.all() as connection:
            tenant = await tenants.create(connection, new, author(operator))
            shown = await tenants.show(connection, tenant)
        return answer(shown, 201, {"location": f"/api/tenants/{tenant}"})

    async def list(self, request: Request, _: Operator) -> Response:
        """List tenants, newest first."""
        page = TenantsPage.of(request)
        async with self._desk.all() as connection:
            rows = await store.list_tenants(
                connection, status=page.status, upwards=page.upwards, **page.window(await db.settled(connection))
            )
        return page.listed(rows, TenantSummary.model_validate)

    async def get(self, request: Request, _: Operator) -> Response:
        """Show a tenant by its id or slug."""
        async with self._desk.at(request) as (connection, found):
            return answer(await tenants.show(connection, found.id))

    async def change(self, request: Request, _: Operator) -> Response:
        """Change a tenant's name, rate limit, or time zone, which is fixed once something was counted."""
        patch = await read_model(request, TenantPatch)
        async with self._desk.at(request, manage.hold) as (connection, held):
            await tenants.change(connection, held.id, patch)
            return answer(await tenants.show(connection, held.id))

    async def suspend(self, request: Request, _: Operator) -> Response:
        """Refuse a tenant's requests from now on, everywhere within a second; what was accepted waits until it is resumed."""
        because = await read_model(request, Because)
        async with self._desk.at(request, manage.hold) as (connection, held):
            await manage.move(connection, held, "suspended", because.reason)
            return answer(await tenants.show(connection, held.id))

    async def resume(self, request: Request, _: Operator) -> Response:
        """Let a suspended tenant in again; what waited goes on."""
        async with self._desk.at(request, manage.hold) as (connection, held):
            await manage.move(connection, held, "active")
            return answer(await tenants.show(connection, held.id))

    async def close(self, request: Request, operator: Operator) -> Response:
        """Close a tenant for ever: its requests are refused, and from today on it costs nothing."""
        because = await read_model(request, Because)
        async with self._desk.at(request, manage.hold) as (connection, held):
            await tenants.close(connection, held, because.reason, author(operator))
            return answer(await tenants.show(connection, held.id))

    async def subscribe(self, request: Request, operator: Operator) -> Response:
        """Give a tenant a plan, from today or from the next month; whatever was scheduled for then or later is withdrawn."""
        wanted = await read_model(request, PlanWanted)
        async with self._desk.at(request, manage.hold_open) as (connection, held):
            await tenants.subscribe(connection, held.id, wanted, author(operator))
            return answer(await plan_of(connection, held.id))

    async def set_limit(self, request: Request, _: Operator) -> Response:
        """Set a limit of the tenant's own, which goes before its plan's; it holds at once."""
        amounts = await read_model(request, LimitAmounts)
        terms = LimitTerms(meter=request.path_params["meter"], **amounts.model_dump())
        async with self._desk.at(request, manage.hold_open) as (connection, held):
            await set_limit(connection, held.id, terms)
            return answer(LimitList(data=await list_limits(connection, held.id)))

    async def remove_limit(self, request: Request, _: Operator) -> Response:
        """Take a limit of the tenant's own away: its plan's holds at once, if it has one."""
        async with self._desk.at(request, manage.hold) as (connection, held):
            await remove_limit(connection, held.id, request.path_params["meter"])
            return answer(LimitList(data=await list_limits(connection, held.id)))
