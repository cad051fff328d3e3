"""Collects the metrics that are measured at a scrape: of the database, and of this process's pools."""

import asyncio
import time
from collections.abc import Mapping

from signalops import clock, db
from signalops.watch.metrics.registry import Measurement, gauge

SQL = db.queries("watch/watch")
MAX_SECONDS = 2.0
"""Timeout of the query in seconds: a scrape must not wait for a blocked database."""
_FRESH = 1.0


class Measurements:
    """What the database measures of itself, remembered for a second: several scrapes cost it as much as one."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections
        self._asking = asyncio.Lock()
        self._last: list[Measurement] = []
        self._until = 0.0

    async def read(self) -> list[Measurement]:
        """Return the gauges of the database; if it is down, only the one that reports it."""
        async with self._asking:
            if time.monotonic() >= self._until:
                self._last = await self._ask()
                self._until = time.monotonic() + _FRESH
            return self._last

    async def _ask(self) -> list[Measurement]:
        began = time.monotonic()
        try:
            async with asyncio.timeout(MAX_SECONDS), self._connections.connection() as connection:
                measured = await measurements(connection)
        except (db.REFUSAL, *db.OUTAGE, TimeoutError):
            return [("signalops_database_up", {}, 0.0)]
        spent = time.monotonic() - began
        return [*measured, ("signalops_database_up", {}, 1.0), ("signalops_measure_seconds", {}, spent)]


async def measurements(connection: db.Connection) -> list[Measurement]:
    """Return each series that the database measures: name, labels, value."""
    rows = await db.tuples(connection, SQL["measurements"])
    return [(name, labels, value) for name, labels, value in rows]


async def watch_pools(pools: Mapping[str, db.Pool]) -> None:
    """Write the use of this process's pools each second until cancelled: one process answers a scrape for all."""
    while True:
        for name, pool in pools.items():
            stats = pool.get_stats()
            idle = stats.get("pool_available", 0)
            gauge("signalops_pool_connections", name, "idle").set(idle)
            gauge("signalops_pool_connections", name, "used").set(stats.get("pool_size", 0) - idle)
            gauge("signalops_pool_waiting", name).set(stats.get("requests_waiting", 0))
        gauge("signalops_clock_correction_seconds").set(clock.corrected())
        await asyncio.sleep(1)
