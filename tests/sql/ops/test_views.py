"""Each view against rows that were put there: what it counts, and what it leaves out."""

import asyncio
from contextlib import nullcontext
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from signalops import clock, db
from signalops.config import Settings
from signalops.job_handlers import JobHandlers
from signalops.jobs import jobs_of
from signalops.queue.app import make_app, register
from signalops.send import Sender
from tests.sql.ops.conftest import Ops, id_of, is_about
from tests.support.months import next_month
from tests.support.processes import eventually
from tests.support.rows import add_early_partition
from tests.support.rules import make_rule
from tests.support.tenants import Tenant, set_limit

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
Rule = tuple[UUID, UUID]


def test_queue_health_tells_what_waits_runs_and_was_given_up(ops: Ops) -> None:
    alive, silent = ops.worker(), ops.worker(silent_for=60)
    ops.job("events", "todo", deferred=90 * SECOND)
    later = ops.job("events", "todo", deferred=95 * SECOND)
    ops.owner.execute("update procrastinate.procrastinate_jobs set scheduled_at = now() + interval '1 h' where id = %s", [later])
    ops.job("events", "todo", deferred=10 * SECOND)
    ops.job("events", "doing", worker=alive, deferred=50 * SECOND, started=30 * SECOND)
    ops.job("events", "doing", worker=silent, deferred=50 * SECOND, started=40 * SECOND)
    for status in ("failed", "aborted", "cancelled", "succeeded"):
        ops.job("events", status, deferred=99 * SECOND)
    shown = {row["queue"]: row for row in ops.see("queue_health")}
    events = shown["events"]
    assert [events[c] for c in ("ready", "scheduled", "doing", "failed", "workers_busy")] == [2, 1, 2, 2, 2]
    assert is_about(events["oldest_ready"], 90 * SECOND)
    assert is_about(events["oldest_doing"], 40 * SECOND)
    idle = shown["backtests"]
    assert [idle[c] for c in ("ready", "scheduled", "doing", "failed")] == [0, 0, 0, 0]
    assert {row["workers_alive"] for row in shown.values()} == {1}
    assert (idle["oldest_ready"], idle["oldest_doing"], idle["paused_at"]) == (None, None, None)


async def test_the_queues_are_those_of_the_jobs(ops: Ops, settings: Settings, worker_pool: db.Pool) -> None:
    sender = Sender(worker_pool, settings)
    app = make_app(db.pool(settings, "worker", 1), 1, nullcontext)
    handlers = JobHandlers(worker_pool, sender)
    register(app, jobs_of(handlers), handlers.record_maintenance_run)
    await sender.close()
    assert {row["queue"] for row in ops.see("queue_health")} == {task.queue for task in app.tasks.values()} - {"builtin"}


def test_running_jobs_and_their_workers(ops: Ops) -> None:
    alive, silent = ops.worker(silent_for=2), ops.worker(silent_for=9)
    mine, lost = (ops.job("events", "doing", worker=w, started=7 * SECOND) for w in (alive, silent))
    ops.job("events", "todo")
    jobs = {row["job_id"]: row for row in ops.see("running_jobs")}
    assert {job: row["is_worker_alive"] for job, row in jobs.items()} == {mine: True, lost: False}
    assert is_about(jobs[mine]["running_for"], 7 * SECOND)
    workers = {row["worker_id"]: (row["is_alive"], row["doing"]) for row in ops.see("workers")}
    assert workers == {alive: (True, 1), silent: (False, 1)}


def test_job_history_has_what_is_over_with_its_last_run(ops: Ops) -> None:
    ended = {"deferred": 60 * SECOND, "started": 20 * SECOND, "failed": 15 * SECOND}
    failed = ops.job("events", "failed", "process_batch", None, **ended)
    cancelled = ops.job("backtests", "cancelled", deferred=9 * SECOND, cancelled=5 * SECOND)
    ops.job("events", "todo")
    ops.job("events", "doing")
    rows = {row["job_id"]: row for row in ops.see("job_history")}
    assert rows.keys() == {failed, cancelled}
    assert (rows[failed]["task"], rows[failed]["status"], rows[failed]["duration"]) == (*("process_batch", "failed"), 5 * SECOND)
    assert (rows[cancelled]["status"], rows[cancelled]["started_at"], rows[cancelled]["duration"]) == (*("cancelled", None), None)


