"""Evaluates many branches against one event at a cost independent of their number.

The event is walked once, over the fields that any branch uses. Each field's index returns a bit mask of the branches that its
value satisfies, and the masks are combined with AND. Branches that need a field which the event lacks are excluded first, by a
mask that is cached for each combination of present fields.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from signalops.patterns.budget import Budget
from signalops.patterns.conditions import Leaf
from signalops.patterns.consistency import FieldBound, ValueMatch, consistent
from signalops.patterns.fields import collect, grow_tree, scan
from signalops.patterns.index import FieldIndex, steps_of

# When full the memory of shapes starts afresh, so that events of endless shapes can't grow a worker.
MAX_SHAPES = 512


class BranchIndex:
    """Branches numbered from 0; a branch matches when all of its leaves, in the order of their paths, do."""

    def __init__(self, branches: Sequence[tuple[Leaf, ...]]) -> None:
        conditions: defaultdict[str, list[tuple[Leaf, int]]] = defaultdict(list)
        for position, branch in enumerate(branches):
            for leaf in branch:
                conditions[leaf.path].append((leaf, 1 << position))
        self._tree = grow_tree(conditions)
        everything = (1 << len(branches)) - 1
        self._cost = steps_of(everything)
        self._indexes = {path: FieldIndex(leaves, everything) for path, leaves in conditions.items()}
        self._requirements = _Requirements(branches)

    def matching(self, event: Mapping[str, object], budget: Budget) -> int:
        """The mask of the branches that match the event; TooCostly beyond the budget."""
        found: dict[str, object] = {}
        if not scan(self._tree, event, found, budget):
            return self._matching_arrays(event, budget)
        alive = self._requirements.met_by(tuple(found))
        budget.spend(self._cost * len(found))
        for path, value in found.items():
            if not alive:
                break
            alive &= self._indexes[path].satisfied(value, budget)
        return alive

    def _matching_arrays(self, event: Mapping[str, object], budget: Budget) -> int:
        """The same for an event with arrays of objects, where satisfied fields must also agree on the elements."""
        collected = collect(self._tree, event, budget)
        alive = self._requirements.met_by(tuple(collected))
        bound = []
        for path in sorted(collected):
            index = self._indexes[path]
            budget.spend(self._cost * len(collected[path]))
            judged = [ValueMatch(index.satisfied(one.value, budget), one.places) for one in collected[path]]
            if any(one.places for one in judged):
                bound.append(FieldBound(index.concerned, index.absence, judged))
                alive &= index.absence | _any(judged)
            else:
                alive &= _any(judged)
        return consistent(bound, alive, budget) if alive else 0


class _Requirements:
    """Which branches find every field they need in an event of a given shape."""

    def __init__(self, branches: Sequence[tuple[Leaf, ...]]) -> None:
        groups: defaultdict[frozenset[str], int] = defaultdict(int)
        for position, leaves in enumerate(branches):
            groups[frozenset(leaf.path for leaf in leaves if not leaf.allows_absence)] |= 1 << position
        self._always = groups.pop(frozenset(), 0)
        # A group is looked at only where its rarest field is present.
        frequency = Counter(path for paths in groups for path in paths)
        self._groups: defaultdict[str, list[tuple[frozenset[str], int]]] = defaultdict(list)
        for paths, mask in groups.items():
            self._groups[min(paths, key=lambda path: (frequency[path], path))].append((paths, mask))
        self._shapes: dict[tuple[str, ...], int] = {}

    def met_by(self, shape: tuple[str, ...]) -> int:
        """The mask of those branches; shape: the paths present, in the event's order."""
        mask = self._shapes.get(shape)
        return self._remember(shape) if mask is None else mask

    def _remember(self, shape: tuple[str, ...]) -> int:
        if len(self._shapes) >= MAX_SHAPES:
            self._shapes = {}
        present = frozenset(shape)
        mask = self._always
        for path in shape:
            for paths, group in self._groups.get(path, ()):
                if paths <= present:
                    mask |= group
        self._shapes[shape] = mask
        return mask


def _any(judged: Sequence[ValueMatch]) -> int:
    mask = 0
    for one in judged:
        mask |= one.mask
    return mask


def positions(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, ascending."""
    passed = 0
    while mask:
        zeros = (mask & -mask).bit_length() - 1
        yield passed + zeros
        mask >>= zeros + 1
        passed += zeros + 1
