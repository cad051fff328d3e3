"""Strict JSON parsing of patterns and hand-written events, and which numbers can be compared."""

import json
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import NoReturn

MAX_DOUBLE = 1.7976931348623157e308
MAX_EXACT_INT = 2**53


def read_json(text: str | bytes, *, unique_keys: bool = True) -> object:
    """Parse one JSON text, refusing what readers disagree on: duplicate keys, NaN, Infinity, anything after the value.

    A number that a double can't represent comes back as `Decimal`, so that nothing is rounded silently.
    unique_keys: False lets the last of duplicate keys win, for a file whose parts are judged one by one.

    Raises: ValueError with one sentence.
    """
    try:
        source = text.decode() if isinstance(text, bytes) else text
        return json.loads(
            source,
            object_pairs_hook=_unique_keys if unique_keys else None,
            parse_float=_read_number,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def comparable(value: object) -> float | None:
    """The number as comparisons see it; None for other types and for numbers that a double can't represent.

    The test is the shortest decimal form of the nearest double, as in ComparableNumber of aws/event-ruler.
    """
    if isinstance(value, float):
        return value if -MAX_DOUBLE <= value <= MAX_DOUBLE else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    if isinstance(value, int) and -MAX_EXACT_INT <= value <= MAX_EXACT_INT:
        return value
    return _as_double(value)


def _as_double(value: int | Decimal) -> float | None:
    try:
        nearest = float(value)
    except OverflowError:
        return None
    return nearest if abs(nearest) <= MAX_DOUBLE and Decimal(repr(nearest)) == value else None


def _read_number(text: str) -> float | Decimal:
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"the number {text[:40]} is out of range") from None
    nearest = _as_double(exact)
    return exact if nearest is None else nearest


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f'the key "{twice}" appears twice in one object')
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
