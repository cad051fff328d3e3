"""`python -m tests.bench.usage`: what meters cost, what one hot tenant costs, a year's usage, and closing a month.

Prints medians of rounds, in one run on one machine. Figures are not judged; that nothing is lost is. Exit codes as tests.bench.
"""

import argparse
import json
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import NamedTuple

from psycopg.types.json import Jsonb

from signalops import db
from signalops.errors import Unusable
from signalops.usage.plans.plan_models import PlanDocument
from tests.bench import backlog, report
from tests.bench.__main__ import settings as bench_settings
from tests.bench.installation import KEYS, Installation, Server, Wrong
from tests.bench.processes import api, command, metered
from tests.bench.scenarios import Round, drain

METERS = 9
"""Besides the meter events, which everybody has."""
TENANTS = 1_000
YEAR_EVENTS = 100_000_000
REQUESTS = 200

_AGGREGATIONS = ("count", "sum", "max", "min", "avg", "latest", "unique_count", "sum", "count")
_METER = """
  insert into signalops.meters (tenant_id, key, first_version, name, aggregation, field, grammar, pattern, origin)
  select id, %(key)s, 0, %(key)s, %(aggregation)s, %(field)s, 2, %(pattern)s, 'tenant' from signalops.tenants"""
# One row for each hour, as a year of steady traffic leaves them; the day's and the month's figures are made of them.
_YEAR = """
  insert into signalops.usage_counters (tenant_id, meter, hour, group_key, period, aggregation, is_late, events, value)
  select t.id, 'events', h, '[]', date_trunc('month', h at time zone 'UTC'), 'count', false, n.events, n.events
  from signalops.tenants t,
    generate_series(date_trunc('hour', now(), 'UTC') - interval '8759 hours', now(), '1 hour') as h,
    lateral (select %(events)s / 8760 + 1 as events) as n"""
_PLAN = {
    "name": "Bench",
    "currency": "EUR",
    "baseFee": "49.00",
    "meters": [{"key": "calls", "name": "Calls", "aggregation": "count", "pattern": {"type": ["api.call"]}}],
    "prices": [
        {"meter": "events", "included": "1000", "model": "per_unit", "unitAmount": "0.0001"},
        {
            "meter": "calls",
            "model": "graduated",
            "tiers": [{"upTo": "1000", "unitAmount": "0.01"}, {"upTo": None, "unitAmount": "0.005"}],
        },
    ],
}
# A month of hours, of two meters, that ended long enough ago to be closed.
_MONTH = """
  insert into signalops.usage_counters (tenant_id, meter, hour, group_key, period, aggregation, is_late, events, value)
  select t.id, m.meter, h, '[]', %(month)s, 'count', false, 100, 100
  from signalops.tenants t, (values ('events'), ('calls')) as m (meter),
    generate_series(%(month)s::date::timestamp at time zone 'UTC',
      (%(month)s::date + interval '1 month' - interval '1 hour') at time zone 'UTC', '1 hour') as h"""


def _count_apart(home: Installation) -> None:
    """Nine meters for nine types of events, of which the backlog's is one: what a product that bills by type has."""
    for number, aggregation in enumerate(_AGGREGATIONS):
        kind = "order.paid" if number == 1 else f"kind.of.{number}"
        _add_meter(home, f"m{number}", aggregation, {"type": [kind]})


def _count_together(home: Installation) -> None:
    """Nine meters that all count each event."""
    for number, aggregation in enumerate(_AGGREGATIONS):
        _add_meter(home, f"m{number}", aggregation, {"type": ["order.paid"]})


def _add_meter(home: Installation, key: str, aggregation: str, pattern: dict[str, object]) -> None:
    field = None if aggregation == "count" else "payload.amount"
    given = {"key": key, "aggregation": aggregation, "field": field, "pattern": Jsonb(pattern)}
    home.connection.execute(_METER, given)


def _require_counted(home: Installation, expected: int) -> None:
    """Each event is counted by so many of the tenant's own meters."""
    counted = home.value("select coalesce(sum(events), 0) from signalops.usage_counters where meter <> 'events'")
    if counted != expected * backlog.EVENTS:
        raise Wrong(f"the tenants' own meters counted {counted} events, and there are {expected} x {backlog.EVENTS}")


def _drained(home: Installation, meters: int) -> Round:
    measured = drain(home, 0)
    _require_counted(home, meters)
    return measured


def _prepared(server: Server, template: str, step: Callable[[Installation], None]) -> str:
    """Make a database to be cloned by each round; return its name."""
    return server.prepared(step.__name__.strip("_"), step, template=template)


class _Run(NamedTuple):
    """What is measured: a short name, what it means, the database that its rounds begin with, and a round."""

    name: str
    about: str
    template: str
    run: Callable[[Installation], Round]


def _compare(server: Server, count: int, *runs: _Run) -> None:
    """Run in turn, so that what else the machine does strikes all; print the figures, and their ratios to the first's."""
    rounds: dict[str, list[Round]] = {each.name: [] for each in runs}
    for _ in range(count):
        for each in runs:
            with server.clone(each.template) as home:
                rounds[each.name].append(each.run(home))
    for each in runs:
        print(f"\n{each.name}: {each.about}")
        print("\n".join(report.scenario(rounds[each.name])), flush=True)
    for each in runs[1:]:
        _tell_ratios(f"{each.name} : {runs[0].name}", rounds[runs[0].name], rounds[each.name])


