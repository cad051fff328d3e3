"""How many events a second one core decides, and what compiled rules take: `python -m tests.bench.rules`.

Prints the median of several rounds.
"""

import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping

import psutil

from signalops import clock
from signalops.patterns import RuleSet, compile_pattern
from signalops.rules.compiled import CompiledRules, compile_rules
from signalops.rules.conditions import COLUMNS

ROUNDS = 7
ROUND_SECONDS = 0.3

Json = dict[str, object]


def small_event(number: int) -> Json:
    """The size of a usual business event: four attributes and a payload of six fields."""
    return {
        "id": f"0198c0de-{number:08x}",
        "type": "order.paid",
        "source": "web",
        "occurredAt": "2026-11-23T12:00:00Z",
        "payload": {
            "orderId": f"order-{number}",
            "customer": {"id": f"c-{number % 100}", "plan": "pro", "country": "DE"},
            "amount": number % 1000 + 0.5,
            "currency": "EUR",
            "ip": "10.1.2.3",
            "tags": ["new", "web"],
        },
    }


def order_event(number: int) -> Json:
    """An event with an array of objects, where conditions must hold in one element."""
    items = [{"sku": f"sku-{number + i}", "quantity": i + 1, "price": 10.0 * i} for i in range(4)]
    return {"type": "order.paid", "source": "web", "payload": {"orderId": f"order-{number}", "items": items}}


def exact(number: int) -> Json:
    return {"type": ["order.paid"], "payload": {"customer": {"id": [f"c-{number}"]}}}


def prefix(number: int) -> Json:
    return {"type": [{"prefix": "order."}], "payload": {"orderId": [{"prefix": f"order-{number}"}]}}


def numeric(number: int) -> Json:
    return {"type": ["order.paid"], "payload": {"amount": [{"numeric": [">=", number, "<", number + 1]}]}}


def wildcard(number: int) -> Json:
    return {"type": ["order.paid"], "payload": {"orderId": [{"wildcard": f"*der-{number}*"}]}}


def array(number: int) -> Json:
    items = {"sku": [f"sku-{number}"], "quantity": [{"numeric": [">", 1]}]}
    return {"type": ["order.paid"], "payload": {"items": items}}


def anything_but(number: int) -> Json:
    """Can't match: the one country that it leaves open is not the event's."""
    return {"payload": {"customer": {"country": [{"anything-but": ["DE", f"X{number}"]}]}}}


# Two of each kind, all of which match every small event.
MATCHING: list[Json] = [
    {"type": ["order.paid"]},
    {"source": ["web", "app"]},
    {"type": [{"prefix": "order."}]},
    {"payload": {"orderId": [{"prefix": "order-"}]}},
    {"payload": {"amount": [{"numeric": [">", 0]}]}},
    {"type": ["order.paid"], "payload": {"amount": [{"numeric": ["<", 1000]}]}},
    {"payload": {"customer": {"country": [{"anything-but": ["FR", "IT"]}]}}},
    {"payload": {"customer": {"id": [{"anything-but": {"prefix": "x-"}}]}}},
    {"payload": {"orderId": [{"wildcard": "or*r-*"}]}},
    {"type": [{"wildcard": "*.paid"}]},
]


def mixed(count: int) -> RuleSet[str]:
    """`count` rules of five kinds, of which the ten of MATCHING match each small event."""
    kinds = (exact, prefix, numeric, anything_but, wildcard)
    # From a million on nothing is the value of a small event's field.
    others = (kinds[number % len(kinds)](1_000_000 + number) for number in range(count - len(MATCHING)))
    return RuleSet({f"rule-{number}": compile_pattern(body) for number, body in enumerate((*MATCHING, *others))})


def of_kind(kind: Callable[[int], Json], count: int = 20) -> RuleSet[int]:
    return RuleSet({number: compile_pattern(kind(number)) for number in range(count)})


def events_per_second(match: Callable[[Mapping[str, object]], object], events: list[Json]) -> float:
    return statistics.median(_rounds(match, events))


def _rounds(match: Callable[[Mapping[str, object]], object], events: list[Json]) -> Iterator[float]:
    for _ in range(ROUNDS):
        decided, started = 0, time.process_time()
        while time.process_time() - started < ROUND_SECONDS:
            for event in events:
                match(event)
            decided += len(events)
        yield decided / (time.process_time() - started)


def book(tenants: int, rules: int) -> list[CompiledRules]:
    """Compile the rules of many tenants as a worker holds them; each fifth has a window."""
    kinds = (exact, prefix, numeric, anything_but, wildcard)
    window = {"count": 5, "within": "10m", "groupBy": ["payload.customer.id"]}
    without = dict.fromkeys(COLUMNS.values())

    def row(number: int) -> Json:
        pattern = kinds[number % len(kinds)](number)
        rule: Json = {"grammar": 2, "pattern": pattern, **without, "time_window": window if number % 5 == 0 else None}
        return rule | {"id": clock.new_id(), "version": 1, "state_version": 1, "channel_id": clock.new_id()}

    every = ([row(tenant * rules + number) for number in range(rules)] for tenant in range(tenants))
    return [compile_rules(1, rows, (), lambda *_: None) for rows in every]


def main() -> None:
    small = [json.loads(json.dumps(small_event(number))) for number in range(1000)]
    orders = [json.loads(json.dumps(order_event(number))) for number in range(1000)]
    print(f"events/s on one core, median of {ROUNDS} rounds")
    for kind, events in ((exact, small), (prefix, small), (numeric, small), (wildcard, small), (array, orders)):
        print(f"  20 rules, {kind.__name__:<10} {events_per_second(of_kind(kind).match, events):>10,.0f}")
    for count in (10, 1_000, 10_000):
        print(f"  {count:>6} mixed rules, {len(MATCHING)} match {events_per_second(mixed(count).match, small):>10,.0f}")
    gc.collect()
    before, began = psutil.Process().memory_info().rss, time.process_time()
    retained = book(1000, 50)
    took = time.process_time() - began
    grown = (psutil.Process().memory_info().rss - before) / 2**20
    estimated = sum(compiled.size for compiled in retained) / 2**20
    print(f"  1,000 tenants x 50 rules {grown:>10,.0f} MiB, estimated as {estimated:,.0f}; compiled in {took:.1f} s")


if __name__ == "__main__":
    main()
