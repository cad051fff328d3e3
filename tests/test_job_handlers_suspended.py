"""What is queued of a suspended tenant waits where it is, costs nothing, and goes on when the tenant is resumed."""

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest

from signalops import clock, db
from signalops.config import Settings
from signalops.types import BatchId
from signalops.usage.invoices import invoice_queries as invoices
from signalops.usage.invoices.close import CLOSING_AFTER
from signalops.watch.doctor import diagnose
from signalops.watch.event_trace import follow
from tests.support.rows import add
from tests.support.rules import make_rule
from tests.support.tenants import Tenant
from tests.support.worlds.pipeline import Pipeline

ABSENT = "signalops.rule.absent"


def become(pipeline: Pipeline, tenant: Tenant, status: str) -> None:
    """Move a tenant to a status, as an operator would."""
    pipeline.owner.execute("update signalops.tenants set status = %s where id = %s", [status, tenant.id])


def forget_jobs(pipeline: Pipeline) -> None:
    """Take all jobs, as workers do."""
    pipeline.owner.execute("truncate procrastinate.procrastinate_jobs cascade")


def queued(pipeline: Pipeline) -> list[UUID]:
    """Return the batches that have a job, in the order in which workers fetch them."""
    query = """select (args ->> 'batch')::uuid from procrastinate.procrastinate_jobs
        where task_name = 'process_batch' and status = 'todo' order by priority desc, id"""
    return [batch for (batch,) in pipeline.rows(query)]


