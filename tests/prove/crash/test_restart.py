"""PostgreSQL is restarted under load: what was accepted is counted once."""

import asyncio
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from signalops import db, migrate
from signalops.config import Settings
from signalops.send import SecretBox
from tests.prove.crash.conftest import Shop
from tests.support.cluster import Cluster, Mode, cluster
from tests.support.databases import settings_for
from tests.support.processes import api, eventually, worker
from tests.support.producers import producers

STEP = 300
"""Events that are acknowledged before the fault, and after it."""


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    with cluster(int(os.environ.get("SIGNALOPS_EMBEDDED_VERSION", "18"))) as own:
        yield own


@pytest.fixture
def settings(own_cluster: Cluster, request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of an installation on a server of its own, in place of the shared one."""
    SecretBox(Settings(data=tmp_path))
    name = f"so_{request.node.callspec.id}"
    with psycopg.connect(own_cluster.url, autocommit=True) as admin:
        admin.execute(f"create database {name}".encode())
    own = settings_for(own_cluster.url, name).model_copy(update={"data": tmp_path})
    migrate.upgrade(own)
    return own


@pytest.fixture
def owner(settings: Settings) -> Iterator[psycopg.Connection]:
    """A superuser's connection to that server."""
    with psycopg.connect(db.admin_url(settings), autocommit=True) as connection:
        yield connection


def server_start(owner: psycopg.Connection) -> datetime:
    """Return when the server was started."""
    row = owner.execute("select pg_postmaster_start_time()").fetchone()
    assert row
    moment: datetime = row[0]
    return moment


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_what_was_accepted_counts_once_when_postgresql_is_restarted(
    shop: Shop, settings: Settings, own_cluster: Cluster, tmp_path: Path, mode: Mode
) -> None:
    socket = tmp_path / "api"
    async with (
        api(settings, socket) as web,
        worker(settings, restarts=True),
        worker(settings, restarts=True),
        producers(socket, shop.tenants) as load,
    ):
        await load.ready()
        running = asyncio.create_task(load.run())
        await eventually(load.has(STEP))
        # The lock that the gate waits for goes with the server; what stands there has counted all but its commit.
        shop.close_gate("usage_counters")
        await eventually(lambda: shop.waiting_batches() > 0)
        # Felt by the workers that stand there, whatever producers notice: a restart may be over between two of their requests.
        started = server_start(shop.owner)
        await asyncio.to_thread(own_cluster.restart, mode)
        before = len(load.acknowledged)
        await eventually(load.has(before + STEP), seconds=30)
        load.stop()
        await running
        shop.owner = psycopg.connect(db.admin_url(settings), autocommit=True)
        assert server_start(shop.owner) > started
        await eventually(shop.is_done, seconds=30)
        await load.ask_again()
        assert web.codes == [], "the API goes on with new connections"
    shop.acknowledged = [(tenant.id, event) for (tenant, _), event in load.acknowledged.items()]
    shop.check()
    shop.owner.close()
