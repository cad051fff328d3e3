"""`python -m tests.bench.views`: the views of the schema ops on ten million events and a million deliveries.

Prints the median and the worst time of each view, read whole, as the operator's role, and of what a scrape of the metrics
asks, as the platform's. Exit codes as tests.bench.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg

from signalops import db, embedded
from signalops.config import Settings
from signalops.errors import Unusable
from tests.bench import report
from tests.bench.installation import Installation, Server, Wrong

EVENTS, DELIVERIES = 10_000_000, 1_000_000
MAX_MILLISECONDS = 200
"""Milliseconds that a view may take."""

# A UUIDv7 of a moment that is like no other; {at} is milliseconds, {n} what tells it apart.
_ID = "(lpad(to_hex({at}::bigint), 12, '0') || '7' || substr(md5({n}::text), 1, 3) || '8' || substr(md5({n}::text), 4, 15))::uuid"
# Evenly from the month's beginning until now; one of ten in the last hour, which is what the views look at.
_AT = """extract(epoch from case when n % 10 = 0 then now() - n::float8 / {all} * interval '59 minutes'
  else now() - n::float8 / {all} * (now() - date_trunc('month', now(), 'UTC')) end) * 1000"""
_OF = "md5('tenant ' || n % 200)::uuid"
_RULE = "md5('rule ' || n % 800)::uuid"
_CHANNEL = "md5('channel ' || n % 800)::uuid"


def _id(word: str, rows: int) -> str:
    return _ID.format(at=f"({_AT.format(all=rows)})", n=f"('{word}' || n)")


_FILL: dict[str, tuple[int, str]] = {
    "tenants (id, slug, name)": (200, f"{_OF}, 'tenant-' || n % 200, 'Bench'"),
    "channels (tenant_id, id, name, kind, config)": (800, f"{_OF}, {_CHANNEL}, 'channel ' || n, 'webhook', '{{}}'"),
    "rules (tenant_id, id, name, active_version)": (800, f"{_OF}, {_RULE}, 'rule ' || n, 1"),
    "rule_versions (tenant_id, rule_id, version, grammar, pattern, channel_id, template)": (
        800,
        f"{_OF}, {_RULE}, 1, 2, '{{}}', {_CHANNEL}, '{{}}'",
    ),
    "send_targets (tenant_id, id, circuit_open_until)": (
        800,
        f"{_OF}, {_CHANNEL}, case when n % 20 = 0 then now() + interval '1 h' end",
    ),
    "accepted_counters (tenant_id, period, accepted)": (200, f"{_OF}, date_trunc('month', now(), 'UTC')::date, 50000"),
    "limits (tenant_id, meter, origin, starts_on, hard)": (200, f"{_OF}, 'events', 'plan', '2000-01-01', 100000"),
    "usage_counters (tenant_id, meter, hour, group_key, period, aggregation, is_late, events)": (
        200 * 24 * 30,
        f"{_OF}, 'events', date_trunc('hour', now()) - n / 200 * interval '1 hour', '[]',"
        " date_trunc('month', now(), 'UTC')::date, 'count', false, 70",
    ),
    "rule_states (tenant_id, rule_id, state_version, group_key, labels, expires_at)": (
        100_000,
        f"{_OF}, {_RULE}, 1, n::text, '{{}}', now()",
    ),
    "window_events (tenant_id, rule_id, state_version, group_key, at, event_id, value)": (
        200_000,
        f"{_OF}, {_RULE}, 1, n::text, now(), {_OF}, 1",
    ),
    "audit_log (tenant_id, id, actor_kind, actor, action, change)": (
        100_000,
        f"{_OF}, {_id('audit', 100_000)}, 'key', 'key', 'rule.changed', '{{}}'",
    ),
    "inbox (tenant_id, event_id, batch)": (100_000, f"{_OF}, {_id('event', EVENTS)}, {_OF}"),
    "matches (tenant_id, event_id, rule_id, rule_version)": (DELIVERIES, f"{_OF}, {_id('event', DELIVERIES)}, {_RULE}, 1"),
    "deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id, status, attempts, next_attempt_at)": (
        DELIVERIES,
        f"{_OF}, {_id('delivery', DELIVERIES)}, {_OF}, {_RULE}, 1, {_CHANNEL},"
        " case when n % 50 = 1 then 'dead' when n % 20 = 2 then 'retrying' when n % 200 = 3 then 'pending' else 'sent' end, 1,"
        " case when n % 50 <> 1 and n % 20 = 2 then now() + interval '1 h' end",
    ),
    "dead_letters (tenant_id, id, kind, event_id, delivery_id, error, died_at, rule_id, channel_id)": (
        DELIVERIES // 50,
        f"{_OF}, md5('letter ' || n)::uuid, 'delivery', {_OF}, {_OF}, 'the receiver answered 503',"
        f" now() - n * interval '1 min', {_RULE}, {_CHANNEL}",
    ),
    "delivery_attempts (tenant_id, delivery_id, attempt, started_at, duration_ms, outcome)": (
        DELIVERIES,
        f"{_OF}, {_id('delivery', DELIVERIES)}, 1, now(), 9, 'sent'",
    ),
    "backtests (tenant_id, id, asked, starts_at, ends_at)": (
        1_000,
        f"{_OF}, md5('test ' || n)::uuid, '{{}}', now(), now() + interval '1 h'",
    ),
    "events (tenant_id, id, batch, type, occurred_at, received_at, payload)": (
        EVENTS,
        f"{_OF}, {_id('event', EVENTS)}, {_OF}, 'order.paid', now(), now(), '{{}}'",
    ),
}
"""What each table of signalops gets: how many rows, each of a number n."""
_JOBS: list[LiteralString] = [
    "insert into procrastinate.procrastinate_workers (last_heartbeat) select now() from generate_series(1, 4)",
    """insert into procrastinate.procrastinate_jobs (queue_name, task_name, status, worker_id)
    select 'events', 'process_batch', (case when n <= 40 then 'doing' when n % 25 = 0 then 'failed' else 'todo' end)
      ::procrastinate.procrastinate_job_status, case when n <= 40 then n % 4 + 1 end
    from generate_series(1, 50000) as n""",
    """insert into procrastinate.procrastinate_events (job_id, type)
    select id, kind::procrastinate.procrastinate_job_event_type
    from procrastinate.procrastinate_jobs, unnest(array['deferred', 'started', 'failed']) as kind
    where status <> 'todo' or kind = 'deferred'""",
]
_OUTAGE: LiteralString = """
  update signalops.deliveries set status = 'retrying', next_attempt_at = now() + interval '1 h' where status = 'sent'"""
_NEWEST = {"actions": "order by action_id desc limit 100"}
"""What nobody reads whole."""


def _fill(home: Installation) -> None:
    home.connection.execute("set session_replication_role = replica")
    for table, (rows, values) in _FILL.items():
        statement = f"insert into signalops.{table} select {values} from generate_series(0, {rows - 1}) as n"
        home.connection.execute(statement.encode())
    for job in _JOBS:
        home.connection.execute(job)
    home.connection.execute("vacuum analyze")


def _measure(home: Installation, rounds: int) -> dict[str, list[float]]:
    """Read each view so often; return the milliseconds, without what a client needs to make objects of the answer."""
    names = "select relname from pg_class where relnamespace = 'ops'::regnamespace and relkind = 'v' order by relname"
    views = [name for (name,) in home.connection.execute(names)]
    with psycopg.connect(db.admin_url(home.settings), autocommit=True) as operator:
        operator.execute("set role signalops_operator")
        return {view: [_read(operator, view) for _ in range(rounds)] for view in views}


def _scrape(home: Installation, rounds: int) -> list[float]:
    """Measure what the database does for a scrape of the metrics, as the API asks it; the first is without plans yet."""
    with psycopg.connect(db.dsn(home.settings, "platform"), autocommit=True) as platform:
        return [_timed(platform, "select * from ops.measurements()") for _ in range(rounds)]


def _read(operator: psycopg.Connection, view: str) -> float:
    return _timed(operator, f"select * from ops.{view} {_NEWEST.get(view, '')}")


def _timed(connection: psycopg.Connection, query: str) -> float:
    began = time.monotonic()
    result = connection.pgconn.exec_(query.encode())
    took = (time.monotonic() - began) * 1000
    if result.error_message:
        raise Wrong(f"{query}: {result.error_message.decode()}")
    return took


def _tell(about: str, measured: dict[str, list[float]]) -> None:
    print(f"\n{about}\n  {'ms':<28} {'p50':>8} {'max':>8}")
    for view, took in measured.items():
        mark = "" if max(took) < MAX_MILLISECONDS else f"  above {MAX_MILLISECONDS}"
        print(f"  ops.{view:<24} {statistics.median(took):>8.1f} {max(took):>8.1f}{mark}", flush=True)


@contextmanager
def somewhere() -> Iterator[Settings]:
    """Settings for DATABASE_URL (a superuser's), or for an embedded server that is gone afterwards."""
    settings = Settings()
    folder = Path(tempfile.mkdtemp(prefix="signalops-views-"))
    folder.chmod(0o755)  # the server runs as a user of its own, where it is started by root
    try:
        if settings.database_url is None:
            settings = settings.model_copy(update={"data": folder})
            embedded.make_server(folder, settings.embedded_version)
        yield settings
    finally:
        if settings.data == folder:
            embedded.server(folder, settings.embedded_version).stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.views", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often each view is read (default: 20)")
    parser.add_argument("--outage", action="store_true", help="once more while nine of ten deliveries wait")
    options = parser.parse_args()
    try:
        with somewhere() as settings, closing(Server(settings)) as server:
            print("\n".join(report.machine(server)))
            with server.clone(server.migrated()) as home:
                home.connection.execute("truncate signalops.tenants cascade")
                _fill(home)
                about = f"{EVENTS:,} events, {DELIVERIES:,} deliveries of 200 tenants, 50,000 jobs, 100,000 events in the inbox"
                _tell(f"{about}:", _measure(home, options.rounds))
                first, *others = _scrape(home, options.rounds + 1)
                figures = f"p50 {statistics.median(others):.1f}, max {max(others):.1f}, a connection's first {first:.1f}"
                print(f"\nops.measurements() for a scrape, which may take 50 ms: {figures}", flush=True)
                if options.outage:
                    home.connection.execute(_OUTAGE)
                    home.connection.execute("vacuum analyze signalops.deliveries")
                    _tell("nine of ten deliveries wait:", _measure(home, options.rounds))
    except Wrong as wrong:
        sys.exit(f"\nWRONG: {wrong}.")
    except (Unusable, *db.OUTAGE) as error:
        sys.exit(f"PostgreSQL gave up, or can't be reached ({error}): see its log, or correct DATABASE_URL.")


if __name__ == "__main__":
    main()
