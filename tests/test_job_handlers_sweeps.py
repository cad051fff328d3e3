"""The sweeps: due work gets a job, work that lost its job gets another, a dead worker's jobs are requeued."""

import asyncio

import pytest

from signalops import clock
from tests.support.months import next_month
from tests.support.rules import make_rule
from tests.support.tenants import Tenant
from tests.support.worlds.pipeline import Pipeline


@pytest.fixture
async def waiting(pipeline: Pipeline, acme: Tenant) -> Pipeline:
    """Ten deliveries of an event, in hand and without any job."""
    for _ in range(10):
        make_rule(pipeline.owner, acme, {"type": ["user.signup"]})
    await pipeline.handlers.process_batch(await pipeline.accept((acme, {})), 1)
    pipeline.owner.execute("truncate procrastinate.procrastinate_jobs cascade")
    return pipeline


def let_wait(pipeline: Pipeline, seconds: int, count: int) -> set[str]:
    """Have some deliveries wait for their next attempt; return their ids."""
    query = """
      update signalops.deliveries set status = 'retrying', next_attempt_at = now() + %s * interval '1 s'
      where id in (select id from signalops.deliveries where status = 'pending' order by id limit %s) returning id::text
    """
    waiting = {delivery for (delivery,) in pipeline.rows(query, seconds, count)}
    pipeline.rows("select signalops.repair_schedules()")
    return waiting


async def test_only_what_is_due_is_enqueued(waiting: Pipeline) -> None:
    due = let_wait(waiting, -1, 3)
    later = let_wait(waiting, 3600, 3)
    await waiting.handlers.enqueue_due()
    assert {job["delivery"] for job in waiting.jobs("send_delivery")} == due
    states = dict(waiting.rows("select id::text, (status, next_attempt_at is null)::text from signalops.deliveries"))
    assert {states[delivery] for delivery in due} == {"(pending,t)"}
    assert {states[delivery] for delivery in later} == {"(retrying,f)"}
    await waiting.handlers.enqueue_due()
    assert len(waiting.jobs("send_delivery")) == 3


async def test_two_sweeps_at_once_enqueue_each_delivery_once(waiting: Pipeline) -> None:
    due = let_wait(waiting, -1, 10)
    await asyncio.gather(*(waiting.handlers.enqueue_due() for _ in range(4)))
    assert sorted(job["delivery"] for job in waiting.jobs("send_delivery")) == sorted(due)


async def test_nothing_is_scheduled_in_the_job_table(waiting: Pipeline) -> None:
    let_wait(waiting, -1, 10)
    await waiting.handlers.enqueue_due()
    assert waiting.rows("select from procrastinate.procrastinate_jobs where scheduled_at is not null") == []


async def test_a_delivery_that_lost_its_job_gets_one_after_a_while(waiting: Pipeline) -> None:
    await waiting.handlers.enqueue_lost()
    assert waiting.jobs("send_delivery") == []
    lost = "update signalops.deliveries set updated_at = now() - interval '6 minutes' where id in (%s)"
    waiting.owner.execute((lost % "select id from signalops.deliveries order by id limit 4").encode())
    await waiting.handlers.enqueue_lost()
    assert len(waiting.jobs("send_delivery")) == 4
    waiting.owner.execute("update signalops.deliveries set updated_at = now() - interval '6 minutes'")
    await waiting.handlers.enqueue_lost()
    assert len({job["delivery"] for job in waiting.jobs("send_delivery")}) == len(waiting.jobs("send_delivery")) == 10


@pytest.mark.parametrize(
    ("started", "heartbeat", "replaced"), [("1 minute", "0", 0), ("1 hour", "1 hour", 0), ("1 hour", "0", 1)]
)
async def test_a_delivery_whose_job_runs_or_will_be_rescued_gets_no_other(
    waiting: Pipeline, started: str, heartbeat: str, replaced: int
) -> None:
    # After all workers were down for minutes, the first one finds the jobs of the dead at once in two ways: rescued and replaced,
    # a delivery would be sent twice.
    waiting.owner.execute("delete from signalops.deliveries where id <> (select min(id::text)::uuid from signalops.deliveries)")
    waiting.owner.execute("update signalops.deliveries set updated_at = now() - interval '6 minutes'")
    waiting.owner.execute(
        "with w as (insert into procrastinate.procrastinate_workers (last_heartbeat) "
        "values (now() - %s::interval) returning id), "
        "j as (insert into procrastinate.procrastinate_jobs (queue_name, task_name, args, status, worker_id) "
        "select 'deliveries', 'send_delivery', jsonb_build_object('tenant', tenant_id, 'delivery', d.id), 'doing', w.id "
        "from w, signalops.deliveries d returning id) "
        "insert into procrastinate.procrastinate_events (job_id, type, at) select id, 'started', now() - %s::interval from j",
        [heartbeat, started],
    )
    await waiting.handlers.enqueue_lost()
    assert len(waiting.jobs("send_delivery")) == replaced


