"""The requests for replays."""

from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from signalops import db, facts
from signalops.errors import NotFound
from signalops.http import Page, answer, id_of, read_model
from signalops.ingest.replay import store
from signalops.ingest.replay.model import ReplayRequest, ReplayStarted
from signalops.ingest.replay.start import start
from signalops.terms import Caller

MOST_BYTES = 64 * 1024
_LAST = UUID(int=2**128 - 1)


class Replays:
    """The handlers; `most` is how many events one replay may run."""

    def __init__(self, connections: db.Pool, most: int) -> None:
        self._connections = connections
        self._most = most

    async def start(self, request: Request, caller: Caller) -> Response:
        """Run past events through the rules as they are now: new notifications, marked as a replay; nothing is billed."""
        asked = await read_model(request, ReplayRequest, MOST_BYTES)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            started = await start(connection, caller.tenant, asked, self._most)
        if not isinstance(started, ReplayStarted):
            return answer(started)
        facts.emit("replay.started", tenant=caller.tenant, replay=started.id, events=started.events)
        return answer(started, 202, {"location": f"/api/replays/{started.id}"})

    async def list(self, request: Request, caller: Caller) -> Response:
        """List a tenant's replays, newest first."""
        page = Page.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_replays(
                connection, caller.tenant, id=None, upwards=page.upwards, **page.window(await db.settled(connection))
            )
        return page.listed(rows, lambda row: row)

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show a replay and how far it is."""
        replay = id_of(request, "replay")
        one = {"id": replay, "lower": UUID(int=0), "upper": _LAST, "upwards": False, "limit": 1}
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_replays(connection, caller.tenant, **one)
        if not rows:
            raise NotFound("There is no such replay: check the id.")
        return answer(rows[0])
