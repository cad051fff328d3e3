"""Tries many patterns on their example events, for `signalops rule match --cases`."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from signalops.patterns.pattern import compile_pattern
from signalops.patterns.text import read_json

Result = Literal["match", "no match", "invalid"]


class CaseResult(TypedDict):
    name: object
    result: Result


def run_cases(cases: Sequence[Mapping[str, object]]) -> list[CaseResult]:
    """Decide each {name, pattern, event}; pattern and event are JSON values, or JSON text in a string.

    Read the file with `read_json(text, unique_keys=False)`: numbers keep their digits, and a duplicate key in one case
    does not cost the others their answer.
    """
    return [{"name": case.get("name"), "result": _decide(case.get("pattern"), case.get("event"))} for case in cases]


def _decide(pattern: object, event: object) -> Result:
    try:
        if not isinstance(pattern, Mapping | str):
            return "invalid"
        compiled = compile_pattern(pattern)
        body = read_json(event) if isinstance(event, str) else event
    except ValueError:  # PatternError, or an event that is no JSON
        return "invalid"
    if not isinstance(body, Mapping):
        return "invalid"
    return "match" if compiled.matches(body) else "no match"
