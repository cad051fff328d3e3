"""What retention asks of the database: one named query each."""

from datetime import datetime

from signalops import db

SQL = db.queries("watch/retention")


async def expired_partitions(
    connection: db.Connection, retention_days: int, audit_log_days: int
) -> list[tuple[str, datetime]]:
    """Return the partitions that can be dropped, in that order, and when the last of what they hold came in."""
    days = {"retention_days": retention_days, "audit_log_days": audit_log_days}
    return await db.tuples(connection, SQL["expired-partitions"], days)


async def drop_partition(connection: db.Connection, retention_days: int, audit_log_days: int) -> str | None:
    """Drop the first partition that can be; return its name, None if there is none. Raises db.BUSY while its table is in use."""
    days = {"retention_days": retention_days, "audit_log_days": audit_log_days}
    found: str | None = await db.value(connection, SQL["drop-partition"], days)
    return found


async def expire(connection: db.Connection, retention_days: int, at_most: int) -> list[tuple[str, int]]:
    """Remove a slice of what expires before its partition; return how many rows of which tables, nothing when all is done."""
    wanted = {"retention_days": retention_days, "at_most": at_most}
    return await db.tuples(connection, SQL["expire"], wanted)


async def prune_jobs(connection: db.Connection, history_days: int, at_most: int) -> int:
    """Remove jobs that ended so many days ago; return how many."""
    wanted = {"history_days": history_days, "at_most": at_most}
    return int(await db.value(connection, SQL["prune-jobs"], wanted) or 0)