def test_inbox_by_tenant_counts_each_tenants(ops: Ops, acme: Tenant, globex: Tenant) -> None:
    old, new = id_of(30 * SECOND), clock.new_id()
    ops.put("inbox", acme, event_id=old, batch=new)
    ops.put("inbox", acme, event_id=new, batch=new, is_parked=True)
    ops.put("inbox", acme, event_id=id_of(9 * HOUR), batch=new, replay_id=new)
    ops.put("inbox", globex, event_id=new, batch=new)
    rows = {row["tenant"]: row for row in ops.see("inbox_by_tenant")}
    assert {t: [row[c] for c in ("waiting", "parked", "replayed")] for t, row in rows.items()} == {
        "acme": [3, 1, 1],
        "globex": [1, 0, 0],
    }
    assert is_about(rows["acme"]["oldest_age"], 30 * SECOND)


ATTEMPT = {"started_at": clock.now(), "duration_ms": 1, "outcome": "transient"}


def deliver(ops: Ops, tenant: Tenant, rule: Rule, status: str, ago: timedelta, *, count: int = 1) -> None:
    """Make deliveries of a rule in a status, asked for so long ago."""
    due = clock.now() if status == "retrying" else None
    for _ in range(count):
        made = {"rule_id": rule[0], "channel_id": rule[1], "rule_version": 1, "status": status, "next_attempt_at": due}
        ops.put("deliveries", tenant, id=id_of(ago), event_id=clock.new_id(), **made)


def dead_letter(ops: Ops, tenant: Tenant, rule: Rule, ago: timedelta, **more: object) -> UUID:
    """Make a dead letter of a delivery; return it."""
    made = clock.new_id()
    about = {"rule_id": rule[0], "channel_id": rule[1], "event_id": made, "delivery_id": made}
    row = {"kind": "delivery", "error": "answered 503", "died_at": clock.now() - ago} | more
    ops.put("dead_letters", tenant, id=made, **about, **row)
    return made


def test_delivery_health_counts_along_each_channel(ops: Ops, acme: Tenant, globex: Tenant, rule: Rule) -> None:
    add_early_partition(ops.owner, "deliveries")
    for status, count in {"pending": 1, "sending": 2, "retrying": 3, "sent": 4, "read": 1, "dead": 2}.items():
        deliver(ops, acme, rule, status, 60 * SECOND, count=count)
    deliver(ops, acme, rule, "sent", 2 * HOUR)
    deliver(ops, acme, rule, "retrying", 2 * HOUR)
    dead_letter(ops, acme, rule, HOUR)
    dead_letter(ops, acme, rule, 25 * HOUR)
    dead_letter(ops, acme, rule, HOUR, resolved_at=clock.now(), resolution="discarded")
    until = clock.now() + HOUR
    ops.put("send_targets", acme, id=rule[1], failures=5, circuit_open_until=until, failing_since=clock.now())
    make_rule(ops.owner, globex, {"type": ["a"]})
    rows = {row["tenant"]: row for row in ops.see("delivery_health")}
    acmes, other = rows["acme"], rows["globex"]
    assert [acmes[c] for c in ("pending", "sending", "retrying", "dead_in_a_day")] == [1, 2, 4, 1]
    # In the hour 5 arrived, of these and 3 retrying and 2 dead.
    assert (acmes["sent_in_an_hour"], acmes["tried_in_an_hour"], float(acmes["success_ratio"])) == (5, 10, 0.5)
    assert (acmes["breaker"], acmes["circuit_open_until"], acmes["enabled"]) == ("open", until, True)
    assert is_about(acmes["oldest_age"], 2 * HOUR)
    assert [other[c] for c in ("pending", "retrying", "success_ratio", "breaker", "oldest")] == [*(0, 0, None, "closed"), None]
    ops.owner.execute("update signalops.send_targets set circuit_open_until = now() - interval '1 s'")
    assert ops.one("delivery_health where tenant = 'acme'")["breaker"] == "half-open"


