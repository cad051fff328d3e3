"""`python -m tests.bench.retention`: what it takes to drop a month of ten million events while others come in.

Steady load before, and while the partitions of an old month are dropped, one after the other as the worker does it: prints how
long each took, and the load's percentiles. Figures are not judged; that every event was accepted is. Exit codes as tests.bench.
"""

import argparse
import sys
import threading
import time
from contextlib import closing

import psycopg

from signalops import db
from signalops.errors import Unusable
from tests.bench import paced, report
from tests.bench.installation import Installation, Server, Wrong
from tests.bench.processes import api
from tests.bench.views import somewhere

PARENTS = ("events", "matches", "batch_results", "deliveries", "delivery_attempts", "usage_entries", "audit_log")
_MONTH = """
  create table signalops.{0}_2024_01 partition of signalops.{0}
  for values from (signalops.uuid7_floor('2024-01-01Z')) to (signalops.uuid7_floor('2024-02-01Z'))"""
# A UUIDv7 of a moment of that month that is like no other.
_ID = """(left(signalops.uuid7_floor('2024-01-01Z'::timestamptz + n::float8 / {all} * interval '30 days')::text, 14)
  || '7' || substr(md5(n::text), 1, 3) || '-8' || substr(md5(n::text), 4, 3) || '-' || substr(md5(n::text), 7, 12))::uuid"""
_EVENTS = """
  insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload)
  select md5('tenant ' || n % 200)::uuid, {id}, md5('batch')::uuid, 'order.paid', '2024-01-10', '2024-01-10', '{{"amount": 4200}}'
  from generate_series(0, {all} - 1) as n"""


def _fill(home: Installation, events: int) -> None:
    home.connection.execute("update signalops.tenants set created_at = '2024-01-01', closed_until = now()")
    home.connection.execute("set session_replication_role = replica")
    for parent in PARENTS:
        home.connection.execute(_MONTH.format(parent).encode())
    home.connection.execute(_EVENTS.format(id=_ID.format(all=events), all=events).encode())
    home.connection.execute("vacuum analyze signalops.events_2024_01")
    home.connection.execute("checkpoint")


def _drop(home: Installation) -> list[tuple[str, float]]:
    """Drop what has expired; return how long each took, in milliseconds."""
    took: list[tuple[str, float]] = []
    with psycopg.connect(db.dsn(home.settings, "worker"), autocommit=True) as worker:
        while True:
            began = time.monotonic()
            (part,) = worker.execute("select signalops.detach_partition(400, 400)").fetchone() or (None,)
            if part is None:
                return took
            took.append((f"{part} detached", (time.monotonic() - began) * 1000))
            began = time.monotonic()
            worker.execute("select signalops.drop_detached()")
            took.append((f"{part} dropped", (time.monotonic() - began) * 1000))


def _measure(home: Installation, url: str, rate: int, seconds: int) -> None:
    paced.load(url, home, rate, 2)
    for about, is_dropping in (("before", False), ("while it goes", True), ("after", False)):
        dropped: list[tuple[str, float]] = []
        dropper = threading.Timer(seconds / 2, lambda into=dropped: into.extend(_drop(home)))
        if is_dropping:
            dropper.start()
        seen = paced.load(url, home, rate, seconds)
        if is_dropping:
            dropper.join()
            if len(dropped) != len(PARENTS):
                raise Wrong(f"only {len(dropped)} of {len(PARENTS)} partitions went")
            print("\n".join(f"  dropped {part:<28} {took:>8.1f} ms" for part, took in dropped))
        print(f"  {about:<16} p50 {seen['p50']:.2f} ms  p99 {seen['p99']:.2f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.retention", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, help="events of the month (default: 10,000,000)")
    parser.add_argument("--rate", type=int, default=200, help="events a second meanwhile (default: 200)")
    parser.add_argument("--seconds", type=int, default=10, help="of each part (default: 10)")
    options = parser.parse_args()
    try:
        with somewhere() as settings, closing(Server(settings)) as server:
            print("\n".join(report.machine(server)))
            with server.clone(server.seed()) as home:
                _fill(home, options.events)
                size = home.value("select pg_size_pretty(pg_total_relation_size('signalops.events_2024_01'))")
                print(f"\na month of {options.events:,} events ({size}), and {options.rate} events a second:")
                with api(home) as (url, _):
                    _measure(home, url, options.rate, options.seconds)
    except Wrong as wrong:
        sys.exit(f"\nWRONG: {wrong}.")
    except Unusable as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
