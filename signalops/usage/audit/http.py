"""The endpoint of the events behind a line of an invoice."""

from uuid import UUID

from signalops import db
from signalops.endpoint import endpoint
from signalops.errors import Gone
from signalops.terms import Caller
from signalops.usage.audit.model import TracedEvents, TraceQuery
from signalops.usage.audit.trace import events_of_line


@endpoint(
    "GET /api/usage/lines/{id}/events",
    "listLineEvents",
    "List the events behind a line of an invoice",
    "usage:read",
    problems=(Gone,),
)
async def list_line_events(connection: db.Connection, caller: Caller, line: UUID, query: TraceQuery) -> TracedEvents:
    """List the events behind a line of usage, in the order in which they were counted, with what each added."""
    return await events_of_line(connection, caller.tenant, line, query)
