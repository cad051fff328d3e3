"""Array consistency: conditions on one array of objects must hold in the same element.

Semantics of aws/event-ruler's ACFinder, including that `exists: false` looks only at the elements which the fields
before it in alphabetical order have settled. Here the settled elements are a set of states that is carried from leaf
to leaf, each state cut down to the arrays that later leaves still touch: that keeps the work near the number of
values, where a search for a fitting choice would multiply the arrays.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from signalops.rules.conditions import Leaf
from signalops.rules.fields import Occurrence, Place

State = frozenset[Place]
Fields = Mapping[str, Sequence[Occurrence]]


def holds(leaves: Sequence[Leaf], fields: Fields) -> bool:
    """Whether one choice of values satisfies all leaves, given in the order of their paths, without contradiction."""
    states: set[State] = {frozenset()}
    for position, leaf in enumerate(leaves):
        kept = _arrays(fields, leaves[position + 1 :])
        states = _after(leaf, fields.get(leaf.path, ()), states, kept)
        if not states:
            return False
    return True


def _arrays(fields: Fields, leaves: Iterable[Leaf]) -> set[int]:
    return {array for leaf in leaves for seen in fields.get(leaf.path, ()) for array, _ in seen.places}


def _after(leaf: Leaf, seen: Sequence[Occurrence], states: set[State], kept: set[int]) -> set[State]:
    """The states that remain once the leaf is satisfied."""
    result: set[State] = set()
    fitting = _Places({one.places for one in seen if leaf.test(one.value)})
    present = _Places({one.places for one in seen})
    for state in states:
        for places in fitting.consistent_with(state):
            result.add(frozenset(place for place in (*state, *places) if place[0] in kept))
        if leaf.allows_absence and next(present.consistent_with(state), None) is None:
            result.add(frozenset(place for place in state if place[0] in kept))
    return result


class _Places:
    """The distinct places of a field's values, found by the elements that a state has settled."""

    def __init__(self, places: set[tuple[Place, ...]]) -> None:
        self._all = places
        self._inside: dict[int, dict[int, list[tuple[Place, ...]]]] = defaultdict(lambda: defaultdict(list))
        for chain in places:
            for array, index in chain:
                self._inside[array][index].append(chain)

    def consistent_with(self, state: State) -> Iterator[tuple[Place, ...]]:
        settled = dict(state)
        for chain in self._candidates(settled):
            if all(settled.get(array, index) == index for array, index in chain):
                yield chain

    def _candidates(self, settled: Mapping[int, int]) -> Iterable[tuple[Place, ...]]:
        # The innermost shared array has the highest number and leaves the fewest to look at. Chains outside of it are
        # rare (an array that only some elements have), so they are looked through one by one.
        shared = max((array for array in settled if array in self._inside), default=None)
        if shared is None:
            yield from self._all
            return
        yield from self._inside[shared].get(settled[shared], ())
        if sum(map(len, self._inside[shared].values())) < len(self._all):
            yield from (chain for chain in self._all if all(array != shared for array, _ in chain))
