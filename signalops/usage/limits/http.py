"""The request that shows limits."""

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.http import answer
from signalops.terms import Caller
from signalops.usage.limits.manage import list_limits
from signalops.usage.limits.model import LimitList


class LimitsHttp:
    """The handler, with what it needs."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def list(self, request: Request, caller: Caller) -> Response:
        """Show the limits that hold, and how much of them is used."""
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(LimitList(data=await list_limits(connection, caller.tenant)))
