"""An alert is emitted once when it is raised and once when it is resolved, as an event of the operators' own tenant."""

from contextlib import closing

import psycopg
import pytest

from signalops import db
from signalops.config import Settings
from signalops.watch import alerts
from tests.support.api import Client, capture_log
from tests.support.processes import eventually, worker
from tests.support.receivers import Receiver
from tests.support.tenants import Tenant, make_tenant

DIE = """
  insert into signalops.dead_letters (tenant_id, id, kind, event_id, error)
  values (%s, signalops.new_id(), 'event', signalops.new_id(), 'a bug')"""
LATE = """
  insert into signalops.inbox (tenant_id, event_id, batch)
  values (%s, signalops.new_id(), signalops.uuid7_floor(now() - %s * interval '1 s'))"""
ALERT_EVENTS = "select type, payload ->> 'alert', payload ->> 'subject' from signalops.events where tenant_id = %s order by id"


@pytest.fixture
def ours(owner: psycopg.Connection) -> Tenant:
    """The operators' own tenant."""
    return make_tenant(owner, "operators")


class Watcher:
    """Looks when it is asked to, as the worker does every 15 seconds."""

    def __init__(self, connections: db.Pool, owner: psycopg.Connection, ours: Tenant) -> None:
        self._connections = connections
        self._owner = owner
        self._ours = ours

    async def look(self, seconds_later: int = 0) -> list[tuple[str, ...]]:
        """Evaluate the alerts some seconds later; return all alert events so far: (raised or resolved, alert, subject)."""
        self._owner.execute(
            "update signalops.alerts set breached_at = breached_at - %(s)s * interval '1 s', "
            "recovering_since = recovering_since - %(s)s * interval '1 s'",
            {"s": seconds_later},
        )
        await alerts.watch(self._connections, self._ours.slug)
        alert_events = self._owner.execute(ALERT_EVENTS.encode(), [self._ours.id]).fetchall()
        return [(kind.rpartition(".")[2], alert, subject) for kind, alert, subject in alert_events]


@pytest.fixture
def watcher(worker_pool: db.Pool, owner: psycopg.Connection, ours: Tenant) -> Watcher:
    return Watcher(worker_pool, owner, ours)


async def test_each_crossing_is_told_once_and_its_end_once(watcher: Watcher, owner: psycopg.Connection, acme: Tenant) -> None:
    assert await watcher.look() == []
    owner.execute(DIE, [acme.id])
    with capture_log("alert.raised") as raised, capture_log("alert.resolved") as resolved:
        assert await watcher.look() == [("raised", "dead_letters", "acme")]
        owner.execute(DIE, [acme.id])
        assert len(await watcher.look(60)) == 1
        owner.execute("update signalops.dead_letters set resolved_at = now(), resolution = 'discarded'")
        assert len(await watcher.look()) == 1  # it may come back
        assert len(await watcher.look(800)) == 1
        assert (await watcher.look(200))[1:] == [("resolved", "dead_letters", "acme")]
        assert len(await watcher.look(10_000)) == 2
    assert (raised.qsize(), resolved.qsize()) == (1, 1)
    owner.execute(DIE, [acme.id])
    assert (await watcher.look())[2:] == [("raised", "dead_letters", "acme")]


async def test_what_lasts_for_a_moment_or_hovers_is_not_told_anew(
    watcher: Watcher, owner: psycopg.Connection, acme: Tenant
) -> None:
    owner.execute(LATE.encode(), [acme.id, 80])
    assert await watcher.look() == []
    owner.execute("delete from signalops.inbox")
    assert await watcher.look(60) == []
    owner.execute(LATE.encode(), [acme.id, 80])
    assert await watcher.look() == []  # the period starts again
    assert await watcher.look(15) == [("raised", "events_wait", "")]
    for lag in (40, 80, 40, 80):
        owner.execute(
            "update signalops.inbox set batch = signalops.uuid7_floor(now() - %s * interval '1 s') where tenant_id = %s",
            [lag, acme.id],
        )
        assert len(await watcher.look(120)) == 1
    owner.execute("delete from signalops.inbox")
    assert len(await watcher.look()) == 1
    assert (await watcher.look(61))[1:] == [("resolved", "events_wait", "")]


JOB_FAILED = """
  insert into procrastinate.procrastinate_jobs (queue_name, task_name, status) values ('e', 'process_batch', 'failed')"""
