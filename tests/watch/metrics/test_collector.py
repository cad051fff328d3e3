"""What the database measures of itself, against rows that were put there; who may ask; and the scrape without it."""

from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from signalops import db
from signalops.config import Settings
from signalops.db import session
from signalops.watch.metrics import collector
from signalops.watch.metrics.definitions import MEASURED, METRICS
from tests.sql.ops.conftest import Ops, id_of, ops
from tests.support.api import Client, assert_problem, running
from tests.support.rules import make_rule
from tests.support.tenants import Tenant, set_limit
from tests.watch.metrics.reading import scrape

__all__ = ["ops"]
SECOND = timedelta(seconds=1)


def fill(ops: Ops, acme: Tenant, globex: Tenant) -> None:
    """Put one, or a few, of everything that is measured."""
    silent = ops.worker(silent_for=60)
    ops.worker()
    ops.job("events", "todo", deferred=90 * SECOND)
    ops.job("deliveries", "doing", worker=silent, deferred=5 * SECOND, started=SECOND)
    ops.job("deliveries", "failed", deferred=5 * SECOND)
    ops.do("pause_queue('deliveries', 'a test')")
    rule = make_rule(ops.owner, acme, {"type": ["user.signup"]})
    ((channel,),) = ops.owner.execute("select channel_id from signalops.rule_versions where rule_id = %s", [rule])
    ops.owner.execute("update signalops.channels set enabled = false where id = %s", [channel])
    make_rule(ops.owner, globex, {"type": ["user.signup"]})
    ops.put("send_targets", acme, id=channel, circuit_open_until="now")
    of_rule = {"rule_id": rule, "rule_version": 1, "channel_id": channel, "event_id": id_of(SECOND)}
    for status, at in (("pending", None), ("sending", None), ("retrying", "tomorrow"), ("retrying", "tomorrow"), ("sent", None)):
        ops.put("deliveries", acme, id=id_of(SECOND), status=status, next_attempt_at=at, **of_rule)
    ops.put("dead_letters", acme, id=id_of(SECOND), kind="event", event_id=id_of(SECOND), error="x")
    ops.put(
        "dead_letters",
        acme,
        id=id_of(SECOND),
        kind="event",
        event_id=id_of(SECOND),
        error="x",
        resolved_at="now",
        resolution="retried",
    )
    ops.put("inbox", acme, event_id=id_of(999 * SECOND), batch=id_of(50 * SECOND))
    ops.put("inbox", globex, event_id=id_of(999 * SECOND), batch=id_of(99 * SECOND), is_parked=True)
    set_limit(ops.owner, acme.id, soft=5, hard=10)
    set_limit(ops.owner, globex.id, soft=10)
    for tenant, used in ((acme, 4), (globex, 12)):
        ops.owner.execute(
            "insert into signalops.accepted_counters (tenant_id, period, accepted) values (%s, "
            "date_trunc('month', now(), 'UTC'), %s)",
            [tenant.id, used],
        )


async def test_the_scrape_tells_what_the_database_holds(ops: Ops, api: Client, acme: Tenant, globex: Tenant) -> None:
    fill(ops, acme, globex)
    with ops.owner.transaction():
        ops.owner.execute("analyze signalops.deliveries")
        scraped = await scrape(api)
    assert scraped("database_up") == 1
    assert 0 < scraped("measure_seconds") < 2
    assert scraped("jobs", queue="events", state="ready") == 1
    assert scraped("jobs", queue="deliveries", state="doing") == scraped("jobs", queue="deliveries", state="failed") == 1
    assert scraped("jobs", queue="backtests", state="ready") == scraped("oldest_job_seconds", queue="backtests") == 0
    assert 90 <= scraped("oldest_job_seconds", queue="events") < 110
    assert (scraped("queue_paused", queue="deliveries"), scraped("queue_paused", queue="events")) == (1, 0)
    assert (scraped("workers", state="alive"), scraped("workers", state="silent")) == (1, 1)
    assert (scraped("inbox_events"), scraped("inbox_parked_events")) == (2, 1)
    assert 50 <= scraped("inbox_oldest_seconds") < 70
    deliveries = [scraped("deliveries", kind="webhook", state=state) for state in ("pending", "sending", "retrying")]
    assert deliveries == [1, 1, 2]
    assert (
        scraped("circuit_breakers", kind="webhook", state="open"),
        scraped("circuit_breakers", kind="webhook", state="closed"),
    ) == (1, 1)
    assert scraped("channels_disabled", kind="webhook") == 1
    assert scraped("dead_letters") == 1
    assert scraped("limit_used_ratio", tenant="acme", meter="events") == 0.4
    assert scraped("limit_used_ratio", tenant="globex", meter="events") == 1.2
    assert scraped("oldest_transaction_seconds") > 0
    assert scraped("partition_months_ahead", table="events") == 3
    assert scraped("db_connections", role="api") >= 3
    assert scraped("db_connections", role="platform") >= 1
    ((bytes_,),) = ops.owner.execute(
        "select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = 'signalops.deliveries'::regclass"
    )
    assert scraped("table_bytes", table="deliveries") == bytes_ > 0


