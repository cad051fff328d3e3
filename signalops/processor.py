"""Processes a batch: takes it from the inbox, evaluates rules and counts usage, in one transaction.

No tenant delays the others: its part of a batch stays in the inbox, for a job of its own, if another transaction has locked its
counters or if it is too large for one transaction.
"""

import os
import platform
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from signalops import clock, db, telemetry
from signalops.contracts import DeadEvent, PartRow
from signalops.errors import Unusable
from signalops.inbox import inbox_queries
from signalops.inbox.inbox_queries import Part, Results
from signalops.inbox.turns import Turns
from signalops.patterns import TooCostly
from signalops.rules.compiled import CompiledRules
from signalops.rules.evaluate import decide
from signalops.rules.rule_cache import RuleCache
from signalops.types import BatchId
from signalops.usage.meters import CompiledMeters, MeterCache, count, counted_in, is_billed

_LARGE_BYTES = 2**18
_LARGE_PAIRS = 2000
"""From these sizes on, in bytes or in events times rules, a part is decided about in a thread: the worker's other jobs go on."""
MAX_EVENTS = 500
"""Events of batches that wait which a job processes beside its own batch, together with it."""
MAX_ROWS = 2000
"""Matches, and events of groups, that are recorded in one transaction: about half a second."""
HEAVY_ROWS = 300
"""From this many rows on a part takes one of the few turns for heavy ones."""
_BULK = -10
_WORKER = f"{platform.node()}:{os.getpid()}"