def _tell_ratios(names: str, base: list[Round], others: list[Round]) -> None:
    for figure in base[0].figures:
        ratios = [other.figures[figure] / one.figures[figure] for one, other in zip(base, others, strict=True)]
        every = "  ".join(f"{ratio:.3f}" for ratio in ratios)
        print(f"  {figure}, {names}  {statistics.median(ratios):.3f}   ({every})", flush=True)


def _year(home: Installation) -> Round:
    """Ask for a year by day over HTTP, one request at a time."""
    with api(home) as (url, pid), metered({"API": pid, "PostgreSQL": home.postmaster()}) as cpu:
        began = time.monotonic()
        took = [_asked(home, url, number) for number in range(REQUESTS)]
        span = time.monotonic() - began
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    return Round({"a year by day p50, ms": cuts[49], "... p99, ms": cuts[98]}, REQUESTS, span, cpu)


def _asked(home: Installation, url: str, number: int) -> float:
    last = home.value("select (now() at time zone 'UTC')::date + 1")
    query = f"{url}/api/usage?window=day&from={last.replace(year=last.year - 1)}&to={last}"
    request = urllib.request.Request(query, headers=home.tenants[number % KEYS].headers)
    began = time.monotonic()
    with urllib.request.urlopen(request) as answered:
        shown = json.load(answered)
    took = (time.monotonic() - began) * 1000
    if len(shown["windows"]) not in (365, 366):
        raise Wrong(f"a year by day has {len(shown['windows'])} days")
    return took


def _fill_year(home: Installation) -> None:
    home.connection.execute(_YEAR, {"events": YEAR_EVENTS // len(home.tenants)})


def _fill_month(home: Installation) -> None:
    """Make it a thousand tenants, each with a plan and last month's usage by the hour."""
    month = home.value("select (date_trunc('month', now() at time zone 'UTC') - interval '1 month')::date")
    home.connection.execute(
        "insert into signalops.tenants (id, slug, name, created_at) select signalops.new_id(), 'closing-' || n, 'Closing', %s"
        " from generate_series(1, %s) as n",
        [month, TENANTS - len(home.tenants)],
    )
    home.connection.execute(
        "insert into signalops.plans (plan, version, grammar, document) values ('bench', 1, 2, %s)",
        [Jsonb(PlanDocument.model_validate(_PLAN).model_dump(mode="json"))],
    )
    home.connection.execute(
        "select signalops.subscribe(t.id, 'bench', true, 'bench') from signalops.tenants t, signalops.set_tenant(t.id)"
    )
    # As if they had subscribed then, which nobody may say of a subscription.
    home.connection.execute("set session_replication_role = replica")
    home.connection.execute("delete from signalops.subscriptions where plan <> 'bench'")
    home.connection.execute("update signalops.subscriptions set starts_on = %s", [month])
    home.connection.execute("set session_replication_role = origin")
    home.connection.execute(_MONTH, {"month": month})


def _close(home: Installation) -> Round:
    """Close a month for a thousand tenants by the command, which does what the workers do each minute."""
    with metered({"PostgreSQL": home.postmaster()}) as cpu:
        began = time.monotonic()
        command(home, "signalops", "invoice", "close")
        span = time.monotonic() - began
    issued = home.value("select count(*) from signalops.invoices")
    if issued != TENANTS or home.value("select max(number) from signalops.invoices") != TENANTS:
        raise Wrong(f"{TENANTS} tenants were to be invoiced, and {issued} were")
    return Round({"closing a month of 1,000 tenants, s": span}, TENANTS, span, cpu)


def _meters(server: Server, seeded: str, count: int) -> None:
    waiting = backlog.prepare(server, seeded)
    apart, together = (_prepared(server, waiting, step) for step in (_count_apart, _count_together))
    _compare(
        server,
        count,
        _Run("one meter", "drain as in tests.bench; each flush of 40 is of 40 tenants", waiting, partial(_drained, meters=0)),
        _Run("ten meters", "nine more, for nine types of events, one the backlog's", apart, partial(_drained, meters=1)),
        _Run("ten on each event", "nine more, which all count it", together, partial(_drained, meters=METERS)),
    )


def _hot(server: Server, seeded: str, count: int) -> None:
    run = partial(_drained, meters=0)
    _compare(
        server,
        count,
        _Run("fifty tenants", "drain as in tests.bench", backlog.prepare(server, seeded), run),
        _Run("one tenant", "the same, all of it of one", backlog.prepare(server, seeded, tenants=1), run),
    )


def _years(server: Server, seeded: str, count: int) -> None:
    about = f"{YEAR_EVENTS:,} events in counters by the hour; each request of another of 10 tenants"
    _compare(server, count, _Run("year", about, _prepared(server, seeded, _fill_year), _year))


def _months(server: Server, seeded: str, count: int) -> None:
    about = "a base fee and two priced meters, a counter for each hour of a month and each meter"
    _compare(server, count, _Run("close", about, _prepared(server, seeded, _fill_month), _close))


MEASURES = {"meters": _meters, "hot": _hot, "year": _years, "close": _months}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.usage", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median counts (default: 3)")
    parser.add_argument("--only", action="append", choices=MEASURES, help="repeatable")
    return parser.parse_args()


def main() -> None:
    options = _options()
    try:
        with closing(Server(bench_settings())) as server:
            print("\n".join(report.machine(server)))
            seeded = server.seed()
            for name in options.only or MEASURES:
                MEASURES[name](server, seeded, options.rounds)
    except Wrong as wrong:
        sys.exit(f"\nWRONG: {wrong}.")
    except (Unusable, *db.OUTAGE) as error:
        sys.exit(f"PostgreSQL gave up, or can't be reached ({error}): see its log, or correct DATABASE_URL.")


if __name__ == "__main__":
    main()
