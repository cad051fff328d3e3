"""The journey of an event, on one page.

    access   who sends it?                       KeyRing.identify
    ingest   stored once, counted, in the inbox  Flusher -> signalops.accept, one transaction per flush
    queue    one job per flush                   process_batch(batch)
    rules    which of the tenant's rules match?  RuleBook, decide; signalops.weigh where it depends on what was before
    send     a delivery per match, jobs for them signalops.record_batch -> send_delivery(tenant, delivery, more)
    usage    counted, by the hour it happened    MeterBook, count; signalops.record_batch, the same transaction

The bodies of the jobs stand here, as the stations follow one another.
"""

import os
import platform
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from signalops import db, facts
from signalops.access.deletion.run import Deleter
from signalops.errors import Unusable
from signalops.ingest.types import Catalogue
from signalops.queue import store
from signalops.queue.store import Part, Results
from signalops.rules.backtest.run import Backtester
from signalops.rules.book import RuleBook
from signalops.rules.compiled import CompiledRules
from signalops.rules.decide import decide
from signalops.send import Sender
from signalops.templates import SendTemplates
from signalops.terms import BatchId, DeliveryId, TenantId
from signalops.usage.invoices.close import CLOSING_AFTER, Closer
from signalops.usage.meters import CompiledMeters, MeterBook, count
from signalops.watch import alerts
from signalops.watch.retention import Retainer, Retention

AT_MOST = 1000
"""What one sweep enqueues; the next is a second away."""
_LARGE = 2**20
"""From this size on one tenant's events of a batch are decided about in a thread: arrays in them may take seconds, and the other
jobs of the worker go on meanwhile."""
_MOST_TOLD = 20
"""Ids of requests that a batch tells of."""
_KEPT = Retention(events=400, audit_log=400, jobs=30)
_RETAINING = 600.0
"""Seconds of an hour."""
_WORKER = f"{platform.node()}:{os.getpid()}"