class Processor:
    """Processes batches; what it compiles of rules and meters stays for the next one."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections
        self._rules = RuleCache()
        self._meters = MeterCache()
        self._turns = Turns()

    async def process(self, batch: BatchId, job: int) -> tuple[Results, list[Part]]:
        """Process what can be processed of a batch; return what was decided, and the parts that are done."""
        try:
            return await self._process(batch, job)
        except (*db.BUSY, db.OUTDATED, _Unmergeable):
            return await self._process_apart(batch, job)
        except Exception as error:
            if _is_ours(error):
                raise  # nothing happened; the job is run again
            telemetry.emit("batch.bisected", batch=batch, job=job, error=db.redact(error))
            return await self._process_apart(batch, job)

    async def _process(self, batch: BatchId, job: int) -> tuple[Results, list[Part]]:
        async with self._work(batch, job) as work:
            for part in await inbox_queries.read_batch(work.connection, batch, job, MAX_EVENTS):
                meters = await self._meters.meters_of(work.connection, part.tenant, part.meters_version)
                if fitting := await self._decide_fitting(work, part, meters, work.results):
                    work.done.append(fitting)
            if work.results.parts:
                await inbox_queries.record_batch(work.connection, job, _WORKER, work.results)
        return work.results, work.done

    async def _process_apart(self, batch: BatchId, job: int) -> tuple[Results, list[Part]]:
        """Process part by part: an event that fails alone becomes a dead letter; a tenant whose counters are locked waits, the
        others don't."""
        async with self._work(batch, job) as work:
            waiting = await inbox_queries.read_batch(work.connection, batch, job, 0)
            await inbox_queries.wait_briefly(work.connection)
            # Once for each tenant: the record of a batch names one version, by which its usage can be counted again.
            meters = {p.tenant: await self._meters.meters_of(work.connection, p.tenant, p.meters_version) for p in waiting}
            while waiting:
                part = waiting.pop(0)
                waiting[:0] = await self._process_part(work, part, meters[part.tenant])
        return work.results, work.done

    async def _process_part(self, work: "_Work", part: Part, meters: CompiledMeters) -> Sequence[Part]:
        """Process a part in a transaction within that of the batch; return its halves when they must be tried apart."""
        own = Results()
        try:
            async with work.connection.transaction():
                if fitting := await self._decide_fitting(work, part, meters, own):
                    await inbox_queries.record_batch(work.connection, work.job, _WORKER, own)
                    work.done.append(fitting)
        except db.BUSY:
            self._turns.lock(part.tenant)
            await inbox_queries.requeue_events(work.connection, part, self._turns.wait(part.tenant))
            return ()
        except db.OUTDATED:
            # A part of this batch was counted by earlier meters: its record names one version, so the rest is another batch.
            await inbox_queries.requeue_events(work.connection, part, 0.0, batch=BatchId(clock.new_id()))
            return ()
        except Exception as error:
            if _is_ours(error):
                raise
            if len(part.events) > 1:
                return _halves(part)
            own = _dead_lettered(part, meters.version, error)
            await inbox_queries.record_batch(work.connection, work.job, _WORKER, own)
        work.results.add(own)
        return ()

    @asynccontextmanager
    async def _work(self, batch: BatchId, job: int) -> AsyncIterator["_Work"]:
        """Open the transaction of a batch; when it has committed, the tenants whose events it recorded have to wait no longer."""
        with ExitStack() as turns:
            async with self._connections.connection() as connection, connection.transaction():
                work = _Work(batch, job, connection, turns)
                yield work
        self._turns.free(part.tenant for part in work.done)

    async def _decide_fitting(self, work: "_Work", part: Part, meters: CompiledMeters, results: Results) -> Part | None:
        """Evaluate as much of a part as fits in this transaction, requeue the rest, and return what fitted.

        None: the tenant has to wait, and so does all of it.
        """
        if wait := self._turns.wait(part.tenant):
            await inbox_queries.requeue_events(work.connection, part, wait)
            return None
        compiled = await self._rules.rules_of(work.connection, part.tenant, part.ruleset_version)
        pairs = len(part.events) * len(compiled.by_id)
        may_be_heavy = pairs > HEAVY_ROWS or part.size > _LARGE_BYTES or meters.counts_values
        if may_be_heavy or results.rows + pairs > MAX_ROWS:
            return await self._decide_large(work, part, compiled, meters, results)
        decided = _decide(part, compiled, meters, results)
        if _whole_batches(part, decided) < decided:
            raise _Unmergeable
        return await _requeue_rest(work, part, decided)

    async def _decide_large(
        self, work: "_Work", part: Part, compiled: CompiledRules, meters: CompiledMeters, results: Results
    ) -> Part | None:
        """Evaluate a part whose number of results is unknown beforehand."""
        # Before it is decided about: eight jobs of one tenant would share the processor with nobody else's.
        has_turn = part.size > _LARGE_BYTES or len(part.events) * len(compiled.by_id) > _LARGE_PAIRS
        if has_turn and not await self._takes_turn(work, part):
            return None
        own = Results()
        decide_part = partial(_decide, part, compiled, meters, own)
        decided = await db.run_in_thread(work.connection, decide_part) if has_turn else decide_part()
        if own.rows > HEAVY_ROWS and not has_turn and not await self._takes_turn(work, part):
            return None
        fitting = _whole_batches(part, _fitting(decided, own.rows, results))
        fits = await _requeue_rest(work, part, fitting)
        if fits and fitting < decided:
            own = Results()
            await db.run_in_thread(work.connection, partial(_decide, fits, compiled, meters, own))
        if fits:
            results.add(own)
        return fits

    async def _takes_turn(self, work: "_Work", part: Part) -> bool:
        """Take one of the turns for heavy parts, until the transaction ends; if there is none, all of its tenant waits."""
        if not self._turns.has_room(part.tenant):
            self._turns.postpone(part.tenant)
            await inbox_queries.requeue_events(work.connection, part, self._turns.wait(part.tenant), _BULK)
            return False
        work.turns.enter_context(self._turns.heavy(part.tenant))
        return True


@dataclass(slots=True)
class _Work:
    """A batch in progress: its transaction, the decisions so far, and the finished parts."""

    batch: BatchId
    job: int
    connection: db.Connection
    turns: ExitStack
    results: Results = field(default_factory=Results)
    done: list[Part] = field(default_factory=list)


