"""What the set of rules adds to its patterns: order, memories with bounds, and indifference to hostile rules."""

import time

import pytest

from signalops.patterns import RuleSet, compile_pattern
from signalops.patterns.branches import MAX_SHAPES
from signalops.patterns.index import MANY_LEAVES, MAX_REMEMBERED
from signalops.patterns.ruleset import MAX_VERDICTS


def test_keys_come_in_the_order_of_insertion_and_once() -> None:
    either = compile_pattern({"$or": [{"a": [1]}, {"b": [1]}]})
    rules = RuleSet({"z": either, "a": compile_pattern({"a": [1]}), "m": either})
    assert rules.match({"a": 1, "b": 1}) == ["z", "a", "m"]
    assert rules.match({"x": [{"a": 1}], "b": 1}) == ["z", "m"]


def test_the_answer_is_the_callers_own() -> None:
    rules = RuleSet({1: compile_pattern({"a": [1]})})
    rules.match({"a": 1}).append(2)
    assert rules.match({"a": 1}) == [1]


def test_an_empty_set_matches_nothing() -> None:
    assert RuleSet[int]({}).match({"a": 1}) == []


def test_memories_stay_right_when_they_overflow() -> None:
    count = max(MAX_SHAPES, MAX_VERDICTS) + 20
    rules = RuleSet({number: compile_pattern({f"f{number}": [{"exists": True}]}) for number in range(count)})
    for _ in range(2):
        assert all(rules.match({f"f{number}": 1}) == [number] for number in range(count))


def test_a_field_remembers_answers_within_its_bound_and_by_type() -> None:
    count = MANY_LEAVES + MAX_REMEMBERED
    rules = RuleSet({number: compile_pattern({"a": [str(number), number]}) for number in range(count)})
    for _ in range(2):
        assert all(rules.match({"a": value(n)}) == [n] for n in range(count) for value in (str, int))
    assert rules.match({"a": True}) == []


@pytest.mark.parametrize("depth", [900, 20_000])
def test_deep_arrays_need_no_stack(depth: int) -> None:
    value: object = 1
    for _ in range(depth):
        value = [value]
    pattern = compile_pattern({"a": [1]})
    assert pattern.matches({"a": value})
    assert RuleSet({1: pattern}).match({"a": value}) == [1]


def test_a_hostile_wildcard_costs_no_more_than_reading_the_text() -> None:
    text = "a" * 200_000
    patterns = [compile_pattern({"a": [{"wildcard": "*" + "a*" * stars + "b"}]}) for stars in (1, 20, 63)]
    started = time.process_time()
    assert not any(pattern.matches({"a": text + "c"}) for pattern in patterns)
    # Backtracking would take longer than the universe has; the bound only has to tell the two apart.
    assert time.process_time() - started < 2


def test_wide_arrays_that_contradict_are_joined_not_multiplied() -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    pattern = compile_pattern({"rows": {name: [1] for name in names}})
    rows = [{name: 1 for name in names if name != names[number % 6]} for number in range(900)]
    started = time.process_time()
    assert not pattern.matches({"rows": rows})
    assert pattern.matches({"rows": [*rows, dict.fromkeys(names, 1)]})
    # Trying every choice would be 750 to the sixth.
    assert time.process_time() - started < 5


def test_places_outside_a_settled_array_stay_free() -> None:
    """A dotted name puts values of one field both inside and outside of an array."""
    pattern = compile_pattern({"d": {"a": [1], "b": [2]}})
    event = {"d": [{"a": 1}, {"a": 3}], "d.b": 2}
    assert pattern.matches(event)
    assert RuleSet({1: pattern}).match(event) == [1]
