"""The endpoints of replays."""

from uuid import UUID

from signalops import db, telemetry
from signalops.endpoint import endpoint
from signalops.errors import NotFound
from signalops.http import Page, Response, answer
from signalops.ingest.replay import replay_queries
from signalops.ingest.replay.replay_models import ReplayDryRun, ReplayList, ReplayRequest, ReplayShown, ReplayStarted
from signalops.ingest.replay.start import start
from signalops.types import Caller

_LAST = UUID(int=2**128 - 1)


class Replays:
    """The endpoints; `most` is how many events one replay may run."""

    def __init__(self, most: int) -> None:
        self._most = most

    @endpoint(
        "POST /api/replays",
        "startReplay",
        "Run past events through the rules again, on purpose",
        "rules:*",
        answers={200: ReplayDryRun, 202: ReplayStarted},
        most_bytes=64 * 1024,
    )
    async def start_replay(self, caller: Caller, transaction: db.Transaction, body: ReplayRequest) -> Response:
        """Run past events through the rules as they are now: new notifications, marked as a replay; nothing is billed."""
        async with transaction() as connection:
            started = await start(connection, caller.tenant, body, self._most)
        if not isinstance(started, ReplayStarted):
            return answer(started)
        telemetry.emit("replay.started", tenant=caller.tenant, replay=started.id, events=started.events)
        return answer(started, 202, {"location": f"/api/replays/{started.id}"})

    @endpoint("GET /api/replays", "listReplays", "List replays, newest first", "rules:*", answers={200: ReplayList})
    async def list_replays(self, connection: db.Connection, caller: Caller, query: Page) -> Response:
        """List a tenant's replays, newest first."""
        filters = {"id": None, "upwards": query.upwards, **query.window(await db.settled(connection))}
        return query.listed(await replay_queries.list_replays(connection, caller.tenant, **filters), lambda row: row)

    @endpoint("GET /api/replays/{id}", "getReplay", "Show a replay and how far it is", "rules:*", answers={200: ReplayShown})
    async def get_replay(self, connection: db.Connection, caller: Caller, replay: UUID) -> Response:
        """Show a replay and how far it is."""
        one = {"id": replay, "lower": UUID(int=0), "upper": _LAST, "upwards": False, "limit": 1}
        rows = await replay_queries.list_replays(connection, caller.tenant, **one)
        if not rows:
            raise NotFound("There is no such replay: check the id.")
        return answer(rows[0])
