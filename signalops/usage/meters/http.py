"""The requests that read, add and end meters."""

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.http import Query, answer, listed, read_model
from signalops.terms import Caller
from signalops.usage.meters import manage, store
from signalops.usage.meters.model import MeterIn, MeterKey, MeterShown


class MetersPage(Query):
    """Query of a list of meters, by key."""

    limit: int = Field(100, ge=1, le=100, description="Most meters of a page.")
    starting_after: MeterKey | None = Field(None, description="The last key of the page before: those after it.")
    ended: bool = Field(False, description="Also those that count no more.")


class Meters:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool, most: int) -> None:
        self._connections = connections
        self._most = most

    async def list(self, request: Request, caller: Caller) -> Response:
        """List a tenant's meters by key."""
        query = MetersPage.of(request)
        wanted = {"ended": query.ended, "after": query.starting_after or "", "limit": query.limit + 1}
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_meters(connection, caller.tenant, **wanted)
        return listed(rows, query.limit, MeterShown.model_validate)

    async def create(self, request: Request, caller: Caller) -> Response:
        """Add a meter; it counts from the next batch of events on."""
        new = await read_model(request, MeterIn)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            meter, is_new = await manage.add(connection, caller.tenant, new, self._most)
        return answer(meter, 201, {"location": f"/api/meters/{meter.key}"}) if is_new else answer(meter)

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show a meter."""
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await manage.show(connection, caller.tenant, request.path_params["key"]))

    async def end(self, request: Request, caller: Caller) -> Response:
        """Have a meter count no more; what it has counted stays."""
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await manage.end(connection, caller.tenant, request.path_params["key"]))
