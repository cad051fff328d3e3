"""What one event may cost: every operator against long values, many values, and every way to write a field."""

import itertools
import time
from collections.abc import Mapping
from typing import Any

import pytest

from signalops.patterns import MAX_STEPS, MAX_VALUES, Budget, RuleSet, TooCostly, compile_pattern, explain

LONG = "ab" * 60_000
MANY = [f"value {number} ab" for number in range(20_000)]
SECONDS = 1.0
"""Of processor time; what is counted here took from 3 s to hours before."""


def spellings(*steps: str) -> list[tuple[str, ...]]:
    """Return every way to write a path: each dot either in a name or as a level of its own."""
    ways = []
    for cuts in itertools.product([False, True], repeat=len(steps) - 1):
        names, name = [], steps[0]
        for step, is_cut in zip(steps[1:], cuts, strict=True):
            if is_cut:
                names.append(name)
                name = step
            else:
                name = f"{name}.{step}"
        ways.append((*names, name))
    return ways


def written(value: object, *ways: tuple[str, ...]) -> dict[str, Any]:
    """Return an event that has a value at one path, written in several ways."""
    event: dict[str, Any] = {}
    for way in ways:
        level = event
        for name in way[:-1]:
            level = level.setdefault(name, {})
        level[way[-1]] = value
    return event


def steps(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> int:
    """Return how many steps an event takes; TooCostly within bounded time."""
    began, budget = time.thread_time(), Budget()
    try:
        compile_pattern(pattern).matches(event, budget)
    finally:
        assert time.thread_time() - began < SECONDS
    return MAX_STEPS - budget.left


def test_ways_to_write_one_path_do_not_multiply_the_choices_of_elements() -> None:
    ways = spellings("a", "b", "c", "d", "e")
    items = [{"x": 1, "y": 1, "z": 1}] * 16
    event = {"payload": written(items, *ways)}
    pattern = {"payload": {"a.b.c.d.e.x": [1], "a.b.c.d.e.y": [1], "a.b.c.d.e.z": [1]}}
    assert len(ways) == 16
    assert steps(pattern, event) < 10_000
    assert compile_pattern(pattern).matches(event)
    apart = written([{"x": 1, "y": 0}, {"x": 0, "y": 1}], *ways)
    assert not compile_pattern({"payload": {"a.b.c.d.e.x": [1], "a.b.c.d.e.y": [1]}}).matches({"payload": apart})


def test_two_ways_are_one_array_in_which_one_element_must_hold_all() -> None:
    pattern = {"payload": {"order": {"items": {"sku": ["a"], "price": [1]}}}}
    one = {"payload": {"order": {"items": [{"sku": "a", "price": 2}]}, "order.items": [{"sku": "b", "price": 1}]}}
    both = {"payload": {"order": {"items": [{"sku": "a", "price": 2}]}, "order.items": [{"sku": "a", "price": 1}]}}
    assert not compile_pattern(pattern).matches(one)
    assert compile_pattern(pattern).matches(both)


@pytest.mark.parametrize("fields", [2, 5])
@pytest.mark.parametrize("elements", [12, 1000])
@pytest.mark.parametrize("nested", [False, True])
def test_arrays_of_objects_end_within_the_budget(fields: int, elements: int, nested: bool) -> None:
    names = [f"f{number}" for number in range(fields)]
    item: dict[str, Any] = {name: ([{"v": 1}] * 5 if nested else 1) for name in names}
    event = {"payload": {"a": [item] * elements, "a.b": 1}}
    leaf = {"v": [1]} if nested else [1]
    try:
        steps({"payload": {"a": dict.fromkeys(names, leaf)}}, event)
    except TooCostly:
        assert elements == 1000, "what is small is decided"


OPERATORS: dict[str, list[object]] = {
    "equals": [f"value {number}" for number in range(100)],
    "prefix": [{"prefix": f"{number}ab"} for number in range(100)],
    "suffix": [{"suffix": f"{number}ab"} for number in range(100)],
    "ignoring case": [{"equals-ignore-case": f"{number}AB"} for number in range(100)],
    "ignoring unusual case": [{"equals-ignore-case": f"{number}\u0130\u1e9e"} for number in range(100)],
    "wildcard": [{"wildcard": f"*aa*ab*{number}*"} for number in range(100)],
    "wildcard of stars": [{"wildcard": "*a" * 30 + f"{number}*"} for number in range(100)],
    "anything but": [{"anything-but": [f"value {number}" for number in range(100)]}],
    "anything but a wildcard": [{"anything-but": {"wildcard": f"*aa*{number}*"}} for number in range(10)],
    "cidr": [{"cidr": f"10.0.{number}.0/24"} for number in range(100)],
    "numeric": [{"numeric": [">", number]} for number in range(100)],
    "exists": [{"exists": True}],
}
VALUES: dict[str, object] = {
    "a long text": LONG,
    "many texts": MANY,
    "many long texts": ["ab" * 500 for _ in range(250)],
    "many numbers": list(range(100_000)),
    "objects": [{"x": "ab"}] * 20_000,
    "lists in lists": [[["ab"] * 10] * 10] * 200,
    "addresses": ["10.0.0.1"] * 20_000,
}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("value", VALUES)
def test_every_operator_ends_with_every_value(operator: str, value: str) -> None:
    rules = {}
    for number in range(3):
        try:
            rules[number] = compile_pattern({"payload": {"v": OPERATORS[operator]}})
        except ValueError as error:  # an operator that takes no list of conditions here
            pytest.fail(str(error))
    ruleset = RuleSet(rules)
    began = time.thread_time()
    try:
        ruleset.match({"payload": {"v": VALUES[value], "v.x": VALUES[value]}}, Budget())
    except TooCostly:
        assert value != "a long text", "one value is always decided about"
    assert time.thread_time() - began < SECONDS


def test_many_wildcards_against_many_values_are_too_costly_and_few_are_not() -> None:
    pattern = {"payload": {"v": [{"wildcard": f"*aa*ab*{number}*"} for number in range(128)]}}
    event = {"payload": {"v": ["aab" * 2] * 50_000}}
    rules = RuleSet({number: compile_pattern(pattern) for number in range(4)})
    began = time.thread_time()
    with pytest.raises(TooCostly):
        rules.match(event, Budget())
    assert time.thread_time() - began < SECONDS
    assert rules.match({"payload": {"v": ["aab 7 aab"] * 20 + ["aa ab 7 "]}}, Budget()) == [0, 1, 2, 3]


def test_the_first_thousand_values_of_a_field_are_looked_at() -> None:
    pattern = compile_pattern({"payload": {"v": ["last"]}})
    assert pattern.matches({"payload": {"v": ["x"] * (MAX_VALUES - 1) + ["last"]}})
    assert not pattern.matches({"payload": {"v": ["x"] * MAX_VALUES + ["last"]}})
    items = [{"v": "x"}] * MAX_VALUES
    assert not compile_pattern({"payload": {"i": {"v": ["last"]}}}).matches({"payload": {"i": [*items, {"v": "last"}]}})


def test_an_explanation_is_bounded_as_well() -> None:
    pattern = compile_pattern({"payload": {"v": [{"wildcard": f"*aa*ab*{number}*"} for number in range(128)]}})
    began = time.thread_time()
    with pytest.raises(TooCostly):
        explain(pattern, {"payload": {"v": ["aab" * 2] * 50_000}})
    assert time.thread_time() - began < SECONDS