def parked(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    return pipeline.rows("select tenant_id from signalops.inbox where is_parked")


async def suspended_with_a_backlog(pipeline: Pipeline, acme: Tenant, globex: Tenant, batches: int = 1) -> list[BatchId]:
    """Suspend acme, and have workers meet batches that it shares with globex; return these."""
    made = [await pipeline.accept((acme, {}), (globex, {}), (acme, {})) for _ in range(batches)]
    become(pipeline, acme, "suspended")
    for batch in made:
        await pipeline.handlers.process_batch(batch, 1)
    forget_jobs(pipeline)
    return made


async def tick(pipeline: Pipeline) -> None:
    """Sweep as the periodic jobs do."""
    await pipeline.handlers.fire_due()
    await pipeline.handlers.enqueue_due()
    await pipeline.handlers.enqueue_lost()
    await pipeline.handlers.tidy()


async def test_its_events_wait_and_those_of_others_in_the_batch_do_not(pipeline: Pipeline, acme: Tenant, globex: Tenant) -> None:
    await suspended_with_a_backlog(pipeline, acme, globex)
    assert (pipeline.used(acme), pipeline.used(globex)) == (0, 1)
    assert parked(pipeline) == [(acme.id,), (acme.id,)]
    pipeline.owner.execute("update signalops.inbox set batch = signalops.uuid7_floor(now() - interval '1 hour')")
    await tick(pipeline)
    assert queued(pipeline) == [], "no sweep enqueues parked events"


async def test_what_is_resumed_goes_on_the_oldest_first_and_is_counted_once(
    pipeline: Pipeline, acme: Tenant, globex: Tenant
) -> None:
    made = await suspended_with_a_backlog(pipeline, acme, globex, 3)
    become(pipeline, acme, "active")
    await asyncio.gather(*(pipeline.handlers.enqueue_due() for _ in range(3)))
    assert queued(pipeline) == made
    for batch in queued(pipeline):
        await pipeline.handlers.process_batch(BatchId(batch), 2)
    assert (pipeline.used(acme), pipeline.used(globex), parked(pipeline)) == (6, 3, [])
    assert pipeline.rows("select is_draining from signalops.tenants where id = %s", acme.id) == [(False,)]


async def test_a_large_backlog_is_resumed_in_slices_that_leave_the_queue_to_others(
    pipeline: Pipeline, acme: Tenant, globex: Tenant
) -> None:
    await suspended_with_a_backlog(pipeline, acme, globex)
    pipeline.owner.execute(
        "insert into signalops.inbox (tenant_id, event_id, batch, is_parked) "
        "select %s, signalops.new_id(), signalops.new_id(), true from generate_series(1, 5000)",
        [acme.id],
    )
    become(pipeline, acme, "active")
    await pipeline.handlers.enqueue_due()
    assert len(queued(pipeline)) == 2999, "slices of a thousand, while fewer than two thousand wait"
    done = 0
    while queued(pipeline):
        done += len(queued(pipeline))
        forget_jobs(pipeline)
        await pipeline.handlers.enqueue_due()
    assert (done, parked(pipeline)) == (5001, [])


async def test_a_resumption_that_is_taken_back_leaves_the_rest_held(pipeline: Pipeline, acme: Tenant, globex: Tenant) -> None:
    await suspended_with_a_backlog(pipeline, acme, globex)
    for status in ("active", "suspended"):
        become(pipeline, acme, status)
    await tick(pipeline)
    assert (queued(pipeline), len(parked(pipeline))) == ([], 2)


async def test_closing_a_suspended_tenant_has_what_was_accepted_processed(
    pipeline: Pipeline, acme: Tenant, globex: Tenant
) -> None:
    made = await suspended_with_a_backlog(pipeline, acme, globex)
    become(pipeline, acme, "closed")
    await pipeline.handlers.enqueue_due()
    assert queued(pipeline) == made
    await pipeline.handlers.process_batch(made[0], 1)
    assert pipeline.used(acme) == 2


async def test_closing_a_tenant_that_is_just_resumed_has_what_was_accepted_processed(
    pipeline: Pipeline, acme: Tenant, globex: Tenant
) -> None:
    made = await suspended_with_a_backlog(pipeline, acme, globex)
    become(pipeline, acme, "active")
    become(pipeline, acme, "closed")
    await tick(pipeline)
    assert queued(pipeline) == made, "the workers had not released it yet"


async def test_a_large_backlog_of_one_does_not_keep_the_next_waiting(pipeline: Pipeline, acme: Tenant, globex: Tenant) -> None:
    await suspended_with_a_backlog(pipeline, acme, globex)
    rule = make_rule(pipeline.owner, globex, {}, digest={"every": "1h"})
    pipeline.owner.execute(
        "insert into signalops.inbox (tenant_id, event_id, batch, is_parked) "
        "select %s, signalops.new_id(), signalops.new_id(), true from generate_series(1, 5000)",
        [acme.id],
    )
    become(pipeline, globex, "suspended")
    pipeline.owner.execute(
        "insert into signalops.digests (tenant_id, rule_id, rule_version, channel_id, due_at, matched, events, causation_depth) "
        "select tenant_id, rule_id, 1, channel_id, 'infinity', 1, array[rule_id], 0 "
        "from signalops.rule_versions where rule_id = %s",
        [rule],
    )
    for tenant in (acme, globex):
        become(pipeline, tenant, "active")
    await pipeline.handlers.enqueue_due()
    assert parked(pipeline), "acme's backlog is not through"
    assert pipeline.rows("select from signalops.digests where due_at = 'infinity'") == []


async def test_what_is_accepted_in_the_moment_of_suspension_waits(pipeline: Pipeline, acme: Tenant) -> None:
    become(pipeline, acme, "suspended")
    batch = await pipeline.accept((acme, {}))
    await pipeline.handlers.process_batch(batch, 1)
    assert (len(parked(pipeline)), pipeline.used(acme)) == (1, 0)


async def test_a_resumption_waits_for_who_is_just_setting_something_aside(
    pipeline: Pipeline, acme: Tenant, settings: Settings
) -> None:
    batch = await pipeline.accept((acme, {}))
    become(pipeline, acme, "suspended")
    with psycopg.connect(db.dsn(settings, "worker")) as worker:
        worker.execute("select signalops.take_batch(%s, 0, 0)", [batch])
        resuming = asyncio.create_task(asyncio.to_thread(become, pipeline, acme, "active"))
        done, _ = await asyncio.wait([resuming], timeout=0.2)
        assert not done, "else what is set aside would be seen by nobody"
        worker.commit()
        await resuming
    forget_jobs(pipeline)
    await pipeline.handlers.enqueue_due()
    assert queued(pipeline) == [batch]


@pytest.fixture
async def notified(pipeline: Pipeline, acme: Tenant) -> Pipeline:
    """Two deliveries of acme with their jobs; then acme is suspended."""
    for _ in range(2):
        make_rule(pipeline.owner, acme, {"type": ["user.signup"]})
    await pipeline.handlers.process_batch(await pipeline.accept((acme, {})), 1)
    become(pipeline, acme, "suspended")
    return pipeline


async def test_deliveries_wait_without_an_attempt_and_go_on(notified: Pipeline, acme: Tenant) -> None:
    deliveries = [(acme.id, UUID(job["delivery"])) for job in notified.jobs("send_delivery")]
    forget_jobs(notified)
    await notified.handlers.send_deliveries(deliveries)  # type: ignore[arg-type]
    for _ in range(2):
        await tick(notified)
    state = "select status, attempts, next_attempt_at is not null from signalops.deliveries"
    assert notified.rows(state) == [("pending", 0, True)] * 2
    assert notified.jobs("send_delivery") == []
    assert notified.rows("select from signalops.channel_schedules where next_due_at <= now() + interval '1 year'") == []
    assert notified.rows("select from signalops.send_targets") == []

    become(notified, acme, "active")
    await notified.handlers.enqueue_due()
    assert len(notified.jobs("send_delivery")) == 2


async def test_what_waits_for_its_next_attempt_is_passed_over_once(notified: Pipeline, acme: Tenant) -> None:
    forget_jobs(notified)
    notified.owner.execute("update signalops.deliveries set next_attempt_at = now()")
    notified.owner.execute("update signalops.channel_schedules set next_due_at = now()")
    for _ in range(2):
        await tick(notified)
    assert notified.jobs("send_delivery") == []
    assert notified.rows("select distinct next_due_at::text from signalops.channel_schedules") == [("infinity",)]
    become(notified, acme, "active")
    await notified.handlers.enqueue_due()
    assert len(notified.jobs("send_delivery")) == 2


async def test_digests_are_told_when_their_tenant_is_resumed(pipeline: Pipeline, acme: Tenant) -> None:
    make_rule(pipeline.owner, acme, {"type": ["user.signup"]}, digest={"every": "1h"})
    await pipeline.handlers.process_batch(await pipeline.accept((acme, {})), 1)
    pipeline.owner.execute("update signalops.digests set due_at = now()")
    become(pipeline, acme, "suspended")
    for _ in range(2):
        await tick(pipeline)
    assert pipeline.rows("select due_at::text from signalops.digests") == [("infinity",)]
    become(pipeline, acme, "active")
    await pipeline.handlers.enqueue_due()
    await pipeline.handlers.fire_due()
    assert pipeline.rows("select count(*) from signalops.deliveries") == [(1,)]
    assert pipeline.rows("select payload ->> 'until' < 'i' from signalops.events where causation_depth = 1") == [(True,)]


async def test_an_absence_gets_its_whole_time_again(pipeline: Pipeline, acme: Tenant) -> None:
    make_rule(pipeline.owner, acme, {"type": ["user.signup"]}, absent={"after": "15m"})
    make_rule(pipeline.owner, acme, {"type": ["user.gone"]}, absent={"after": "15m"})
    pipeline.owner.execute("update signalops.tenants set created_at = now() - interval '1 day'")
    one = "(select min(rule_id::text)::uuid from signalops.rule_states)"
    pipeline.owner.execute(f"update signalops.rule_states set due_at = now() - interval '2 s' where rule_id = {one}".encode())
    become(pipeline, acme, "suspended")
    for _ in range(2):
        await tick(pipeline)
    assert pipeline.rows("select from signalops.events where type = %s", ABSENT) == []

    become(pipeline, acme, "active")
    # The other's time is up right after the resumption.
    pipeline.owner.execute(f"update signalops.rule_states set due_at = now() - interval '2 s' where rule_id <> {one}".encode())
    await pipeline.handlers.enqueue_due()
    pipeline.owner.execute("update signalops.rule_states set due_at = due_at - interval '2 s'")
    await pipeline.handlers.fire_due()
    assert pipeline.rows("select from signalops.events where type = %s", ABSENT) == []
    left = """
        select extract(epoch from g.due_at - t.status_since)
        from signalops.rule_states g join signalops.tenants t on t.id = g.tenant_id"""
    assert [float(seconds) for (seconds,) in pipeline.rows(left)] == [900, 900]


async def test_what_was_seen_after_the_resumption_is_not_told_as_absent(pipeline: Pipeline, acme: Tenant) -> None:
    make_rule(pipeline.owner, acme, {"type": ["user.signup"]}, absent={"after": "15m"})
    pipeline.owner.execute("update signalops.tenants set created_at = now() - interval '1 day'")
    for status in ("suspended", "active"):
        become(pipeline, acme, status)
    # No worker ran for a while; then one met the event before it let go the group that had been set aside.
    pipeline.owner.execute("alter table signalops.tenants disable trigger user")
    pipeline.owner.execute("update signalops.tenants set status_since = now() - interval '1 hour'")
    pipeline.owner.execute("alter table signalops.tenants enable trigger user")
    pipeline.owner.execute("update signalops.rule_states set due_at = 'infinity', last_match_at = now() - interval '1 minute'")
    await pipeline.handlers.enqueue_due()
    pipeline.owner.execute("update signalops.rule_states set due_at = due_at - interval '2 s'")
    await pipeline.handlers.fire_due()
    assert pipeline.rows("select from signalops.events where type = %s", ABSENT) == []


async def test_backtests_wait_and_go_on(pipeline: Pipeline, acme: Tenant) -> None:
    backtest = add(pipeline.owner, "backtests", acme.id)
    become(pipeline, acme, "suspended")
    await pipeline.handlers.run_backtest(acme.id, backtest)
    assert pipeline.rows("select status from signalops.backtests") == [("queued",)]
    become(pipeline, acme, "active")
    await pipeline.handlers.enqueue_due()
    assert pipeline.jobs("run_backtest") == [{"tenant": str(acme.id), "backtest": str(backtest)}]


async def test_a_period_is_closed_without_what_is_held_which_is_late_then(
    pipeline: Pipeline, acme: Tenant, worker_pool: db.Pool
) -> None:
    pipeline.owner.execute("update signalops.tenants set created_at = now() - interval '40 days' where id = %s", [acme.id])
    pipeline.owner.execute(
        "insert into signalops.inbox (tenant_id, event_id, batch) values (%s, signalops.uuid7_floor(now() - "
        "interval '35 days'), %s)",
        [acme.id, clock.new_id()],
    )

    async def frozen() -> int:
        async with worker_pool.connection() as connection:
            return await invoices.freeze_periods(connection, CLOSING_AFTER, 100)

    assert await frozen() == 0
    pipeline.owner.execute("update signalops.inbox set is_parked = true")
    assert await frozen() == 1


async def test_it_is_shown_as_held_and_not_as_lag(pipeline: Pipeline, acme: Tenant, globex: Tenant, settings: Settings) -> None:
    await suspended_with_a_backlog(pipeline, acme, globex)
    pipeline.owner.execute("update signalops.inbox set batch = signalops.uuid7_floor(now() - interval '1 hour')")
    findings = {finding.check: finding for finding in await diagnose(settings)}
    assert findings["lost events"].ok
    assert findings["parked events"].detail == "1 suspended tenants: 2 of their events wait"
    ((event,),) = pipeline.rows("select event_id from signalops.inbox limit 1")
    async with db.as_tenant(pipeline.api, acme.id) as connection:
        shown = await follow(connection, acme.id, event)
    assert shown is not None
    assert (shown["status"], shown["parked"]) == ("pending", True)
