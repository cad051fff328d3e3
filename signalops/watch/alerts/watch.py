"""A look at the bounds, by whichever worker has the job."""

from signalops import db, facts
from signalops.terms import JsonObject
from signalops.watch.alerts import store


async def watch(connections: db.Pool, platform: str | None) -> None:
    """Tell the operators' tenant, named by its slug, what went out of bounds and what came back; None: only take note."""
    async with connections.connection() as connection:
        told = await store.watch(connection, platform)
    for alert, subject, became in told:
        if became == "raised":
            facts.emit("alert.raised", alert=alert, subject=subject)
        else:
            facts.emit("alert.resolved", alert=alert, subject=subject)


async def note_run(connections: db.Pool, job: str, error: str | None) -> None:
    """Note that a maintenance job has ended, well or with an error."""
    async with connections.connection() as connection:
        await store.note_run(connection, job, error)


async def open_alerts(connection: db.Connection) -> list[JsonObject]:
    """Return the alerts that were raised and are not over, as {alert, subject, value, since, raisedAt}."""
    return await store.open_alerts(connection)
