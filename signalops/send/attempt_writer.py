"""Writes finished attempts in batches: all that wait go to the database in one statement."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from uuid import UUID

from signalops.db import KNOWN, OUTAGE, UNSTORABLE, Pool, repair
from signalops.send import attempt_queries
from signalops.send.attempt_queries import Attempt
from signalops.supervise import watched

MAX_PER_WRITE = 100
"""Attempts of one statement; a commit for each would cost more than sending."""
_WAITS = (0.1, 0.3, 1, 2, 3, 4)
"""Seconds between tries while the database is away: what is not recorded is sent again. Longer, and the job is another's."""
Waiting = tuple[Attempt, asyncio.Future[bool]]


class AttemptWriter:
    """Records the attempts of one worker process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: list[Waiting] = []
        self._flushing: asyncio.Task[None] | None = None

    async def record(self, attempt: Attempt) -> bool:
        """Record an attempt; return whether its delivery died of it. Raises what the database raised."""
        recorded = asyncio.get_running_loop().create_future()
        self._waiting.append((attempt, recorded))
        if self._flushing is None:
            self._flushing = watched(asyncio.create_task(self._flush_all(), name="record attempts"))
        return await asyncio.shield(recorded)

    async def close(self) -> None:
        """Return when all that waits is recorded."""
        if self._flushing is not None:
            await self._flushing

    async def _flush_all(self) -> None:
        while self._waiting:
            flush, self._waiting = self._waiting[:MAX_PER_WRITE], self._waiting[MAX_PER_WRITE:]
            for group in _without_crossing(flush):
                await self._flush(group)
        self._flushing = None

    async def _flush(self, group: list[Waiting]) -> None:
        try:
            died = await self._settle([attempt for attempt, _ in group])
        except Exception as error:
            if len(group) > 1 and not isinstance(error, OUTAGE):
                for one in group:  # so that none fails for another's sake: what is not recorded is sent again
                    await self._flush([one])
                return
            if isinstance(error, UNSTORABLE) and not group[0][0].outcome.is_bare:
                [(attempt, recorded)] = group
                await self._flush([(replace(attempt, outcome=attempt.outcome.bare()), recorded)])
                return
            for _, recorded in group:
                if isinstance(error, KNOWN):  # by an earlier try, whose answer was lost
                    recorded.set_result(False)
                else:
                    recorded.set_exception(error)
            return
        for attempt, recorded in group:
            recorded.set_result(attempt.delivery in died)

    async def _settle(self, attempts: list[Attempt]) -> set[object]:
        for wait in _WAITS:
            try:
                return await self._settle_once(attempts)
            except OUTAGE:
                await asyncio.sleep(wait)
                await repair(self._pool)
        return await self._settle_once(attempts)

    async def _settle_once(self, attempts: list[Attempt]) -> set[object]:
        async with self._pool.connection() as connection:
            return set(await attempt_queries.settle(connection, attempts))


def _without_crossing(flush: list[Waiting]) -> Iterable[list[Waiting]]:
    """Yield what may go in one statement: all successes, and the failures of each send target, so that no locks can cross."""
    flush.sort(key=_place)
    return (list(group) for _, group in groupby(flush, key=lambda waiting: _place(waiting)[0]))


def _place(waiting: Waiting) -> tuple[str, UUID, UUID]:
    attempt = waiting[0]
    return "" if attempt.outcome.kind == "sent" else str(attempt.send_target), attempt.send_target, attempt.channel
