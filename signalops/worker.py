"""The worker: `procrastinate --app=signalops.worker.app worker`, or `signalops work`. Run as many as the load wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from signalops import clock_sync, db, logs, migrate, sandbox, telemetry
from signalops.config import settings
from signalops.job_handlers import JobHandlers
from signalops.jobs import jobs_of
from signalops.queue.app import make_app, register
from signalops.send import Sender
from signalops.supervise import exit_if_failed, supervised
from signalops.watch.metrics.collector import watch_pools
from signalops.watch.metrics.metrics_subscriber import record
from signalops.watch.metrics.registry import begin
from signalops.watch.metrics.serve import served
from signalops.watch.retention import Retention
from signalops.watch.traces import spans_of

logs.install(settings())
telemetry.subscribe(logs.lines_of(settings().log_requests))
begin("worker")
telemetry.subscribe(record)
if spans := spans_of(settings(), "worker"):
    telemetry.subscribe(spans)

# For the jobs' own transactions. It grows only as far as jobs run at once, and the flag --concurrency may ask for more than the
# setting does.
connections = db.pool(settings(), "worker", 100)
# Jobs are fetched one after the other: with a commit on disk each (5 ms on a busy one), a worker would do 200 a second.
# A job that a crash of the server gives back is run again, as after a crash of the worker.
job_connections = db.pool(settings(), "worker", 4, is_hasty=True)
sender = Sender(connections, settings())


@asynccontextmanager
async def _life() -> AsyncIterator[None]:
    await asyncio.to_thread(migrate.require_current, settings(), "worker")
    async with connections:
        await clock_sync.measure(connections)
        pools = {"worker": connections, "jobs": job_connections}
        tasks = [
            supervised("start the processes of the sandbox", sandbox.warm),
            supervised("watch the pools", lambda: watch_pools(pools)),
            supervised("keep the time", lambda: clock_sync.keep_synced(connections)),
            supervised("keep the catalogue of event types", handlers.catalogue.run),
        ]
        with served(settings().worker_metrics_host, settings().worker_metrics_port):
            yield
        for task in tasks:
            task.cancel()
        await handlers.catalogue.flush()
        await sender.close()
    exit_if_failed()


handlers = JobHandlers(
    connections, sender, timedelta(hours=settings().close_after_hours), Retention.of(settings()), settings().platform_tenant
)
app = make_app(job_connections, settings().worker_concurrency, _life, db.listening(settings(), "worker"))
register(app, jobs_of(handlers), handlers.record_maintenance_run)
