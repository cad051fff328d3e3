"""The request for usage."""

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.http import answer
from signalops.terms import Caller
from signalops.usage.model import UsageQuery
from signalops.usage.read import usage


class UsageHttp:
    """The handler, with what it needs."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show what a meter counted, by the time at which events happened; of a month's events also what was accepted."""
        query = UsageQuery.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await usage(connection, caller.tenant, query))