class Journey:
    """The bodies of the jobs, with what they need."""

    def __init__(
        self,
        connections: db.Pool,
        sender: Sender,
        closing_after: timedelta = CLOSING_AFTER,
        retention: Retention = _KEPT,
        platform: str | None = None,
    ) -> None:
        self._connections = connections
        self._sender = sender
        self._rules = RuleBook()
        self._meters = MeterBook()
        self._closer = Closer(connections, closing_after)
        self.catalogue = Catalogue(connections)
        self._backtester = Backtester(connections, SendTemplates.render)
        self._deleter = Deleter(connections)
        self._retainer = Retainer(connections, retention)
        self._platform = platform

    async def process_batch(self, batch: BatchId, job: int) -> None:
        """Process a batch exactly once: what takes it out of the inbox, decides and counts is one transaction."""
        began = time.perf_counter()
        try:
            results, sent = await self._process(batch, job)
        except Exception as error:
            if _is_ours(error):
                raise  # nothing happened; the job is run again
            facts.emit("batch.bisected", batch=batch, job=job, error=db.told(error))
            results, sent = await self._process_bisecting(batch, job)
        _tell(batch, job, results, sent, time.perf_counter() - began)

    async def send_delivery(self, tenant: TenantId, delivery: DeliveryId) -> None:
        """Make one attempt at a delivery."""
        await self.send_deliveries([(tenant, delivery)])

    async def send_deliveries(self, wanted: Sequence[tuple[TenantId, DeliveryId]]) -> None:
        """Make one attempt at each delivery."""
        await self._sender.deliver_all(wanted)

    async def run_backtest(self, tenant: TenantId, backtest: UUID) -> None:
        """Hold a rule against past events for about a second; the rest is the next job's."""
        await self._backtester.run(tenant, backtest)

    async def delete_tenant(self, tenant: TenantId) -> None:
        """Remove all that is stored of a tenant that is being deleted."""
        await self._deleter.run(tenant)

    async def enqueue_due(self) -> None:
        """Give a job to what is held of resumed tenants, and to the deliveries whose time has come; they wait without one."""
        async with self._connections.connection() as connection:
            while await store.resume(connection, AT_MOST):
                pass
            while await store.enqueue_due(connection, AT_MOST):
                pass

    async def tell_due(self) -> None:
        """Close the digests whose time has come, and tell of what has not come in time."""
        async with self._connections.connection() as connection:
            while await store.set_aside(connection, AT_MOST) == AT_MOST:
                pass
            digests, absences = await store.tell_due(connection, AT_MOST)
        if digests or absences:
            facts.emit("rules.told", digests=digests, absences=absences)

    async def tidy(self) -> None:
        """Remove what rules remember of groups that can't matter any more; have every channel that waits get its turn."""
        async with self._connections.connection() as connection:
            while (await store.tidy(connection, AT_MOST))[0] == AT_MOST:
                pass

    async def enqueue_lost(self) -> None:
        """Give a new job to what lost it: accepted means processed, whatever becomes of a job."""
        async with self._connections.connection() as connection:
            batches, deliveries = await store.enqueue_lost(connection, AT_MOST)
        await self._deleter.sweep()
        if batches or deliveries:
            facts.emit("jobs.replaced", batches=batches, deliveries=deliveries)

    async def make_partitions(self) -> None:
        """Make partitions ahead of time."""
        async with self._connections.connection() as connection:
            if made := await store.make_partitions(connection):
                facts.emit("partitions.made", partitions=", ".join(made))

    async def close_periods(self) -> None:
        """Close the billing periods that are due, and invoice them; several workers share the work."""
        await self._closer.run()

    async def retain(self) -> None:
        """Remove what nobody needs any more; what a run does not manage is the next one's."""
        await self._retainer.run(_RETAINING)

    async def watch(self) -> None:
        """Tell the operators what went out of bounds, and what came back."""
        await alerts.watch(self._connections, self._platform)

    async def note_run(self, job: str, error: str | None) -> None:
        """Note that a maintenance job has ended, well or with an error."""
        await alerts.note_run(self._connections, job, error)

    async def _process(self, batch: BatchId, job: int) -> tuple[Results, list[str]]:
        """Return what was decided, and the ids of the requests that the events came with."""
        async with self._connections.connection() as connection, connection.transaction():
            results = Results()
            parts = await store.read_batch(connection, batch)
            for part in parts:
                meters = await self._meters.meters_of(connection, part.tenant, part.metering)
                await self._decide(connection, part, meters, results)
            if results.parts:
                await store.record_batch(connection, batch, job, _WORKER, results)
        self._note(parts)
        return results, _sent(parts)

    async def _process_bisecting(self, batch: BatchId, job: int) -> tuple[Results, list[str]]:
        """Process what can be; an event that fails alone becomes a dead letter and stops none of its neighbours."""
        done, noted = Results(), list[Part]()
        async with self._connections.connection() as connection, connection.transaction():
            waiting = await store.read_batch(connection, batch)
            sent = _sent(waiting)
            # Once for each tenant: the record of a batch names one version, by which its usage can be counted again.
            meters = {p.tenant: await self._meters.meters_of(connection, p.tenant, p.metering) for p in waiting}
            while waiting:
                part = waiting.pop(0)
                results = Results()
                try:
                    async with connection.transaction():
                        await self._decide(connection, part, meters[part.tenant], results)
                        await store.record_batch(connection, batch, job, _WORKER, results)
                    noted.append(part)
                except Exception as error:
                    if _is_ours(error):
                        raise
                    if len(part.events) > 1:
                        middle = len(part.events) // 2
                        halves = (part.events[:middle], part.events[middle:])
                        waiting[:0] = [part._replace(events=half) for half in halves]
                        continue
                    results = _buried(part, meters[part.tenant].version, error)
                    await store.record_batch(connection, batch, job, _WORKER, results)
                done.add(results)
        self._note(noted)
        return done, sent

    def _note(self, parts: list[Part]) -> None:
        """Tell the catalogue of what was processed, once that is committed."""
        for part in parts:
            self.catalogue.note(part.tenant, part.events)

    async def _decide(self, connection: db.Connection, part: Part, meters: CompiledMeters, results: Results) -> None:
        """Hold one tenant's events against its rules and meters."""
        compiled = await self._rules.rules_of(connection, part.tenant, part.ruleset)
        work = partial(_hold, part, compiled, meters, results)
        billed = await db.beside(connection, work) if part.size > _LARGE else work()
        counts = {"events": len(part.events), "billed": billed, "dead": 0}
        used = {"ruleset": compiled.version, "rules": len(compiled.by_id), "metering": meters.version}
        results.parts.append({"tenant": part.tenant, **used, **counts})


def _hold(part: Part, compiled: CompiledRules, meters: CompiledMeters, results: Results) -> int:
    decide(compiled, part, results)
    return count(meters, part, results)


def _is_ours(error: Exception) -> bool:
    """Tell whether an error is the installation's to mend: an outage, a missing grant or partition. No event may die of it."""
    return isinstance(error, Unusable) or (isinstance(error, db.REFUSAL) and not isinstance(error, db.UNSTORABLE))


def _buried(part: Part, metering: int, error: Exception) -> Results:
    """What is to be recorded of an event that can't be processed: a dead letter, and no usage."""
    event, sent = part.events[0]["id"], part.events[0]["correlation"]
    facts.emit("event.died", tenant=part.tenant, event=event, correlation=sent or event, error=db.told(error))
    used = {"ruleset": part.ruleset, "rules": 0, "metering": metering}
    return Results(
        parts=[{"tenant": part.tenant, **used, "events": 0, "billed": 0, "dead": 1}],
        dead=[{"tenant": part.tenant, "event": event, "error": repr(error)}],
    )


def _sent(parts: list[Part]) -> list[str]:
    return list({event["correlation"]: None for part in parts for event in part.events if event["correlation"]})


def _tell(batch: BatchId, job: int, results: Results, sent: list[str], seconds: float) -> None:
    facts.emit(
        "batch.processed",
        batch=batch,
        job=job,
        tenants=len({part["tenant"] for part in results.parts}),
        events=sum(part["events"] for part in results.parts),
        matches=len(results.matches),
        milliseconds=seconds * 1000,
        correlations=sent[:_MOST_TOLD],
    )
