"""Limits how many short jobs of a queue one worker runs at once, so that the others wait in the table.

A batch that waits there is processed together with the next one (signalops.take_batch), which costs a fraction of a job of its
own: a worker that falls behind gets faster. Fetched one by one they would be as many transactions.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

MERGED = "events"
"""The queue whose waiting jobs are processed together."""
AT_ONCE = 2
"""One job decides in Python while PostgreSQL works for the other."""
SHORT = 0.05
"""Seconds after which a job counts no more: it waits for a lock or is a heavy one, and must not delay other tenants."""


LINGER = 0.03
FEW, MANY = 8, 200
"""Under load let some time pass between jobs, unless so many events wait that a job is full: more events a transaction."""


class Slots:
    """The jobs of the queue MERGED that are running; `wake` has the worker fetch again."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.queues: set[str] = set()
        """Every queue there is."""
        self._wake = wake
        self._running: dict[int, float] = {}
        self._lingering_until = 0.0

    def without_full(self, queues: Iterable[str] | None) -> list[str] | None:
        """Return the queues (None: all) that a worker may fetch from now."""
        now = time.monotonic()
        if now >= self._lingering_until:
            if sum(began > now - SHORT for began in self._running.values()) < AT_ONCE:
                return None if queues is None else list(queues)
            asyncio.get_running_loop().call_later(SHORT, self._wake)
        return [queue for queue in (self.queues if queues is None else queues) if queue != MERGED]

    def begin(self, job: int, queue: str) -> None:
        """Count a job that was fetched."""
        if queue == MERGED:
            self._running[job] = time.monotonic()

    def end(self, job: int, events: int = 0) -> None:
        """Count a job no more, which processed some events."""
        if self._running.pop(job, None) is None:
            return
        if FEW <= events < MANY:
            self._lingering_until = time.monotonic() + LINGER
            asyncio.get_running_loop().call_later(LINGER, self._wake)
        else:
            self._wake()
