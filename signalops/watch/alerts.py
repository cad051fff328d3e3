"""Alerts without other systems: an alert condition becomes an event of the operators' own tenant.

Input: the alert conditions that the database computes (signalops.alert_conditions). Output: events `signalops.alert.raised` and
`signalops.alert.resolved`, for rules and channels like any other. Writes: alerts, and the events. Invariant: each breach sends
one event when it begins and one when it ends; the event and its record are one transaction.
"""

from signalops import db, telemetry

SQL = db.queries("watch/alerts")


async def watch(connections: db.Pool, platform: str | None) -> None:
    """Evaluate the alert conditions; emit raised and resolved alerts to the operators' tenant, named by its slug (None: only
    record)."""
    async with connections.connection() as connection:
        changes = await db.tuples(connection, SQL["evaluate-alerts"], {"platform": platform})
    for alert, subject, became in changes:
        if became == "raised":
            telemetry.emit("alert.raised", alert=alert, subject=subject)
        else:
            telemetry.emit("alert.resolved", alert=alert, subject=subject)


async def record_maintenance_run(connections: db.Pool, job: str, error: str | None) -> None:
    """Note that a maintenance job has ended, well or with an error."""
    async with connections.connection() as connection:
        await connection.execute(SQL["record-maintenance-run"], {"job": job, "error": error})


async def open_alerts(connection: db.Connection) -> list[db.Row]:
    """Return the alerts that are not over, as {alert, subject, value, since, raisedAt, recoveringSince}, the oldest first."""
    return await db.rows(connection, SQL["open-alerts"])
