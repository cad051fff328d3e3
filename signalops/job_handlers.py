"""The handlers of the worker's jobs, in the order of an event's path.

access   authenticate the sender             ApiKeyAuthenticator.identify
ingest   store once, count, put into inbox   Flusher -> signalops.accept, one transaction per flush
queue    one job per flush                   process_batch(batch)
rules    match the tenant's rules            Processor, RuleCache, decide; signalops.evaluate_stateful_rules for stateful rules
send     a delivery per match, and its job   signalops.record_batch -> send_delivery(tenant, delivery, more)
usage    count by the hour of occurrence     MeterCache, count; signalops.record_batch, the same transaction
"""

import time
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from signalops import db, telemetry
from signalops.access.deletion.deleter import Deleter
from signalops.inbox import inbox_queries
from signalops.inbox.inbox_queries import Part, Results
from signalops.ingest.types import EventTypeCatalog
from signalops.processor import Processor
from signalops.rules.backtest.backtester import Backtester
from signalops.send import Sender
from signalops.templates import SendTemplates
from signalops.types import BatchId, DeliveryId, TenantId
from signalops.usage.invoices.close import CLOSING_AFTER, Closer
from signalops.watch import alerts
from signalops.watch.retention import Retainer, Retention

MAX_PER_SWEEP = 1000
"""What one sweep enqueues; the next is a second away."""
_KEPT = Retention(events=400, audit_log=400, jobs=30)
_RETAINING = 600.0
"""Seconds of an hour."""


class JobHandlers:
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
        self._processor = Processor(connections)
        self._closer = Closer(connections, closing_after)
        self.catalogue = EventTypeCatalog(connections)
        self._backtester = Backtester(connections, SendTemplates.render)
        self._deleter = Deleter(connections)
        self._retainer = Retainer(connections, retention)
        self._platform = platform

    async def process_batch(self, batch: BatchId, job: int) -> int:
        """Process a batch exactly once: what takes it out of the inbox, decides and counts is one transaction.

        Return how many events were processed, with those of batches that waited.
        """
        began = time.perf_counter()
        results, parts = await self._processor.process(batch, job)
        for part in parts:
            self.catalogue.record(part.tenant, part.events)
        _emit(batch, job, results, parts, time.perf_counter() - began)
        return sum(len(part.events) for part in parts)

    async def send_delivery(self, tenant: TenantId, delivery: DeliveryId) -> None:
        """Make one attempt at a delivery."""
        await self.send_deliveries([(tenant, delivery)])

    async def send_deliveries(self, deliveries: Sequence[tuple[TenantId, DeliveryId]]) -> None:
        """Make one attempt at each delivery."""
        await self._sender.deliver_all(deliveries)

    async def run_backtest(self, tenant: TenantId, backtest: UUID) -> None:
        """Run a backtest for about a second; the next job continues it."""
        await self._backtester.run(tenant, backtest)

    async def delete_tenant(self, tenant: TenantId) -> None:
        """Remove all that is stored of a tenant that is being deleted."""
        await self._deleter.run(tenant)

    async def enqueue_due(self) -> None:
        """Enqueue jobs for parked work of resumed tenants and for due deliveries, which wait without a job."""
        async with self._connections.connection() as connection:
            while await inbox_queries.resume(connection, MAX_PER_SWEEP):
                pass
            while await inbox_queries.enqueue_due(connection, MAX_PER_SWEEP):
                pass

    async def fire_due(self) -> None:
        """Send the digests that are due, and report absences."""
        async with self._connections.connection() as connection:
            while await inbox_queries.park_events(connection, MAX_PER_SWEEP) == MAX_PER_SWEEP:
                pass
            digests, absences = await inbox_queries.fire_due(connection, MAX_PER_SWEEP)
        if digests or absences:
            telemetry.emit("digests_absences.fired", digests=digests, absences=absences)

    async def tidy(self) -> None:
        """Remove what rules remember of groups that can't matter any more; have every channel that waits get its turn; and
        have no tenant's groups and distinct values fill the disk."""
        async with self._connections.connection() as connection:
            while (await inbox_queries.tidy(connection, MAX_PER_SWEEP))[0] == MAX_PER_SWEEP:
                pass
            for tenant, period in await inbox_queries.limit_cardinality(connection):
                telemetry.emit("usage.cardinality_limit_reached", tenant=tenant, period=f"{period:%Y-%m}")

    async def enqueue_lost(self) -> None:
        """Enqueue again what lost its job: an accepted event is processed, whatever happens to a job."""
        async with self._connections.connection() as connection:
            batches, deliveries = await inbox_queries.enqueue_lost(connection, MAX_PER_SWEEP)
        await self._deleter.sweep()
        if batches or deliveries:
            telemetry.emit("jobs.requeued", batches=batches, deliveries=deliveries)

    async def make_partitions(self) -> None:
        """Make partitions ahead of time."""
        async with self._connections.connection() as connection:
            if made := await inbox_queries.make_partitions(connection):
                telemetry.emit("partitions.created", partitions=", ".join(made))

    async def close_periods(self) -> None:
        """Close the billing periods that are due, and invoice them; several workers share the work."""
        await self._closer.run()

    async def retain(self) -> None:
        """Delete what has expired; the next run continues."""
        await self._retainer.run(_RETAINING)

    async def watch(self) -> None:
        """Notify the operators of alerts that are raised or resolved."""
        await alerts.watch(self._connections, self._platform)

    async def record_maintenance_run(self, job: str, error: str | None) -> None:
        """Note that a maintenance job has ended, well or with an error."""
        await alerts.record_maintenance_run(self._connections, job, error)


def _emit(batch: BatchId, job: int, results: Results, parts: list[Part], seconds: float) -> None:
    sent = list({event["correlation"]: None for part in parts for event in part.events if event["correlation"]})
    telemetry.emit(
        "batch.processed",
        batch=batch,
        job=job,
        tenants=len({part["tenant"] for part in results.parts}),
        events=sum(part["events"] for part in results.parts),
        matches=len(results.matches),
        duration_ms=seconds * 1000,
        request_ids=sent[: telemetry.MAX_REQUEST_IDS],
    )
