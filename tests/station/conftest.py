"""A running API on the test's own database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest

from signalops.config import Settings
from tests.api import Client, running

Blocked = Callable[[], Awaitable[int]]


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Client]:
    """One running API; others on the same database are made with `running(settings)`."""
    async with running(settings) as client:
        yield client


@pytest.fixture
def blocked_backend(admin: psycopg.Connection, api: Client, database: str) -> Blocked:
    """Waits until a statement waits for a lock; returns the process id of its backend."""

    async def blocked() -> int:
        query = "select pid from pg_stat_activity where datname = %s and wait_event_type = 'Lock'"
        async with asyncio.timeout(5):
            while (row := admin.execute(query, [database]).fetchone()) is None:
                await api.get("/healthz")
        pid: int = row[0]
        return pid

    return blocked
