"""`python -m tests.bench.access`: what wrong keys cost those who have right ones, and what rate limits cost.

Ingest by 64 connections, without and with 200 wrong keys a second, a third each without a checksum, of an unknown prefix, and of
the prefix of a right key; and `signalops.accept` without limits and with one of each tenant. Prints medians of rounds in turn and
their ratios. Figures are not judged; that every event was accepted is. Exit codes as tests.bench.
"""

import argparse
import asyncio
import random
import statistics
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from itertools import count

import psycopg

from signalops import clock, db
from signalops.access.key_format import PREFIX, new_key
from signalops.errors import Unusable
from signalops.ingest import event_queries
from signalops.ingest.event_models import EventIn, Incoming, incoming
from signalops.types import BatchId
from tests.bench import events, report, wrk
from tests.bench.__main__ import settings as bench_settings
from tests.bench.installation import Installation, Server, Wrong
from tests.bench.processes import api, metered
from tests.bench.scenarios import Round

WRONG_RATE = 200
FLUSH = 40
FLUSHES = 200
WARM_UP = 20
WARM_UP_SECONDS = 2


def _wrong_key(number: int, right: str) -> str:
    match number % 3:
        case 0:
            return "so_live_" + "".join(random.choices("abcdef", k=49))
        case 1:
            return new_key()
        case _:
            return right[:PREFIX] + "".join(random.choices("abcdef", k=57 - PREFIX))


@contextmanager
def _guessing(url: str, home: Installation) -> Iterator[Counter[int]]:
    """Send wrong keys at a steady rate during the block; yield the statuses of the answers."""
    statuses: Counter[int] = Counter()
    is_over = threading.Event()

    def guess() -> None:
        began = time.monotonic()
        for number in count():
            if is_over.wait(max(0.0, began + number / WRONG_RATE - time.monotonic())):
                return
            key = _wrong_key(number, home.tenants[number % len(home.tenants)].key)
            try:
                with urllib.request.urlopen(urllib.request.Request(f"{url}/api/events", headers={"x-api-key": key})):
                    statuses[200] += 1
            except urllib.error.HTTPError as refused:
                statuses[refused.code] += 1

    thread = threading.Thread(target=guess)
    thread.start()
    try:
        yield statuses
    finally:
        is_over.set()
        thread.join()


def _ingest(home: Installation, seconds: int, with_wrong: bool) -> Round:
    with api(home) as (url, pid):
        wrk.load(url, home, WARM_UP_SECONDS)
        guessing = _guessing(url, home) if with_wrong else nullcontext(Counter[int]())
        with metered({"API": pid, "PostgreSQL": home.postmaster()}) as cpu, guessing as statuses:
            load = wrk.load(url, home, seconds)
    if not set(statuses) <= {401, 429}:
        raise Wrong(f"wrong keys were answered with {dict(statuses)}")
    if with_wrong and statuses.total() < 0.9 * WRONG_RATE * seconds:
        raise Wrong(f"only {statuses.total()} wrong keys were sent in {seconds} s")
    figures = {"accepted, events/s": load.events / load.seconds, "answer p50, ms": load.p50, "answer p99, ms": load.p99}
    return Round(figures, load.events, load.seconds, cpu)


def _accept(home: Installation, is_limited: bool) -> Round:
    """Time signalops.accept alone, a flush of as many tenants as it has events."""
    if is_limited:
        home.connection.execute("update signalops.tenants set rate_per_second = 1000000, rate_burst = 1000000")
    with metered({"PostgreSQL": home.postmaster()}) as cpu:
        began = time.monotonic()
        took = asyncio.run(_flushes(home, ("tenant",) if is_limited else ()))
        span = time.monotonic() - began
    return Round({"accept of 40 events, ms": statistics.median(took[WARM_UP:])}, FLUSH * FLUSHES, span, cpu)


async def _flushes(home: Installation, buckets: tuple[str, ...]) -> list[float]:
    took = []
    async with await psycopg.AsyncConnection.connect(db.dsn(home.settings, "api"), autocommit=True) as connection:
        for _ in range(FLUSHES):
            flush = [_event(home, number, buckets) for number in range(FLUSH)]
            began = time.perf_counter()
            await event_queries.accept(connection, flush, BatchId(clock.new_id()), 0)
            took.append((time.perf_counter() - began) * 1000)
    return took


def _event(home: Installation, number: int, buckets: tuple[str, ...]) -> Incoming:
    event_in = EventIn.model_validate(events.event(is_wanted=False) | {"idempotencyKey": str(clock.new_id())})
    return incoming(home.tenants[number].id, event_in)._replace(buckets=buckets)


def _say(about: str, rounds: list[Round], base: list[Round] | None = None) -> None:
    print(f"\n{about}")
    print("\n".join(report.scenario(rounds)), flush=True)
    for figure in rounds[0].figures if base else ():
        ratios = [each.figures[figure] / one.figures[figure] for one, each in zip(base or [], rounds, strict=True)]
        every = "  ".join(f"{ratio:.3f}" for ratio in ratios)
        print(f"  ratio of {figure:<39} {statistics.median(ratios):>10.3f}   ({every})", flush=True)


def _measure(server: Server, options: argparse.Namespace) -> None:
    seeded = server.seed()
    plain: list[Round] = []
    limited: list[Round] = []
    calm: list[Round] = []
    guessed: list[Round] = []
    for _ in range(options.rounds):
        for rounds, is_limited in ((plain, False), (limited, True)):
            with server.clone(seeded) as home:
                rounds.append(_accept(home, is_limited))
        for rounds, with_wrong in ((calm, False), (guessed, True)):
            with server.clone(seeded) as home:
                rounds.append(_ingest(home, options.seconds, with_wrong))
    _say("accept: nobody has a rate limit", plain)
    _say("accept: each of 40 tenants has one", limited, plain)
    _say("ingest: one process, 64 connections", calm)
    _say(f"ingest: the same, and {WRONG_RATE} wrong keys/s", guessed, calm)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.access", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="seconds of a round under load (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median counts (default: 3)")
    return parser.parse_args()


def main() -> None:
    options = _options()
    try:
        with closing(Server(bench_settings())) as server:
            print("\n".join(report.machine(server)))
            _measure(server, options)
    except Wrong as wrong:
        sys.exit(f"\nWRONG: {wrong}.")
    except (Unusable, *db.OUTAGE) as error:
        sys.exit(f"PostgreSQL gave up, or can't be reached ({error}): see its log, or correct DATABASE_URL.")


if __name__ == "__main__":
    main()
