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

    def __init__(self, wake: Callable[[], None], *, is_notified: bool) -> None:
        """is_notified: `notify` is called for each new job. Else any fetch may find one."""
        self.queues: set[str] = set()
        """Every queue there is."""
        self._wake = wake
        self._is_notified = is_notified
        self._may_have_more = True
        self._running: dict[int, float] = {}
        self._lingering_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def without_full(self, queues: Iterable[str] | None) -> list[str] | None:
        """Return the queues (None: all) that a worker may fetch from now."""
        now = time.monotonic()
        running = sum(began > now - SHORT for began in self._running.values())
        # A job takes what waits along: a fetch right behind that of a lone event would find nothing, and delay the event.
        if now >= self._lingering_until and running < (AT_ONCE if self._may_have_more else 1):
            return None if queues is None else list(queues)
        if running:
            self._wake_in(SHORT)
        return [queue for queue in (self.queues if queues is None else queues) if queue != MERGED]

    def notify(self) -> None:
        """Take note that a job was enqueued."""
        self._may_have_more = True

    def begin(self, job: int, queue: str) -> None:
        """Count a job that was fetched."""
        if queue == MERGED:
            self._running[job] = time.monotonic()
            self._may_have_more = not self._is_notified

    def end(self, job: int, events: int = 0) -> None:
        """Count a job no more, which processed some events."""
        if self._running.pop(job, None) is None:
            return
        if events >= MANY:
            self._may_have_more = True
        if FEW <= events < MANY:
            self._lingering_until = time.monotonic() + LINGER
            self._wake_in(LINGER)
        else:
            self._cancel()
            self._wake()

    def _wake_in(self, seconds: float) -> None:
        self._cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _cancel(self) -> None:
        if self._timer:
            self._timer.cancel()
