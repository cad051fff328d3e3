"""Many patterns against one event at a cost that does not follow their number.

The event is walked once over the fields that any pattern asks for. Each field's index answers with a bit mask of the
branches that its value satisfies, and the masks are joined with AND; branches that ask for a field which the event
lacks are out before that, by a mask that is remembered for each combination of fields seen.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from signalops.rules.conditions import Leaf
from signalops.rules.consistency import holds
from signalops.rules.fields import Many, Occurrence, collect, grow_tree, scan
from signalops.rules.index import FieldIndex
from signalops.rules.pattern import Pattern

K = TypeVar("K")

# Bounds of the two memories; when full they start afresh, so that events of endless shapes can't grow a worker.
MAX_SHAPES = 512
MAX_VERDICTS = 512


class RuleSet(Generic[K]):
    """Compiled patterns by key. Immutable once built; a changed rule means a new set."""

    def __init__(self, patterns: Mapping[K, Pattern]) -> None:
        self._branches = [(key, leaves) for key, pattern in patterns.items() for leaves in pattern.branches]
        asked: defaultdict[str, list[tuple[Leaf, int]]] = defaultdict(list)
        for position, (_, leaves) in enumerate(self._branches):
            for leaf in leaves:
                asked[leaf.path].append((leaf, 1 << position))
        self._tree = grow_tree(asked)
        everything = (1 << len(self._branches)) - 1
        self._indexes = {path: FieldIndex(leaves, everything & ~_union(leaves)) for path, leaves in asked.items()}
        self._requirements = _Requirements([leaves for _, leaves in self._branches])
        self._verdicts: dict[int, list[K]] = {}

    def match(self, event: Mapping[str, object]) -> list[K]:
        """The keys of the patterns that match the event, in the order of their insertion."""
        found: dict[str, object] = {}
        if not scan(self._tree, event, found):
            return self._match_arrays(event)
        alive = self._requirements.met_by(tuple(found))
        for path, value in found.items():
            if not alive:
                return []
            alive &= self._indexes[path].satisfied(value)
        if not alive:
            return []
        verdict = self._verdicts.get(alive)
        return list(verdict) if verdict is not None else list(self._remember(alive))

    def _match_arrays(self, event: Mapping[str, object]) -> list[K]:
        """The same for an event with arrays of objects: the masks choose the candidates, each is then checked alone."""
        fields = collect(self._tree, event)
        alive = self._requirements.met_by(tuple(fields))
        for path, occurrences in fields.items():
            index = self._indexes[path]
            alive &= index.satisfied(Many(one.value for one in occurrences)) | index.absence
        candidates = (self._branches[position] for position in _positions(alive))
        return list(dict.fromkeys(key for key, leaves in candidates if _holds(leaves, fields)))

    def _remember(self, alive: int) -> list[K]:
        if len(self._verdicts) >= MAX_VERDICTS:
            self._verdicts = {}
        keys = list(dict.fromkeys(self._branches[position][0] for position in _positions(alive)))
        self._verdicts[alive] = keys
        return keys


class _Requirements:
    """Which branches find every field they need in an event of a given shape."""

    def __init__(self, branches: list[tuple[Leaf, ...]]) -> None:
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


def _holds(leaves: tuple[Leaf, ...], fields: Mapping[str, list[Occurrence]]) -> bool:
    """With at most one field inside array elements there is nothing to contradict, and the masks have decided."""
    bound = sum(any(one.places for one in fields.get(leaf.path, ())) for leaf in leaves)
    absence = any(leaf.allows_absence for leaf in leaves)
    return (bound < 2 and not absence) or holds(leaves, fields)


def _union(leaves: list[tuple[Leaf, int]]) -> int:
    mask = 0
    for _, bit in leaves:
        mask |= bit
    return mask


def _positions(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, ascending."""
    passed = 0
    while mask:
        zeros = (mask & -mask).bit_length() - 1
        yield passed + zeros
        mask >>= zeros + 1
        passed += zeros + 1
