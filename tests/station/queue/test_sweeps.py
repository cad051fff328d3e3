"""The sweeps: what is due gets a job, what lost its job gets another, what a dead worker held is given back."""

import asyncio

import pytest

from signalops import clock
from tests.people import Tenant, make_rule
from tests.station.queue.conftest import World


@pytest.fixture
async def waiting(world: World, acme: Tenant) -> World:
    """Ten deliveries of an event, in hand and without any job."""
    for _ in range(10):
        make_rule(world.owner, acme, {"type": ["user.signup"]})
    await world.journey.process_batch(await world.accept((acme, {})), 1)
    world.owner.execute("truncate procrastinate.procrastinate_jobs cascade")
    return world


def let_wait(world: World, seconds: int, count: int) -> set[str]:
    """Have some deliveries wait for their next attempt; return their ids."""
    query = """
      update signalops.deliveries set status = 'retrying', next_attempt_at = now() + %s * interval '1 s'
      where id in (select id from signalops.deliveries where status = 'pending' order by id limit %s) returning id::text
    """
    waiting = {delivery for (delivery,) in world.rows(query, seconds, count)}
    world.rows("select signalops.mend_queues()")
    return waiting


async def test_only_what_is_due_is_enqueued(waiting: World) -> None:
    due = let_wait(waiting, -1, 3)
    later = let_wait(waiting, 3600, 3)
    await waiting.journey.enqueue_due()
    assert {job["delivery"] for job in waiting.jobs("send_delivery")} == due
    states = dict(waiting.rows("select id::text, (status, next_attempt_at is null)::text from signalops.deliveries"))
    assert {states[delivery] for delivery in due} == {"(pending,t)"}
    assert {states[delivery] for delivery in later} == {"(retrying,f)"}
    await waiting.journey.enqueue_due()
    assert len(waiting.jobs("send_delivery")) == 3


async def test_two_sweeps_at_once_enqueue_each_delivery_once(waiting: World) -> None:
    due = let_wait(waiting, -1, 10)
    await asyncio.gather(*(waiting.journey.enqueue_due() for _ in range(4)))
    assert sorted(job["delivery"] for job in waiting.jobs("send_delivery")) == sorted(due)


async def test_nothing_is_scheduled_in_the_job_table(waiting: World) -> None:
    let_wait(waiting, -1, 10)
    await waiting.journey.enqueue_due()
    assert waiting.rows("select from procrastinate.procrastinate_jobs where scheduled_at is not null") == []


async def test_a_delivery_that_lost_its_job_gets_one_after_a_while(waiting: World) -> None:
    await waiting.journey.enqueue_lost()
    assert waiting.jobs("send_delivery") == []
    lost = "update signalops.deliveries set updated_at = now() - interval '6 minutes' where id in (%s)"
    waiting.owner.execute((lost % "select id from signalops.deliveries order by id limit 4").encode())
    await waiting.journey.enqueue_lost()
    assert len(waiting.jobs("send_delivery")) == 4
    waiting.owner.execute("update signalops.deliveries set updated_at = now() - interval '6 minutes'")
    await waiting.journey.enqueue_lost()
    assert len({job["delivery"] for job in waiting.jobs("send_delivery")}) == len(waiting.jobs("send_delivery")) == 10


async def make_lost(world: World, tenant: Tenant, count: int) -> set[str]:
    """Accept batches that lost their jobs a minute ago; return them."""
    for _ in range(count):
        await world.accept((tenant, {}))
    world.owner.execute("truncate procrastinate.procrastinate_jobs cascade")
    earlier = "signalops.id_at(signalops.time_of(batch) - interval '1 minute')"
    world.owner.execute(f"update signalops.inbox set batch = {earlier}".encode())
    return {batch for (batch,) in world.rows("select distinct batch::text from signalops.inbox")}


async def test_a_batch_that_lost_its_job_gets_one_after_a_while(world: World, acme: Tenant) -> None:
    lost = await make_lost(world, acme, 3)
    fresh = await world.accept((acme, {}))
    await world.journey.enqueue_lost()
    assert {job["batch"] for job in world.jobs("process_batch")} == lost | {str(fresh)}
    await world.journey.enqueue_lost()
    assert len(world.jobs("process_batch")) == len(lost) + 1


async def test_a_batch_whose_job_is_stuck_under_a_living_worker_is_processed_all_the_same(
    world: World, acme: Tenant
) -> None:
    # procrastinate leaves a job `doing` when it can't write down how the job ended, and the worker that holds it lives on.
    (lost,) = await make_lost(world, acme, 1)
    world.owner.execute(
        "with w as (insert into procrastinate.procrastinate_workers default values returning id) "
        "insert into procrastinate.procrastinate_jobs (queue_name, task_name, args, status, worker_id) "
        "select 'events', 'process_batch', jsonb_build_object('batch', %s::text), 'doing', id from w",
        [lost],
    )
    with world.owner.transaction():
        world.owner.execute("select from signalops.inbox for update")
        await world.journey.enqueue_lost()
        assert world.jobs("process_batch") == [], "another worker has the batch in hand"
    await world.journey.enqueue_lost()
    assert [job["batch"] for job in world.jobs("process_batch")] == [lost]


def drop_next_month(world: World) -> int:
    """Drop the partitions of the next month; return how many there were."""
    query = "select relname from pg_class where relispartition and relkind = 'r' and relname like %s"
    names = world.rows(query, f"%{clock.next_month(clock.now()):%Y_%m}")
    for (name,) in names:
        world.owner.execute(f"drop table signalops.{name}".encode())
    return len(names)


async def test_partitions_are_made_once_by_several_workers(world: World) -> None:
    made = """
      select relname, relrowsecurity, relforcerowsecurity, pg_get_expr(relpartbound, oid),
        (select count(*) from pg_index i join pg_inherits h on h.inhrelid = i.indexrelid where i.indrelid = c.oid)
      from pg_class c where relispartition and relkind = 'r' order by 1"""
    before = world.rows(made)
    assert drop_next_month(world) == 7
    await asyncio.gather(*(world.journey.make_partitions() for _ in range(4)))
    assert world.rows(made) == before
    await world.journey.make_partitions()
    assert world.rows(made) == before


async def test_partitions_are_made_while_others_read_and_write(world: World, acme: Tenant) -> None:
    await world.accept((acme, {}))
    assert drop_next_month(world) == 7
    with world.owner.transaction():
        world.owner.execute("select from signalops.events")
        world.owner.execute("update signalops.events set depth = 0")
        async with asyncio.timeout(5):
            await world.journey.make_partitions()
            await world.accept((acme, {}))
    assert drop_next_month(world) == 7
