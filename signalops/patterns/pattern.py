"""A compiled pattern: matches one event, and explains the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from signalops.patterns.branches import BranchIndex
from signalops.patterns.budget import Budget
from signalops.patterns.conditions import Leaf
from signalops.patterns.fields import MultiValue, collect, grow_tree
from signalops.patterns.grammar import read_pattern
from signalops.patterns.index import FieldIndex


@dataclass(frozen=True, slots=True)
class LeafExplanation:
    """What one leaf asked for and what it saw.

    path: the field, its steps joined by dots. condition: the list as written. seen: the values of that field in the
    event, none when it is missing. matched: for this leaf alone; when all leaves of a branch matched and the pattern
    did not, they matched in different elements of one array.
    """

    path: str
    condition: list[object]
    seen: list[object]
    matched: bool


class Pattern:
    """A validated pattern. Immutable; shared freely between threads."""

    def __init__(self, branches: Sequence[Mapping[str, Leaf]]) -> None:
        # The order of the paths is part of the language: see consistency.py.
        self.branches = tuple(tuple(branch[path] for path in sorted(branch)) for branch in branches)
        # Branches share the leaves outside of their alternatives.
        self._leaves = {id(leaf): leaf for branch in branches for leaf in branch.values()}

    @cached_property
    def _index(self) -> BranchIndex:
        # On demand: a pattern that only lives in a RuleSet never asks for it.
        return BranchIndex(self.branches)

    @property
    def leaves(self) -> int:
        """How many leaves the pattern has as written."""
        return len(self._leaves)

    @property
    def conditions(self) -> int:
        """How many conditions it has once every $or is expanded: what it costs a RuleSet."""
        return sum(leaf.size for branch in self.branches for leaf in branch)

    def matches(self, event: Mapping[str, object], budget: Budget | None = None) -> bool:
        """Whether the event, any JSON object, matches; TooCostly. For many patterns at once use RuleSet."""
        return self._index.matching(event, budget or Budget()) != 0

    def explain(self, event: Mapping[str, object]) -> list[LeafExplanation]:
        """The verdict of each leaf, in the order written; TooCostly."""
        budget = Budget()
        fields = collect(grow_tree(leaf.path for leaf in self._leaves.values()), event, budget)
        seen = {path: [one.value for one in occurrences] for path, occurrences in fields.items()}
        return [_explain(leaf, seen.get(leaf.path, []), budget) for leaf in self._leaves.values()]


def compile_pattern(pattern: Mapping[str, object] | str | bytes) -> Pattern:
    """Validate and compile a pattern of the current grammar, given as an object or as JSON text.

    Raises: PatternError with the path of the fault, the reason and the remedy.
    """
    return Pattern(read_pattern(pattern))


def _explain(leaf: Leaf, seen: list[object], budget: Budget) -> LeafExplanation:
    matched = FieldIndex([(leaf, 1)], everything=1).satisfied(MultiValue(seen), budget) != 0 if seen else leaf.allows_absence
    return LeafExplanation(leaf.path, list(leaf.written), seen, matched)
