"""The worker: `procrastinate --app=signalops.worker.app worker`, or `signalops work`. Run as many as the load wants."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from signalops import db, facts, migrate
from signalops.config import settings
from signalops.journey import Journey
from signalops.queue.app import make_app, register
from signalops.send import Sender

# procrastinate writes every job's arguments at INFO, several lines a job: a fifth of its speed, and noise.
logging.getLogger("procrastinate").setLevel(logging.WARNING)
facts.subscribe(facts.log)

# One pool for the job tables and the jobs' own transactions. It grows only as far as jobs run at once (each holds one
# connection, fetching and finishing share two), and the flag --concurrency may ask for more than the setting does.
connections = db.pool(settings(), "worker", 100)
sender = Sender(connections, settings())


@asynccontextmanager
async def _life() -> AsyncIterator[None]:
    await asyncio.to_thread(migrate.require_current, settings(), "worker")
    async with journey.catalogue.kept():
        yield
    await sender.close()


journey = Journey(connections, sender)
app = make_app(connections, settings().worker_concurrency, _life)
register(app, journey)
