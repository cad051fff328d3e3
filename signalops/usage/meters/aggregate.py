"""Reads a meter's value from an event, and aggregates values. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from functools import reduce
from typing import NamedTuple

from signalops.patterns import MAX_VALUES, Grouping, Measured, canonical
from signalops.usage.meters.meter_models import DEFAULT, Aggregation

_EXACT = Context(prec=100)
"""Readings have at most 20 digits before the point and 18 after it: their sums are exact."""
_BOUND = Context(prec=38)
_FINEST = Decimal("1e-18")
_DECIMAL = re.compile(r"[+-]?\d{1,60}(\.\d{1,60})?", re.ASCII)
_MAKE: Mapping[Aggregation, Callable[[Decimal, Decimal], Decimal]] = {
    "sum": _EXACT.add,
    "avg": _EXACT.add,
    "max": max,
    "min": min,
    "latest": lambda earlier, later: later,
}


class Reading(NamedTuple):
    """What one event adds: a number, or the values that it has, as texts."""

    value: Decimal | None
    items: Sequence[str] = ()


ONE = Reading(Decimal(1))


@dataclass(frozen=True, eq=False, slots=True)
class Meter:
    """A meter as it counts."""

    key: str
    aggregation: Aggregation
    measured: Measured | None
    grouping: Grouping
    allows_negative: bool = True

    def read(self, seen: Mapping[str, object]) -> Reading | None:
        """Return what an event adds; None, and it is not counted, when it has no value that can be."""
        if self.measured is None:
            return ONE
        values = self.measured.values(seen)[:MAX_VALUES]
        if self.aggregation == "unique_count":
            items = [canonical(value) for value in values if value is not None]
            return Reading(None, items) if items else None
        numbers = (number for value in values if (number := number_of(value)) is not None)
        value = self.total([number for number in numbers if number >= 0 or self.allows_negative])
        return None if value is None else Reading(value)

    def total(self, values: Sequence[Decimal]) -> Decimal | None:
        """Return what the aggregation makes of numbers in the order of their events; None if there are none."""
        if self.aggregation == "count":
            return Decimal(len(values))
        return reduce(_MAKE[self.aggregation], values) if values else None


ALL_GROUPS = "[]"
"""The key of what is counted without groups."""
ALL_EVENTS = Meter(DEFAULT, "count", None, Grouping(()))


def number_of(value: object) -> Decimal | None:
    """Return the value of a JSON number or a decimal text such as "12.50", rounded to 18 places.

    None for anything else, or more than 20 digits before the point.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    # str gives back what was sent: the shortest decimal of a double.
    text = str(value)
    if isinstance(value, str) and not _DECIMAL.fullmatch(text):
        return None
    try:
        return Decimal(text).quantize(_FINEST, context=_BOUND).normalize(_BOUND)
    except InvalidOperation:
        return None
