"""Many patterns compiled together: which of them match an event?"""

from collections.abc import Mapping
from typing import Generic, TypeVar

from signalops.patterns.branches import BranchIndex, positions
from signalops.patterns.budget import Budget
from signalops.patterns.pattern import Pattern

K = TypeVar("K")

# The same rules match again and again; when full the memory starts afresh.
MAX_VERDICTS = 512


class RuleSet(Generic[K]):
    """Compiled patterns by key. Immutable once built; a changed rule means a new set."""

    def __init__(self, patterns: Mapping[K, Pattern]) -> None:
        owned = [(key, branch) for key, pattern in patterns.items() for branch in pattern.branches]
        self._owners = [key for key, _ in owned]
        self._index = BranchIndex([branch for _, branch in owned])
        self._verdicts: dict[int, list[K]] = {}
        self.size = sum(pattern.conditions for pattern in patterns.values()) * (1500 + len(owned) // 12)
        """About how many bytes it takes: objects for each condition, and of each a mask with a bit for each branch.

        Measured: a set of 50 rules takes some 45 kB, one of 50,000 single conditions in as many branches 300 MB.
        """

    def match(self, event: Mapping[str, object], budget: Budget | None = None) -> list[K]:
        """The keys of the patterns that match the event, in the order of their insertion; TooCostly."""
        mask = self._index.matching(event, budget or Budget())
        if not mask:
            return []
        verdict = self._verdicts.get(mask)
        return list(self._remember(mask) if verdict is None else verdict)

    def _remember(self, mask: int) -> list[K]:
        if len(self._verdicts) >= MAX_VERDICTS:
            self._verdicts = {}
        keys = list(dict.fromkeys(self._owners[position] for position in positions(mask)))
        self._verdicts[mask] = keys
        return keys
