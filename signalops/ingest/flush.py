"""Group commit: one flusher stores the events of all waiting requests in one statement, then answers each request."""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from signalops import clock, db, telemetry
from signalops.errors import Invalid, Overloaded, Problem, Unavailable
from signalops.ingest import event_queries
from signalops.ingest.apart import TenantQueues
from signalops.ingest.event_models import Incoming, Outcomes, Request, Stored
from signalops.ingest.limited_meters import LimitedMeterReader, with_quantities
from signalops.ingest.outcomes import Flushed, translated
from signalops.ingest.rate_limit_cache import RateLimitCache
from signalops.types import BatchId, EventId, TenantId

log = logging.getLogger(__name__)


@dataclass(slots=True, frozen=True)
class Limits:
    """How many events may wait, how many are flushed at once, and for how many seconds a flush waits for company."""

    waiting: int
    flush: int
    linger: float


MAX_FLUSH_BYTES = 4 * 2**20
"""Bytes of rows in one flush: more would time out for all who wait for it."""
_MAX_WAITING_BYTES = 256 * 2**20
"""Bytes of rows that may wait in one lane, a quarter of them of one tenant."""
_SMALL = 16
"""Events that are never worth two flushes."""
_MAX_STALE_RETRIES = 5
"""How often a flush recomputes the quantities of limited meters, each time because a tenant's meters have changed."""
_SLOW = {"Retry-After": "1"}


def _taken(requests: deque[Request], most: int) -> list[Request]:
    """Remove from a queue what fits in one flush: up to `most` events and MAX_FLUSH_BYTES, but at least one request."""
    taken = [requests.popleft()]
    events, size = len(taken[0].events), taken[0].size
    while requests and events + len(requests[0].events) <= most and size + requests[0].size <= MAX_FLUSH_BYTES:
        taken.append(requests.popleft())
        events, size = events + len(taken[-1].events), size + taken[-1].size
    return taken


def _parts(events: list[Incoming], most: int) -> Iterator[list[Incoming]]:
    """Split events into parts that each fit in one flush."""
    part: list[Incoming] = []
    size = 0
    for event in events:
        if part and (len(part) == most or size + len(event.row) > MAX_FLUSH_BYTES):
            yield part
            part, size = [], 0
        part.append(event)
        size += len(event.row)
    yield part


