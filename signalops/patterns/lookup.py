"""Look-ups that answer for many conditions at once: which rules does this value satisfy?

Sets of rules are bit masks (int): bit n stands for branch n of the rule set. A mask of 10,000 branches is 1.3 KB, and
joining two takes a fraction of a microsecond, less than touching even twenty branches one by one. The price is memory
that grows with branches x distinct values: some 10 MB for 10,000 branches.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable

from signalops.patterns.budget import Budget
from signalops.patterns.conditions import Wildcard

FEW_WILDCARDS = 12
GRAM = 3


class PrefixLookup:
    """Which prefixes a text begins with, by one bisection.

    All prefixes of a text sort before it, and the last one before it either is such a prefix or has them all among its
    own prefixes: so each entry knows the longest other entry that begins it, and the mask of its whole chain.
    """

    def __init__(self, masks: dict[str, int]) -> None:
        self._prefixes = sorted(masks)
        self._parents: list[int] = []
        self._masks: list[int] = []
        for prefix in self._prefixes:
            parent = self._longest(prefix, len(self._parents) - 1)
            self._parents.append(parent)
            self._masks.append(masks[prefix] | (self._masks[parent] if parent >= 0 else 0))

    def mask(self, text: str) -> int:
        found = self._longest(text, bisect_right(self._prefixes, text) - 1)
        return self._masks[found] if found >= 0 else 0

    def _longest(self, text: str, position: int) -> int:
        while position >= 0 and not text.startswith(self._prefixes[position]):
            position = self._parents[position]
        return position


class RangeLookup:
    """Which ranges a number lies in, by one bisection over their bounds.

    The bounds cut the line into cells: below the first bound, on it, between it and the next, and so on. Each cell's
    mask is known beforehand.
    """

    def __init__(self, ranges: Iterable[tuple[float, bool, float, bool, int]]) -> None:
        """ranges: (low, low_open, high, high_open, bit)."""
        listed = list(ranges)
        self._bounds = sorted({bound for low, _, high, _, _ in listed for bound in (low, high)})
        changes: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for low, low_open, high, high_open, bit in listed:
            changes[self._cell(low) + low_open].append((bit, 1))
            changes[self._cell(high) + (not high_open)].append((bit, -1))
        self._masks = self._sweep(changes)

    def mask(self, number: float) -> int:
        return self._masks[self._cell(number)]

    def _cell(self, number: float) -> int:
        position = bisect_left(self._bounds, number)
        on_bound = position < len(self._bounds) and self._bounds[position] == number
        return 2 * position + on_bound

    def _sweep(self, changes: dict[int, list[tuple[int, int]]]) -> list[int]:
        masks, mask = [], 0
        open_ranges: Counter[int] = Counter()  # a branch may have several ranges on one field
        for cell in range(2 * len(self._bounds) + 1):
            for bit, change in changes.get(cell, ()):
                open_ranges[bit] += change
                mask = mask | bit if open_ranges[bit] else mask & ~bit
            masks.append(mask)
        return masks


class WildcardLookup:
    """Which wildcards a text satisfies. Many are found by three characters each of them requires, then tried."""

    def __init__(self, masks: dict[Wildcard, int]) -> None:
        self._always = list(masks.items())
        self._by_gram: dict[str, list[tuple[Wildcard, int]]] = {}
        if len(masks) > FEW_WILDCARDS:
            self._index(masks)

    def _index(self, masks: dict[Wildcard, int]) -> None:
        grams = {wildcard: set().union(*map(_grams, wildcard.pieces)) for wildcard in masks}
        frequency = Counter(gram for required in grams.values() for gram in required)
        self._always = [(wildcard, masks[wildcard]) for wildcard, required in grams.items() if not required]
        for wildcard, required in grams.items():
            if required:
                rarest = min(required, key=lambda gram: (frequency[gram], gram))
                self._by_gram.setdefault(rarest, []).append((wildcard, masks[wildcard]))

    def mask(self, text: str, budget: Budget) -> int:
        mask = 0
        if self._always:
            budget.search(text, len(self._always))
        for wildcard, bits in self._always:
            if wildcard.test(text):
                mask |= bits
        if self._by_gram:
            budget.spend(len(text) // GRAM)
            for gram in self._by_gram.keys() & _grams(text):
                budget.search(text, len(self._by_gram[gram]))
                for wildcard, bits in self._by_gram[gram]:
                    if wildcard.test(text):
                        mask |= bits
        return mask


def _grams(text: str) -> set[str]:
    return {text[start : start + GRAM] for start in range(len(text) - GRAM + 1)}
