"""`python -m tests.bench.send`: how fast one worker sends, and what a million deliveries that wait cost the others.

Prints medians of rounds, in one run on one machine. Figures are not judged; that nothing is lost is. Exit codes as tests.bench.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial

from psycopg.types.json import Jsonb

from signalops import db
from signalops.errors import Unusable
from signalops.send import SecretBox
from tests.bench import events, paced, report, wrk
from tests.bench.__main__ import settings as bench_settings
from tests.bench.installation import Installation, Server, Wrong
from tests.bench.processes import api, metered, worker
from tests.bench.scenarios import Round
from tests.bench.sink import Sink, sink

DELIVERIES = 4_000
FLUSH = 40
MILLION = 1_000_000
RATE = 100
WARM_UP = 2
MAX_WAIT = 180.0

_SECRET = "whsec_" + "c2lnbmFsb3BzLWJlbmNobWFyay1zZWNyZXQh"
_SENT = "select count(*) from signalops.deliveries where status = 'sent'"
# As record_batch leaves them: an event, its delivery, and the jobs of a flush together.
_FILL = """
  with made as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload)
    select t.tenant, signalops.new_id(), signalops.new_id(), 'order.paid', 'bench', now(), now(), %(payload)s
    from unnest(%(tenants)s::uuid[]) as t (tenant) returning tenant_id, id
  ), told as (
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id)
    select m.tenant_id, signalops.new_id(), m.id, v.rule_id, 1, v.channel_id
    from made m join signalops.rule_versions v on v.tenant_id = m.tenant_id and v.pattern @? '$.payload.segment'
    returning tenant_id, id
  )
  select signalops.enqueue_deliveries(jsonb_agg(jsonb_build_object('tenant', tenant_id, 'delivery', id))) from told"""
# Due within three hours from now on, as a schedule of backoff spreads them; all of one tenant, at a port where nobody listens.
_DEAD = """
  update signalops.channels set config = '{"url": "http://127.0.0.1:9/"}', secret = %(secret)s
  where id = (select channel_id from signalops.rule_versions where not pattern @? '$.payload.segment' order by rule_id limit 1)
  returning tenant_id, id"""
_WAIT = """
  with event as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload)
    values (%(tenant)s, signalops.new_id(), signalops.new_id(), 'order.paid', 'bench', now(), now(), '{}') returning id
  )
  insert into signalops.deliveries
    (tenant_id, id, event_id, rule_id, rule_version, channel_id, status, attempts, next_attempt_at)
  select v.tenant_id, signalops.new_id(), e.id, v.rule_id, 1, v.channel_id, 'retrying', 4,
    now() + random() * interval '3 hours'
  from event e, signalops.rule_versions v, generate_series(1, %(count)s) where v.channel_id = %(channel)s"""


def _point(home: Installation, kind: str, config: dict[str, object], secret: str | None) -> None:
    """Have the channel of the rule that wants gold be of a kind."""
    sealed = SecretBox(home.settings).seal(secret) if secret else None
    home.connection.execute(
        "update signalops.channels c set kind = %s, config = %s, secret = %s from signalops.rule_versions v"
        " where c.id = v.channel_id and v.pattern @? '$.payload.segment'",
        [kind, Jsonb(config), sealed],
    )


def _webhook(home: Installation, to: Sink) -> None:
    _point(home, "webhook", {"url": to.url}, _SECRET)


def _email(home: Installation, to: Sink) -> None:
    server = {"host": "127.0.0.1", "port": to.smtp, "security": "none", "sender": "bench@example.com"}
    _point(home, "email", {"to": "ops@example.com", "server": server}, None)


def _await(home: Installation, is_done: str) -> None:
    deadline = time.monotonic() + MAX_WAIT
    while not home.value(is_done):
        if time.monotonic() > deadline:
            states = home.connection.execute("select status, count(*) from signalops.deliveries group by 1").fetchall()
            raise Wrong(f"not sent within {MAX_WAIT:.0f} s: {states}")
        time.sleep(0.05)


def _fill(home: Installation) -> None:
    payload = Jsonb(events.event(is_wanted=True)["payload"])
    tenants = [home.tenants[number % len(home.tenants)].id for number in range(DELIVERIES)]
    for start in range(0, DELIVERIES, FLUSH):
        home.connection.execute(_FILL, {"tenants": tenants[start : start + FLUSH], "payload": payload})
    home.connection.execute("vacuum analyze")


def _send_all(home: Installation) -> Round:
    """Let one worker send all, and measure from its first to its last tenth."""
    _fill(home)
    with worker(home) as pid, metered({"worker": pid, "PostgreSQL": home.postmaster()}) as cpu:
        began = time.monotonic()
        _await(home, f"select ({_SENT}) = {DELIVERIES}")
        whole = time.monotonic() - began
    tenths = "select percentile_disc(array[0.1, 0.9]) within group (order by updated_at) from signalops.deliveries"
    first, last = home.value(tenths)
    speed = DELIVERIES * 0.8 / (last - first).total_seconds()
    return Round({"sent, deliveries/s": speed}, DELIVERIES, whole, cpu)


def _steady(home: Installation, to: Sink, seconds: int) -> Round:
    to.seen()
    with api(home) as (url, api_pid), worker(home) as pid:
        paced.load(url, home, RATE, WARM_UP, "wanted")
        _await(home, f"select ({_SENT}) = {RATE * WARM_UP}")
        to.seen()
        with metered({"API": api_pid, "worker": pid, "PostgreSQL": home.postmaster()}) as cpu:
            measured = paced.load(url, home, RATE, seconds, "wanted")
        _await(home, f"select ({_SENT}) = {RATE * (WARM_UP + seconds)}")
    came = to.seen()
    rows = home.connection.execute("select id::text, extract(epoch from received_at)::float from signalops.events").fetchall()
    took = [(came[event] - received) * 1000 for event, received in rows if event in came]
    if len(took) != RATE * seconds:
        raise Wrong(f"{RATE * seconds} events were sent, and {len(took)} webhooks came in")
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    figures = {"event received to webhook received p50, ms": cuts[49], "... p99, ms": cuts[98], "... longest, ms": max(took)}
    return Round({**figures, "generator late p99, ms": measured["late99"]}, RATE * seconds, seconds, cpu)


def _wait(home: Installation) -> None:
    """Have a million deliveries wait for a provider that is dead."""
    sealed = SecretBox(home.settings).seal(_SECRET)
    dead = home.connection.execute(_DEAD, {"secret": sealed}).fetchone()
    assert dead
    home.connection.execute(_WAIT, {"count": MILLION, "tenant": dead[0], "channel": dead[1]})
    home.connection.execute("select signalops.repair_schedules()")
    if home.value("select count(*) from signalops.deliveries where next_attempt_at is not null") != MILLION:
        raise Wrong("there are not a million deliveries that wait")


def _both(home: Installation, seconds: int) -> Round:
    """Ingest and process as fast as they can, as `tests.bench --only both` does, with all queues."""
    processed = "select coalesce(sum(events), 0)::float from signalops.batch_results"
    with api(home) as (url, api_pid), worker(home) as pid:
        wrk.load(url, home, WARM_UP)
        before, began = home.value(processed), time.monotonic()
        with metered({"API": api_pid, "worker": pid, "PostgreSQL": home.postmaster()}) as cpu:
            load = wrk.load(url, home, seconds)
        after, span = home.value(processed), time.monotonic() - began
    figures = {"accepted, events/s": load.events / load.seconds, "processed meanwhile, events/s": (after - before) / span}
    return Round(figures, load.events, load.seconds, cpu)


def _rounds(server: Server, template: str, count: int, run: Callable[[Installation], Round]) -> list[Round]:
    rounds = []
    for _ in range(count):
        with server.clone(template) as home:
            rounds.append(run(home))
    return rounds


def _say(about: str, rounds: list[Round]) -> None:
    print(f"\n{about}")
    print("\n".join(report.scenario(rounds)), flush=True)


def _measure(server: Server, to: Sink, options: argparse.Namespace) -> None:
    seeded, count, seconds = server.seed(), options.rounds, options.seconds
    webhooks = server.prepared("webhooks", partial(_webhook, to=to), template=seeded, is_kept=False)
    if "webhooks" in options.only:
        about = f"webhooks: one worker process, {DELIVERIES:,} waiting with their jobs, keep-alive"
        _say(about, _rounds(server, webhooks, count, _send_all))
    if "mails" in options.only:
        mails = server.prepared("mails", partial(_email, to=to), template=seeded, is_kept=False)
        _say("mails: the same", _rounds(server, mails, count, _send_all))
    steady = partial(_steady, to=to, seconds=seconds)
    if "steady" in options.only:
        about = f"steady: {RATE} events/s, each makes a webhook; an API and a worker process"
        _say(about, _rounds(server, webhooks, count, steady))
    if "million" in options.only:
        million = server.prepared("million", _wait, template=webhooks, is_kept=False)
        _compare(server, {"none waits": webhooks, "a million wait": million}, count, seconds)
        _say("healthy channels meanwhile: as steady, a million wait", _rounds(server, million, count, steady))


def _compare(server: Server, templates: dict[str, str], count: int, seconds: int) -> None:
    """Run with and without those that wait in turn, so that what else the machine does strikes both."""
    rounds: dict[str, list[Round]] = {name: [] for name in templates}
    for _ in range(count):
        for name, template in templates.items():
            rounds[name] += _rounds(server, template, 1, partial(_both, seconds=seconds))
    for name, each in rounds.items():
        _say(f"ingest and processing, {name}", each)
    without, having = rounds.values()
    for figure in without[0].figures:
        ratios = [b.figures[figure] / a.figures[figure] for a, b in zip(without, having, strict=True)]
        print(f"  ratio of {figure:<39} {statistics.median(ratios):>10.3f}   ({'  '.join(f'{r:.3f}' for r in ratios)})")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.send", description=__doc__)
    parser.add_argument("--seconds", type=int, default=4, help="seconds of a round under load (default: 4)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median counts (default: 3)")
    names = ("webhooks", "mails", "steady", "million")
    parser.add_argument("--only", action="append", choices=names, help="repeatable")
    options = parser.parse_args()
    options.only = options.only or names
    return options


def main() -> None:
    options = _options()
    wrk.require()
    try:
        with closing(Server(bench_settings())) as server, sink() as to:
            print("\n".join(report.machine(server)))
            _measure(server, to, options)
    except Wrong as wrong:
        sys.exit(f"\nWRONG: {wrong}.")
    except (Unusable, *db.OUTAGE) as error:
        sys.exit(f"PostgreSQL gave up, or can't be reached ({error}): see its log, or correct DATABASE_URL.")


if __name__ == "__main__":
    main()
