"""A worker's journey over what the API took in."""

from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest

from signalops import db
from signalops.config import Settings
from signalops.journey import Journey
from signalops.send import Sender

Process = Callable[[], Awaitable[None]]


@pytest.fixture
async def journey(worker_pool: db.Pool, settings: Settings) -> AsyncIterator[Journey]:
    sender = Sender(worker_pool, settings)
    yield Journey(worker_pool, sender)
    await sender.close()


@pytest.fixture
def process(journey: Journey, owner: psycopg.Connection) -> Process:
    """Processes all that waits in the inbox, and writes the catalogue."""

    async def process() -> None:
        for (batch,) in owner.execute("select distinct batch from signalops.inbox order by batch").fetchall():
            await journey.process_batch(batch, 1)
        await journey.catalogue.flush()

    return process
