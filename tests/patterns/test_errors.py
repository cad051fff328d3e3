"""A refused pattern: where the fault is, what it is, and what to do."""

from typing import Any

import pytest

from signalops.patterns import PatternError, compile_pattern
from signalops.patterns.grammar import MAX_DEPTH, MAX_EXPANDED_LEAVES, MAX_LEAVES, MAX_TEXT, MAX_TRIED
from signalops.patterns.operators import MAX_STARS


def _fault(pattern: Any) -> PatternError:
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("pattern", "path", "words"),
    [
        ({}, "", "an empty object"),
        ({"a": {}}, "a", "an empty object"),
        ({"a": {"b": []}}, "a.b", "an empty list"),
        ({"a": "x"}, "a", "neither a list nor an object"),
        ({"a": [["x"]]}, "a.0", "a list inside the list"),
        ({"a": ["x", {}]}, "a.1", "0 operators"),
        ({"a": [{"prefix": "x", "suffix": "y"}]}, "a.0", "2 operators"),
        ({"a": [{"prefix": 1}]}, "a.0.prefix", "not a string"),
        ({"a": [{"wildcard": "a**b"}]}, "a.0.wildcard", "two stars"),
        ({"a": [{"wildcard": "a\\b"}]}, "a.0.wildcard", "a backslash"),
        ({"a": [{"wildcard": "*a" * (MAX_STARS + 1)}]}, "a.0.wildcard", "65 stars"),
        ({"a": [{"exists": 1}]}, "a.0.exists", "neither true nor false"),
        ({"a": [{"cidr": "10.0.0.0"}]}, "a.0.cidr", "not a network"),
        ({"a": [{"cidr": "10.0.0.256/8"}]}, "a.0.cidr", "not a network"),
        ({"a": [{"cidr": "10.0.0.1/32"}]}, "a.0.cidr", "32 mask bits"),
        ({"a": [{"cidr": "::1/128"}]}, "a.0.cidr", "128 mask bits"),
        ({"a": [{"cidr": "::ffff:a00:0/104"}]}, "a.0.cidr", "104 mask bits"),
        ({"a": [{"numeric": 5}]}, "a.0.numeric", "not a list"),
        ({"a": [{"numeric": [">", "100"]}]}, "a.0.numeric", "a bound is a string"),
        ({"a": [{"numeric": [">", 5, "<"]}]}, "a.0.numeric", "3 elements"),
        ({"a": [{"numeric": [">", 5, "<", 5]}]}, "a.0.numeric", "lower bound"),
        ({"a": [{"numeric": ["<", 5, ">", 1]}]}, "a.0.numeric", "not a range"),
        ({"a": [{"numeric": ["<", float("inf")]}]}, "a.0.numeric", "a double"),
        ({"a": [{"numeric": ["=", 10**400]}]}, "a.0.numeric", "a double"),
        ({"a": [float("nan")]}, "a.0", "not finite"),
        ({"a": [{"anything-but": []}]}, "a.0.anything-but", "an empty list"),
        ({"a": [{"anything-but": {"prefix": []}}]}, "a.0.anything-but", "an empty list"),
        ({"a": [{"anything-but": {"suffix": ["x", ""]}}]}, "a.0.anything-but.suffix", "an empty string"),
        ({"a": [{"anything-but": ["x", 1]}]}, "a.0.anything-but", "mixed"),
        ({"a": [{"anything-but": [True]}]}, "a.0.anything-but", "a double"),
        ({"$or": {"a": [1]}}, "$or", "without a list"),
        ({"d": {"$or": [{"a": [1]}]}}, "d.$or", "1 alternatives"),
        ({"$or": [{"a": [1]}, 5]}, "$or.1", "not an object"),
        ({"$or": [{"a": [1]}, {"d": {"numeric": [1]}}]}, "d.numeric", "reserved"),
        ({1: ["x"]}, "", "not a string"),
        ({"a": [{1, 2}]}, "a.0", "a list inside"),
        ("[1]", "", "not a JSON object"),
        ('{"a": [1]} x', "", "not valid JSON"),
        ('{"a": [NaN]}', "", "NaN is not JSON"),
        ('{"a": [1], "a": [2]}', "", 'the key "a" appears twice'),
        (b'{"a": ["\xff"]}', "", "not valid JSON"),
        ('{"a":' * 5000, "", "nested too deeply"),
        ('{"a": [1e99999999999999999999]}', "", "out of range"),
        ('{"a": [' + "9" * 5000 + "]}", "", "not valid JSON"),
    ],
)
def test_fault_has_its_path_and_reason(pattern: Any, path: str, words: str) -> None:
    fault = _fault(pattern)
    assert fault.path == path
    assert words in fault.reason
    assert str(fault) == f"{path or 'the pattern'}: {fault.reason}; {fault.remedy}"


