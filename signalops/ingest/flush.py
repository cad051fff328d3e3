"""Group commit: requests do not open transactions; one flusher sends all that wait in one statement, and answers then."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from signalops import clock, db, facts
from signalops.errors import IdempotencyConflict, Invalid, Overloaded, Problem, QuotaExceeded, Unavailable
from signalops.ingest import store
from signalops.ingest.model import Incoming
from signalops.terms import BatchId, EventId

log = logging.getLogger(__name__)

Exceptions = Mapping[EventId, EventId | Problem]
"""What was not plainly accepted: the event first stored under the idempotency key, or why nothing was stored."""


@dataclass(slots=True, frozen=True)
class Limits:
    """How many events may wait, how many are flushed at once, and for how many seconds a flush waits for company."""

    waiting: int
    flush: int
    linger: float


_SMALL = 16
"""Events that are never worth two flushes."""


class _Request(NamedTuple):
    events: list[Incoming]
    answer: asyncio.Future[Exceptions]


class Flusher:
    """One lane into the database: a bounded queue of requests, and the task that empties it."""

    def __init__(self, connections: db.Pool, priority: int, limits: Limits) -> None:
        self._connections = connections
        self._priority = priority
        self._limits = limits
        self._requests: deque[_Request] = deque()
        self._unanswered: set[asyncio.Future[Exceptions]] = set()
        self._waiting = 0
        self._arrived = asyncio.Event()
        self._last_size = 0
        self._last_start = 0.0

    async def submit(self, events: list[Incoming]) -> Exceptions:
        """Have events stored; return, when their transaction has committed, what was not plainly accepted.

        Raise Overloaded when too many wait, and Unavailable when the database did not answer.
        """
        if self._waiting + len(events) > self._limits.waiting and self._waiting:
            raise Overloaded("Too many events wait to be stored: send again in a second.", headers={"Retry-After": "1"})
        request = _Request(events, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        self._unanswered.add(request.answer)
        request.answer.add_done_callback(self._unanswered.discard)
        self._waiting += len(events)
        self._arrived.set()
        return await request.answer

    async def run(self) -> None:
        """Flush what waits, until cancelled."""
        while True:
            await self._arrived.wait()
            await self._linger()
            await self._answer(self._take())

    async def drain(self) -> None:
        """Return when all that was submitted so far is answered."""
        if self._unanswered:
            await asyncio.wait(self._unanswered)

    async def _linger(self) -> None:
        """Under load let a few milliseconds pass between flushes: more events a commit, fewer commits for NOTIFY's lock.

        After a flush of one or two events nobody waits.
        """
        loop = asyncio.get_running_loop()
        early = self._last_start + self._limits.linger - loop.time()
        if self._last_size > 2 and early > 0:
            await asyncio.sleep(early)
        self._last_start = loop.time()

    def _take(self) -> list[_Request]:
        """Take half of what is in flight, or as much as a flush may hold; a request is never split.

        Half, since clients that wait for their answers would else all be in one flush, and this process idle while
        PostgreSQL works, and the other way round: a third of the throughput was lost.
        """
        most = min(self._limits.flush, max(_SMALL, (self._waiting + self._last_size + 1) // 2))
        taken = [self._requests.popleft()]
        size = len(taken[0].events)
        while self._requests and size + len(self._requests[0].events) <= most:
            taken.append(self._requests.popleft())
            size += len(taken[-1].events)
        self._waiting -= size
        self._last_size = size
        if not self._requests:
            self._arrived.clear()
        return taken

    async def _answer(self, requests: list[_Request]) -> None:
        """Flush requests and answer each of them, whatever happens."""
        try:
            exceptions: Exceptions | Problem = await self._flush(
                [event for request in requests for event in request.events]
            )
        except Problem as problem:
            exceptions = problem
        except Exception as error:
            log.exception("A flush failed in a way that nobody foresaw.")
            facts.emit("events.flush_failed", events=sum(len(r.events) for r in requests), error=repr(error))
            exceptions = Problem("The events were not stored: send them again, with the same idempotency keys.")
        for _, answer in requests:
            if answer.done():  # whoever asked has gone
                continue
            if isinstance(exceptions, Problem):
                answer.set_exception(exceptions)
            else:
                answer.set_result(exceptions)

    async def _flush(self, events: list[Incoming]) -> Exceptions:
        """Store events in one transaction; halve what can't be stored, so that one bad event can't fail its neighbours."""
        began, batch = time.perf_counter(), BatchId(clock.new_id())
        try:
            async with self._connections.connection() as connection:
                rows = await store.accept(connection, events, batch, self._priority)
        except db.UNSTORABLE as error:
            if len(events) == 1:
                return {events[0].id: Invalid(f"The database can't store this event: {db.reason(error)}.")}
            middle = len(events) // 2
            return {**await self._flush(events[:middle]), **await self._flush(events[middle:])}
        except db.REFUSAL as error:
            # Also what only the operator can mend (a missing partition, a server that is read-only): no event is to blame.
            facts.emit("events.flush_failed", events=len(events), error=str(error))
            raise Unavailable(
                "The database did not answer, and the events may or may not be stored: send again, with the same "
                "idempotency keys.",
                headers={"Retry-After": "1"},
            ) from error
        milliseconds = (time.perf_counter() - began) * 1000
        facts.emit("events.flushed", events=len(events), exceptions=len(rows), milliseconds=milliseconds)
        end = clock.next_month(clock.time_of(batch))
        return {EventId(event): out for event, verdict, first in rows if (out := _outcome(event, verdict, first, end))}


def _outcome(event: EventId, verdict: str, first: EventId, end: datetime) -> EventId | Problem | None:
    match verdict:
        case "duplicate":
            return first
        case "conflict":
            return IdempotencyConflict(
                f"The idempotency key was first used for event {first} with another body: use a new key for a new event.",
                headers={"Location": f"/api/events/{first}"},
            )
        case "refused":
            return QuotaExceeded(
                f"The month's hard limit of events is reached: it starts anew at {end:%Y-%m-%dT%H:%MZ}, or raise the limit.",
                headers={"Retry-After": str(int((end - clock.now()).total_seconds()) + 1)},
                periodEnd=end.isoformat(),
            )
        case _:
            facts.emit("usage.soft_limit_reached", tenant=first, event=event)
            return None
