"""The procrastinate App: its connection, its tasks, and the periods of the maintenance jobs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from procrastinate import App, JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.worker import Worker

from signalops import db, telemetry
from signalops.constants import WORKER_SILENCE
from signalops.queue.connector import Around, Connector
from signalops.queue.jobs import MAINTENANCE, Job, Periodic
from signalops.queue.rescue import rescue_stalled
from signalops.queue.retry import RetryAlways, RetryCutOff
from signalops.supervise import watched
from signalops.types import JsonObject

HEARTBEAT = 1.0
RecordRun = Callable[[str, str | None], Awaitable[None]]


class _Maintaining(Worker):
    """Slots of its own for maintenance: when all other jobs hang, lost ones are still given back, and deliveries woken."""

    async def _periodic_deferrer(self) -> None:
        await asyncio.Event().wait()  # the process's first worker does that


class QueueApp(App):
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
        own: JsonObject = {"queues": [MAINTENANCE], "concurrency": 2, "install_signal_handlers": False, "listen_notify": False}
        defaults: JsonObject = {**self.worker_defaults}
        maintaining = _Maintaining(app=self, **defaults | own)
        self.connector.workers.append(maintaining)
        running = maintaining.run()  # type: ignore[no-untyped-call]
        beside = watched(asyncio.create_task(running, name="maintain"))
        try:
            await super().run_worker_async(**options)
        finally:
            maintaining.stop()  # type: ignore[no-untyped-call]
            await asyncio.gather(beside, return_exceptions=True)


def make_app(connections: db.Pool, concurrency: int, around: Around, listening: str | None = None) -> QueueApp:
    """Make the App on a pool, which it opens and closes; `listening` is where notifications arrive, None: it polls for jobs.

    `around` is entered before, and may refuse to start by raising; it is left at the end of the worker, before the pool closes.
    """
    return QueueApp(
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


def register(app: QueueApp, jobs: Iterable[Job | Periodic], record_run: RecordRun) -> None:
    """Register jobs; `record_run` records how one that is to be recorded ended: its name, and its error or None."""

    async def rescue() -> None:
        await rescue_stalled(app.job_manager, WORKER_SILENCE)

    jobs = list(jobs)
    app.connector.slots.queues = {MAINTENANCE, *(job.queue for job in jobs if isinstance(job, Job))}
    # Without any periodic task a dead heartbeat or listener would go unnoticed.
    for job in (Periodic("rescue_stalled", "* * * * * */2", rescue), *jobs):
        if isinstance(job, Job):
            _enqueued(app, job)
        else:
            _periodic(app, job.name, job.cron, partial(_recorded, job, record_run) if job.is_recorded else job.run)


def _enqueued(app: QueueApp, job: Job) -> None:
    @app.task(name=job.name, queue=job.queue, retry=RetryAlways(), pass_context=True)
    async def task(context: JobContext, /, **arguments: Any) -> None:
        assert context.job.id is not None
        events = await job.run(context.job.id, **arguments)
        if events is not None:
            app.connector.ended[context.job.id] = events


async def _recorded(job: Periodic, record_run: RecordRun) -> None:
    try:
        await job.run()
    except Exception as error:
        with suppress(*db.OUTAGE):
            await record_run(job.name, db.redact(error))
        raise
    await record_run(job.name, None)


def _periodic(app: App, name: str, cron: str, body: Callable[[], Awaitable[None]]) -> None:
    """Register a maintenance job: urgent, since others wait for what it finds; never repeated, since the next tick is near."""

    @app.periodic(cron=cron)
    @app.task(name=name, queue=MAINTENANCE, priority=100, retry=RetryCutOff())
    async def task(timestamp: int) -> None:
        began, error = time.perf_counter(), None
        try:
            await body()
        except Exception as failure:
            error = db.redact(failure)
            # Failed jobs stay in the table, for a person to look at: an outage would leave one for each of its seconds.
            if not isinstance(failure, (*db.OUTAGE, ConnectorException)):
                raise
        finally:
            telemetry.emit("maintenance.run", job=name, duration_ms=(time.perf_counter() - began) * 1000, error=error)
