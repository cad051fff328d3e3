"""A worker that is asked to stop writes what it has seen."""

import asyncio
import signal

import psycopg
import pytest

from signalops.config import Settings
from tests.support.api import SIGNUP, Client
from tests.support.processes import Process
from tests.support.tenants import Tenant


@pytest.mark.prove
async def test_a_worker_that_stops_writes_the_rest(
    api: Client, owner: psycopg.Connection, settings: Settings, acme: Tenant
) -> None:
    async with asyncio.timeout(30), Process(settings, "signalops", "work") as worker:
        for n in range(1, 6):
            await api.post(SIGNUP, acme)
            while owner.execute("select from signalops.batch_results").rowcount < n:
                await api.get("/healthz")
        worker.send(signal.SIGTERM)
        await worker.ended()
    assert owner.execute("select type, count from signalops.event_types").fetchall() == [("user.signup", 5)]
