"""Corrects the clock of a process to PostgreSQL's: logs the offset, and applies it."""

import asyncio
import logging
import time
from contextlib import suppress

from signalops import clock, db, telemetry

log = logging.getLogger(__name__)

_PAUSE = 10.0
_MAX_DELAY = 1.0
"""Maximum round trip of a measurement, in seconds: the server's time can be anywhere within it."""


async def keep_synced(connections: db.Pool) -> None:
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
    if after - before > _MAX_DELAY:
        return
    earlier, offset = clock.corrected(), there - (before + after) / 2
    # An applied correction stays, apart from drift: each further correction would make time jump.
    if abs(offset - earlier) > clock.TOLERANCE:
        clock.correct(offset)
        telemetry.emit("clock.corrected", seconds=clock.corrected())