def test_a_deleted_channel_is_shown_while_something_waits_for_it(ops: Ops, acme: Tenant, rule: Rule) -> None:
    ops.owner.execute("update signalops.channels set deleted_at = now(), enabled = false")
    assert ops.see("delivery_health") == []
    deliver(ops, acme, rule, "retrying", 9 * SECOND)
    assert ops.one("delivery_health")["retrying"] == 1


def test_dead_letters_are_those_that_wait_for_somebody(ops: Ops, acme: Tenant, globex: Tenant, rule: Rule) -> None:
    waiting = dead_letter(ops, acme, rule, HOUR)
    dead_letter(ops, acme, rule, HOUR, resolved_at=clock.now(), resolution="retried")
    event = clock.new_id()
    ops.put("dead_letters", globex, id=event, kind="event", event_id=event, error="poison")
    rows = {row["dead_letter_id"]: row for row in ops.see("dead_letters")}
    assert {row["tenant"] for row in rows.values()} == {"acme", "globex"}
    assert rows.keys() == {waiting, event}
    assert (rows[waiting]["rule"], rows[waiting]["channel"]) == (f"rule {rule[0]}", f"channel {rule[1]}")
    assert (rows[event]["kind"], rows[event]["rule"], rows[event]["error"]) == ("event", None, "poison")


def test_slow_rules_tell_what_is_stored_of_them(ops: Ops, acme: Tenant, rule: Rule) -> None:
    add_early_partition(ops.owner, "matches")
    for ago in (SECOND, 2 * SECOND, 2 * HOUR):
        ops.put("matches", acme, event_id=id_of(ago), rule_id=rule[0], rule_version=1)
    group = {"rule_id": rule[0], "state_version": 1}
    for key in ("a", "b"):
        ops.put("rule_states", acme, **group, group_key=key, labels={}, expires_at=clock.now())
    for _ in range(3):
        window_event = {"group_key": "a", "at": clock.now(), "event_id": clock.new_id(), "value": 1}
        ops.put("window_events", acme, **group, **window_event)
    dead_letter(ops, acme, rule, HOUR)
    shown = ops.one("slow_rules")
    counted = ("version", "matches_in_an_hour", "groups", "window_events", "dead_in_a_day", "conditions")
    assert [shown[c] for c in counted] == [1, 2, 2, 3, 1, 1]
    assert shown["pattern_bytes"] == len('{"type": ["user.signup"]}')


def test_backtests_tell_how_fast_they_went(ops: Ops, acme: Tenant) -> None:
    now = clock.now()
    when = {"starts_at": now, "ends_at": now + HOUR, "created_at": now - 20 * SECOND, "updated_at": now}
    ops.put("backtests", acme, id=clock.new_id(), request={}, status="done", scanned=5_000, **when)
    shown = ops.one("backtests")
    assert (shown["events"], shown["took"], shown["events_per_second"]) == (5_000, 20 * SECOND, 250)


def test_tenant_usage_holds_the_month_against_its_limit(ops: Ops, acme: Tenant, globex: Tenant) -> None:
    month = clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    slot = {"meter": "events", "group_key": "[]", "aggregation": "count"}
    for period, accepted in ((month, 90), (month - timedelta(days=1), 7)):
        ops.put("accepted_counters", acme, meter="events", period=str(period.replace(day=1).date()), accepted=accepted)
    here = slot | {"period": str(month.date())}
    ops.put("usage_counters", acme, **here, hour=month, is_late=False, events=70, value=70)
    ops.put("usage_counters", acme, **here, hour=month - 9 * HOUR, is_late=True, events=5, value=5)
    before = slot | {"period": str((month - timedelta(days=1)).replace(day=1).date())}
    ops.put("usage_counters", acme, **before, hour=month - HOUR, is_late=False, events=6, value=6)
    ops.put("limits", acme, meter="events", origin="plan", starts_on="2000-01-01", hard=1000)
    set_limit(ops.owner, acme.id, soft=100, hard=120)
    ops.put("accepted_counters", globex, meter="events", period=str(month.date()), accepted=3)
    ops.owner.execute("delete from signalops.limits where tenant_id = %s", [globex.id])
    rows = {row["tenant"]: row for row in ops.see("tenant_usage where meter = 'events'")}
    shown = [rows["acme"][c] for c in ("accepted", "counted", "soft", "hard", "overage", "percent")]
    assert shown == [90, 75, 100, 120, "refuse", 75]
    assert [rows["globex"][c] for c in ("accepted", "counted", "hard", "percent")] == [3, 0, None, None]


