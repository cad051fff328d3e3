"""The conditions a leaf of a pattern can hold: each tests one value of an event."""

from dataclasses import dataclass, field
from decimal import Decimal

from signalops.rules.address import read_address
from signalops.rules.ignorecase import Part, matches_ignoring_case
from signalops.rules.text import comparable

Scalar = str | int | float | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Equals:
    """A JSON scalar. Numbers are equal by value (300 = 3e2); a number never equals a string or a boolean."""

    value: Scalar

    def test(self, value: object) -> bool:
        if isinstance(value, bool) or isinstance(self.value, bool) or value is None:
            return value is self.value
        return value == self.value


@dataclass(frozen=True, slots=True)
class Prefix:
    text: str

    def test(self, value: object) -> bool:
        return isinstance(value, str) and value.startswith(self.text)


@dataclass(frozen=True, slots=True)
class Suffix:
    text: str

    def test(self, value: object) -> bool:
        return isinstance(value, str) and value.endswith(self.text)


@dataclass(frozen=True, slots=True)
class IgnoringCase:
    """Equality, prefix or suffix without regard to case."""

    text: str
    part: Part = "whole"

    def test(self, value: object) -> bool:
        return isinstance(value, str) and matches_ignoring_case(self.text, self.part, value)


@dataclass(frozen=True, slots=True)
class Wildcard:
    """The literal pieces between the stars: one piece is plain equality.

    Taking each piece at its first place is exact for a pattern whose only operator is the star, and str.find is linear,
    so the cost is bounded by the length of the value: there is no backtracking that a hostile pattern could provoke.
    """

    pieces: tuple[str, ...]

    def test(self, value: object) -> bool:
        if not isinstance(value, str):
            return False
        head, tail = self.pieces[0], self.pieces[-1]
        if len(self.pieces) == 1:
            return value == head
        position, end = len(head), len(value) - len(tail)
        if position > end or not (value.startswith(head) and value.endswith(tail)):
            return False
        for piece in self.pieces[1:-1]:
            position = value.find(piece, position, end)
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

    def test(self, value: object) -> bool:
        number = comparable(value)
        if number is None or not self.low <= number <= self.high:
            return False
        return not (self.low_open and number == self.low) and not (self.high_open and number == self.high)


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses of one family (32 or 128 bits) from low to high, both included."""

    bits: int
    low: int
    high: int

    def test(self, value: object) -> bool:
        address = read_address(value) if isinstance(value, str) else None
        return address is not None and address.bits == self.bits and self.low <= address.value <= self.high


@dataclass(frozen=True, slots=True)
class Exists:
    def test(self, value: object) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Absent:
    """`exists: false`: no value satisfies it; the leaf asks for it when the field is missing."""

    def test(self, value: object) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class AnythingBut:
    excluded: tuple["Condition", ...]

    def test(self, value: object) -> bool:
        return not any(condition.test(value) for condition in self.excluded)


Condition = Equals | Prefix | Suffix | IgnoringCase | Wildcard | Range | Network | Exists | Absent | AnythingBut


@dataclass(frozen=True, slots=True)
class Leaf:
    """One field of a pattern: satisfied by any value that satisfies any of its conditions.

    path: the field's steps joined by dots. written: the list as the tenant wrote it.
    """

    path: str
    written: tuple[object, ...]
    conditions: tuple[Condition, ...]
    allows_absence: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "allows_absence", any(isinstance(c, Absent) for c in self.conditions))

    def test(self, value: object) -> bool:
        return any(condition.test(value) for condition in self.conditions)
