"""Infers the fields of a type's events: path, JSON types and an example of each."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from types import NoneType
from typing import Any

from signalops.types import JsonObject

MAX_FIELDS = 200
DEPTH = 8
_MAX_PATH = 200
_MAX_EXAMPLE = 200
_MAX_ELEMENTS = 20
_MAX_VALUES = 2000
"""What is looked at of one event: it takes about a millisecond."""
_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", NoneType: "null"}

Event = JsonObject
Field = JsonObject
"""{types: [JSON types], example: a scalar, if there was one}."""


@dataclass(slots=True)
class Structure:
    """What is known of a type's fields, and what of it is `fresh`: not yet written."""

    known: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fresh: dict[str, Field] = field(default_factory=dict)
    cut: bool = False

    def learn(self, event: Event) -> None:
        """Take in one event."""
        for path, kind, value in islice(_of_event(event), _MAX_VALUES):
            known = self.known.get(path, ())
            if kind in known:
                continue
            if not known and (len(self.known) >= MAX_FIELDS or len(path) > _MAX_PATH):
                self.cut = True
                continue
            self.known[path] = (*known, kind)
            fresh = self.fresh.setdefault(path, {"types": []})
            fresh["types"].append(kind)
            if value is not None:
                fresh.setdefault("example", value[:_MAX_EXAMPLE] if isinstance(value, str) else value)


def _of_event(event: Event) -> Iterator[tuple[str, str, Any]]:
    yield from _leaves(event["payload"], "payload", DEPTH)
    for name, value in (event["attributes"] or {}).items():
        yield from _leaves(value, name, DEPTH)


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, str, Any]]:
    """Yield (path, JSON type, scalar) as patterns name paths: what is in an array has the path of the array."""
    if isinstance(value, dict) and value and depth:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}", depth - 1)
    elif isinstance(value, dict):
        yield path, "object", None
    elif isinstance(value, list):
        yield path, "array", None
        for inner in value[: _MAX_ELEMENTS if depth else 0]:
            yield from _leaves(inner, path, depth - 1)
    else:
        yield path, _TYPES[type(value)], value
