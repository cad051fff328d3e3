"""The request for a tenant's plan."""

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.http import answer
from signalops.terms import Caller
from signalops.usage.plans.manage import plan_of


class PlansHttp:
    """The handler, with what it needs."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def get(self, _: Request, caller: Caller) -> Response:
        """Show the tenant's plan, the one that comes next, and the days of the present period."""
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            shown = await plan_of(connection, caller.tenant)
        return answer(shown)
