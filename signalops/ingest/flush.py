"""Group commit: requests do not open transactions; one flusher sends all that wait in one statement, and answers then."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from signalops import clock, db, facts
from signalops.errors import IdempotencyConflict, Invalid, Overloaded, Problem, QuotaExceeded, Unavailable
from signalops.ingest import store
from signalops.ingest.model import Incoming
from signalops.ingest.rates import Rates
from signalops.ingest.scales import Scales, weighed
from signalops.terms import BatchId, EventId

log = logging.getLogger(__name__)

Outcome = EventId | Problem | Literal["over_limit"]
Exceptions = Mapping[EventId, Outcome]
"""What was not plainly accepted: the event first stored under the idempotency key, why nothing was stored, or stored, but over
a limit."""


@dataclass(slots=True, frozen=True)
class Limits:
    """How many events may wait, how many are flushed at once, and for how many seconds a flush waits for company."""

    waiting: int
    flush: int
    linger: float


_SMALL = 16
_MOST_TOLD = 20
"""Ids of requests that a flush tells of."""
"""Events that are never worth two flushes."""
_MOST_WEIGHINGS = 5
"""How often events are weighed anew in one flush: each time a tenant's limited meters have changed meanwhile."""
_SLOW = {"Retry-After": "1"}


class _Request(NamedTuple):
    events: list[Incoming]
    answer: asyncio.Future[Exceptions]


class _Stored(NamedTuple):
    """What a statement did: the exceptions, and the events it left since their tenant's limited meters had changed."""

    exceptions: dict[EventId, Outcome]
    stale: list[Incoming]

    def plus(self, more: "_Stored") -> "_Stored":
        return _Stored({**self.exceptions, **more.exceptions}, self.stale + more.stale)


class Flusher:
    """One lane into the database: a bounded queue of requests, and the task that empties it."""

    def __init__(self, connections: db.Pool, scales: Scales, rates: Rates, priority: int, limits: Limits) -> None:
        self._connections = connections
        self._scales = scales
        self.rates = rates
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
        events, refused = self.rates.sift(events)
        if not refused:
            return await self._submit(events)
        return {**refused, **(await self._submit(events) if events else {})}

    async def _submit(self, events: list[Incoming]) -> Exceptions:
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
            facts.emit("events.flush_failed", events=sum(len(r.events) for r in requests), error=db.told(error))
            exceptions = Problem("The events were not stored: send them again, with the same idempotency keys.")
        for _, answer in requests:
            if answer.done():  # whoever asked has gone
                continue
            if isinstance(exceptions, Problem):
                answer.set_exception(exceptions)
            else:
                answer.set_result(exceptions)

    async def _flush(self, events: list[Incoming]) -> Exceptions:
        """Store events, those whose tenant's limited meters were not known here after the others."""
        exceptions, stale = await self._store(events)
        for _ in range(_MOST_WEIGHINGS):
            if not stale:
                return exceptions
            again, stale = await self._weigh_anew(stale)
            exceptions |= again
        return exceptions | dict.fromkeys(
            (event.id for event in stale),
            Unavailable("A limit is being changed, and the event is not stored: send it again.", headers=_SLOW),
        )

    async def _weigh_anew(self, events: list[Incoming]) -> _Stored:
        try:
            await self._scales.refresh({event.tenant for event in events})
            return await self._store(events)
        except db.OUTAGE:
            problem = Unavailable(
                "The database did not answer, and the event is not stored: send it again.", headers=_SLOW
            )
        except Unavailable as unavailable:
            problem = unavailable
        # Others of the flush are stored already.
        return _Stored(dict.fromkeys((event.id for event in events), problem), [])

    async def _store(self, events: list[Incoming]) -> _Stored:
        """Store events in one transaction; halve what can't be stored, so that one bad event can't fail its neighbours."""
        began, batch = time.perf_counter(), BatchId(clock.new_id())
        try:
            async with self._connections.connection() as connection:
                rows = await store.accept(connection, weighed(self._scales, events), batch, self._priority)
        except db.BUSY:
            # A limit is being changed.
            return _Stored({}, events)
        except db.UNSTORABLE as error:
            if len(events) == 1:
                return _Stored({events[0].id: Invalid(f"The database can't store this event: {db.reason(error)}.")}, [])
            middle = len(events) // 2
            return (await self._store(events[:middle])).plus(await self._store(events[middle:]))
        except db.REFUSAL as error:
            # Also what only the operator can mend (a missing partition, a server that is read-only): no event is to blame.
            facts.emit("events.flush_failed", events=len(events), error=db.told(error))
            raise Unavailable(
                "The database did not answer, and the events may or may not be stored: send again, with the same "
                "idempotency keys.",
                headers=_SLOW,
            ) from error
        stored = self._sort_out(events, rows)
        milliseconds = (time.perf_counter() - began) * 1000
        settled = len(events) - len(stored.stale)
        outcomes = list(stored.exceptions.values())
        told = {
            "exceptions": len(outcomes),
            "duplicates": sum(isinstance(outcome, UUID) for outcome in outcomes),
            "over_limit": outcomes.count("over_limit"),
        }
        sent = list({event.correlation: None for event in events if event.correlation})[:_MOST_TOLD]
        facts.emit("events.flushed", batch=batch, events=settled, **told, milliseconds=milliseconds, correlations=sent)
        return stored

    def _sort_out(self, events: list[Incoming], rows: list[tuple[Any, ...]]) -> _Stored:
        """Translate what signalops.accept returned, and tell of the notices that it emitted."""
        exceptions: dict[EventId, Outcome] = {}
        tenants = set()
        paid = {event.id: event.buckets for event in events if event.buckets}
        for _, verdict, tenant, bucket, _, pace in rows:
            if verdict == "bucket":  # what a refusal then tells
                self.rates.note(tenant, bucket, pace)
        for event, verdict, first, meter, end, pace in rows:
            match verdict:
                case "bucket":
                    pass
                case "stale":
                    tenants.add(first)
                case "soft_limit":
                    facts.emit("usage.soft_limit_reached", tenant=first, event=event)
                case "hard_limit":
                    facts.emit("usage.hard_limit_reached", tenant=first, event=event)
                case "threshold":
                    facts.emit("usage.threshold_reached", tenant=first, event=event)
                case "rate_limited":
                    exceptions[event] = self.rates.refusal(first, meter, pace["wait"], paid[event])
                case _:
                    exceptions[event] = _outcome(verdict, first, meter, end)
        # What is sent again has paid.
        stale = (
            [e._replace(buckets=()) for e in events if e.tenant in tenants and e.id not in exceptions]
            if tenants
            else []
        )
        return _Stored(exceptions, stale)


def _outcome(verdict: str, first: EventId, meter: str, end: datetime) -> Outcome:
    match verdict:
        case "duplicate":
            return first
        case "over_limit":
            return "over_limit"
        case "conflict":
            return IdempotencyConflict(
                f"The idempotency key was first used for event {first} with another body: use a new key for a new event.",
                headers={"Location": f"/api/events/{first}"},
            )
        case _:
            return QuotaExceeded(
                f"The month's hard limit of {meter} is reached: it starts anew at {end:%Y-%m-%dT%H:%MZ}, or raise the limit.",
                headers={"Retry-After": str(int((end - clock.now()).total_seconds()) + 1)},
                meter=meter,
                periodEnd=end.isoformat(),
            )