class Flusher:
    """One lane into the database: a bounded queue of requests, and the task that empties it."""

    def __init__(
        self,
        connections: tuple[db.Pool, db.Pool],
        limited_meters: LimitedMeterReader,
        rates: RateLimitCache,
        priority: int,
        limits: Limits,
    ) -> None:
        """Flush over the first pool; the second is for tenants whose counters somebody else has locked."""
        self._connections, reserve = connections
        self._tenant_queues = TenantQueues(lambda requests: self._answer(requests, reserve), self._taken)
        self._limited_meters = limited_meters
        self.rates = rates
        self._priority = priority
        self._limits = limits
        self._requests: deque[Request] = deque()
        self._unanswered: set[asyncio.Future[Outcomes]] = set()
        self._waiting = 0
        # By the ids as numbers: a UUID is hashed and compared in Python.
        self._waiting_bytes: Counter[int] = Counter()
        self._waiting_bytes_of_all = 0
        self._arrived = asyncio.Event()
        self._last_size = 0
        self._last_start = 0.0

    async def submit(self, events: list[Incoming]) -> Outcomes:
        """Store events; return the outcome of each when their transaction has committed.

        Raise Overloaded when too many wait, and Unavailable when the database did not answer.
        """
        events, rejected = self.rates.split(events)
        if not events:
            return rejected
        sizes = [len(event.row) for event in events]
        self._require_room(events[0].tenant, len(events), sum(sizes))
        if len(events) > self._limits.flush or sum(sizes) > MAX_FLUSH_BYTES:
            return {**rejected, **await self._submit_in_parts(events)}
        outcomes = await self._enqueue(events, sum(sizes)).answer
        return {**rejected, **outcomes} if rejected else outcomes

    async def _submit_in_parts(self, events: list[Incoming]) -> Outcomes:
        """Store in several flushes what exceeds one; each event of a part that failed has the reason."""
        requests = [self._enqueue(part, sum(len(event.row) for event in part)) for part in _parts(events, self._limits.flush)]
        answers = await asyncio.gather(*(request.answer for request in requests), return_exceptions=True)
        outcomes: dict[EventId, Stored | Problem] = {}
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, Problem):
                outcomes |= {event.id: answer for event in request.events}
            elif isinstance(answer, BaseException):
                raise answer
            else:
                outcomes |= answer
        return outcomes

    def _require_room(self, tenant: TenantId, events: int, size: int) -> None:
        """Raise Overloaded when too much waits already: of all tenants together, or of this one."""
        if not self._waiting_bytes_of_all:
            return
        of_tenant = self._waiting_bytes[tenant.int] + size > _MAX_WAITING_BYTES // 4
        of_all = self._waiting_bytes_of_all + size > _MAX_WAITING_BYTES
        if of_tenant or of_all or (self._waiting and self._waiting + events > self._limits.waiting):
            raise Overloaded("Too many events wait to be stored: send again in a second.", headers=_SLOW)

    def _enqueue(self, events: list[Incoming], size: int) -> Request:
        request = Request(events[0].tenant, events, size, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        self._unanswered.add(request.answer)
        request.answer.add_done_callback(partial(self._release, request))
        self._waiting += len(events)
        self._waiting_bytes_of_all += size
        self._waiting_bytes[request.tenant.int] += size
        self._arrived.set()
        return request

    def _release(self, request: Request, answer: asyncio.Future[Outcomes]) -> None:
        """Return the bytes of an answered request to the bounds of what may wait."""
        self._unanswered.discard(answer)
        self._waiting_bytes_of_all -= request.size
        self._waiting_bytes[request.tenant.int] -= request.size
        if self._waiting_bytes[request.tenant.int] <= 0:
            del self._waiting_bytes[request.tenant.int]

    async def run(self) -> None:
        """Flush what waits, until cancelled."""
        while True:
            await self._arrived.wait()
            await self._linger()
            if requests := self._tenant_queues.split(self._take()):
                await self._answer(requests, self._connections)

    async def drain(self) -> None:
        """Return when all that was submitted so far is answered."""
        if self._unanswered:
            await asyncio.wait(self._unanswered)

    async def _linger(self) -> None:
        """Under load wait a few milliseconds between flushes: more events per commit, fewer commits that take NOTIFY's lock.

        After a flush of one or two events there is no wait.
        """
        loop = asyncio.get_running_loop()
        early = self._last_start + self._limits.linger - loop.time()
        if self._last_size > 2 and early > 0:
            await asyncio.sleep(early)
        self._last_start = loop.time()

    def _take(self) -> list[Request]:
        """Take half of what is in flight, or as much as fits in a flush; a request is never split.

        Half, so that this process and PostgreSQL work in parallel: with everything in one flush each idles while the other
        works, which cost a third of the throughput.
        """
        most = min(self._limits.flush, max(_SMALL, (self._waiting + self._last_size + 1) // 2))
        taken = _taken(self._requests, most)
        size = sum(len(request.events) for request in taken)
        self._waiting -= size
        self._last_size = size
        if not self._requests:
            self._arrived.clear()
        return taken

    def _taken(self, requests: deque[Request]) -> list[Request]:
        return _taken(requests, self._limits.flush)

    async def _answer(self, requests: Sequence[Request], connections: db.Pool) -> bool:
        """Flush requests and answer each of them, whatever happens; return False if a tenant's counters are locked.

        Then those of the lane, which are of many tenants, are left to be flushed apart.
        """
        is_free = True
        events = [event for request in requests for event in request.events]
        try:
            if connections is not self._connections:
                async with connections.connection() as connection:
                    await event_queries.await_changed_limits(connection)
            outcomes: Outcomes | Problem
            outcomes, stale = await self._store(events, connections)
            if stale:
                outcomes = {**outcomes, **await self._retry_stale(stale, connections)}
        except db.BUSY:
            is_free = False
            if connections is self._connections:
                self._tenant_queues.take(requests)
                return False
            outcomes = Unavailable(
                "The tenant's counters are locked by another transaction, and nothing is stored: send again.", headers=_SLOW
            )
        except Problem as problem:
            outcomes = problem
        except Exception as error:
            log.exception("A flush failed in a way that nobody foresaw.")
            telemetry.emit("events.flush_failed", events=sum(len(r.events) for r in requests), error=db.redact(error))
            outcomes = Problem("The events were not stored: send them again, with the same idempotency keys.")
        for request in requests:
            answer = request.answer
            if answer.done():  # the client has disconnected
                continue
            if isinstance(outcomes, Problem):
                answer.set_exception(outcomes)
            else:
                answer.set_result(outcomes)
        return is_free

    async def _retry_stale(self, stale: list[Incoming], connections: db.Pool) -> Outcomes:
        """Load the limited meters of the tenants of stale events, and store these again."""
        outcomes: dict[EventId, Stored | Problem] = {}
        for _ in range(_MAX_STALE_RETRIES):
            stored, stale = await self._refresh_and_store(stale, connections)
            outcomes |= stored
            if not stale:
                return outcomes
        changing = Unavailable("A limit is being changed, and the event is not stored: send it again.", headers=_SLOW)
        return outcomes | dict.fromkeys((event.id for event in stale), changing)

    async def _refresh_and_store(self, events: list[Incoming], connections: db.Pool) -> Flushed:
        try:
            await self._limited_meters.refresh({event.tenant for event in events})
            return await self._store(events, connections)
        except db.BUSY:
            return Flushed({}, events)
        except db.OUTAGE:
            problem = Unavailable("The database did not answer, and the event is not stored: send it again.", headers=_SLOW)
        except Unavailable as unavailable:
            problem = unavailable
        # Others of the flush are stored already.
        return Flushed(dict.fromkeys((event.id for event in events), problem), [])

    async def _store(self, events: list[Incoming], connections: db.Pool) -> Flushed:
        """Store events in one transaction; halve what can't be stored, so that one bad event can't fail its neighbours.

        Raises BUSY when somebody else has locked what it counts in, or changes a limit.
        """
        began, batch = time.perf_counter(), BatchId(clock.new_id())
        try:
            async with connections.connection() as connection:
                rows = await event_queries.accept(
                    connection, with_quantities(self._limited_meters, events), batch, self._priority
                )
        except db.BUSY:
            raise
        except db.UNSTORABLE as error:
            if len(events) == 1:
                return Flushed({events[0].id: Invalid(f"The database can't store this event: {db.reason(error)}.")}, [])
            middle = len(events) // 2
            first = await self._store(events[:middle], connections)
            return first.plus(await self._store(events[middle:], connections))
        except db.REFUSAL as error:
            # Also what only the operator can mend (a missing partition, a server that is read-only): no event is to blame.
            telemetry.emit("events.flush_failed", events=len(events), error=db.redact(error))
            raise Unavailable(
                "The database did not answer, and the events may or may not be stored: send again, with the same "
                "idempotency keys.",
                headers=_SLOW,
            ) from error
        flushed = translated(events, rows, self.rates)
        milliseconds = (time.perf_counter() - began) * 1000
        stored = [outcome for outcome in flushed.outcomes.values() if isinstance(outcome, Stored)]
        duplicates = sum(outcome.status == "duplicate" for outcome in stored)
        over_limit = sum(outcome.is_over for outcome in stored)
        counts = {
            "not_accepted": len(flushed.outcomes) - len(stored) + duplicates + over_limit,
            "duplicates": duplicates,
            "over_limit": over_limit,
        }
        settled = len(flushed.outcomes)
        sent = list({event.correlation: None for event in events if event.correlation})[: telemetry.MAX_REQUEST_IDS]
        telemetry.emit("events.flushed", batch=batch, events=settled, **counts, duration_ms=milliseconds, request_ids=sent)
        return flushed
