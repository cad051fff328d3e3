"""The procrastinate App: how it connects, which jobs there are, and how often the maintenance jobs run."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from procrastinate import App, JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker

from signalops import db, facts
from signalops.constants import WORKER_SILENCE
from signalops.queue.connector import Around, Connector
from signalops.queue.policy import RetryAlways, RetryCutOff
from signalops.queue.rescue import rescue_stalled
from signalops.terms import BatchId, DeliveryId, TenantId

HEARTBEAT = 1.0
MAINTENANCE = "maintenance"


class Bodies(Protocol):
    """What the jobs do; `journey` has it."""

    async def process_batch(self, batch: BatchId, job: int) -> None: ...
    async def send_deliveries(self, wanted: Sequence[tuple[TenantId, DeliveryId]]) -> None: ...
    async def run_backtest(self, tenant: TenantId, backtest: UUID) -> None: ...
    async def delete_tenant(self, tenant: TenantId) -> None: ...
    async def enqueue_due(self) -> None: ...
    async def enqueue_lost(self) -> None: ...
    async def tell_due(self) -> None: ...
    async def tidy(self) -> None: ...
    async def make_partitions(self) -> None: ...
    async def close_periods(self) -> None: ...
    async def retain(self) -> None: ...
    async def watch(self) -> None: ...
    async def note_run(self, job: str, error: str | None) -> None: ...


class _Maintaining(Worker):
    """Slots of its own for maintenance: when all other jobs hang, lost ones are still given back, and deliveries woken."""

    async def _periodic_deferrer(self) -> None:
        await asyncio.Event().wait()  # the process's first worker does that


class _App(App):
    """An App that runs maintenance jobs beside all others."""

    connector: Connector

    def _worker(self, **options: Any) -> Worker:
        worker = super()._worker(**options)
        self.connector.workers.append(worker)
        return worker

    async def run_worker_async(self, **options: Any) -> None:
        queues = options.get("queues")
        if (queues is not None and MAINTENANCE not in queues) or not options.get("wait", True):
            await super().run_worker_async(**options)
            return
        own: dict[str, Any] = {
            "queues": [MAINTENANCE],
            "concurrency": 2,
            "install_signal_handlers": False,
            "listen_notify": False,
        }
        defaults: dict[str, Any] = {**self.worker_defaults}
        maintaining = _Maintaining(app=self, **defaults | own)
        self.connector.workers.append(maintaining)
        beside = asyncio.create_task(maintaining.run(), name="maintain")  # type: ignore[no-untyped-call]
        try:
            await super().run_worker_async(**options)
        finally:
            maintaining.stop()  # type: ignore[no-untyped-call]
            await asyncio.gather(beside, return_exceptions=True)


def make_app(connections: db.Pool, concurrency: int, around: Around, listening: str | None = None) -> App:
    """Make the App on a pool, which it opens and closes; `listening` is where notifications arrive, None: it polls for jobs.

    `around` is entered before, and may refuse to start by raising; it is left at the end of the worker, before the pool closes.
    """
    return _App(
        connector=Connector(connections, around, listening),
        worker_defaults={
            "concurrency": concurrency,
            "fetch_job_polling_interval": 0.5,
            "listen_notify": listening is not None,
            "update_heartbeat_interval": HEARTBEAT,
            "stalled_worker_timeout": WORKER_SILENCE,
            "shutdown_graceful_timeout": 20,
            "delete_jobs": "successful",
        },
    )


def register(app: App, bodies: Bodies) -> None:
    """Register the jobs. Their names and arguments are a contract with the jobs that wait in the table: only add to it."""
    always = RetryAlways()

    @app.task(name="process_batch", queue="events", retry=always, pass_context=True)
    async def process_batch(context: JobContext, batch: str) -> None:
        assert context.job.id is not None
        await bodies.process_batch(BatchId(UUID(batch)), context.job.id)

    @app.task(name="send_delivery", queue="deliveries", retry=always)
    async def send_delivery(tenant: str, delivery: str, more: Sequence[Mapping[str, str]] = ()) -> None:
        # The first has arguments of its own for the workers of a release before: they run a job that has no more.
        wanted = [{"tenant": tenant, "delivery": delivery}, *more]
        await bodies.send_deliveries(
            [(TenantId(UUID(one["tenant"])), DeliveryId(UUID(one["delivery"]))) for one in wanted]
        )

    @app.task(name="run_backtest", queue="backtests", retry=always)
    async def run_backtest(tenant: str, backtest: str) -> None:
        await bodies.run_backtest(TenantId(UUID(tenant)), UUID(backtest))

    @app.task(name="delete_tenant", queue="deletions", retry=always)
    async def delete_tenant(tenant: str) -> None:
        await bodies.delete_tenant(TenantId(UUID(tenant)))

    async def rescue() -> None:
        await rescue_stalled(app.job_manager, WORKER_SILENCE)

    async def noted(name: str, body: Callable[[], Awaitable[None]]) -> None:
        try:
            await body()
        except Exception as error:
            with suppress(*db.OUTAGE):
                await bodies.note_run(name, db.told(error))
            raise
        await bodies.note_run(name, None)

    # Six fields: the last are seconds. Without any periodic task a dead heartbeat or listener would go unnoticed.
    _periodic(app, "enqueue_due", "* * * * * *", bodies.enqueue_due)
    _periodic(app, "tell_due", "* * * * * *", bodies.tell_due)
    _periodic(app, "rescue_stalled", "* * * * * */2", rescue)
    _periodic(app, "enqueue_lost", "* * * * * */5", bodies.enqueue_lost)
    _periodic(app, "watch", "* * * * * */15", bodies.watch)
    # Those whose failure nobody would notice for days.
    for name, cron, body in (
        ("tidy", "* * * * *", bodies.tidy),
        ("close_periods", "* * * * *", bodies.close_periods),
        ("make_partitions", "7 * * * *", bodies.make_partitions),
        ("retain", "37 * * * *", bodies.retain),
    ):
        _periodic(app, name, cron, partial(noted, name, body))


def _periodic(app: App, name: str, cron: str, body: Callable[[], Awaitable[None]]) -> None:
    """Register a maintenance job: urgent, since others wait for what it finds; never repeated, since the next tick is near."""

    @app.periodic(cron=cron)
    @app.task(name=name, queue=MAINTENANCE, priority=100, retry=RetryCutOff())
    async def task(timestamp: int) -> None:
        began, error = time.perf_counter(), None
        try:
            await body()
        except Exception as failure:
            error = db.told(failure)
            # Failed jobs stay in the table, for a person to look at: an outage would leave one for each of its seconds.
            if not isinstance(failure, (*db.OUTAGE, ConnectorException)):
                raise
        finally:
            facts.emit("maintenance.run", job=name, milliseconds=(time.perf_counter() - began) * 1000, error=error)
