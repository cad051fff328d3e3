"""What alerts ask of the database: one named query each."""

from signalops import db

SQL = db.queries("watch/alerts")


async def watch(connection: db.Connection, platform: str | None) -> list[tuple[str, str, str]]:
    """Tell what went out of bounds and what came back; return (alert, subject, raised or resolved) of each."""
    return await db.tuples(connection, SQL["watch"], {"platform": platform})


async def note_run(connection: db.Connection, job: str, error: str | None) -> None:
    """Note that a maintenance job has ended."""
    await connection.execute(SQL["note-run"], {"job": job, "error": error})


async def open_alerts(connection: db.Connection) -> list[db.Row]:
    """Return what was raised and is not over, the oldest first."""
    return await db.rows(connection, SQL["open-alerts"])
