"""Hostile requests: JSON that readers read differently, that grows, or that nothing holds; and text that poses as other text."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

from tests.support.malformed_json import BOMBS

_WIDE = b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(100_000)) + b"}"

TEXTS: dict[str, bytes] = {
    **BOMBS,
    "a comment": b'{"a":1 /* no */}',
    "a line comment": b'// {\n{"a":1}',
    "garbage behind": b'{"a":1}garbage',
    "a form": b"type=a.b&payload=%7B%7D",
    "multipart": b'--x\r\nContent-Disposition: form-data; name="type"\r\n\r\na.b\r\n--x--',
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "YAML": b"!!python/object/apply:os.system ['true']",
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "a string": b'"type"',
    "an array of nulls": b"[null,null]",
    "an array of arrays": b"[[[]]]",
    "UTF-16 without a mark": '{"a":1}'.encode("utf-16-le"),
    "UTF-32": '{"a":1}'.encode("utf-32"),
    "hexadecimal": b'{"a":0x10}',
    "a leading zero": b'{"a":010}',
    "a plus": b'{"a":+1}',
    "a bare point": b'{"a":.5}',
    "minus alone": b'{"a":-}',
    "minus zero": b'{"a":-0,"b":-0.0}',
    "2 to the 53rd and one": b'{"a":9007199254740993}',
    "2 to the 63rd": b'{"a":9223372036854775808}',
    "an integer of 400 digits": b'{"a":1%s}' % (b"0" * 400),
    "a fraction of 5,000 digits": b'{"a":0.%s}' % (b"1" * 5000),
    "the least double": b'{"a":5e-324}',
    "below the least double": b'{"a":1e-400}',
    "100,000 keys": _WIDE,
    "prototype names": b'{"__proto__":{"a":1},"constructor":{"prototype":{}},"__class__":"x","__init__":{}}',
    "an empty key": b'{"":{"":{"":""}}}',
    "a long key": b'{"%s":1}' % (b"k" * 60_000),
    "a long string": b'{"a":"%s"}' % (b"x" * 200_000),
    "an unpaired escape": b'{"a":"\\"}',
    "an unknown escape": b'{"a":"\\x41"}',
    "a raw line break": b'{"a":"\n"}',
    "an overlong slash": b'{"a":"\xc0\xaf"}',
    "a character beyond Unicode": b'{"a":"\xf4\x90\x80\x80"}',
    "half a character": b'{"a":"\xe2\x82',
}
"""Whole bodies."""

STRINGS: dict[str, str] = {
    "NUL": "\0",
    "a lone surrogate": "\ud800",
    "controls": "\x01\x08\x1b[2J\x7f\x9b",
    "line breaks": "a\r\nSet-Cookie: b=c\r\n\r\n{}",
    "separators": "a\u2028b\u2029c\x85d",
    "a quote": "'; drop table signalops.events; --",
    "a placeholder": "%s %(id)s %n $1 {0} {id} ${jndi:ldap://127.0.0.1/a} {{7*7}} {% raw %}",
    "a wildcard": "%_\\%\\_",
    "a path": "../../../../etc/passwd",
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a formula": '=HYPERLINK("http://127.0.0.1/","x")',
    "bidi": "\u202etxt.exe\u202c\u2066\u2069",
    "confusables": "\u0430dmin\u200b\u00ad\ufeff",
    "a flag and a family": "🏳️‍🌈👩‍👩‍👧‍👦",
    "combining": "a" + "\u0301" * 2000,
    "private and unassigned": "\ue000\uffff\U0010ffff\U000e0001",
    "nothing": "",
    "white space": " \t\u00a0\u3000",
    "long": "x" * 100_000,
    "a long number": "9" * 5000,
    "not a number": "NaN",
    "infinite": "-Infinity",
    "a date beyond the calendar": "99999-12-31T23:59:60Z",
    "the first year": "0001-01-01T00:00:00+14:00",
    "the last year": "9999-12-31T23:59:59-12:00",
    "the nil id": "00000000-0000-0000-0000-000000000000",
    "the last id": "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "a regular expression": "(a+)+$" + "a" * 50 + "!",
    "stars": "*a" * 200,
}
"""Values for whatever holds a string."""

_ENCODED = {"gzip": gzip.compress(b'{"type":"a.b"}'), "a gzip bomb": gzip.compress(b"[" * 10_000_000)}

HEADERS: dict[str, tuple[dict[str, str], bytes]] = {
    **{name: ({"content-type": "application/json", "content-encoding": "gzip"}, body) for name, body in _ENCODED.items()},
    **{
        f"the media type {media}": ({"content-type": media}, b'{"type":"a.b"}')
        for media in (
            *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html", "application/xml", ""),
            *("application/json;charset=utf-16", 'application/json; charset="utf-7"', "application/json, text/html"),
            *("application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json", "x" * 2000),
        )
    },
}
"""Bodies that do not hold what their headers say."""


def strings_of(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each string of a body."""
    if isinstance(value, str):
        yield where
    elif isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from strings_of(inner, (*where, step))


def replaced(value: Any, where: tuple[Any, ...], by: object) -> Any:
    """Return a body with another value at a place."""
    if not where:
        return by
    copy = value.copy()
    copy[where[0]] = replaced(copy[where[0]], where[1:], by)
    return copy


def written(value: Any) -> bytes:
    """Write a body as its sender would, escapes of lone surrogates included."""
    return json.dumps(value).encode()
