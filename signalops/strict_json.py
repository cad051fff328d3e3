"""JSON that means the same to every reader: what PostgreSQL's jsonb, Python and a producer could read differently is refused.

Sources: RFC 8259 and RFC 7493 (I-JSON); jsonb refuses U+0000, lone surrogates and deep nesting, and gives a number of a few
bytes such as 1e131071 back as 131,072 digits.
"""

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

from signalops.errors import Malformed, TooLarge

DEPTH = 64
MAX_CONTAINERS = 250_000
"""Arrays and objects of one text: they cost up to 130 ns and 60 bytes each, under the lock of the interpreter."""
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 17
_OPENING = re.compile(r"[ \t\r\n]*\[[ \t\r\n]*")
_BETWEEN = re.compile(r"[ \t\r\n]*(,|\][ \t\r\n]*\Z)[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_LINE = re.compile(rb"[^\r\n]+")
_REASONS = {
    "unexpected end of data": "it breaks off",
    "trailing comma is not allowed": "a comma has nothing after it",
    "no low surrogate in string": "half of a surrogate pair stands alone",
    "lone leading surrogate in hex escape": "half of a surrogate pair stands alone",
}
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def parse(body: bytes) -> Any:
    """Parse a JSON text (UTF-8); raise Malformed with the reason for whatever is ambiguous or can't be stored, and TooLarge."""
    containers = _containers(body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(_reason(body, error)) from error
    if containers > DEPTH and isinstance(value, dict | list):
        _check_depth(value)
    # orjson keeps the last of two equal keys, rounds long integers and lets U+0000 pass. A colon of the text that is missing
    # when the value is written out again stood behind a key that was dropped; only an escaped colon could hide that, and
    # a string with an escape goes the long way, which costs fifteen times as much.
    written = orjson.dumps(value)
    if b"\\u" in body or body.count(b":") != written.count(b":") or _LONG_NUMBER in body.translate(_DIGITS_TO_ZERO):
        json.loads(body, object_pairs_hook=_unique, parse_int=_integer)
        if _NUL.search(written):
            raise Malformed("A string contains U+0000, which PostgreSQL can't store: remove it.")
    return value


def parse_array(body: bytes, most: int) -> list[Any]:
    """Parse an array; an item that `parse` would refuse is replaced by its Malformed. Raise Malformed when it is no array.

    Where items must be cut apart, one more than `most` is the last: a few megabytes can contain a million of them.
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
    _containers(body)
    # One line at a time: a list of the empty lines of 8 MiB would take 300 MB.
    lines = (line[0] for line in _LINE.finditer(body) if line[0].strip())
    return [_parse_or_problem(line) for line in islice(lines, most + 1)]


def _reason(body: bytes, error: orjson.JSONDecodeError) -> str:
    """Return why and where a text is not valid JSON."""
    if not body.strip():
        return "The body is empty: send JSON."
    if body.startswith(b"\x1f\x8b"):
        return "The body is gzip, and nothing says so: send Content-Encoding: gzip."
    if body.startswith(codecs.BOM_UTF8):
        return "The body begins with a byte order mark: leave it out (RFC 8259, section 8.1)."
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in body[:4]:
        return "The body is UTF-16 or UTF-32: JSON is sent in UTF-8."
    try:
        body.decode()
    except UnicodeDecodeError as wrong:
        return f"The body is not UTF-8 (byte {wrong.start + 1}): JSON is sent in UTF-8."
    place = f"line {error.lineno}, column {error.colno}"
    return f"The body is not valid JSON: {_REASONS.get(error.msg, 'something else is expected')} at {place}."


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


def _containers(body: bytes) -> int:
    """Return how many brackets a text has that may open an array or object; TooLarge if too many of them do."""
    opening = body.count(b"{") + body.count(b"[")
    if opening > MAX_CONTAINERS:
        outside = _STRING.sub(b"", body)
        if outside.count(b"{") + outside.count(b"[") > MAX_CONTAINERS:
            raise TooLarge(f"The body contains more than {MAX_CONTAINERS:,} arrays and objects: send less at once.")
    return opening


def _check_depth(value: Any) -> None:
    # Level by level: a call for each of the millions of lists that 8 MiB can contain took up to 7 s.
    level = [value]
    for _ in range(DEPTH + 1):
        level = [
            member
            for container in level
            for member in (container.values() if type(container) is dict else container)
            if type(member) is list or type(member) is dict
        ]
        if not level:
            return
    raise Malformed(f"The body nests deeper than {DEPTH} levels: send it flatter.")


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise Malformed(f"The key {twice[:100]!r} stands twice in one object: send it once.")


def _integer(digits: str) -> None:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
        raise Malformed(f"The number {digits[:24]} has more than 64 bits: send it as a string.")
