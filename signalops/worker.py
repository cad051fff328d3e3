"""The worker: `procrastinate --app=signalops.worker.app worker`, or `signalops work`. Run as many as the load wants."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from signalops import db, facts, logs, migrate
from signalops.config import settings
from signalops.journey import Journey
from signalops.queue.app import make_app, register
from signalops.send import Sender

logs.install()
# procrastinate writes every job's arguments at INFO, several lines a job: a fifth of its speed, and noise.
logging.getLogger("procrastinate").setLevel(logging.WARNING)
facts.subscribe(facts.log)

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
        async with journey.catalogue.kept():
            yield
        await sender.close()


journey = Journey(connections, sender, timedelta(hours=settings().close_after_hours))
app = make_app(job_connections, settings().worker_concurrency, _life)
register(app, journey)
