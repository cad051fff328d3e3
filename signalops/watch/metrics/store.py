"""What the metrics ask of the database."""

from signalops import db
from signalops.watch.metrics.registry import Measurement

SQL = db.queries("watch/watch")


async def measurements(connection: db.Connection) -> list[Measurement]:
    """Return each series that the database measures: name, labels, value."""
    rows = await db.tuples(connection, SQL["measurements"])
    return [(name, labels, value) for name, labels, value in rows]
