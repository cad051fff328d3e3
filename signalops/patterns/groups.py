"""Canonical text of the values that events are grouped and measured by: equal values have equal text. Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import orjson

from signalops.patterns.budget import Budget
from signalops.patterns.fields import MultiValue, Tree, collect, grow_tree, scan

MAX_KEY = 300
_ORDERED = orjson.OPT_SORT_KEYS


class Group(NamedTuple):
    """One group of events: its key, and its values by field."""

    key: str
    labels: Mapping[str, object]


class Grouping:
    """The fields that events are grouped by."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)
        self._tree: Tree = grow_tree(paths)

    def of(self, event: Mapping[str, object]) -> Group:
        """Return the group of an event; a missing field is null."""
        if not self.paths:
            return _ALL
        found = _values(self._tree, event, Budget())
        labels = {path: _one(found.get(path, [])) for path in self.paths}
        return Group(self.key(labels), labels)

    def key(self, labels: Mapping[str, object]) -> str:
        """Return the key of the group with these values."""
        return canonical([labels.get(path) for path in self.paths])


_ALL = Group("[]", {})


class Measured:
    """The field that is measured."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._tree: Tree = grow_tree([path])

    def number(self, event: Mapping[str, object]) -> Decimal | None:
        """Return the sum of the field's numbers; None if it has none."""
        numbers = [Decimal(str(v)) for v in self.values(event) if isinstance(v, int | float) and not isinstance(v, bool)]
        return sum(numbers, Decimal(0)) if numbers else None

    def item(self, event: Mapping[str, object]) -> str | None:
        """Return the field's value, or the list of its values, as a text that is the same for equal ones; None if missing."""
        values = self.values(event)
        return canonical(_one(values)) if values else None

    def values(self, event: Mapping[str, object]) -> list[object]:
        """Return all values of the field, those in arrays one by one; null is one."""
        return _values(self._tree, event, Budget()).get(self._path, [])


class Fields:
    """Several fields, read in one walk through an event; of each up to a maximum number of values."""

    def __init__(self, paths: Iterable[str], most: int) -> None:
        self._tree: Tree = grow_tree(paths)
        self._most = most

    def of(self, event: Mapping[str, object]) -> Mapping[str, object]:
        """Return an event of nothing but these fields, each under its path."""
        found = _values(self._tree, event, Budget())
        return {path: _one(values[: self._most]) for path, values in found.items()}


def canonical(value: object) -> str:
    """Return a JSON value as a text; equal values have the same one, and long ones are hashed."""
    text = orjson.dumps(_plain(value), option=_ORDERED)
    return text.decode() if len(text) <= MAX_KEY else f"sha256:{hashlib.sha256(text).hexdigest()}"


def _values(tree: Tree, event: Mapping[str, object], budget: Budget) -> dict[str, list[object]]:
    """Return the values of the fields of a tree."""
    found: dict[str, object] = {}
    # Most events have a value of each field; only where there are several does their order depend on the walk.
    if scan(tree, event, found, budget) and not any(isinstance(value, MultiValue) for value in found.values()):
        return {path: [value] for path, value in found.items()}
    return {path: [one.value for one in occurrences] for path, occurrences in collect(tree, event, budget).items()}


def _plain(value: object) -> object:
    """Write 1.0 as 1, which it equals."""
    if isinstance(value, list):
        return [_plain(element) for element in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _one(values: list[object]) -> object:
    return values[0] if len(values) == 1 else values or None