CONDITIONS = {
    ("failed_jobs", "process_batch"): JOB_FAILED,
    ("channels_disabled", "acme"): """
        insert into signalops.channels (tenant_id, id, name, kind, config, enabled, disabled_because)
        select id, id, 'hook', 'webhook', '{}', false, 'five days' from signalops.tenants where slug = 'acme'""",
    ("hard_limit", "acme events"): """
        insert into signalops.limits (tenant_id, meter, origin, starts_on, soft, hard)
        select id, 'events', 'plan', '2000-01-01', 5, 10 from signalops.tenants where slug = 'acme';
        insert into signalops.accepted_counters (tenant_id, period, accepted)
        select id, date_trunc('month', now(), 'UTC')::date, 10 from signalops.tenants where slug = 'acme'""",
    ("soft_limit", "acme events"): """
        insert into signalops.limits (tenant_id, meter, origin, starts_on, soft, hard)
        select id, 'events', 'plan', '2000-01-01', 5, 10 from signalops.tenants where slug = 'acme';
        insert into signalops.accepted_counters (tenant_id, period, accepted)
        select id, date_trunc('month', now(), 'UTC')::date, 7 from signalops.tenants where slug = 'acme'""",
    ("partitions", "batch_results"): """
        do $$ declare part regclass; begin
          for part in select inhrelid::regclass from pg_inherits where inhparent = 'signalops.batch_results'::regclass
            and right(inhrelid::regclass::text, 7) > to_char(now() at time zone 'UTC', 'YYYY_MM')
          loop execute 'drop table ' || part; end loop; end $$""",
    (
        "maintenance",
        "retain",
    ): "insert into signalops.maintenance_runs (job, succeeded_at) values ('retain', now() - interval '4 hours')",
    ("period_stuck", "acme"): """
        insert into signalops.billing_periods (tenant_id, period, starts_at, ends_at, frozen_at)
        select id, '2026-01-01', '2026-01-01', '2026-02-01', now() - interval '2 days'
        from signalops.tenants where slug = 'acme'""",
}


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("alert", CONDITIONS, ids=lambda alert: alert[0])
async def test_each_condition_is_found(watcher: Watcher, owner: psycopg.Connection, ours: Tenant, alert: tuple[str, str]) -> None:
    assert await watcher.look() == []
    owner.execute(CONDITIONS[alert].encode())
    assert await watcher.look() == [("raised", *alert)]
    (payload,) = owner.execute("select payload from signalops.events where tenant_id = %s", [ours.id]).fetchone() or ({},)
    assert payload["severity"] in ("warning", "critical")
    assert payload["summary"]
    assert payload["remedy"].endswith(".")


async def test_what_it_could_not_commit_is_told_by_the_next(
    watcher: Watcher, owner: psycopg.Connection, acme: Tenant, settings: Settings
) -> None:
    """The backend dies when all is written and nothing committed."""
    owner.execute(DIE, [acme.id])
    with closing(psycopg.connect(db.dsn(settings, "worker"))) as doomed:
        assert doomed.execute("select alert, became from signalops.evaluate_alerts('operators')").fetchall() == [
            ("dead_letters", "raised")
        ]
        assert await watcher.look() == []  # one looks at a time
        owner.execute("select pg_terminate_backend(%s, 5000)", [doomed.info.backend_pid])
    assert await watcher.look() == [("raised", "dead_letters", "acme")]
    assert len(await watcher.look()) == 1


async def test_it_does_not_alert_of_itself(watcher: Watcher, owner: psycopg.Connection, ours: Tenant) -> None:
    owner.execute(DIE, [ours.id])
    assert await watcher.look() == []


@pytest.fixture
def alert_events(monkeypatch: pytest.MonkeyPatch, ours: Tenant) -> None:
    """Workers know whom to tell."""
    monkeypatch.setenv("SIGNALOPS_PLATFORM_TENANT", ours.slug)


@pytest.mark.usefixtures("alert_events")
async def test_an_alert_arrives_by_an_ordinary_rule(
    api: Client, settings: Settings, owner: psycopg.Connection, ours: Tenant, receiver: Receiver
) -> None:
    hook = {"kind": "webhook", "name": "hook", "config": {"url": receiver.url}}
    assert (await api.post(hook, ours, "/api/channels")).status == 201
    rule = {
        "name": "alerts",
        "pattern": {"type": ["signalops.alert.raised"]},
        "channel": "hook",
        "template": {"subject": "{{ payload.alert }} of {{ payload.subject }}: {{ payload.summary }}"},
    }
    assert (await api.post(rule, ours, "/api/rules")).status == 201
    owner.execute(JOB_FAILED)
    async with worker(settings):
        await eventually(lambda: receiver.received, 30)
    (request,) = receiver.received
    assert b"failed_jobs of process_batch: jobs were given up" in request.body
    assert owner.execute("select alert, subject from ops.alerts").fetchall() == [("failed_jobs", "process_batch")]
    assert owner.execute("select job from signalops.maintenance_runs where failed_at is null").fetchall() != []