async def test_what_the_database_measures_is_what_the_table_of_names_has(
    ops: Ops, settings: Settings, acme: Tenant, globex: Tenant
) -> None:
    fill(ops, acme, globex)
    readers: tuple[db.Role, ...] = ("platform", "operator")
    for role in readers:
        async with session(db.dsn(settings, role)) as connection:
            measured = await collector.measurements(connection)
        assert {(name, tuple(sorted(labels))) for name, labels, _ in measured} == {
            (metric.name, tuple(sorted(metric.labels)))
            for metric in MEASURED
            if metric.name != "signalops_replication_lag_seconds"  # this server has no replica
        }
        series = [(name, *sorted(labels.items())) for name, labels, _ in measured]
        assert len(set(series)) == len(series)
    others: tuple[db.Role, ...] = ("api", "worker")
    for role in others:
        async with session(db.dsn(settings, role)) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await collector.measurements(connection)


async def test_without_the_database_the_processes_still_tell(api: Client, admin: psycopg.Connection, database: str) -> None:
    allow = sql.SQL("alter database {} allow_connections {}")
    admin.execute(allow.format(sql.Identifier(database), sql.Literal(False)))
    admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database])
    scraped = await scrape(api)
    assert scraped.has("database_up")
    assert scraped("database_up") == 0
    assert scraped.has("pool_connections")
    assert not scraped.has("jobs")
    admin.execute(allow.format(sql.Identifier(database), sql.Literal(True)))


async def test_without_a_login_for_operators_the_processes_still_tell(settings: Settings) -> None:
    own = settings.model_copy(update={"database_url": None, "api_database_url": settings.database_url})
    async with running(own) as api:
        scraped = await scrape(api)
    assert scraped.has("database_up")
    assert scraped("database_up") == 0


async def test_only_who_has_the_token_or_is_this_machine_may_ask(api: Client, settings: Settings) -> None:
    assert (await scrape(api)).has("database_up")
    for header in ("x-forwarded-for", "forwarded"):
        assert_problem(await api.request("GET", "/metrics", headers={header: "for=127.0.0.1"}), 404, "not-found")
    assert_problem(await api.request("GET", "/metrics", headers={"host": "evil.example"}), 404, "not-found")
    token = "a token of these tests alone"
    async with running(Settings.model_validate(settings.model_dump() | {"metrics_token": token})) as guarded:
        for wrong in ({}, {"authorization": "Bearer a token of these tests alonE"}, {"authorization": f"Basic {token}"}):
            assert_problem(await guarded.request("GET", "/metrics", headers=wrong), 404, "not-found")
        assert (await scrape(guarded, authorization=f"Bearer {token}", forwarded="for=192.0.2.1")).has("database_up")


def test_names_keep_to_prometheus_conventions() -> None:
    for metric in METRICS.values():
        assert metric.name.startswith("signalops_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.help.endswith(".")
        assert bool(metric.bounds) == (metric.kind == "histogram")
        assert list(metric.bounds) == sorted(metric.bounds)
