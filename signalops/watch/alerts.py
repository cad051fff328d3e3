"""Alerts without other systems: what an operator must know becomes an event of a tenant of the operators' own.

Comes in: what the database knows of itself (signalops.conditions). Goes out: events `signalops.alert.raised` and
`signalops.alert.resolved`, for rules and channels like any other. Writes: alerts, and the events.
Invariant: each crossing is told once, and once more when it is over; what was told and that it was are one transaction.
"""

from signalops import db, facts

SQL = db.queries("watch/alerts")


async def watch(connections: db.Pool, platform: str | None) -> None:
    """Tell the operators' tenant, named by its slug, what went out of bounds and what came back; None: only take note."""
    async with connections.connection() as connection:
        told = await db.tuples(connection, SQL["watch"], {"platform": platform})
    for alert, subject, became in told:
        if became == "raised":
            facts.emit("alert.raised", alert=alert, subject=subject)
        else:
            facts.emit("alert.resolved", alert=alert, subject=subject)


async def note_run(connections: db.Pool, job: str, error: str | None) -> None:
    """Note that a maintenance job has ended, well or with an error."""
    async with connections.connection() as connection:
        await connection.execute(SQL["note-run"], {"job": job, "error": error})


async def open_alerts(connection: db.Connection) -> list[db.Row]:
    """Return the alerts that were raised and are not over, as {alert, subject, value, since, raisedAt}, the oldest first."""
    return await db.rows(connection, SQL["open-alerts"])
