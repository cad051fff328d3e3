"""The request for the events behind a line of an invoice."""

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.http import answer, id_of
from signalops.terms import Caller
from signalops.usage.audit.model import TraceQuery
from signalops.usage.audit.trace import events_of_line


class LinesHttp:
    """The handler, with what it needs."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def events(self, request: Request, caller: Caller) -> Response:
        """List the events behind a line of usage, in the order in which they were counted, with what each added."""
        line, query = id_of(request, "line"), TraceQuery.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await events_of_line(connection, caller.tenant, line, query))
