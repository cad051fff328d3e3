"""JSON that means the same to every reader: what PostgreSQL's jsonb, Python and a producer could read differently is refused.

Sources: RFC 8259 and RFC 7493 (I-JSON); jsonb refuses U+0000, lone surrogates and deep nesting, and gives a number of a few
bytes such as 1e131071 back as 131,072 digits.
"""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

from signalops.errors import Malformed

DEPTH = 64
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 17
_OPENING = re.compile(r"[ \t\r\n]*\[[ \t\r\n]*")
_BETWEEN = re.compile(r"[ \t\r\n]*(,|\][ \t\r\n]*\Z)[ \t\r\n]*")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def parse(body: bytes) -> Any:
    """Parse a JSON text (UTF-8); raise Malformed with the reason for whatever is ambiguous or can't be stored."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from error
    if body.count(b"{") + body.count(b"[") > DEPTH and isinstance(value, dict | list):
        _check_depth(value)
    # orjson keeps the last of two equal keys, rounds long integers and lets U+0000 pass. A colon of the text that is missing
    # when the value is written out again stood behind a key that was dropped; only an escaped colon could hide that, and
    # what holds an escape goes the long way, which costs fifteen times as much.
    written = orjson.dumps(value)
    if b"\\u" in body or body.count(b":") != written.count(b":") or _LONG_NUMBER in body.translate(_DIGITS_TO_ZERO):
        json.loads(body, object_pairs_hook=_unique, parse_int=_integer)
        if _NUL.search(written):
            raise Malformed("A string holds U+0000, which PostgreSQL can't store: remove it.")
    return value


def parse_array(body: bytes, most: int) -> list[Any]:
    """Parse an array; an item that `parse` would refuse is replaced by its Malformed. Raise Malformed when it is no array.

    Where items must be cut apart, one more than `most` is the last: a few megabytes can hold a million of them.
    """
    try:
        items = parse(body)
    except Malformed as whole:
        texts = islice(_item_texts(body, whole), most + 1)
        return [_parse_or_problem(text.encode()) for text in texts]
    if not isinstance(items, list):
        raise Malformed("The body must be a JSON array of events.")
    return items


def parse_lines(body: bytes, most: int) -> list[Any]:
    """Parse NDJSON, a value per line and no more than `most` + 1; a line that `parse` would refuse becomes its Malformed."""
    lines = (line for line in body.splitlines() if line.strip())
    return [_parse_or_problem(line) for line in islice(lines, most + 1)]


def _parse_or_problem(text: bytes) -> Any:
    try:
        return parse(text)
    except Malformed as problem:
        return problem


def _item_texts(body: bytes, whole: Malformed) -> Iterator[str]:
    """Cut an array into the texts of its items; raise the problem of the whole when it can't be cut."""
    decoder = json.JSONDecoder(parse_int=float)  # int() raises beyond 4,300 digits; only where an item ends matters
    try:
        text = body.decode()
        match = _OPENING.match(text)
        while match and "]" not in match[0]:
            _, end = decoder.raw_decode(text, match.end())
            yield text[match.end() : end]
            match = _BETWEEN.match(text, end)
    except (ValueError, RecursionError):
        match = None
    if not match:
        raise whole


def _check_depth(value: Any, left: int = DEPTH) -> None:
    if left < 0:
        raise Malformed(f"The body nests deeper than {DEPTH} levels: send it flatter.")
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            _check_depth(inner, left - 1)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed(f"The key {twice[:100]!r} stands twice in one object: send it once.")


def _integer(digits: str) -> None:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
        raise Malformed(f"The number {digits[:24]} has more than 64 bits: send it as a string.")
