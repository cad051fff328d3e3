"""The language by examples of our own: each pattern with events that match and events that don't."""

import json
from pathlib import Path
from typing import Any

import pytest

from signalops.patterns import RuleSet, compile_pattern

EXAMPLES = json.loads(Path(__file__).with_name("language.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["about"])
def test_language(example: dict[str, Any]) -> None:
    pattern = compile_pattern(example["pattern"])
    rules = RuleSet({"rule": pattern})
    for expected, events in ((True, example["yes"]), (False, example["no"])):
        for event in events:
            assert pattern.matches(event) is expected, event
            assert rules.match(event) == ["rule"] * expected, event


def test_explanation_names_each_leaf_and_what_it_saw() -> None:
    pattern = compile_pattern({"type": ["signup"], "payload": {"plan": [{"anything-but": "free"}], "ref": [{"exists": False}]}})
    explanation = pattern.explain({"type": "login", "payload": [{"plan": "free"}, {"plan": "pro"}]})
    assert [(leaf.path, leaf.condition, leaf.seen, leaf.matched) for leaf in explanation] == [
        ("type", ["signup"], ["login"], False),
        ("payload.plan", [{"anything-but": "free"}], ["free", "pro"], True),
        ("payload.ref", [{"exists": False}], [], True),
    ]


def test_explanation_names_the_leaves_of_every_alternative_once() -> None:
    pattern = compile_pattern({"a": [1], "$or": [{"b": [2]}, {"c": [3]}]})
    assert pattern.leaves == 3
    assert [(leaf.path, leaf.matched) for leaf in pattern.explain({"a": 1, "c": 3})] == [("a", True), ("b", False), ("c", True)]
