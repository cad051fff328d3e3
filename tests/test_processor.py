"""A batch of many tenants: one whose counters are locked, or who has much to do, keeps nobody else waiting."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from signalops import db, processor
from signalops.config import Settings
from signalops.types import BatchId
from tests.support.rules import make_rule
from tests.support.tenants import Tenant
from tests.support.worlds.pipeline import Pipeline


@pytest.fixture
def locker(settings: Settings) -> Iterator[psycopg.Connection]:
    """A session of somebody else's, who locks and then does nothing."""
    with psycopg.connect(db.admin_url(settings)) as connection:
        yield connection


async def run_jobs(pipeline: Pipeline) -> int:
    """Run the jobs of batches that there are, whatever their time; return how many."""
    pipeline.owner.execute("set search_path = signalops, procrastinate")
    taken = pipeline.owner.execute(
        "delete from procrastinate.procrastinate_jobs where task_name = 'process_batch' returning id, args ->> 'batch'"
    ).fetchall()
    for job, batch in taken:
        await pipeline.handlers.process_batch(BatchId(UUID(batch)), job)
    return len(taken)


def waiting(pipeline: Pipeline, tenant: Tenant) -> int:
    return pipeline.number_of(f"select from signalops.inbox where tenant_id = '{tenant.id}'")


async def test_a_locked_tenant_waits_in_the_inbox_and_the_others_are_processed(
    pipeline: Pipeline, acme: Tenant, globex: Tenant, locker: psycopg.Connection
) -> None:
    first = await pipeline.accept((acme, {"n": 0}), (globex, {"n": 0}))
    await pipeline.handlers.process_batch(first, 1)
    await pipeline.accept((acme, {"n": 1}), (acme, {"n": 2}), (globex, {"n": 1}))
    await pipeline.accept((acme, {"n": 3}), (globex, {"n": 2}))
    locker.execute("select from signalops.usage_counters where tenant_id = %s for update", [acme.id])
    began = time.monotonic()
    assert await run_jobs(pipeline) >= 2
    assert time.monotonic() - began < 2.0
    assert (pipeline.used(globex), waiting(pipeline, globex)) == (3, 0)
    assert (pipeline.used(acme), waiting(pipeline, acme)) == (1, 3)
    later = pipeline.rows("select scheduled_at > now() from procrastinate.procrastinate_jobs where task_name = 'process_batch'")
    assert later == [(True,), (True,)]
    locker.rollback()
    for _ in range(20):
        if await run_jobs(pipeline) == 0:
            break
        await asyncio.sleep(0.1)  # its turn comes by time
    assert (pipeline.used(acme), waiting(pipeline, acme)) == (4, 0)
    assert pipeline.number_of("select from signalops.batch_results") == 6


async def test_much_to_do_is_done_in_several_transactions(
    pipeline: Pipeline, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "MAX_ROWS", 50)
    window: dict[str, Any] = {"count": 3, "within": "1h", "groupBy": ["payload.n"]}
    for _ in range(10):
        make_rule(pipeline.owner, acme, {"type": ["user.signup"]}, time_window=window)
    await pipeline.accept(*((acme, {"n": number % 4}) for number in range(20)))
    jobs = 0
    while done := await run_jobs(pipeline):
        jobs += done
    assert jobs >= 200 / 50
    assert (pipeline.used(acme), waiting(pipeline, acme)) == (20, 0)
    # Each group of five events has crossed once, for each of the rules.
    assert pipeline.number_of("select from signalops.deliveries") == 4 * 10
    assert pipeline.number_of("select from signalops.batch_results where events = 20") == 1
