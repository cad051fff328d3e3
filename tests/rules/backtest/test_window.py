"""The windows of a backtest fire exactly as their definition says, also out of order and cut into slices."""

import json
from decimal import Decimal
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signalops.rules.backtest.window import Window
from signalops.rules.conditions import Measure, RuleConditions
from signalops.rules.rule_models import Conditions
from tests.rules.backtest import naive

SECOND = 1_000_000
SPAN = 10 * SECOND
ONE = Measure(Decimal(1), None)
Event = tuple[int, int, int | str]


def plan(**window: object) -> RuleConditions:
    made = RuleConditions.of(Conditions.model_validate({"window": {"within": "10s", **window}}), 1)
    assert made is not None
    return made


def seconds(pairs: list[tuple[int, int | str]], in_order: bool) -> list[Event]:
    """Number the events, in order of their times or as they are."""
    ordered = sorted(pairs, key=lambda pair: pair[0]) if in_order else pairs
    return [(n, at * SECOND, value) for n, (at, value) in enumerate(ordered)]


def fired(rule: RuleConditions, events: list[Event], slices: int = 7) -> list[int]:
    """Which events fire; after each of some events the state is written and read."""
    window, firing = Window(rule), []
    for n, at, value in events:
        if window.add(at, Measure(Decimal(value), None) if isinstance(value, int) else Measure(Decimal(1), value)):
            firing.append(n)
        if n % slices == 0:
            window = Window.of(rule, json.loads(json.dumps(window.state())))
    return firing


TIMES = st.integers(0, 60)


@given(st.lists(st.tuples(TIMES, st.just(1)), max_size=40), st.integers(1, 5), st.booleans(), st.integers(1, 9))
@example([(50, 1), (50, 1), (60, 1), (60, 1)], 2, True, 1)
def test_a_count(pairs: list[tuple[int, int | str]], least: int, in_order: bool, slices: int) -> None:
    events = seconds(pairs, in_order)
    assert fired(plan(count=least), events, slices) == naive.fired(events, SPAN, least)


@given(st.lists(st.tuples(TIMES, st.integers(-3, 9)), max_size=40), st.integers(1, 12), st.booleans())
def test_a_sum(pairs: list[tuple[int, int | str]], least: int, in_order: bool) -> None:
    events = seconds(pairs, in_order)
    rule = plan(sum={"field": "payload.n", "atLeast": least})
    assert fired(rule, events) == naive.fired(events, SPAN, least)


@given(st.lists(st.tuples(TIMES, st.sampled_from("abcdef")), max_size=40), st.integers(1, 4), st.booleans())
def test_distinct_values(pairs: list[tuple[int, int | str]], least: int, in_order: bool) -> None:
    events = seconds(pairs, in_order)
    rule = plan(distinct={"field": "payload.v", "atLeast": least})
    assert fired(rule, events) == naive.fired(events, SPAN, least, distinct=True)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 25), st.integers(-1, 3)), min_size=1, max_size=80), st.integers(1, 4))
def test_what_is_forgotten_would_not_have_mattered(steps: list[tuple[int, int, int]], least: int) -> None:
    """Receipt goes on; each event occurred up to 25 seconds before it."""
    window, firing, events = Window(plan(sum={"field": "payload.n", "atLeast": least})), [], []
    for n, received in enumerate(accumulate(step for step, _, _ in steps)):
        at = (received - steps[n][1]) * SECOND
        events.append((n, at, steps[n][2]))
        window.forget((received - 25) * SECOND)
        if window.add(at, Measure(Decimal(steps[n][2]), None)):
            firing.append(n)
    assert firing == naive.fired(events, SPAN, least)


@pytest.mark.parametrize(
    ("times", "firing"),
    [
        ([0, 9], [9]),
        ([0, 10], []),
        ([0, 9, 10, 18, 19], [9]),  # each joins the stretch before it
        ([0, 5, 20, 25], [5, 25]),
        ([0, 5, 15, 18], [5, 18]),  # one expires just when the next comes: nothing is left of the first stretch
        ([0, 5, 20, 25, 7], [5, 25]),  # late, and lengthens one at its end
        ([0, 30, 5], [5]),  # late, and starts one
        ([10, 12, 5], [12]),  # late, and lengthens one at its beginning
        ([0, 9, 12, 10], [9, 12]),  # late, and joins two
    ],
)
def test_examples(times: list[int], firing: list[int]) -> None:
    events: list[Event] = [(at, at * SECOND, 1) for at in times]
    assert naive.fired(events, SPAN, 2) == firing
    assert fired(plan(count=2), events) == firing


def test_only_the_events_that_matter_are_kept() -> None:
    window = Window(plan(count=2))
    for at in range(0, 10_000 * SECOND, SECOND):
        window.forget(at)
        window.add(at, ONE)
    assert len(window) < 300
