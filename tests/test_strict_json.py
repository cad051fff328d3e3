"""JSON that means the same to every reader."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalops.errors import Malformed, TooLarge
from signalops.strict_json import DEPTH, MAX_CONTAINERS, parse, parse_array, parse_lines
from tests.support.malformed_json import BOMBS


@pytest.mark.parametrize("name", BOMBS)
def test_what_readers_would_read_differently_is_refused(name: str) -> None:
    with pytest.raises(Malformed) as refusal:
        parse(BOMBS[name])
    assert refusal.value.detail.endswith(".")
    assert len(refusal.value.detail) < 300


HARMLESS: dict[bytes, Any] = {
    b'{"a":":","b":"::"}': {"a": ":", "b": "::"},
    b'{"a:":{"a:":1}}': {"a:": {"a:": 1}},
    b'[{"a":1},{"a":1}]': [{"a": 1}, {"a": 1}],
    b'{"a":"\\u003a\\u00e4\\ud83d\\ude00"}': {"a": ":\u00e4\U0001f600"},
    b'{"a":"\\\\u0000"}': {"a": "\\u0000"},
    b'{"a":"\\\\\\\\u0000\\n"}': {"a": "\\\\u0000\n"},
    b'{"a":18446744073709551615,"b":-9223372036854775808}': {"a": 2**64 - 1, "b": -(2**63)},
    b'{"a":0.12345678901234567890,"b":1E+2}': {"a": 0.12345678901234568, "b": 100.0},
    b'{"a":"12345678901234567890123"}': {"a": "12345678901234567890123"},
    b'{"A":1,"a":2}': {"A": 1, "a": 2},
    b" \r\n\t{ } ": {},
}


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_is_read(text: bytes) -> None:
    assert parse(text) == HARMLESS[text]


def test_the_deepest_that_is_read() -> None:
    assert parse(b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1))
    with pytest.raises(Malformed, match=f"deeper than {DEPTH}"):
        parse(b"[" * (DEPTH + 2) + b"]" * (DEPTH + 2))


def test_a_wide_value_is_not_a_deep_one() -> None:
    assert len(parse(b"[%s]" % b",".join([b"[]"] * 1000))) == 1000


Pairs = list[tuple[str, Any]]
_NAMES = st.sampled_from(["a", "b", ":", "", "\u00e4"])
_LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.sampled_from(["", ":", '"', "\\u003a", "x"])
_TREES = st.recursive(
    _LEAVES, lambda inner: st.lists(st.tuples(_NAMES, inner), max_size=4) | st.lists(inner, max_size=3).map(tuple)
)


def _written(value: Any, is_ascii: bool) -> str:
    if isinstance(value, list):
        members = (f"{_written(name, is_ascii)}: {_written(inner, is_ascii)}" for name, inner in value)
        return "{" + ", ".join(members) + "}"
    if isinstance(value, tuple):
        return "[" + ",".join(_written(inner, is_ascii) for inner in value) + "]"
    text = json.dumps(value, ensure_ascii=is_ascii)
    return text.replace(":", "\\u003a") if is_ascii else text


def _repeats(value: Any) -> bool:
    """Tell whether an object, written as a list of pairs, has a key twice anywhere."""
    if isinstance(value, list):
        names = [name for name, _ in value]
        return len(set(names)) < len(names) or any(_repeats(inner) for _, inner in value)
    return isinstance(value, tuple) and any(map(_repeats, value))


@given(_TREES, st.booleans())
def test_a_text_is_refused_exactly_when_a_key_repeats(tree: Any, is_ascii: bool) -> None:
    text = _written(tree, is_ascii)
    if _repeats(tree):
        with pytest.raises(Malformed):
            parse(text.encode())
    else:
        assert parse(text.encode()) == json.loads(text)


MAX_ITEMS = 1000
MIB = 2**20


def filled(unit: bytes, before: bytes = b"[", after: bytes = b"]", between: bytes = b",", size: int = 8 * MIB) -> bytes:
    """Return as many units as fit into 8 MiB, or another size."""
    return before + between.join([unit] * ((size - 2) // (len(unit) + len(between)))) + after


NAMES = ",".join(f'"k{number:07}":1' for number in range(600_000)).encode()
HALF = ",".join(f'"k{number:07}":1' for number in range(300_000)).encode()
ADVERSARIAL: dict[str, bytes] = {
    "a duplicate at the end": b"{" + NAMES + b',"k0599999":1}',
    "a duplicate at the beginning": b'{"k0000000":1,' + NAMES + b"}",
    "two objects with duplicates": b"[{" + HALF + b',"k0299999":1},{' + HALF + b',"k0000000":1}]',
    "many objects with duplicates": filled(b'{"a":1,"a":2}'),
    "wide lists": filled(b"[]"),
    "wide objects": filled(b"{}"),
    "lists as deep as allowed": filled(b"[" * 63 + b"]" * 63),
    "as many lists as allowed": filled(b"[" * 63 + b"]" * 63, size=31 * 8000),
    "far too deep": b"[" * (4 * MIB) + b"]" * (4 * MIB),
    "far too deep objects": filled(b'{"a":', b"", b"1" + b"}" * (8 * MIB // 6), b""),
    "never closed": b"[" * (8 * MIB),
    "a long key": b'{"' + b"k" * (8 * MIB) + b'":1}',
    "a long key twice": b'{"' + b"k" * (4 * MIB) + b'":1,"' + b"k" * (4 * MIB) + b'":1}',
    "a long integer": b"[" + b"1" * (8 * MIB) + b"]",
    "a long fraction": b"[0." + b"1" * (8 * MIB) + b"]",
    "a long exponent": b"[1e" + b"1" * (8 * MIB) + b"]",
    "many long integers": filled(b"12345678901234567"),
    "many integers that are too long": filled(b"123456789012345678901"),
    "backslashes": b'["' + b"\\" * (8 * MIB) + b'"]',
    "U+0000": filled(b'"\\u0000"'),
    "lone surrogates": filled(b'"\\ud800"'),
    "a string that never ends": b'["' + b"a" * (8 * MIB),
    "brackets in strings": filled(b'"[{"'),
    "blanks": b" " * (8 * MIB),
    "empty lines": b"\n" * (8 * MIB),
    "blank lines": b" \n" * (4 * MIB),
    "many lines": b"1\n" * (4 * MIB),
}


@pytest.mark.parametrize("reader", [parse, partial(parse_array, most=MAX_ITEMS), partial(parse_lines, most=MAX_ITEMS)])
@pytest.mark.parametrize("shape", ADVERSARIAL)
@pytest.mark.prove
def test_eight_mebibytes_of_any_shape_are_read_in_linear_time(shape: str, reader: Callable[[bytes], Any]) -> None:
    began = time.thread_time()
    with suppress(Malformed, TooLarge):
        reader(ADVERSARIAL[shape])
    # The slowest takes 1.6 s here; quadratic time took from 16 s, for a fiftieth of this, to hours.
    assert time.thread_time() - began < 6


def test_arrays_and_objects_are_counted_outside_of_strings() -> None:
    assert len(parse(filled(b'"[{"', size=5 * MAX_CONTAINERS))) > MAX_CONTAINERS / 2
    assert len(parse(filled(b"[]", size=3 * MAX_CONTAINERS - 10))) < MAX_CONTAINERS
    for reader in (parse, partial(parse_array, most=MAX_ITEMS), partial(parse_lines, most=MAX_ITEMS)):
        with pytest.raises(TooLarge, match="250,000 arrays"):
            reader(filled(b"[]", size=3 * MAX_CONTAINERS + 10))


def test_an_item_that_is_refused_leaves_its_neighbours() -> None:
    bad = (b'{"a":1,"a":2}', b"1e400", b"NaN", b'"\\ud800"', b'"\\u0000"', b"[" * 100 + b"]" * 100, b"9" * 5000)
    items = parse_array(b' [ {"a":"],["} ,%s\n, 2 ] ' % b",".join(bad), MAX_ITEMS)
    assert (items[0], items[-1]) == ({"a": "],["}, 2)
    assert [type(item) for item in items[1:-1]] == [Malformed] * len(bad)


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[1", b"[1,", b"[1,]", b"[NaN,]", b"[1 2]", b"[NaN 2]", b"[NaN]]", b"[NaN]x", b"x[NaN]", b"[\xff]"]
)
def test_what_is_no_array_at_all_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_array(body, MAX_ITEMS)


@pytest.mark.parametrize("body", [b"{}", b"1", b'"[]"', b"null"])
def test_a_value_that_is_no_array_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed, match="must be a JSON array"):
        parse_array(body, MAX_ITEMS)


def test_lines_are_read_one_by_one() -> None:
    first, second, third = parse_lines(b'{"a":1}\r\n\n{"a":1,"a":2}\n  \n[2]', MAX_ITEMS)
    assert (first, third) == ({"a": 1}, [2])
    assert isinstance(second, Malformed)
    assert parse_lines(b"", MAX_ITEMS) == []


def test_no_more_items_are_read_than_are_needed_to_see_that_they_are_too_many() -> None:
    assert len(parse_lines(b"NaN\n" * 50, 10)) == 11
    assert len(parse_array(b"[%s]" % b",".join([b"NaN"] * 50), 10)) == 11
