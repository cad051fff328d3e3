"""What ingest asks of the database: one named query each."""

from typing import Any

from psycopg.rows import dict_row

from signalops import db
from signalops.terms import BatchId

SQL = db.queries("ingest")


async def accept(connection: db.Connection, flush: bytes, batch: BatchId, priority: int) -> list[tuple[Any, ...]]:
    """Store a flush in one transaction; return (event, verdict, first event) of all that was not plainly accepted."""
    parameters = {"flush": flush.decode(), "batch": batch, "priority": priority}
    return await (await connection.execute(SQL["accept"], parameters, prepare=True)).fetchall()


async def list_events(connection: db.Connection, upwards: bool, **parameters: Any) -> list[dict[str, Any]]:
    """Return the events between two ids: the newest of them, newest first, or upwards the oldest of them, oldest first."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        query = SQL["list-events-upwards" if upwards else "list-events"]
        return await (await cursor.execute(query, parameters)).fetchall()
