"""What the metrics ask of the database."""

from psycopg.rows import tuple_row

from signalops import db
from signalops.watch.metrics.registry import Measurement

SQL = db.queries("watch/watch")


async def measurements(connection: db.Connection) -> list[Measurement]:
    """Return each series that the database measures: name, labels, value."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        rows = await (await cursor.execute(SQL["measurements"])).fetchall()
    return [(name, labels, value) for name, labels, value in rows]
