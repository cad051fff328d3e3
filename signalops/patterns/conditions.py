"""The conditions of a pattern's leaf.

Most only carry their operands, and index.py decides them by look-up; the two that must be tried on a text do so here.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from signalops.patterns.ignorecase import Part, matches_ignoring_case

Scalar = str | int | float | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Equals:
    """A JSON scalar. Numbers are equal by value (300 = 3e2); a number never equals a string or a boolean."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Prefix:
    text: str


@dataclass(frozen=True, slots=True)
class Suffix:
    text: str


@dataclass(frozen=True, slots=True)
class IgnoringCase:
    """Equality, prefix or suffix without regard to case."""

    text: str
    part: Part = "whole"

    def test(self, text: str) -> bool:
        return matches_ignoring_case(self.text, self.part, text)


@dataclass(frozen=True, slots=True)
class Wildcard:
    """The literal pieces between the stars: one piece is plain equality.

    Taking each piece at its first place is exact for a pattern whose only operator is the star, and str.find is linear,
    so the cost is bounded by the length of the text: there is no backtracking that a hostile pattern could provoke.
    """

    pieces: tuple[str, ...]

    def test(self, text: str) -> bool:
        head, tail = self.pieces[0], self.pieces[-1]
        if len(self.pieces) == 1:
            return text == head
        position, end = len(head), len(text) - len(tail)
        if position > end or not (text.startswith(head) and text.endswith(tail)):
            return False
        for piece in self.pieces[1:-1]:
            position = text.find(piece, position, end)
            if position < 0:
                return False
            position += len(piece)
        return True


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a numeric range; an open bound is excluded."""

    low: float = float("-inf")
    high: float = float("inf")
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses of one family (32 or 128 bits) from low to high, both included."""

    bits: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Exists:
    """Any value satisfies it."""


@dataclass(frozen=True, slots=True)
class Absent:
    """`exists: false`: no value satisfies it; the leaf is content when the field is missing."""


@dataclass(frozen=True, slots=True)
class AnythingBut:
    excluded: tuple["Condition", ...]


Condition = Equals | Prefix | Suffix | IgnoringCase | Wildcard | Range | Network | Exists | Absent | AnythingBut


@dataclass(frozen=True, slots=True)
class Leaf:
    """One field of a pattern: any value that satisfies any of the conditions satisfies it.

    path: the field's steps joined by dots. written: the list as the tenant wrote it. size: how many conditions there are,
    also inside `anything-but`.
    """

    path: str
    written: tuple[object, ...]
    conditions: tuple[Condition, ...]
    allows_absence: bool = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "allows_absence", any(isinstance(c, Absent) for c in self.conditions))
        sizes = (len(c.excluded) if isinstance(c, AnythingBut) else 1 for c in self.conditions)
        object.__setattr__(self, "size", sum(sizes))
