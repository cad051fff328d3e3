"""What is measured. Each scenario runs one round on a database of its own, and raises Wrong when a single event went astray."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from tests.bench import backlog, paced, wrk
from tests.bench.installation import Installation, Server, Wrong
from tests.bench.processes import api, metered, worker

WARM_UP = 2
RATE = 200
BATCH = 100
# 64 that the end of the warm-up cut off, and 64 new ones, would be more events than may wait: 503, as it should be.
BATCH_CONNECTIONS = 16
MAX_WAIT = 180.0
EVENTS_ONLY = ("-q", "events")

_NOW = "select clock_timestamp()"
_STORED = "select count(*) from signalops.events"
_WAITING = "select count(*) from signalops.inbox"
_PROCESSED = "select coalesce(sum(events), 0) from signalops.batch_results"


@dataclass(frozen=True)
class Round:
    """One round: its figures by name, and the CPU seconds of each group for so many events in so many seconds."""

    figures: dict[str, float]
    events: float
    seconds: float
    cpu: dict[str, float]


@dataclass(frozen=True)
class Scenario:
    """A scenario by what it means, and its round on the seeded database, or on one with a backlog."""

    about: str
    run: Callable[[Installation, int], Round]
    prepare: Callable[[Server, str], str] = lambda _, seeded: seeded


def ingest_single(home: Installation, seconds: int) -> Round:
    return _ingest(home, seconds, wrk.CONNECTIONS, 1)


def ingest_batch(home: Installation, seconds: int) -> Round:
    return _ingest(home, seconds, BATCH_CONNECTIONS, BATCH)


def _ingest(home: Installation, seconds: int, connections: int, size: int) -> Round:
    with api(home) as (url, pid):
        warm_up = wrk.load(url, home, WARM_UP, connections, size)
        with metered({"API": pid, "PostgreSQL": home.postmaster()}) as cpu:
            load = wrk.load(url, home, seconds, connections, size)
    _require_stored(home, warm_up, load)
    figures = {"accepted, events/s": load.events / load.seconds, **_answers(load.p50, load.p99)}
    return Round(figures, load.events, load.seconds, cpu)


def both(home: Installation, seconds: int) -> Round:
    with api(home) as (url, api_pid), worker(home, *EVENTS_ONLY) as worker_pid:
        warm_up = wrk.load(url, home, WARM_UP)
        began, backlog_before = home.value(_NOW), home.value(_WAITING)
        with metered({"API": api_pid, "worker": worker_pid, "PostgreSQL": home.postmaster()}) as cpu:
            load = wrk.load(url, home, seconds)
            ended, backlog_after = home.value(_NOW), home.value(_WAITING)
        _await_empty(home)
    _require_stored(home, warm_up, load)
    _require_processed_once(home, deliveries=0)
    processed = home.value(f"{_PROCESSED} where processed_at between '{began}' and '{ended}'")
    span = (ended - began).total_seconds()
    figures = {
        "accepted, events/s": load.events / load.seconds,
        "processed meanwhile, events/s": float(processed) / span,
        "backlog at the begin, events": backlog_before,
        "backlog at the end, events": backlog_after,
        **_answers(load.p50, load.p99),
    }
    return Round(figures, load.events, span, cpu)


def drain(home: Installation, _: int) -> Round:
    return _drain(home, deliveries=backlog.EVENTS // backlog.WANTED_EACH)


def windows(home: Installation, _: int) -> Round:
    window = {"count": 5, "within": "1h", "groupBy": ["payload.customer.id"]}
    home.connection.execute(
        "update signalops.rule_versions set time_window = %s where pattern @? '$.payload.segment'", [Jsonb(window)]
    )
    return _drain(home, deliveries=len(home.tenants))


def _drain(home: Installation, deliveries: int) -> Round:
    with worker(home, *EVENTS_ONLY) as pid:
        _await(home, f"{_PROCESSED} having sum(events) > 0")
        began_with = home.value(_PROCESSED)
        with metered({"worker": pid, "PostgreSQL": home.postmaster()}) as cpu:
            _await_empty(home)
    _require_processed_once(home, deliveries)
    first, last = (home.value(f"select {end}(processed_at) from signalops.batch_results") for end in ("min", "max"))
    span = (last - first).total_seconds()
    return Round({"processed, events/s": backlog.EVENTS / span}, backlog.EVENTS - float(began_with), span, cpu)


def steady(home: Installation, seconds: int) -> Round:
    with api(home) as (url, api_pid), worker(home, *EVENTS_ONLY) as worker_pid:
        paced.load(url, home, RATE, WARM_UP)
        began = home.value(_NOW)
        with metered({"API": api_pid, "worker": worker_pid, "PostgreSQL": home.postmaster()}) as cpu:
            seen = paced.load(url, home, RATE, seconds)
        _await_empty(home)
    if home.value(_STORED) != RATE * (WARM_UP + seconds):
        raise Wrong(f"{RATE * (WARM_UP + seconds)} events were answered with 202, and {home.value(_STORED)} are stored")
    _require_processed_once(home, deliveries=0)
    late = {"generator late p99, ms": seen["late99"]}
    figures = {**_answers(seen["p50"], seen["p99"]), **_received_to_processed(home, began), **late}
    return Round(figures, RATE * seconds, seconds, cpu)


def _answers(p50: float, p99: float) -> dict[str, float]:
    return {"answer p50, ms": p50, "answer p99, ms": p99}


def _received_to_processed(home: Installation, since: object) -> dict[str, float]:
    # processed_at is noted in the transaction, so it lacks the commit itself.
    tracked = home.value("show track_commit_timestamp") == "on"
    end, word = ("pg_xact_commit_timestamp(b.xmin)", "committed") if tracked else ("b.processed_at", "about to commit")
    times = home.value(
        "select percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from took) * 1000) from ("
        f"select {end} - e.received_at as took from signalops.events e join signalops.batch_results b using (tenant_id, batch) "
        f"where e.received_at >= '{since}') as times"
    )
    return {f"received to processed ({word}) {p}, ms": value for p, value in zip(("p50", "p99"), times, strict=True)}


def _require_stored(home: Installation, *loads: wrk.Load) -> None:
    """wrk hangs up on the requests of its last moment: those alone may be stored without an answer that it saw."""
    answered, in_flight = sum(load.events for load in loads), sum(load.in_flight for load in loads)
    stored = home.value(_STORED)
    counted = home.value("select sum(accepted) from signalops.accepted_counters where meter = 'events'")
    if not answered <= stored <= answered + in_flight:
        raise Wrong(f"{answered} events were answered with 202 ({in_flight} more may be), and {stored} are stored")
    if stored != counted:
        raise Wrong(f"{stored} events are stored, and {counted} are counted against the limits")


def _require_processed_once(home: Installation, deliveries: int) -> None:
    found = {
        "stored": home.value(_STORED),
        "processed": home.value(_PROCESSED),
        "counted as usage": home.value("select sum(events) from signalops.usage_counters where meter = 'events'"),
    }
    if len(set(found.values())) > 1:
        raise Wrong(f"not every event was processed exactly once: {found}")
    if (made := home.value("select count(*) from signalops.deliveries")) != deliveries:
        raise Wrong(f"there are {made} deliveries, and there should be {deliveries}")


def _await_empty(home: Installation) -> None:
    _await(home, "select 1 where not exists (select from signalops.inbox)")


def _await(home: Installation, query: str) -> None:
    deadline = time.monotonic() + MAX_WAIT
    while home.value(query) is None:
        if time.monotonic() > deadline:
            raise Wrong(f"{home.value(_WAITING)} events still wait after {MAX_WAIT:.0f} s")
        time.sleep(0.1)


SCENARIOS = {
    "ingest-single": Scenario("one API process, 64 connections, an event a request, no worker", ingest_single),
    "ingest-batch": Scenario("one API process, 16 connections, 100 events a request, no worker", ingest_batch),
    "both": Scenario("the same with one worker process; 20 rules a tenant, of which none matches", both),
    "drain": Scenario(
        f"one worker process on a backlog of {backlog.EVENTS:,} events in flushes of {backlog.FLUSH}, from its first batch "
        "to its last; "
        "20 rules a tenant, 10 % of the events make a delivery (with its job, not yet sent)",
        drain,
        backlog.prepare,
    ),
    "windows": Scenario(
        "the same, the 10 % of the events being counted in a window; each tenant has one group, which fires once",
        windows,
        backlog.prepare,
    ),
    "steady": Scenario("200 events/s, an API and a worker process; 20 rules a tenant, of which none matches", steady),
}
