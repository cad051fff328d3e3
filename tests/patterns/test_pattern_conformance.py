"""The answers of the reference implementation, aws/event-ruler 2.0.1, read where they stand beside the project."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from signalops.patterns import PatternError, compile_pattern, read_json, run_cases
from tests.support.paths import ROOT

FOLDER = Path(os.environ.get("SIGNALOPS_CONFORMANCE", ROOT.parent / "shared" / "conformance"))

# Deliberate: readers of JSON disagree on duplicate keys, so both patterns and events that have them are refused.
DEVIATIONS = {
    "raw dup key in event last wins? first": "invalid",
    "raw dup key in event second": "invalid",
    "raw dup key in rule first": "invalid",
    "raw dup key in rule last": "invalid",
}
# What the reference calls an error is an event that is no object: by hand that is one word.
WORDS = {"match": "match", "no_match": "no match", "invalid": "invalid", "error": "invalid"}


def _answers(file: str, part: str) -> list[Any]:
    path = FOLDER / file
    if not path.exists():
        return [pytest.param(None, marks=pytest.mark.skip(f"{file} is absent: set SIGNALOPS_CONFORMANCE to its folder"))]
    listed = json.loads(path.read_text())[part]
    return [pytest.param(one, id=one["name"] if isinstance(one, dict) else one) for one in listed]


@pytest.mark.parametrize("case", _answers("eventbridge-semantics.json", "cases"))
def test_same_answer(case: dict[str, Any]) -> None:
    assert run_cases([case])[0]["result"] == WORDS[case["event_ruler"]]


@pytest.mark.parametrize("case", _answers("eventbridge-semantics.json", "raw_cases"))
def test_same_answer_to_raw_text(case: dict[str, Any]) -> None:
    as_text = {"name": case["name"], "pattern": case["pattern_text"], "event": case["event_text"]}
    assert run_cases([as_text])[0]["result"] == DEVIATIONS.get(case["name"], WORDS[case["event_ruler"]])


@pytest.mark.parametrize("text", _answers("eventbridge-pattern-validation.json", "patterns_must_be_rejected"))
def test_rejected(text: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(text)


@pytest.mark.parametrize("text", _answers("eventbridge-pattern-validation.json", "patterns_must_be_accepted"))
def test_accepted(text: str) -> None:
    assert compile_pattern(text).leaves == 1
    assert compile_pattern(json.dumps(read_json(text))).leaves == 1


@pytest.mark.parametrize("text", _answers("eventbridge-pattern-validation.json", "numeric_accepted"))
def test_numeric_accepted(text: str) -> None:
    assert compile_pattern(f'{{"a": [{{"numeric": {text}}}]}}').leaves == 1


@pytest.mark.parametrize("text", _answers("eventbridge-pattern-validation.json", "numeric_rejected"))
def test_numeric_rejected(text: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(f'{{"a": [{{"numeric": {text}}}]}}')
