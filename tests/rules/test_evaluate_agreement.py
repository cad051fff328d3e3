"""signalops.evaluate_stateful_rules against a naive model (brute force over all moments at which anything can change) and
against a backtest."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from signalops import clock
from signalops.config import Settings
from signalops.db import admin_url
from signalops.rules.backtest.window import Window
from signalops.rules.conditions import Measure, RuleConditions
from signalops.rules.rule_models import Conditions

SPAN = 10
START = datetime(2026, 11, 1, tzinfo=UTC)
Kind = Literal["count", "sum", "distinct"]
Stretch = tuple[int, int]


class Seen(NamedTuple):
    """An event at a minute, with the amount or the value that it adds."""

    minute: int
    value: int


EVENTS = st.lists(st.builds(Seen, st.integers(0, 45), st.integers(-3, 5)), min_size=1, max_size=14)
BATCHES = st.lists(st.integers(1, 4), min_size=1, max_size=14)


def measure(kind: Kind, events: Sequence[Seen], minute: int) -> int:
    """Return what the window that ends at a minute holds."""
    values_in_window = [e.value for e in events if minute - SPAN < e.minute <= minute]
    return {"count": len(values_in_window), "sum": sum(values_in_window), "distinct": len(set(values_in_window))}[kind]


def stretches(kind: Kind, events: Sequence[Seen], threshold: int) -> list[Stretch]:
    """Return the stretches, minute by minute, that an event sees."""
    last = max(e.minute for e in events)
    holds = [m for m in range(-1, last + SPAN + 2) if measure(kind, events, m) >= threshold]
    found: list[list[int]] = []
    for minute in holds:
        if found and found[-1][-1] == minute - 1:
            found[-1].append(minute)
        else:
            found.append([minute])
    return [(run[0], run[-1] + 1) for run in found if any(e.minute in run for e in events)]


def naive(kind: Kind, batches: Sequence[Sequence[Seen]], threshold: int) -> list[int]:
    """Return how many notifications each batch brings about.

    A later negative amount can undo an interval that fired already: what fires after it is new.
    """
    fired_at: set[int] = set()
    fired = []
    for n, batch in enumerate(batches):
        events = [event for batch in batches[: n + 1] for event in batch]
        last = max((e.minute for batch in batches[:n] for e in batch), default=-1)
        known = {minute for minute in fired_at if minute <= last}
        touched = {e.minute + m for e in batch for m in range(SPAN)}
        reached = set().union(*(_seen(kind, events, threshold, part) for part in _runs(touched)))
        fired_at = (fired_at - touched) | reached
        begun = [min(run) for run in _runs(fired_at) if run & reached and not run & known]
        fired.append(len({_trigger(batch, minute) for minute in begun} - {None}))
    return fired


def _seen(kind: Kind, events: Sequence[Seen], threshold: int, part: set[int]) -> set[int]:
    """Return the minutes of the stretches in a part of the time, if an event there sees them."""
    found = [set(range(begin, end)) & part for begin, end in stretches(kind, events, threshold)]
    return set().union(*(minutes for minutes in found if any(e.minute in minutes for e in events)))


def _trigger(batch: Sequence[Seen], begun: int) -> int | None:
    """Return which event of a batch brought a stretch about: the last in its first window; None if an earlier batch did."""
    window = [(e.minute, n) for n, e in enumerate(batch) if begun - SPAN < e.minute <= begun]
    return max(window)[1] if window else None


def _runs(minutes: set[int]) -> Iterator[set[int]]:
    run: set[int] = set()
    for minute in sorted(minutes):
        if run and minute - 1 not in run:
            yield run
            run = set()
        run.add(minute)
    if run:
        yield run


def evaluated(connection: psycopg.Connection, kind: Kind, batches: Sequence[Sequence[Seen]], threshold: int) -> list[int]:
    """Return how many notifications each batch brings about in the database."""
    tenant, rule, channel = (str(clock.new_id()) for _ in range(3))
    group: dict[str, Any] = {"tenant": tenant, "rule": rule, "version": 1, "state_version": 1, "channel": channel, "group": "[]"}
    group |= {"labels": {}, "kind": kind, "threshold": threshold, "span": f"{SPAN} minutes", "lateness": "1 day"}
    fired = []
    for batch in batches:
        events = [
            {
                "event": str(clock.new_id()),
                "at": (START + timedelta(minutes=e.minute)).isoformat(),
                "value": e.value if kind == "sum" else 1,
                "distinct_value": str(e.value) if kind == "distinct" else None,
                "delivery": str(clock.new_id()),
                "causation_depth": 0,
            }
            for e in batch
        ]
        row = connection.execute("select signalops.evaluate_stateful_rules(%s)", [Jsonb([group | {"events": events}])]).fetchone()
        assert row is not None
        fired_at = [match["event"] for match in row[0] if match["outcome"] == "notified"]
        assert len(row[0]) == len(batch)
        assert len(set(fired_at)) == len(fired_at)
        fired.append(len(fired_at))
    return fired


CONDITIONS: dict[Kind, Any] = {
    "count": lambda threshold: {"count": threshold},
    "sum": lambda threshold: {"sum": {"field": "payload.n", "atLeast": threshold}},
    "distinct": lambda threshold: {"distinct": {"field": "payload.n", "atLeast": threshold}},
}


def simulated(kind: Kind, events: Sequence[Seen], threshold: int) -> list[int]:
    """Return which events, one after the other, bring about a notification in a backtest: 1, else 0."""
    window = {"within": f"{SPAN}m", **CONDITIONS[kind](threshold)}
    plan = RuleConditions.of(Conditions.model_validate({"window": window}), 1)
    assert plan
    backtest = Window(plan)
    values = [Decimal(e.value if kind == "sum" else 1) for e in events]
    items = [str(e.value) if kind == "distinct" else None for e in events]
    return [
        int(backtest.add(e.minute * 60_000_000, Measure(value, item)))
        for e, value, item in zip(events, values, items, strict=True)
    ]


@pytest.fixture
def connection(settings: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(admin_url(settings)) as connection:
        yield connection


@pytest.mark.parametrize("kind", ["count", "sum", "distinct"])
def test_the_database_fires_as_the_naive_model_does(connection: psycopg.Connection, kind: Kind) -> None:
    outcomes = set()

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(EVENTS, BATCHES, st.integers(1, 8))
    def agree(events: list[Seen], sizes: list[int], threshold: int) -> None:
        batches: list[list[Seen]] = []
        while events:
            size = sizes[len(batches) % len(sizes)]
            batches.append(events[:size])
            events = events[size:]
        expected = naive(kind, batches, threshold)
        assert evaluated(connection, kind, batches, threshold) == expected
        outcomes.add(sum(expected))

    agree()
    assert len(outcomes) > 2, "examples that never fire, or always once, prove little"


@pytest.mark.parametrize("kind", ["count", "sum", "distinct"])
def test_the_database_fires_as_a_backtest_does(connection: psycopg.Connection, kind: Kind) -> None:
    fired = set()

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(EVENTS, st.integers(1, 8))
    def agree(events: list[Seen], threshold: int) -> None:
        expected = simulated(kind, events, threshold)
        assert evaluated(connection, kind, [[event] for event in events], threshold) == expected
        fired.add(sum(expected))

    agree()
    assert len(fired) > 2, "examples that never fire, or always once, prove little"
