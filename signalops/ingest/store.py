"""What ingest asks of the database: one named query each."""

from collections import Counter
from typing import Any

import orjson
from psycopg.rows import dict_row

from signalops import db
from signalops.ingest.model import Incoming
from signalops.terms import BatchId

SQL = db.queries("ingest")


async def accept(
    connection: db.Connection, events: list[Incoming], batch: BatchId, priority: int
) -> list[tuple[Any, ...]]:
    """Store a flush in one transaction; return (event, verdict, first event) of all that was not plainly accepted."""
    asked = Counter(event.tenant for event in events)
    parameters = {
        "flush": b"[%s]" % b",".join([event.row for event in events]),
        "asked": orjson.dumps([{"tenant": tenant, "events": count} for tenant, count in asked.items()]),
        "batch": batch,
        "priority": priority,
    }
    return await (await connection.execute(SQL["accept"], parameters, prepare=True)).fetchall()


async def list_events(connection: db.Connection, upwards: bool, **parameters: Any) -> list[dict[str, Any]]:
    """Return the events between two ids: the newest of them, newest first, or upwards the oldest of them, oldest first."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        query = SQL["list-events-upwards" if upwards else "list-events"]
        return await (await cursor.execute(query, parameters)).fetchall()
