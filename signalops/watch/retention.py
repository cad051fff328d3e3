"""Removes data past its retention: whole partitions, rows of tenants with a shorter retention, finished jobs.

Input: the settings of the installation, plans and tenants. Output: the removed amounts. Invariant: rows that wait, that are still
to be sent, or that belong to an open billing period are not removed; and no writer waits for a removal.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from signalops import db, telemetry
from signalops.config import Settings

SQL = db.queries("watch/retention")
SLICE = 5000
"""Rows of one transaction, about."""
_PATIENCE = 10.0
"""Seconds in which a partition that is in use is tried again and again; then the next run tries."""
_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Retention:
    """The retention in days, unless a plan or a tenant has another."""

    events: int
    audit_log: int
    jobs: int

    @classmethod
    def of(cls, settings: Settings) -> "Retention":
        """Return the retention of the installation's settings."""
        return cls(settings.retention_days, settings.audit_log_days, settings.job_history_days)


class Retainer:
    """Removes what has expired."""

    def __init__(self, connections: db.Pool, retention: Retention) -> None:
        self._connections = connections
        self._kept = retention

    async def run(self, seconds: float) -> tuple[list[str], Counter[str]]:
        """Delete for up to some seconds; return the dropped partitions, and the number of deleted rows by table."""
        until = time.monotonic() + seconds
        async with self._connections.connection() as connection:
            dropped = await self._drop(connection)
            removed = await self._expire(connection, until)
            while gone := await prune_jobs(connection, self._kept.jobs, SLICE):
                removed["jobs"] += gone
        if dropped:
            telemetry.emit("partitions.dropped", partitions=", ".join(dropped))
        if removed:
            telemetry.emit("rows.expired", rows=dict(removed))
        return dropped, removed

    async def due(self) -> list[str]:
        """Return the partitions that a run would drop."""
        async with self._connections.connection() as connection:
            expired = await expired_partitions(connection, self._kept.events, self._kept.audit_log)
        return [part for part, _ in expired]

    async def _drop(self, connection: db.Connection) -> list[str]:
        """Detach and drop expired partitions, a transaction each; a table that is in use is tried again for a while."""
        dropped: list[str] = []
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                if detached := await drop_detached(connection):
                    dropped.append(detached)
                    continue
                part = await detach_partition(connection, self._kept.events, self._kept.audit_log)
            except db.BUSY:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_PAUSE)
                continue
            if part is None:
                return dropped

    async def _expire(self, connection: db.Connection, until: float) -> Counter[str]:
        removed: Counter[str] = Counter()
        while time.monotonic() < until and (slices := await expire(connection, self._kept.events, SLICE)):
            for relation, rows in slices:
                removed[relation] += rows
        return +removed


async def expired_partitions(connection: db.Connection, retention_days: int, audit_log_days: int) -> list[tuple[str, datetime]]:
    """Return the expired partitions in the order to drop them, and when the last of their rows was received."""
    days = {"retention_days": retention_days, "audit_log_days": audit_log_days}
    return await db.tuples(connection, SQL["expired-partitions"], days)


async def detach_partition(connection: db.Connection, retention_days: int, audit_log_days: int) -> str | None:
    """Detach the first expired partition; return its name, None if there is none. Raises db.BUSY while its table is in use."""
    days = {"retention_days": retention_days, "audit_log_days": audit_log_days}
    part: str | None = await db.value(connection, SQL["detach-partition"], days)
    return part


async def drop_detached(connection: db.Connection) -> str | None:
    """Drop a partition that was detached; return its name, None if there is none. Raises db.BUSY while it is in use."""
    part: str | None = await db.value(connection, SQL["drop-detached"])
    return part


async def expire(connection: db.Connection, retention_days: int, at_most: int) -> list[tuple[str, int]]:
    """Delete a slice of what expires before its partition; return the number of rows by table, nothing when all is done."""
    parameters = {"retention_days": retention_days, "at_most": at_most}
    return await db.tuples(connection, SQL["expire"], parameters)


async def prune_jobs(connection: db.Connection, history_days: int, at_most: int) -> int:
    """Delete jobs that ended `history_days` ago; return how many."""
    parameters = {"history_days": history_days, "at_most": at_most}
    return int(await db.value(connection, SQL["prune-jobs"], parameters) or 0)
