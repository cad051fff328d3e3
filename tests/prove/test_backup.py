"""A running installation is backed up under load, and goes on in a new cluster: as sql/README.md says it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import psycopg
import pytest
from aiohttp import web
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from signalops import db, migrate
from signalops.config import Settings
from signalops.watch.doctor import diagnose
from tests.support.api import SIGNUP, Client, running, running_process
from tests.support.cluster import Cluster, cluster
from tests.support.invariants import violations
from tests.support.isolation.tries import check
from tests.support.processes import eventually, worker
from tests.support.receivers import Receiver
from tests.support.tenants import Tenant, make_tenant

VERSION = 18
PRODUCERS = 4
LEFT = """
  select (select count(*) from signalops.inbox) + (select count(*) from signalops.deliveries where status <> 'sent')
    + (select count(*) from procrastinate.procrastinate_jobs where status in ('todo', 'doing') and queue_name <> 'maintenance')"""
AGE_SENDING = "update signalops.deliveries set updated_at = updated_at - interval '5 minutes' where status = 'sending'"
"""The worker waits for a slow receiver without a job: such a delivery is sent again five minutes after the worker died."""


@pytest.fixture
def refusing(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """A receiver that refuses the first requests: deliveries that are retried are backed up too."""
    monkeypatch.setenv("SIGNALOPS_RETRY_SCHEDULE", str([0.5] * 60))
    receiver.answers += [web.Response(status=503) for _ in range(3)]
    return receiver


class Producers:
    """Post events under their own idempotency keys, and record those that were acknowledged."""

    def __init__(self, api: Client, tenant: Tenant) -> None:
        self._api = api
        self._tenant = tenant
        self.acknowledged: dict[str, UUID] = {}

    async def post(self, name: str) -> None:
        """Post one event after the other, until cancelled."""
        while True:
            key = f"{name}-{len(self.acknowledged)}"
            answer = await self._api.post({**SIGNUP, "idempotencyKey": key}, self._tenant)
            assert answer.status == 202
            self.acknowledged[key] = UUID(answer.json["id"])


@asynccontextmanager
async def under_load(settings: Settings, tenant: Tenant, receiver: Receiver) -> AsyncIterator[Producers]:
    """Run API and worker with producers, until the block ends."""
    async with running_process(settings) as api, worker(settings, "--concurrency", "2"):
        hook = {"kind": "webhook", "name": "hook", "config": {"url": receiver.url}}
        assert (await api.post(hook, tenant, "/api/channels")).status == 201
        rule = {"name": "signups", "pattern": {"type": ["user.signup"]}, "channel": "hook"}
        assert (await api.post(rule, tenant, "/api/rules")).status == 201
        producers = Producers(api, tenant)
        async with asyncio.TaskGroup() as group:
            posting = [group.create_task(producers.post(str(number))) for number in range(PRODUCERS)]
            await eventually(lambda: len(producers.acknowledged) > 50 and len(receiver.received) > 3)
            yield producers
            for task in posting:
                task.cancel()


async def goes_on(restored: Settings, tenant: Tenant, before: dict[str, UUID], all_of_it: dict[str, UUID]) -> None:
    """Assert that nothing acknowledged before the backup is missing, that workers finish it, and that the books are right."""
    assert migrate.upgrade(restored).migrations == []
    with psycopg.connect(db.admin_url(restored), autocommit=True) as owner:
        stored = {event for (event,) in owner.execute("select id from signalops.events")}
        assert set(before.values()) <= stored
        owner.execute(AGE_SENDING)
        async with worker(restored, "--concurrency", "4"):
            await eventually(lambda: owner.execute(LEFT).fetchone() == (0,), 30)
        restored_events = [(tenant.id, event) for event in all_of_it.values() if event in stored]
        assert violations(owner, restored_events) == []
        assert owner.execute("select * from signalops.reconcile(null, null)").fetchall() == []
    async with running(restored) as api:
        key, event = next(iter(before.items()))
        again = await api.post({**SIGNUP, "idempotencyKey": key}, tenant)
        assert (again.status, again.json["id"]) == (200, str(event))
        assert (await api.post(SIGNUP, tenant)).status == 202
    faults = [finding for finding in await diagnose(restored) if not (finding.ok or finding.is_warning)]
    assert faults == []
    async with db.as_owner(restored) as connection:
        assert [finding for finding in await check(connection) if not finding.ok] == []


async def test_a_dump_under_load_is_restored_into_a_new_cluster(settings: Settings, acme: Tenant, refusing: Receiver) -> None:
    with cluster(VERSION) as new, shared_folder() as folder:
        file = str(folder / "signalops.dump")
        async with under_load(settings, acme, refusing) as producers:
            before = dict(producers.acknowledged)
            await asyncio.to_thread(new.use, "pg_dump", "--format=custom", f"--file={file}", f"--dbname={db.admin_url(settings)}")
        with psycopg.connect(new.url, autocommit=True) as admin:
            admin.execute("create database signalops")
        url = make_conninfo(new.url, dbname="signalops")
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute((db.sql_folder() / "bootstrap.sql").read_bytes())
        new.use("pg_restore", "--exit-on-error", "--clean", "--if-exists", f"--dbname={url}", file)
        restored = settings.model_copy(update={"database_url": SecretStr(url)})
        await goes_on(restored, acme, before, producers.acknowledged)


async def test_a_base_backup_under_load_goes_on_as_a_cluster_of_its_own(settings: Settings, refusing: Receiver) -> None:
    with cluster(VERSION) as old, shared_folder() as folder:
        running_on = settings.model_copy(update={"database_url": SecretStr(old.url)})
        migrate.upgrade(running_on)
        with psycopg.connect(old.url, autocommit=True) as owner:
            tenant = make_tenant(owner, "acme")
        copy = folder / f"postgres-{VERSION}"
        options = ("--checkpoint=fast", "--wal-method=stream", f"--pgdata={copy}")
        async with under_load(running_on, tenant, refusing) as producers:
            before = dict(producers.acknowledged)
            await asyncio.to_thread(old.use, "pg_basebackup", f"--dbname={old.url}", *options)
        (copy / ".s.PGSQL.5432.lock").unlink()  # the embedded server has its socket among its data
        new = Cluster(folder, VERSION)
        try:
            restored = settings.model_copy(update={"database_url": SecretStr(new.url)})
            await goes_on(restored, tenant, before, producers.acknowledged)
        finally:
            new.stop()


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Make a folder in which the user that PostgreSQL runs as may write too; it is gone afterwards."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)
