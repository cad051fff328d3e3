"""Whole months go when nobody needs them any more; and nobody who writes waits for that."""

import asyncio
import time

import psycopg
import pytest

from signalops import db
from signalops.config import Settings
from signalops.watch.retention import Retainer, Retention
from tests.support.api import SIGNUP, Client
from tests.support.tenants import Tenant

PARENTS = ["delivery_attempts", "deliveries", "matches", "batch_results", "usage_entries", "events", "audit_log"]
RETENTION = Retention(events=400, audit_log=400, jobs=30)
OLD = """
  insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload)
  select %(tenant)s, signalops.uuid7_floor(at), signalops.uuid7_floor(at), 'a.b', at, at, '{}'
  from (select '2024-01-15'::timestamptz) as t (at)
"""


@pytest.fixture
def old(owner: psycopg.Connection, acme: Tenant) -> list[str]:
    """A month long ago, with an event of acme's, whose billing period is closed; the names of its partitions."""
    for parent in PARENTS:
        owner.execute(
            f"create table signalops.{parent}_2024_01 partition of signalops.{parent} "
            "for values from (signalops.uuid7_floor('2024-01-01Z')) to (signalops.uuid7_floor('2024-02-01Z'))".encode()
        )
    owner.execute("update signalops.tenants set created_at = '2024-01-01', closed_until = '2026-01-01'")
    owner.execute(OLD, {"tenant": acme.id})
    return [f"{parent}_2024_01" for parent in PARENTS]


@pytest.fixture
def retainer(worker_pool: db.Pool) -> Retainer:
    return Retainer(worker_pool, RETENTION)


async def test_what_expired_goes_as_a_whole_and_the_rest_stays(
    retainer: Retainer, old: list[str], api: Client, acme: Tenant, owner: psycopg.Connection
) -> None:
    stored = await api.post(SIGNUP, acme)
    assert await retainer.due() == old
    assert (await retainer.run(5))[0] == old
    assert (await retainer.run(5))[0] == []
    assert owner.execute("select id::text from signalops.events").fetchall() == [(stored.json["id"],)]
    differences = owner.execute('select "check", subject from signalops.reconcile(null, null)').fetchall()
    assert differences == [("chain", "closed until")]  # a dry run: nothing was removed


@pytest.mark.parametrize(
    "need",
    {
        "its period is not closed": "update signalops.tenants set closed_until = '2024-01-01'",
        "it waits": "insert into signalops.inbox (tenant_id, event_id, batch) select tenant_id, id, batch from signalops.events",
    }.values(),
)
async def test_what_is_needed_stays(retainer: Retainer, old: list[str], owner: psycopg.Connection, need: str) -> None:
    owner.execute(need.encode())
    assert [part for part in await retainer.due() if not part.startswith("audit_log")] == []
    assert (await retainer.run(5))[0] == ["audit_log_2024_01"]


async def test_nobody_waits_for_a_partition_that_can_not_go_yet(
    retainer: Retainer, old: list[str], api: Client, acme: Tenant, settings: Settings
) -> None:
    """A dump reads all tables for hours: a DROP that waits for it must not block the writers behind it."""
    with psycopg.connect(db.admin_url(settings)) as dump:
        dump.execute("lock table signalops.delivery_attempts, signalops.events in access share mode")
        dropping = asyncio.create_task(retainer.run(5))
        slowest = 0.0
        for _ in range(20):
            began = time.perf_counter()
            assert (await api.post(SIGNUP, acme)).status == 202
            slowest = max(slowest, time.perf_counter() - began)
        assert not dropping.done()
        # The longest that a drop may stand in the way (lock_timeout), and what a request takes.
        assert slowest < 1
    assert (await dropping)[0] == old


async def test_jobs_that_ended_long_ago_go_with_their_log(retainer: Retainer, owner: psycopg.Connection) -> None:
    owner.execute("set search_path = procrastinate")
    owner.execute(
        "insert into procrastinate_jobs (queue_name, task_name, status) "
        "select 'q', 'old', s::procrastinate_job_status from unnest(array['failed', 'cancelled', 'aborted', 'todo']) as s"
    )
    owner.execute("update procrastinate_events set at = now() - interval '31 days'")
    owner.execute("insert into procrastinate_jobs (queue_name, task_name) values ('q', 'new')")
    owner.execute("update procrastinate_jobs set status = 'failed' where task_name = 'new'")
    _, removed = await retainer.run(5)
    assert removed["jobs"] == 3
    assert owner.execute("select task_name, status::text from procrastinate_jobs order by id").fetchall() == [
        ("old", "todo"),
        ("new", "failed"),
    ]
    left = "select count(*) from procrastinate_events e where not exists (select from procrastinate_jobs j where j.id = e.job_id)"
    assert owner.execute(left.encode()).fetchone() == (0,)
