"""PostgreSQL goes away, falls silent or hangs up: API and worker come back by themselves, quickly, in the same process."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from signalops import db, migrate
from signalops.config import Settings
from signalops.send import SecretBox
from tests.prove.crash.conftest import Shop
from tests.support.cluster import Cluster, cluster
from tests.support.databases import settings_for
from tests.support.processes import api, eventually, worker
from tests.support.producers import producers
from tests.support.silent_relay import SilentRelay
from tests.support.worlds.traffic import Traffic

SOON = 5.0
"""Seconds after the return of PostgreSQL in which events are acknowledged and processed again."""
NOTICED = 12.0
"""The same after a silence began, of which 8 are needed to notice it."""
HANG_UP = """
  select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid() and application_name like 'signalops worker%'
"""


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    with cluster(int(os.environ.get("SIGNALOPS_EMBEDDED_VERSION", "18"))) as own:
        yield own


@pytest.fixture
async def away(own_cluster: Cluster, tmp_path: Path) -> AsyncIterator[tuple[Settings, Shop]]:
    """An installation on a server of its own, which can be stopped."""
    SecretBox(Settings(data=tmp_path))
    with psycopg.connect(own_cluster.url, autocommit=True) as admin:
        admin.execute("create database away")
    settings = settings_for(own_cluster.url, "away").model_copy(update={"data": tmp_path})
    migrate.upgrade(settings)
    with psycopg.connect(db.admin_url(settings), autocommit=True) as owner:
        async with db.pool(settings, "api", 1) as pool:
            shop = Shop(owner, pool, ["acme", "globex"])
        yield settings, shop


@pytest.mark.parametrize("seconds", [12])
async def test_the_service_is_back_at_once_after_an_outage_of_any_length(
    away: tuple[Settings, Shop], own_cluster: Cluster, tmp_path: Path, seconds: int
) -> None:
    settings, shop = away
    socket = tmp_path / "api"
    async with api(settings, socket) as web, worker(settings) as jobs, producers(socket, shop.tenants) as load:
        await load.ready()
        running = asyncio.create_task(load.run())
        await eventually(load.has(100))
        await asyncio.to_thread(own_cluster.stop)
        await asyncio.sleep(seconds)
        before = len(load.acknowledged)
        await asyncio.to_thread(own_cluster.start)
        began = time.monotonic()
        await eventually(load.has(before + 20), seconds=SOON)
        with psycopg.connect(db.admin_url(settings), autocommit=True) as owner:
            batches = "select count(*) from signalops.batch_results where processed_at > pg_postmaster_start_time()"
            left = SOON - (time.monotonic() - began)
            await eventually(lambda: owner.execute(batches).fetchone() != (0,), seconds=left)
            load.stop()
            await running
            shop.owner = owner
            await eventually(shop.is_done, seconds=30)
            shop.acknowledged = [(tenant.id, event) for (tenant, _), event in load.acknowledged.items()]
            shop.check()
        assert (web.codes, jobs.codes) == ([], []), "both go on in the same process"


async def test_what_has_fallen_silent_is_hung_up_on(traffic: Traffic, settings: Settings, tmp_path: Path) -> None:
    socket = tmp_path / "api"
    async with (
        SilentRelay(settings) as relay,
        api(relay.settings, socket) as web,
        worker(relay.settings) as jobs,
        producers(socket, traffic.tenants) as load,
    ):
        await load.ready()
        running = asyncio.create_task(load.run())
        await eventually(load.has(200))
        await eventually(lambda: traffic.number_of("select from signalops.batch_results") > 0)
        relay.silence()
        await asyncio.sleep(0.5)  # what had been answered before is counted
        before, processed = len(load.acknowledged), traffic.number_of("select from signalops.batch_results")
        began = time.monotonic()
        await eventually(load.has(before + 20), seconds=NOTICED)
        left = NOTICED + SOON - (time.monotonic() - began)
        await eventually(lambda: traffic.number_of("select from signalops.batch_results") > processed, seconds=left)
        load.stop()
        await running
        await eventually(traffic.is_done, seconds=30)
        assert (web.codes, jobs.codes) == ([], [])
    traffic.acknowledged = [(tenant.id, event) for (tenant, _), event in load.acknowledged.items()]
    traffic.check()


async def test_a_worker_outlives_the_loss_of_all_its_connections(traffic: Traffic, settings: Settings) -> None:
    async with worker(settings) as jobs:
        await eventually(lambda: traffic.workers() >= 1)
        for _ in range(3):
            await traffic.accept(3)
            traffic.owner.execute(HANG_UP)
            await eventually(traffic.is_done, seconds=SOON + 5)
        await eventually(lambda: not traffic.number_of("select from procrastinate.procrastinate_jobs where status = 'doing'"))
        assert jobs.codes == []
    traffic.check()
