"""Converts values to text as Shopify's Liquid does (nil, lists, numbers), with JSON for objects; and event times."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Self

from dateutil import parser  # type: ignore[import-untyped]
from liquid import Undefined

_LATEST_SECONDS = 1e11
"""Seconds up to the year 5138; in milliseconds it is 1973: what is larger counts in thousandths, once or several times."""
_MAX_DIGITS = 15


class RenderedText(str):
    """A plain text, and the same `written` out: values neutralised, the template's own text as it stands."""

    written: str

    @classmethod
    def of(cls, plain: str, written: str) -> Self:
        text = cls(plain)
        text.written = written
        return text


class JsonText(RenderedText):
    """A text that is JSON."""

    @classmethod
    def of_value(cls, value: object, indent: int | None = None, ascii_only: bool = True) -> Self:
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
        return cls.of(text, text)


def is_nothing(value: object) -> bool:
    """Return whether a value is nil: null in the payload, or missing there."""
    return value is None or isinstance(value, Undefined)


def text_of(value: object) -> str:
    """Return a value as it is put out: nothing of nil, the items of a list in a row, an object as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, range):
        return f"{value.start}..{value.stop - 1}"
    if isinstance(value, list | tuple):
        return "".join(map(text_of, value))
    return JsonText.of_value(value, ascii_only=False) if isinstance(value, dict) else str(value)


def rounded(number: float, digits: int) -> float:
    """Round half up, away from zero, by the decimal digits as they are written: 2.675 to two digits is 2.68."""
    if abs(digits) > _MAX_DIGITS:
        return number
    exact = Decimal(str(number)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return float(exact) if digits > 0 else int(exact)


def parse_time(value: object, now: datetime) -> datetime | None:
    """Return the time that a value names: a text, or seconds or milliseconds since 1970; None if it names none."""
    if isinstance(value, bool) or is_nothing(value):
        return None
    if isinstance(value, str):
        if value in ("now", "today"):
            return now
        if not value.isdecimal():
            return _parsed(value)
        value = int(value[:20])
    if not isinstance(value, int | float):
        return None
    seconds = float(value)
    while abs(seconds) >= _LATEST_SECONDS:
        seconds /= 1000
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError):  # before the year 1
        return None


def _parsed(text: str) -> datetime | None:
    try:
        parsed: datetime = parser.parse(text)
    except (parser.ParserError, OverflowError):
        return None
    return parsed


def zone_of(names: Mapping[str, Any]) -> str:
    """Return the time zone of the tenant whose rule it is."""
    return str(names.get("timeZone", "UTC"))
