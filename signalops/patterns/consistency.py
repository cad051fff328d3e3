"""Array consistency: conditions on one array of objects must hold in the same element.

Semantics of aws/event-ruler's ACFinder, including that `exists: false` looks only at the elements which the fields
before it in alphabetical order have settled. Here one pass over the fields decides all branches at once: a state is
a choice of elements, with the mask of the branches that are satisfied so far under it. States are cut down to the arrays
that later fields still touch, which keeps the work near the number of values, where a search for a fitting choice
would multiply the arrays. Whatever else it may take, the budget ends it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from signalops.patterns.budget import Budget
from signalops.patterns.fields import Place

State = frozenset[Place]


class ValueMatch(NamedTuple):
    """A value of a field: the branches that it satisfies, and the elements of arrays it lies in."""

    mask: int
    places: tuple[Place, ...]


class FieldBound(NamedTuple):
    """A field with values inside array elements.

    concerned: the branches that ask for the field; absence: those of them content when it is missing.
    """

    concerned: int
    absence: int
    values: Sequence[ValueMatch]


def consistent(fields: Sequence[FieldBound], candidates: int, budget: Budget) -> int:
    """The candidates for which one choice of elements satisfies all fields, given in the order of their paths."""
    states: dict[State, int] = {frozenset(): candidates}
    for bound, remaining in zip(fields, _touched_later(fields), strict=False):
        states = _after(bound, states, remaining, budget)
    mask = 0
    for satisfied in states.values():
        mask |= satisfied
    return mask


def _touched_later(fields: Sequence[FieldBound]) -> list[frozenset[int]]:
    """For each field the arrays that the fields after it touch."""
    touched = [frozenset[int]()]
    for bound in reversed(fields[1:]):
        touched.append(touched[-1].union(array for value in bound.values for array, _ in value.places))
    return touched[::-1]


def _after(bound: FieldBound, states: Mapping[State, int], remaining: frozenset[int], budget: Budget) -> dict[State, int]:
    """The states that remain once the field is satisfied."""
    result: defaultdict[State, int] = defaultdict(int)
    values = _Element()
    for value in bound.values:
        values.add(value)
    for state, mask in states.items():
        budget.spend(1 + len(state))
        asking = mask & bound.concerned
        unchanged = mask ^ asking
        missing = True
        for places, satisfied in values.consistent_with(state, budget) if asking else ():
            missing = False
            if chosen := asking & satisfied:
                result[_cut((*state, *places), remaining)] |= chosen
        if missing:
            unchanged |= asking & bound.absence
        if unchanged:
            result[_cut(state, remaining)] |= unchanged
    return result


def _cut(places: Iterable[Place], remaining: frozenset[int]) -> State:
    return frozenset(place for place in places if place[0] in remaining)


class _Element:
    """A tree of a field's values by the elements they lie in, outermost first."""

    __slots__ = ("arrays", "mask")

    def __init__(self) -> None:
        self.mask: int | None = None  # what the values here satisfy together; None without a value
        self.arrays: dict[int, dict[int, _Element]] = {}

    def add(self, value: ValueMatch) -> None:
        element = self
        for array, index in value.places:
            element = element.arrays.setdefault(array, {}).setdefault(index, _Element())
        element.mask = value.mask | (element.mask or 0)

    def consistent_with(self, state: State, budget: Budget) -> Iterator[tuple[tuple[Place, ...], int]]:
        """The masks with their places, entering of each array only the element that the state has settled, if any."""
        settled = dict(state)
        waiting: list[tuple[_Element, tuple[Place, ...]]] = [(self, ())]
        while waiting:
            element, places = waiting.pop()
            budget.spend(1)
            if element.mask is not None:
                yield places, element.mask
            for array, inner in element.arrays.items():
                indexes = (settled[array],) if array in settled else inner
                waiting.extend((inner[index], (*places, (array, index))) for index in indexes if index in inner)
