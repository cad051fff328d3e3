"""Rules of every earlier grammar stay valid: stored examples are upgraded and decide as before."""

import json
from pathlib import Path
from typing import Any

import pytest

from signalops.patterns import CURRENT_GRAMMAR, UPGRADERS, PatternError, compile_pattern, upgrade

STORED = json.loads(Path(__file__).with_name("grammar-1.json").read_text())


@pytest.mark.parametrize("example", STORED)
def test_grammar_1(example: dict[str, Any]) -> None:
    upgraded = upgrade(1, example["stored"])
    assert upgraded == example["current"]
    assert compile_pattern(upgraded).matches(example["matches"])
    assert not compile_pattern(upgraded).matches(example["differs"])


def test_every_earlier_grammar_has_its_upgrader_and_stored_examples() -> None:
    assert sorted(UPGRADERS) == list(range(1, CURRENT_GRAMMAR))
    assert all(Path(__file__).with_name(f"grammar-{grammar}.json").exists() for grammar in UPGRADERS)


def test_the_current_grammar_stays_as_it_is() -> None:
    assert upgrade(CURRENT_GRAMMAR, {"a": [1]}) == {"a": [1]}


@pytest.mark.parametrize(
    ("body", "path"),
    [({"a": 1, "a.b": 2}, "a.b"), ({"a.b": 1, "a": 2}, "a"), ({"a": [1]}, "a"), ({"equals": {"a": {"b": 1}}}, "a")],
)
def test_what_no_equals_rule_could_mean_is_refused(body: dict[str, object], path: str) -> None:
    with pytest.raises(PatternError) as caught:
        upgrade(1, body)
    assert caught.value.path == path


@pytest.mark.parametrize("grammar", [0, CURRENT_GRAMMAR + 1])
def test_an_unknown_grammar_is_refused(grammar: int) -> None:
    with pytest.raises(PatternError, match="unknown"):
        upgrade(grammar, {"a": 1})