@pytest.mark.parametrize(
    ("pattern", "nearest"),
    [
        ({"a": [{"Prefix": "x"}]}, "prefix"),
        ({"a": [{"anythingbut": "x"}]}, "anything-but"),
        ({"a": [{"equalsIgnoreCase": "x"}]}, "equals-ignore-case"),
        ({"a": [{"prefix": {"equals-ignorecase": "x"}}]}, "equals-ignore-case"),
        ({"a": [{"anything-but": {"sufix": "x"}}]}, "suffix"),
        ({"a": [{"numeric": ["==", 1]}]}, "="),
    ],
)
def test_unknown_operator_names_the_nearest(pattern: Any, nearest: str) -> None:
    assert f'"{nearest}"' in _fault(pattern).remedy


def test_unknown_operator_without_a_near_one_lists_them() -> None:
    assert "prefix, suffix" in _fault({"a": [{"zzz": 1}]}).remedy


def test_leaves_are_limited() -> None:
    assert compile_pattern({f"f{n}": [1] for n in range(MAX_LEAVES)}).leaves == MAX_LEAVES
    assert "256 leaves" in _fault({f"f{n}": [1] for n in range(MAX_LEAVES + 1)}).reason


def test_alternatives_that_multiply_are_limited_before_they_are_made() -> None:
    def product(lists: int) -> dict[str, Any]:
        return {f"d{n}": {"$or": [{"a": [1]}, {"b": [1]}]} for n in range(lists)}

    assert len(compile_pattern(product(7)).branches) == 2**7
    assert str(MAX_EXPANDED_LEAVES) in _fault(product(100)).reason
    many_then_wide = {"$or": [{f"x{n}": [1]} for n in range(200)], **{f"f{n}": [1] for n in range(50)}}
    assert str(MAX_EXPANDED_LEAVES) in _fault(many_then_wide).reason


def test_conditions_that_no_lookup_decides_are_limited() -> None:
    wildcards = [{"wildcard": f"*{n}*"} for n in range(MAX_TRIED)]
    assert compile_pattern({"a": wildcards, "b": [{"prefix": f"{n}"} for n in range(500)]}).leaves == 2
    assert "tried one by one" in _fault({"a": wildcards, "b": [{"anything-but": {"wildcard": "*x"}}]}).reason
    assert "tried one by one" in _fault({"a": [{"equals-ignore-case": "ß"}] * (MAX_TRIED + 1)}).reason
    assert "tried one by one" in _fault({"a": [{"anything-but": "x"}] * (MAX_TRIED + 2)}).reason


def test_depth_is_limited_also_through_alternatives() -> None:
    deep: dict[str, Any] = {"a": [1]}
    for _ in range(MAX_DEPTH - 1):
        deep = {"a": deep}
    assert compile_pattern(deep).leaves == 1
    assert "nested deeper" in _fault({"a": deep}).reason
    assert "steps" in _fault({".".join("a" * (MAX_DEPTH + 1)): [1]}).reason
    alternatives: dict[str, Any] = {"a": [1]}
    for _ in range(3000):
        alternatives = {"$or": [alternatives, {"b": [1]}]}
    assert "nested deeper" in _fault(alternatives).reason


def test_text_is_limited_in_bytes_however_the_pattern_is_given() -> None:
    value = "ä" * (MAX_TEXT // 2)
    assert "bytes" in _fault({"a": [value]}).reason
    assert "bytes" in _fault(f'{{"a": ["{value}"]}}').reason
    assert compile_pattern({"a": [value[:-10]]}).leaves == 1
