"""Faults under load: producers post all the while, and what was acknowledged holds."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from signalops.config import Settings
from tests.support.processes import Process, api, eventually, worker
from tests.support.producers import Load, producers
from tests.support.worlds.traffic import Traffic

STEP = 300
"""Events that are acknowledged between two faults."""


HANG_UP = """
  select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Site:
    """An API and a worker under load."""

    api: Process
    worker: Process
    load: Load


@pytest.fixture
async def site(traffic: Traffic, settings: Settings, tmp_path: Path) -> AsyncIterator[Site]:
    socket = tmp_path / "api"
    async with api(settings, socket) as web, worker(settings, restarts=True) as jobs, producers(socket, traffic.tenants) as load:
        await load.ready()
        yield Site(web, jobs, load)


async def endure(traffic: Traffic, load: Load, fault: Callable[[], object]) -> None:
    """Let a fault happen twice under load; then let all be finished, and check it."""
    running = asyncio.create_task(load.run())
    for events in (STEP, 2 * STEP, 3 * STEP):
        await eventually(load.has(events), seconds=20)
        if events < 3 * STEP:
            fault()
    load.stop()
    await running
    assert load.refused, "the fault was not felt: it proves nothing"
    await eventually(traffic.is_done, seconds=30)
    await load.ask_again()
    traffic.acknowledged = [(tenant.id, event) for (tenant, _), event in load.acknowledged.items()]
    traffic.check()


async def test_what_was_acknowledged_outlives_a_killed_api(traffic: Traffic, site: Site) -> None:
    await endure(traffic, site.load, lambda: site.api.send(signal.SIGKILL))
    assert site.api.codes == [-signal.SIGKILL] * 2


async def test_what_was_acknowledged_outlives_the_loss_of_all_connections(traffic: Traffic, site: Site) -> None:
    await endure(traffic, site.load, lambda: traffic.owner.execute(HANG_UP))
    assert site.api.codes == [], "the API goes on with new connections"
