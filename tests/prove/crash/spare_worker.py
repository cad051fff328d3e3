"""A healthy worker in the test's own process: it starts in no time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from procrastinate import App

from signalops import db
from signalops.config import Settings
from signalops.job_handlers import JobHandlers
from signalops.jobs import jobs_of
from signalops.queue.app import make_app, register
from signalops.queue.rescue import rescue_stalled
from signalops.send import Sender


@asynccontextmanager
async def survivor(settings: Settings) -> AsyncIterator[App]:
    """Open the App of a worker."""
    async with db.pool(settings, "worker", 8) as connections:
        sender = Sender(connections, settings)
        handlers = JobHandlers(connections, sender)

        @asynccontextmanager
        async def around() -> AsyncIterator[None]:
            yield
            await handlers.catalogue.flush()

        app = make_app(db.pool(settings, "worker", 4, is_hasty=True), 4, around, db.listening(settings, "worker"))
        register(app, jobs_of(handlers), handlers.record_maintenance_run)
        async with app.open_async():
            yield app
        await sender.close()


@asynccontextmanager
async def processing(settings: Settings) -> AsyncIterator[None]:
    """Process batches, and do nothing else, until left."""
    async with survivor(settings) as app:
        work = asyncio.create_task(app.run_worker_async(queues=["events"], install_signal_handlers=False))
        try:
            yield
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work


async def finish(settings: Settings) -> None:
    """Give back the jobs of all workers there were, without waiting for their silence, and do every job there is."""
    async with survivor(settings) as app:
        await rescue_stalled(app.job_manager, 0)
        await app.run_worker_async(wait=False, install_signal_handlers=False)
