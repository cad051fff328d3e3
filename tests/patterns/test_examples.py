"""The matcher by hand over a list of cases."""

from typing import Any, cast

import pytest

from signalops.patterns import read_json, run_cases


def test_each_case_gets_one_of_three_words() -> None:
    cases: list[dict[str, object]] = [
        {"name": "fits", "pattern": {"a": [1]}, "event": {"a": 1}},
        {"name": "as text", "pattern": '{"a": [1]}', "event": '{"a": 1.0}'},
        {"name": "another value", "pattern": {"a": [1]}, "event": {"a": 2}},
        {"name": "broken pattern", "pattern": {"a": 1}, "event": {"a": 1}},
        {"name": "broken text", "pattern": '{"a": [1]', "event": {}},
        {"name": "no object", "pattern": {"a": [1]}, "event": [1]},
        {"name": "broken event", "pattern": {"a": [1]}, "event": "{"},
        {"name": "nothing"},
    ]
    assert run_cases(cases) == [
        {"name": "fits", "result": "match"},
        {"name": "as text", "result": "match"},
        {"name": "another value", "result": "no match"},
        {"name": "broken pattern", "result": "invalid"},
        {"name": "broken text", "result": "invalid"},
        {"name": "no object", "result": "invalid"},
        {"name": "broken event", "result": "invalid"},
        {"name": "nothing", "result": "invalid"},
    ]


def test_a_file_of_cases_keeps_every_digit_and_every_case() -> None:
    text = """[
      {"name": "digits", "pattern": {"a": [{"numeric": [">", 0]}]}, "event": {"a": 0.12345678901234567890}},
      {"name": "huge", "pattern": {"a": [1e400]}, "event": {"a": 1e400}},
      {"name": "tiny", "pattern": {"a": [{"numeric": ["=", 1e-325]}]}, "event": {"a": 0}},
      {"name": "twice", "pattern": {"a": [1], "a": [2]}, "event": {"a": 2}}
    ]"""
    cases = cast("list[dict[str, Any]]", read_json(text, unique_keys=False))
    assert [case["result"] for case in run_cases(cases)] == ["no match", "match", "invalid", "match"]
    with pytest.raises(ValueError, match="twice"):
        read_json(text)
