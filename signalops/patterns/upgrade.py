"""Converts stored patterns of earlier grammars to the current one.

A new grammar adds one line to UPGRADERS: the conversion from the grammar before it. Old patterns are upgraded step by step.
"""

from collections.abc import Callable, Mapping

from signalops.patterns.address import read_address
from signalops.patterns.errors import PatternError

CURRENT_GRAMMAR = 2


def upgrade(grammar: int, body: Mapping[str, object]) -> dict[str, object]:
    """The body of a pattern written in `grammar`, in the current one; not yet validated.

    Raises: PatternError when the grammar is unknown or the body is none of it.
    """
    if grammar != CURRENT_GRAMMAR and grammar not in UPGRADERS:
        raise PatternError("", f"grammar {grammar} is unknown", f"use one from {min(UPGRADERS)} to {CURRENT_GRAMMAR}")
    upgraded = dict(body)
    for step in range(grammar, CURRENT_GRAMMAR):
        upgraded = UPGRADERS[step](upgraded)
    return upgraded


def _equals_to_event_pattern(body: Mapping[str, object]) -> dict[str, object]:
    """Grammar 1: field path to the value it equals, bare or under "equals"."""
    inner = body.get("equals")
    matcher = inner if len(body) == 1 and isinstance(inner, Mapping) else body
    pattern: dict[str, object] = {}
    for path, value in matcher.items():
        _place(pattern, path, [_equal_to(path, value)])
    return pattern


def _equal_to(path: str, value: object) -> object:
    if not isinstance(value, str | int | float | bool | None):
        raise PatternError(path, "not a single value", "write a string, a number, true, false or null")
    # As a bare literal an address would also match its other spellings, which "equals" never did.
    return {"exactly": value} if isinstance(value, str) and read_address(value) else value


def _place(pattern: dict[str, object], path: str, leaf: list[object]) -> None:
    *parents, last = path.split(".")
    level = pattern
    for step in parents:
        below = level.setdefault(step, {})
        if not isinstance(below, dict):
            raise _conflict(path)
        level = below
    if last in level:
        raise _conflict(path)
    level[last] = leaf


def _conflict(path: str) -> PatternError:
    return PatternError(path, "another condition asks for a value above or below this field", "remove one of the two")


UPGRADERS: dict[int, Callable[[Mapping[str, object]], dict[str, object]]] = {1: _equals_to_event_pattern}