def test_partitions_tell_how_far_they_reach(ops: Ops, acme: Tenant) -> None:
    months = {row["parent"]: row["months_ahead"] for row in ops.see("partitions")}
    parents = ops.owner.execute("select relname from pg_class where relkind = 'p' and relnamespace = 'signalops'::regnamespace")
    assert months == {name: 3 for (name,) in parents}
    last = ops.see("partitions where parent = 'matches' order by holds_from desc limit 1")[0]["partition"]
    ops.owner.execute(f"drop table signalops.{last}".encode())
    for _ in range(2):
        ops.put("matches", acme, event_id=clock.new_id(), rule_id=clock.new_id(), rule_version=1)
    ops.owner.execute("analyze signalops.matches")
    parts = ops.see("partitions where parent = 'matches' order by holds_from")
    month = clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert parts[0]["partition"] == f"matches_{month:%Y_%m}"
    assert (parts[0]["holds_from"], parts[0]["holds_to"]) == (month, next_month(month))
    assert [(p["rows_estimate"], p["months_ahead"]) for p in parts] == [(2, 2), (0, 2), (0, 2)]
    assert parts[0]["bytes"] > parts[1]["bytes"] > 0


def test_tables_tell_what_is_dead_and_when_autovacuum_comes(ops: Ops, acme: Tenant) -> None:
    rows = [clock.new_id() for _ in range(8)]
    for row in rows:
        ops.put("inbox", acme, event_id=row, batch=row)
    ops.owner.execute("select pg_stat_force_next_flush()")
    ops.owner.execute("vacuum analyze signalops.inbox")
    ops.owner.execute("delete from signalops.inbox where event_id = any (%s)", [rows[:2]])
    ops.owner.execute("select pg_stat_force_next_flush()")
    ops.owner.execute("select 1")
    inbox = ops.one("tables where schema = 'signalops' and \"table\" = 'inbox'")
    assert (inbox["live_rows"], inbox["dead_rows"], float(inbox["dead_percent"])) == (6, 2, 25)
    assert inbox["dead_bytes_estimate"] == inbox["bytes"] // 4
    assert inbox["last_vacuum"] is not None
    ops.owner.execute("alter table signalops.inbox set (autovacuum_vacuum_threshold = 3, autovacuum_vacuum_scale_factor = 0.5)")
    assert ops.one("tables where \"table\" = 'inbox'")["vacuum_due_at"] == 3 + 4


