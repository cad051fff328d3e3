"""The functions of ops: each does what it says, refuses what makes no sense with the remedy, and is on record."""

import re
from uuid import UUID

import psycopg
import pytest

from signalops.config import Settings
from tests.sql.ops.conftest import Ops
from tests.sql.ops.test_views import SECOND, Rule, dead_letter, deliver
from tests.support.processes import eventually, worker
from tests.support.tenants import Tenant

ANY_ID = "01a20862-10b6-70f7-a960-f844b7ad550a"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("pause_queue('event', 'why')", "there is no queue 'event': it is one of events, deliveries, "),
        ("pause_queue(null, 'why')", "there is no queue NULL"),
        ("pause_queue('maintenance', 'why')", "can't be paused, since .*: stop the workers instead"),
        ("pause_queue('events', ' ')", "say why in 1 to 500 characters"),
        ("pause_queue('events', null)", "say why in 1 to 500 characters"),
        ("pause_queue('events', repeat('x', 501))", "say why in 1 to 500 characters"),
        ("resume_queue('events')", "the queue 'events' is not paused: see .*ops.queue_health"),
        ("drain_queue('x')", "there is no queue 'x'"),
        ("drain_queue('events', '61 s')", "at most a minute at a time.*: repeat it"),
        ("drain_queue('events', '-1 s')", "at most a minute at a time"),
        ("drain_queue('events', null)", "at most a minute at a time"),
        ("suspend_tenant('nobody', 'why')", "there is no tenant 'nobody': give its slug or id"),
        ("suspend_tenant('acme', '')", "say why"),
        ("resume_tenant('acme')", "the tenant acme is active"),
        ("resume_tenant('nobody')", "there is no tenant 'nobody'"),
        (f"retry_dead_letters('nobody', '{{{ANY_ID}}}')", "there is no tenant"),
        ("retry_dead_letters('acme', '{}')", "these are 0: give 1 to 10,000 ids at a time"),
        ("retry_dead_letters('acme', array_fill(null::uuid, '{10001}'))", "these are 10001: .* repeat it for more"),
        ("retry_deliveries('acme', null)", "these are 0"),
        ("cancel_deliveries('acme', '{}')", "these are 0"),
        (f"discard_dead_letters('acme', '{{{ANY_ID}}}', '')", "say why"),
        ("discard_dead_letters('acme', '{}', 'why')", "these are 0"),
        ("retry_job(4711)", "there is no job 4711: jobs that succeed are deleted"),
        ("cancel_job(4711, 'why')", "there is no job 4711"),
        ("cancel_job(4711, '')", "say why"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_remedy(ops: Ops, acme: Tenant, call: str, message: str) -> None:
    with pytest.raises(psycopg.Error, match=message):
        ops.do(call)
    assert [action for _, action, _ in ops.noted()] == ["tenant.created", "key.created"]


def test_a_queue_is_paused_once_and_resumed(ops: Ops) -> None:
    ops.do("pause_queue('deliveries', ' their provider is down ')")
    shown = ops.one("queue_health where paused_at is not null")
    assert (shown["queue"], shown["paused_because"]) == ("deliveries", "their provider is down")
    with pytest.raises(psycopg.Error, match=r"paused by \S+ since .*: their provider is down; resume it first"):
        ops.do("pause_queue('deliveries', 'again')")
    ops.do("resume_queue('deliveries')")
    assert ops.see("queue_health where paused_at is not null") == []
    assert ops.noted() == [(None, "queue.paused", "deliveries"), (None, "queue.resumed", "deliveries")]


def fetch(ops: Ops) -> str | None:
    """Fetch a job as a worker does; return its queue."""
    with ops.owner.transaction():
        ops.owner.execute("set local role signalops_worker")
        ((queue,),) = ops.owner.execute("select queue_name from procrastinate_fetch_job_v2(null, null)")
    return None if queue is None else str(queue)


def test_of_a_paused_queue_no_job_is_fetched_and_of_others_all(ops: Ops) -> None:
    for queue in ("events", "deliveries", "events"):
        ops.job(queue, "todo")
    ops.do("pause_queue('events', 'why')")
    assert [fetch(ops), fetch(ops)] == ["deliveries", None]
    ops.do("pause_queue('deliveries', 'why')")
    ops.do("resume_queue('events')")
    assert [fetch(ops), fetch(ops), fetch(ops)] == ["events", "events", None]


def test_the_fetch_keeps_the_settings_that_pin_its_plan(ops: Ops) -> None:
    ((settings, body),) = ops.owner.execute("select proconfig, prosrc from pg_proc where proname = 'procrastinate_fetch_job_v2'")
    assert {"plan_cache_mode=force_generic_plan", "enable_seqscan=off", "enable_sort=off"} <= set(settings)
    assert "ops.paused_queues" in body


async def test_workers_let_a_paused_queue_wait_and_go_on_when_it_is_resumed(ops: Ops, settings: Settings) -> None:
    batch = f'{{"batch": "{ANY_ID}"}}'
    ops.do("pause_queue('events', 'why')")
    ops.owner.execute("select signalops.enqueue('events', 'process_batch', 0, %s)", [batch])

    def is_swept() -> bool:
        # Ten jobs of the queue maintenance, which the same worker runs.
        query = "select last_value >= 10 from procrastinate_periodic_defers_id_seq"
        return ops.owner.execute(query).fetchall() == [(True,)]

    async with worker(settings):
        await eventually(is_swept)
        assert ops.one("queue_health where queue = 'events'")["ready"] == 1
        assert ops.one("queue_health where queue = 'maintenance'")["ready"] <= 5, "no jobs pile up while it is paused"
        ops.do("resume_queue('events')")
        await eventually(lambda: ops.one("queue_health where queue = 'events'")["ready"] == 0)
    assert ops.see("job_history") == []


def left(ops: Ops, call: str) -> tuple[object, ...]:
    shown = ops.one(call)
    return shown["is_paused"], shown["ready"], shown["doing"]


def test_a_queue_is_drained_when_nothing_is_left(ops: Ops) -> None:
    assert left(ops, "drain_queue('events', '0')") == (False, 0, 0)
    ready, running = ops.job("events", "todo"), ops.job("events", "doing")
    ops.job("deliveries", "doing")
    assert left(ops, "drain_queue('events', '0.2 s')") == (False, 1, 1)
    ops.owner.execute("delete from procrastinate_jobs where id = %s", [running])
    assert left(ops, "drain_queue('events', '0.2 s')") == (False, 1, 0), "what is ready will run"
    ops.do("pause_queue('events', 'why')")
    assert left(ops, "drain_queue('events', '1 minute')") == (True, 1, 0), "what is paused will not"
    ops.do("resume_queue('events')")
    ops.owner.execute("delete from procrastinate_jobs where id = %s", [ready])
    assert left(ops, "drain_queue('events', '1 minute')") == (False, 0, 0)


def test_a_tenant_is_suspended_with_the_reason_and_resumed(ops: Ops, acme: Tenant) -> None:
    status = "select status, status_reason from signalops.tenants"
    ops.do("suspend_tenant('acme', 'it hammers')")
    assert ops.owner.execute(status).fetchall() == [("suspended", "it hammers")]
    with pytest.raises(psycopg.Error, match="acme is suspended already"):
        ops.do("suspend_tenant('acme', 'it hammers')")
    ops.do("resume_tenant(%s)", str(acme.id))
    assert ops.owner.execute(status).fetchall() == [("active", None)]
    assert ops.noted()[-2:] == [("acme", "tenant.suspended", str(acme.id)), ("acme", "tenant.resumed", str(acme.id))]


def test_a_closed_tenant_stays_closed(ops: Ops, acme: Tenant) -> None:
    ops.owner.execute("update signalops.tenants set status = 'closed'")
    for call in ("suspend_tenant('acme', 'why')", "resume_tenant('acme')"):
        with pytest.raises(psycopg.Error, match="a tenant that is closed can't become"):
            ops.do(call)


def dead(ops: Ops, tenant: Tenant, rule: Rule) -> UUID:
    """Make a dead delivery with its dead letter; return the delivery."""
    made = dead_letter(ops, tenant, rule, SECOND)
    row = {"rule_id": rule[0], "channel_id": rule[1], "rule_version": 1, "status": "dead", "event_id": made}
    ops.put("deliveries", tenant, id=made, **row)
    return made


def statuses(ops: Ops) -> list[str]:
    return [s for (s,) in ops.owner.execute("select status from signalops.deliveries order by id")]


def test_letters_are_retried_of_the_named_tenant_alone(ops: Ops, acme: Tenant, globex: Tenant, rule: Rule) -> None:
    mine, other = dead(ops, acme, rule), dead(ops, globex, rule)
    assert ops.do("retry_dead_letters('acme', %s)", [other]) == 0
    assert ops.do("retry_dead_letters('acme', %s)", [mine, other]) == 1
    assert statuses(ops) == ["retrying", "dead"]
    assert [row["dead_letter_id"] for row in ops.see("dead_letters")] == [other]
    assert ops.noted()[-1] == ("acme", "dead-letter.retried", str(mine))
    assert ops.do("retry_dead_letters('acme', %s)", [mine]) == 0, "they are retried already"


def test_letters_are_discarded_with_the_reason(ops: Ops, acme: Tenant, rule: Rule) -> None:
    mine, untouched = dead(ops, acme, rule), dead(ops, acme, rule)
    assert ops.do("discard_dead_letters('acme', %s, 'they moved')", [mine]) == 1
    assert [row["dead_letter_id"] for row in ops.see("dead_letters")] == [untouched]
    ended = "select resolution, reason from signalops.dead_letters where resolved_at is not null"
    assert ops.owner.execute(ended).fetchall() == [("discarded", "they moved")]
    assert ops.noted()[-1] == ("acme", "dead-letter.discarded", str(mine))


def test_deliveries_that_wait_are_tried_now_or_called_off(ops: Ops, acme: Tenant, globex: Tenant, rule: Rule) -> None:
    deliver(ops, acme, rule, "retrying", SECOND, count=2)
    ops.owner.execute("update signalops.deliveries set next_attempt_at = now() + interval '1 h'")
    ids = [i for (i,) in ops.owner.execute("select id from signalops.deliveries order by id")]
    assert ops.do("retry_deliveries('globex', %s)", ids) == 0
    assert ops.do("retry_deliveries('acme', %s)", ids[:1]) == 1
    due = "select next_attempt_at <= now() from signalops.deliveries order by id"
    assert ops.owner.execute(due).fetchall() == [(True,), (False,)]
    assert ops.do("cancel_deliveries('globex', %s)", ids) == 0
    assert ops.do("cancel_deliveries('acme', %s)", ids[1:]) == 1
    assert statuses(ops) == ["retrying", "cancelled"]
    assert [action for _, action, _ in ops.noted()[-2:]] == ["delivery.retried", "delivery.cancelled"]


def status(ops: Ops, job: int) -> str:
    ((found,),) = ops.owner.execute("select status::text from procrastinate_jobs where id = %s", [job])
    return str(found)


def test_only_a_job_that_failed_is_retried(ops: Ops) -> None:
    failed = ops.job("events", "failed")
    ops.do("retry_job(%s)", failed)
    assert status(ops, failed) == "todo"
    assert ops.noted() == [(None, "job.retried", str(failed))]
    for other in ("todo", "doing", "cancelled", "aborted"):
        with pytest.raises(psycopg.Error, match=f"is {other}, and only one that failed"):
            ops.do("retry_job(%s)", ops.job("events", other))


def test_only_a_job_that_waits_and_that_nothing_brings_back_is_cancelled(ops: Ops) -> None:
    job = ops.job("backtests", "todo", "run_backtest")
    ops.do("cancel_job(%s, 'too large')", job)
    assert status(ops, job) == "cancelled"
    assert ops.noted() == [(None, "job.cancelled", str(job))]
    for task, remedy in {"process_batch": "suspend the tenant", "send_delivery": r"ops\.cancel_deliveries"}.items():
        with pytest.raises(psycopg.Error, match=remedy):
            ops.do("cancel_job(%s, 'why')", ops.job("events", "todo", task))
    with pytest.raises(psycopg.Error, match="is doing, and only one that waits"):
        ops.do("cancel_job(%s, 'why')", ops.job("backtests", "doing"))


def test_who_did_it_is_the_login(ops: Ops) -> None:
    ops.do("pause_queue('events', 'why')")
    shown = ops.one("actions")
    assert (shown["actor_kind"], shown["actor"]) == ("sql", ops.owner.info.user)


def test_draining_needs_to_see_jobs_end(ops: Ops) -> None:
    with pytest.raises(psycopg.Error, match=re.escape("repeatable read does not see jobs end: call it in one that is read")):
        ops.frozen("drain_queue('events')")


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (
            "The template's body failed: payload.SECRET is undefined; for what may be missing write ...",
            "The template's body failed",
        ),
        ("DataError('invalid input: \"SECRET\"')", "DataError"),
        ("Unexpected ValueError: SECRET", "Unexpected ValueError"),
        ("The receiver answered 500.", "The receiver answered 500."),
    ],
)
def test_an_operator_sees_errors_without_what_they_quote(ops: Ops, acme: Tenant, rule: Rule, error: str, shown: str) -> None:
    dead(ops, acme, rule)
    ops.owner.execute("update signalops.dead_letters set error = %s", [error])
    assert [row["error"] for row in ops.see("dead_letters")] == [shown]