async def make_lost(pipeline: Pipeline, tenant: Tenant, count: int) -> set[str]:
    """Accept batches that lost their jobs a minute ago; return them."""
    for _ in range(count):
        await pipeline.accept((tenant, {}))
    pipeline.owner.execute("truncate procrastinate.procrastinate_jobs cascade")
    earlier = "signalops.uuid7_floor(signalops.uuid7_time(batch) - interval '1 minute')"
    pipeline.owner.execute(f"update signalops.inbox set batch = {earlier}".encode())
    return {batch for (batch,) in pipeline.rows("select distinct batch::text from signalops.inbox")}


async def test_a_batch_that_lost_its_job_gets_one_after_a_while(pipeline: Pipeline, acme: Tenant) -> None:
    lost = await make_lost(pipeline, acme, 3)
    fresh = await pipeline.accept((acme, {}))
    await pipeline.handlers.enqueue_lost()
    assert {job["batch"] for job in pipeline.jobs("process_batch")} == lost | {str(fresh)}
    await pipeline.handlers.enqueue_lost()
    assert len(pipeline.jobs("process_batch")) == len(lost) + 1


async def test_a_batch_whose_job_is_stuck_under_a_living_worker_is_processed_all_the_same(
    pipeline: Pipeline, acme: Tenant
) -> None:
    # procrastinate leaves a job `doing` when it can't write down how the job ended, and the worker that holds it lives on.
    (lost,) = await make_lost(pipeline, acme, 1)
    pipeline.owner.execute(
        "with w as (insert into procrastinate.procrastinate_workers default values returning id) "
        "insert into procrastinate.procrastinate_jobs (queue_name, task_name, args, status, worker_id) "
        "select 'events', 'process_batch', jsonb_build_object('batch', %s::text), 'doing', id from w",
        [lost],
    )
    with pipeline.owner.transaction():
        pipeline.owner.execute("select from signalops.inbox for update")
        await pipeline.handlers.enqueue_lost()
        assert pipeline.jobs("process_batch") == [], "another worker has the batch in hand"
    await pipeline.handlers.enqueue_lost()
    assert [job["batch"] for job in pipeline.jobs("process_batch")] == [lost]


def drop_next_month(pipeline: Pipeline) -> int:
    """Drop the partitions of the next month; return how many there were."""
    query = "select relname from pg_class where relispartition and relkind = 'r' and relname like %s"
    names = pipeline.rows(query, f"%{next_month(clock.now()):%Y_%m}")
    for (name,) in names:
        pipeline.owner.execute(f"drop table signalops.{name}".encode())
    return len(names)


async def test_partitions_are_made_once_by_several_workers(pipeline: Pipeline) -> None:
    made = """
      select relname, relrowsecurity, relforcerowsecurity, pg_get_expr(relpartbound, oid),
        (select count(*) from pg_index i join pg_inherits h on h.inhrelid = i.indexrelid where i.indrelid = c.oid)
      from pg_class c where relispartition and relkind = 'r' order by 1"""
    before = pipeline.rows(made)
    assert drop_next_month(pipeline) == 7
    await asyncio.gather(*(pipeline.handlers.make_partitions() for _ in range(4)))
    assert pipeline.rows(made) == before
    await pipeline.handlers.make_partitions()
    assert pipeline.rows(made) == before


async def test_partitions_are_made_while_others_read_and_write(pipeline: Pipeline, acme: Tenant) -> None:
    await pipeline.accept((acme, {}))
    assert drop_next_month(pipeline) == 7
    with pipeline.owner.transaction():
        pipeline.owner.execute("select from signalops.events")
        pipeline.owner.execute("update signalops.events set causation_depth = 0")
        async with asyncio.timeout(5):
            await pipeline.handlers.make_partitions()
            await pipeline.accept((acme, {}))
    assert drop_next_month(pipeline) == 7