STATEMENTS = {
    "select 'secret' from signalops.tenants": "select ...",
    "select slug from signalops.tenants where slug = 'secret'": "select slug from signalops.tenants where slug = ...",
    "select E'it\\'s secret'": "select E...",
    "select $secret$secret$secret$": "select ...",
    "select slug as s1 from signalops.tenants limit 4711": "select slug as s1 from signalops.tenants limit ...",
    "select .4711": "select ....",
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_session_s_statement_ends_before_its_first_literal(ops: Ops, statement: str) -> None:
    ops.owner.execute(statement.encode())
    shown = ops.one("sessions where pid = %s", ops.owner.info.backend_pid)
    assert (shown["state"], shown["statement"]) == ("idle", STATEMENTS[statement])


def test_a_parameter_is_no_literal(ops: Ops) -> None:
    ops.owner.execute("select slug from signalops.tenants where slug = %s and name = %s", ["secret", "secret"])
    shown = ops.one("sessions where pid = %s", ops.owner.info.backend_pid)
    assert shown["statement"] == "select slug from signalops.tenants where slug = $1 and name = $2"


def test_a_transaction_that_lasts_is_seen_with_its_snapshot(ops: Ops) -> None:
    with ops.owner.transaction():
        ops.owner.execute("set transaction isolation level repeatable read")
        ops.owner.execute("select from signalops.tenants")
        shown = ops.one("sessions where state = 'idle in transaction'")
        counted = ops.one("connections where state = 'idle in transaction'")
    assert shown["pid"] == ops.owner.info.backend_pid
    assert shown["xmin_age"] is not None
    assert shown["transaction_age"] > timedelta(0)
    assert (counted["sessions"], counted["login"]) == (1, ops.owner.info.user)
    assert counted["longest_transaction"] >= shown["transaction_age"]


async def test_locks_tell_who_waits_for_whom(ops: Ops, acme: Tenant) -> None:
    assert ops.see("locks") == []
    change = b"update signalops.tenants set name = 'Secret' where slug = 'acme'"
    url = ops.owner.info.dsn
    async with await psycopg.AsyncConnection.connect(url, password=ops.owner.info.password or None) as waiting:
        pids = (waiting.info.backend_pid, ops.owner.info.backend_pid)
        with ops.owner.transaction():
            ops.owner.execute(change)
            waiter = asyncio.create_task(waiting.execute(change))
            await eventually(lambda: ops.see("locks") != [])
            rows = ops.see("locks")
        await waiter
    (row,) = rows
    assert (row["waiting_pid"], row["blocking_pid"]) == pids
    assert row["waiting_statement"] == row["blocking_statement"] == "update signalops.tenants set name = ..."
    assert (row["lock"], row["blocking_state"]) == ("transactionid", "idle in transaction")
    assert row["blocking_transaction_age"] > row["waits_since"] >= timedelta(0)
    assert ops.see("locks") == []


def test_actions_have_no_details(ops: Ops, acme: Tenant) -> None:
    ops.owner.execute("update signalops.tenants set name = 'Renamed' where slug = 'acme'")
    shown = ops.see("actions order by action_id desc limit 1")[0]
    assert (shown["tenant"], shown["actor_kind"], shown["action"], shown["target"]) == (
        *("acme", "sql"),
        *("tenant.changed", "acme"),
    )
    assert "change" not in shown


def test_a_delivery_is_shown_with_its_last_error_but_not_what_that_quotes(ops: Ops, acme: Tenant, rule: Rule) -> None:
    deliver(ops, acme, rule, "retrying", 60 * SECOND)
    delivery = ops.one("deliveries")["delivery_id"]
    for attempt, error in ((1, "The receiver did not answer."), (2, "The receiver answered 500: secret")):
        ops.put("delivery_attempts", acme, delivery_id=delivery, attempt=attempt, **ATTEMPT | {"error": error})
    shown = ops.one("deliveries")
    assert (shown["tenant"], shown["status"], shown["last_outcome"]) == ("acme", "retrying", "transient")
    assert shown["last_error"] == "The receiver answered 500"
    ops.put("send_targets", acme, id=rule[1], failures=5, failing_since=clock.now(), last_error="answered 500: secret")
    assert ops.one("delivery_health where pending + sending + retrying > 0")["last_error"] == "answered 500"


def test_the_outlook_shows_what_runs_out_first(ops: Ops, acme: Tenant) -> None:
    set_limit(ops.owner, acme.id, "events", hard=100)
    period = clock.now().date().replace(day=1)
    ops.put("accepted_counters", acme, period=period, meter="events", accepted=97)
    rows = ops.see("outlook")
    assert {row["what"] for row in rows} >= {"hard limit", "partitions", "transaction ids", "connections"}
    assert [row["used"] for row in rows] == sorted((row["used"] for row in rows), reverse=True)
    [limit] = [row for row in rows if row["what"] == "hard limit"]
    assert (limit["subject"], float(limit["used"]), limit["detail"].startswith("97 of 100")) == ("acme events", 0.97, True)
    assert all(row["remedy"] for row in rows)
