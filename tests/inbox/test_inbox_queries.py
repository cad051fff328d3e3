"""A job processes the batches that wait behind it in its own transaction; each keeps its record, and nothing is counted twice."""

import asyncio

from signalops.inbox import inbox_queries
from signalops.types import BatchId
from tests.support.rules import make_rule
from tests.support.tenants import Tenant
from tests.support.worlds.pipeline import Pipeline

BEGIN = "update procrastinate.procrastinate_jobs set status = 'doing' where args ->> 'batch' = %s returning id"
WAITING = "select args ->> 'batch' from procrastinate.procrastinate_jobs where task_name = 'process_batch' and status = 'todo'"


def fetched(pipeline: Pipeline, batch: BatchId) -> int:
    """Let a worker have fetched the job of a batch; return the job."""
    pipeline.owner.execute("set search_path = procrastinate")  # procrastinate's triggers name no schema
    ((job,),) = pipeline.rows(BEGIN, str(batch))
    pipeline.owner.execute("reset search_path")
    return int(job)


async def test_batches_that_wait_are_processed_with_the_first_and_each_has_its_record(
    pipeline: Pipeline, acme: Tenant, globex: Tenant
) -> None:
    make_rule(pipeline.owner, acme, {"type": ["user.signup"]})
    batches = [await pipeline.accept((acme, {"n": n}), (globex, {"n": n})) for n in range(5)]
    assert await pipeline.handlers.process_batch(batches[2], fetched(pipeline, batches[2])) == 10
    assert pipeline.rows(WAITING) == [], "their jobs have ended with it"
    assert (pipeline.used(acme), pipeline.used(globex)) == (5, 5)
    results = pipeline.rows("select batch, tenant_id, events, billed, counted_in from signalops.batch_results order by 1, 2")
    assert results == [(batch, tenant.id, 1, 1, batches[0]) for batch in sorted(batches) for tenant in (acme, globex)]
    assert pipeline.rows("select distinct batch from signalops.usage_entries") == [(batches[0],)]
    assert pipeline.rows("select * from signalops.reconcile(null, null)") == []
    assert len(pipeline.rows("select from signalops.deliveries")) == 5


async def test_what_does_not_fit_is_of_another_priority_or_waits_is_left(pipeline: Pipeline, acme: Tenant) -> None:
    first, bulk, later, large = [
        await pipeline.accept(*[(acme, {"n": n})] * size) for size, n in ((1, 0), (1, 1), (1, 2), (3, 3))
    ]
    change = "update procrastinate.procrastinate_jobs set priority = %s, scheduled_at = %s where args ->> 'batch' = %s"
    pipeline.owner.execute("set search_path = procrastinate")
    pipeline.owner.execute(change, [-10, None, str(bulk)])
    pipeline.owner.execute(change, [0, "2100-01-01", str(later)])
    job = fetched(pipeline, first)
    async with pipeline.handlers._connections.connection() as connection, connection.transaction():
        (part,) = await inbox_queries.read_batch(connection, first, job, 3)
        assert {event["batch"] for event in part.events} == {str(first)}
    assert {batch for (batch,) in pipeline.rows(WAITING)} == {str(bulk), str(later), str(large)}


async def test_a_paused_queue_s_batches_are_left(pipeline: Pipeline, acme: Tenant) -> None:
    first, second = [await pipeline.accept((acme, {"n": n})) for n in range(2)]
    job = fetched(pipeline, first)
    pipeline.owner.execute("select ops.pause_queue('events', 'a test')")
    assert await pipeline.handlers.process_batch(first, job) == 1
    assert pipeline.rows(WAITING) == [(str(second),)]


async def test_two_jobs_at_once_share_what_waits(pipeline: Pipeline, acme: Tenant, globex: Tenant) -> None:
    batches = [await pipeline.accept((acme, {"n": n}), (globex, {"n": n})) for n in range(30)]
    jobs = [fetched(pipeline, batch) for batch in batches[:3]]
    done = await asyncio.gather(*(pipeline.handlers.process_batch(b, job) for b, job in zip(batches[:3], jobs, strict=True)))
    assert sum(done) == 60
    assert (pipeline.used(acme), pipeline.used(globex)) == (30, 30)
    assert pipeline.rows("select * from signalops.reconcile(null, null)") == []
    assert pipeline.rows("select from signalops.inbox") == []


async def test_a_job_that_fails_leaves_the_batches_with_their_jobs(pipeline: Pipeline, acme: Tenant) -> None:
    first, second = [await pipeline.accept((acme, {"n": n})) for n in range(2)]
    job = fetched(pipeline, first)
    try:
        async with pipeline.handlers._connections.connection() as connection, connection.transaction():
            await inbox_queries.read_batch(connection, first, job, 100)
            raise KeyError
    except KeyError:
        pass
    assert pipeline.rows(WAITING) == [(str(second),)]
    assert await pipeline.handlers.process_batch(first, job) == 2, "the positive control"
