"""The index of one field: from a value to the mask of the branches that the value satisfies."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import or_

from signalops.patterns.address import read_address
from signalops.patterns.budget import Budget
from signalops.patterns.conditions import (
    Absent,
    AnythingBut,
    Condition,
    Equals,
    Exists,
    IgnoringCase,
    Leaf,
    Network,
    Prefix,
    Range,
    Suffix,
    Wildcard,
)
from signalops.patterns.fields import MultiValue
from signalops.patterns.ignorecase import fold, is_foldable
from signalops.patterns.lookup import PrefixLookup, RangeLookup, WildcardLookup
from signalops.patterns.text import comparable

# A field that many branches ask for remembers its answers to short texts: types and statuses come back all the time.
MANY_LEAVES = 64
MAX_REMEMBERED = 64
SHORT_TEXT = 64

Look = Callable[[str], int]
Probe = Callable[[str, Budget], int]
Hits = Callable[[object, Budget], int]
Masks = defaultdict[str, int]


def steps_of(branches: int) -> int:
    """Return the steps for one value of a field, given the mask of all branches: a thousand of them are joined in one."""
    return 1 + branches.bit_length() // 1000


class FieldIndex:
    """Leaves on one field, each with the bit of its branch."""

    def __init__(self, leaves: Sequence[tuple[Leaf, int]], everything: int) -> None:
        """everything: all branches; those that ask nothing of this field are satisfied by any value."""
        self.concerned = reduce(or_, (bit for _, bit in leaves))
        self.absence = 0
        self._base = everything ^ self.concerned
        self._negated = 0
        self._wanted, self._excluded = _Conditions(), _Conditions()
        # An anything-but beside another in one leaf: satisfied by what either lets through, so it has its own index.
        self._alternatives: list[tuple[Hits, int]] = []
        for leaf, bit in leaves:
            for condition in leaf.conditions:
                self._sort(condition, bit)
        self._hits, self._exclusions = self._wanted.index(), self._excluded.index()
        self._cost = steps_of(everything)
        del self._wanted, self._excluded
        self._remembers = len(leaves) >= MANY_LEAVES
        self._answers: dict[str, int] = {}

    def _sort(self, condition: Condition, bit: int) -> None:
        match condition:
            case Absent():
                self.absence |= bit
            case Exists():
                self._base |= bit
            case AnythingBut(excluded) if self._negated & bit:
                self._alternatives.append((_Conditions(excluded, bit).index(), bit))
            case AnythingBut(excluded):
                self._negated |= bit
                self._excluded.add_all(excluded, bit)
            case _:
                self._wanted.add(condition, bit)

    def satisfied(self, value: object, budget: Budget) -> int:
        """Return the branches whose leaf on this field the value satisfies, and those without a leaf on it.

        The caller spends the steps of one value (`steps_of`), since it knows of all fields.
        """
        if self._remembers and isinstance(value, str) and len(value) <= SHORT_TEXT:
            mask = self._answers.get(value)
            return self._remember(value, budget) if mask is None else mask
        if type(value) is MultiValue:
            budget.spend(self._cost * len(value))
            mask = self._base
            for one in value:
                mask |= self._decide(one, budget)
            return mask
        return self._decide(value, budget)

    def _decide(self, value: object, budget: Budget) -> int:
        mask = self._base | self._hits(value, budget)
        if self._negated:
            # XOR of the part excluded: `& ~` on long masks costs four times as much.
            mask |= self._negated ^ (self._negated & self._exclusions(value, budget))
        if self._alternatives:
            budget.spend(len(self._alternatives))
        for hits, bit in self._alternatives:
            if not hits(value, budget):
                mask |= bit
        return mask

    def _remember(self, text: str, budget: Budget) -> int:
        if len(self._answers) >= MAX_REMEMBERED:
            self._answers = {}
        mask = self._answers[text] = self._decide(text, budget)
        return mask


class _Conditions:
    """Gathers conditions by kind, then makes one function of them."""

    def __init__(self, conditions: Iterable[Condition] = (), bit: int = 0) -> None:
        self.scalars: defaultdict[object, int] = defaultdict(int)
        self.constants: defaultdict[bool | None, int] = defaultdict(int)
        self.prefixes, self.suffixes = Masks(int), Masks(int)
        self.folded, self.folded_heads, self.folded_tails = Masks(int), Masks(int), Masks(int)
        self.wildcards: defaultdict[Wildcard, int] = defaultdict(int)
        self.ranges: list[tuple[float, bool, float, bool, int]] = []
        self.networks: defaultdict[int, list[tuple[float, bool, float, bool, int]]] = defaultdict(list)
        # What no look-up covers: letters whose cases are no simple pair.
        self.unusual: defaultdict[IgnoringCase, int] = defaultdict(int)
        self.add_all(conditions, bit)

    def add_all(self, conditions: Iterable[Condition], bit: int) -> None:
        for condition in conditions:
            self.add(condition, bit)

    def add(self, condition: Condition, bit: int) -> None:
        match condition:
            case Equals(bool() | None as value):
                self.constants[value] |= bit
            case Equals(value):
                self.scalars[value] |= bit
            case Prefix(text):
                self.prefixes[text] |= bit
            case Suffix(text):
                self.suffixes[text[::-1]] |= bit
            case IgnoringCase(text) if is_foldable(text):
                self._add_folded(condition, bit)
            case Wildcard():
                self.wildcards[condition] |= bit
            case Range(low, high, low_open, high_open):
                self.ranges.append((low, low_open, high, high_open, bit))
            case Network(bits, low, high):
                self.networks[bits].append((low, False, high, False, bit))
            case IgnoringCase():
                self.unusual[condition] |= bit

    def _add_folded(self, condition: IgnoringCase, bit: int) -> None:
        text = fold(condition.text)
        match condition.part:
            case "whole":
                self.folded[text] |= bit
            case "head":
                self.folded_heads[text] |= bit
            case "tail":
                self.folded_tails[text[::-1]] |= bit

    def index(self) -> Hits:
        """From a value to the mask of the branches with a condition that it satisfies."""
        scalars, constants = dict(self.scalars), dict(self.constants)
        looks, probes = tuple(self._looks()), tuple(self._probes())
        ranges = RangeLookup(self.ranges).mask if self.ranges else None

        def hits(value: object, budget: Budget) -> int:
            if isinstance(value, bool) or value is None:
                return constants.get(value, 0)  # apart, since True and 1 are one key of a dict
            mask = scalars.get(value, 0)
            if isinstance(value, str):
                for look in looks:
                    mask |= look(value)
                for probe in probes:
                    mask |= probe(value, budget)
            elif ranges and (number := comparable(value)) is not None:
                mask |= ranges(number)
            return mask

        return hits

    def _looks(self) -> Iterable[Look]:
        """Look-ups by bisection, whose time is not worth counting."""
        if self.prefixes:
            yield PrefixLookup(self.prefixes).mask
        if self.suffixes:
            yield _reversed(PrefixLookup(self.suffixes).mask)
        if self.networks:
            yield self._network_look()

    def _probes(self) -> Iterable[Probe]:
        if self.wildcards:
            yield WildcardLookup(self.wildcards).mask
        if self.folded or self.folded_heads or self.folded_tails:
            yield self._folded_probe()
        if self.unusual:
            yield self._unusual_probe()

    def _folded_probe(self) -> Probe:
        whole = dict(self.folded)
        head, tail = PrefixLookup(self.folded_heads).mask, PrefixLookup(self.folded_tails).mask

        def probe(text: str, budget: Budget) -> int:
            budget.search(text, 1)
            folded = fold(text)
            return whole.get(folded, 0) | head(folded) | tail(folded[::-1])

        return probe

    def _network_look(self) -> Look:
        families = {bits: RangeLookup(ranges).mask for bits, ranges in self.networks.items()}

        def look(text: str) -> int:
            address = read_address(text)
            family = families.get(address.bits) if address else None
            return family(address.value) if address and family else 0

        return look

    def _unusual_probe(self) -> Probe:
        listed = list(self.unusual.items())

        def probe(text: str, budget: Budget) -> int:
            budget.search(text, len(listed))
            return reduce(or_, (mask for condition, mask in listed if condition.test(text)), 0)

        return probe


def _reversed(look: Look) -> Look:
    return lambda text: look(text[::-1])