class _Unmergeable(Exception):
    """A part of several batches takes too long, and was cut within a batch."""


def _whole_batches(part: Part, most: int) -> int:
    """Return how many of a part's first events, which are in order of their batches, are all events of theirs; or `most` of one.

    The rest of a batch is counted apart, so what was recorded of it before must have been counted apart, too.
    """
    if most in (0, len(part.events)):
        return most
    batches = [event["batch"] for event in part.events]
    return batches.index(batches[most]) or most


async def _requeue_rest(work: _Work, part: Part, fitting: int) -> Part | None:
    """Requeue what does not fit of a part, and return its first events, which do; None: none of them."""
    if fitting == len(part.events):
        return part
    rest = part._replace(events=part.events[fitting:])
    await inbox_queries.requeue_events(work.connection, rest, 0.0, _BULK)
    return part._replace(events=part.events[:fitting]) if fitting else None


def _fitting(events: int, rows: int, results: Results) -> int:
    """Return how many of `events`, which write `rows` rows, still fit in the transaction: at least one, if it has no results
    yet."""
    room = MAX_ROWS - results.rows
    if rows <= room:
        return events
    return max(events * max(room, 0) // rows, 0 if results.parts else 1)


def _decide(part: Part, compiled: CompiledRules, meters: CompiledMeters, results: Results) -> int:
    """Add what was decided about the first events of a part; return how many these are: all, unless it takes too long."""
    events, costly = decide(compiled, part, results)
    processed = part
    if costly or events < len(part.events):
        died = {event["id"] for event in costly}
        processed = part._replace(events=[event for event in part.events[:events] if event["id"] not in died])
        results.dead += [_dead_letter(part, event, TooCostly()) for event in costly]
    decided = part._replace(events=part.events[:events])
    count(meters, processed, results, counted_in(decided))
    results.parts += _rows(decided, compiled.version, len(compiled.by_id), meters.version, {event["id"] for event in costly})
    return events


def _rows(part: Part, ruleset_version: int, rules: int, meters_version: int, dead: Set[str]) -> list[PartRow]:
    """Return what was done with a part, by the batches that its events are of."""
    by_batch = defaultdict[str, list[Mapping[str, Any]]](list)
    for event in part.events:
        by_batch[event["batch"]].append(event)
    return [
        {
            "tenant": part.tenant,
            "batch": batch,
            "counted_in": counted_in(part),
            "ruleset_version": ruleset_version,
            "rules": rules,
            "meters_version": meters_version,
            "events": len(processed := [event for event in events if event["id"] not in dead]),
            "billed": sum(map(is_billed, processed)),
            "dead": len(events) - len(processed),
        }
        for batch, events in by_batch.items()
    ]


def _halves(part: Part) -> list[Part]:
    middle = len(part.events) // 2
    return [part._replace(events=half) for half in (part.events[:middle], part.events[middle:])]


def _is_ours(error: Exception) -> bool:
    """Return whether an error is a fault of the installation: an outage, a missing grant or partition.

    No event becomes a dead letter for it.
    """
    return isinstance(error, Unusable) or (isinstance(error, db.REFUSAL) and not isinstance(error, db.UNSTORABLE))


def _dead_lettered(part: Part, meters_version: int, error: Exception) -> Results:
    """Return the results of an event that can't be processed: a dead letter, and no usage."""
    rows = _rows(part, part.ruleset_version, 0, meters_version, {part.events[0]["id"]})
    return Results(parts=rows, dead=[_dead_letter(part, part.events[0], error)])


def _dead_letter(part: Part, event: Mapping[str, Any], error: Exception) -> DeadEvent:
    sent = event["correlation"] or event["id"]
    telemetry.emit("event.dead_lettered", tenant=part.tenant, event=event["id"], request_id=sent, error=db.redact(error))
    reason = str(error) if isinstance(error, TooCostly) else repr(error)
    return {"tenant": part.tenant, "event": event["id"], "error": reason}
