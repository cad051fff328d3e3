"""Keeps the clock of a process to PostgreSQL's: a machine whose clock is off says so, and goes by the right one."""

import asyncio
import logging
import time
from contextlib import suppress

from signalops import clock, db, facts

log = logging.getLogger(__name__)

_PAUSE = 10.0
_MOST_DELAY = 1.0
"""Seconds that an answer may take to be a measurement: its moment lies anywhere within."""


async def keep(connections: db.Pool) -> None:
    """Measure again and again, until cancelled."""
    while True:
        await asyncio.sleep(_PAUSE)
        with suppress(*db.OUTAGE):
            await measure(connections)


async def measure(connections: db.Pool) -> None:
    """Measure how far this machine's clock is behind, and correct it when that is more than machines differ."""
    async with connections.connection() as connection:
        before = time.time()
        there = await db.unix_time(connection)
        after = time.time()
    if after - before > _MOST_DELAY:
        return
    earlier, offset = clock.corrected(), there - (before + after) / 2
    # What is corrected already stays so, but for its drift: each correction moves time.
    if abs(offset - earlier) > clock.TOLERANCE:
        clock.correct(offset)
        facts.emit("clock.corrected", seconds=clock.corrected())
