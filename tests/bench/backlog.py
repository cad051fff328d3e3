"""A database full of accepted events that no worker has seen, in flushes as an API process under load makes them."""

import asyncio
from dataclasses import replace

from signalops import clock, db
from signalops.ingest import event_queries
from signalops.ingest.event_models import EventIn, Incoming, incoming
from signalops.types import BatchId
from tests.bench import events
from tests.bench.installation import Installation, Server

EVENTS = 50_000
FLUSH = 40
WANTED_EACH = 10
"""One event of ten matches a rule, and makes a delivery."""
_LANES = 2


def prepare(server: Server, seeded: str, tenants: int | None = None) -> str:
    """Return a database with EVENTS waiting events, of all tenants or of so many; it is to be cloned by each round."""

    def fill(home: Installation) -> None:
        asyncio.run(_fill(replace(home, tenants=home.tenants[:tenants])))

    return server.prepared(f"backlog_{tenants or 'all'}", fill, template=seeded)


async def _fill(home: Installation) -> None:
    async with db.pool(home.settings, "api", _LANES) as connections, asyncio.TaskGroup() as lanes:
        for lane in range(_LANES):
            lanes.create_task(_lane(connections, home, range(lane * FLUSH, EVENTS, _LANES * FLUSH)))


async def _lane(connections: db.Pool, home: Installation, starts: range) -> None:
    posted = [EventIn.model_validate(events.event(is_wanted)) for is_wanted in (False, True)]
    async with connections.connection() as connection:
        for start in starts:
            flush = [_made(home, posted, number) for number in range(start, start + FLUSH)]
            await event_queries.accept(connection, flush, BatchId(clock.new_id()), 0)


def _made(home: Installation, posted: list[EventIn], number: int) -> Incoming:
    # Not `number % WANTED_EACH`: always the same tenants would have the matching events.
    is_wanted = number // len(home.tenants) % WANTED_EACH == 0
    event = posted[is_wanted].model_copy(update={"idempotency_key": f"backlog-{number}"})
    return incoming(home.tenants[number % len(home.tenants)].id, event)
