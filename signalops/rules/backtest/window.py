"""Computes the time ranges in which a window's aggregate reaches its threshold. Pure.

An event at t counts from t until t + span. The aggregate of a group at a moment is the sum of its events' values, or the number
of distinct values. A range is a maximal interval in which the aggregate reaches the threshold. An event fires when it starts a
range, as its newest event, that does not touch a range already notified. Times are microseconds.
"""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple, Self

from signalops.rules.conditions import Measure, RuleConditions
from signalops.types import JsonObject

_SLACK = 256
"""Number of expired entries that are kept, so that dropping them costs less than a step per event."""
Stretch = tuple[int, int]


class Entry(NamedTuple):
    """An event in a window."""

    at: int
    value: Decimal
    distinct_value: str | None


class Window:
    """The events of one group of a window, in the order of their times.

    An event that comes in order costs a few steps; one out of order is compared with all those within a span before and
    after it, in a count against no more than the threshold's number on each side. As soon as a value is below zero the
    measure can rise by what expires, and stretches can vanish: from then on what was notified is kept, and all is looked at.
    """

    def __init__(self, plan: RuleConditions, entries: Iterable[Entry] = (), notified: Iterable[Stretch] | None = None) -> None:
        self._threshold = plan.threshold
        self._neighbours = int(plan.threshold) if plan.kind == "count" else None
        self._span = microseconds(plan)
        self._entries = list(entries)
        self._notified = None if notified is None else list(notified)
        # The window that ends with the newest event: where it begins, and what is in it.
        self._first = bisect_right(self._entries, self._newest - self._span, key=_at)
        self._total = _Total(self._entries[self._first :])

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def _newest(self) -> int:
        return self._entries[-1].at if self._entries else 0

    def add(self, at: int, measure: Measure) -> bool:
        """Take an event in; return whether it fires."""
        entry = Entry(at, *measure)
        if entry.value < 0 and self._notified is None:
            self._notified = list(stretches(self._entries, self._span, self._threshold))
        if self._notified is not None:
            return self._starts_range(entry, self._notified)
        if not self._entries or at >= self._newest:
            return self._append(entry)
        fires = self._begins(entry)
        self._insert(entry)
        return fires

    def value_at(self, at: int) -> Decimal:
        """Return the measure at a time."""
        low = bisect_right(self._entries, at - self._span, key=_at)
        return _Total(self._entries[low : bisect_right(self._entries, at, key=_at)]).value

    def forget(self, before: int) -> None:
        """Drop what no event at `before` or later can share a stretch with."""
        stale = bisect_left(self._entries, before - self._span, key=_at)
        if stale > _SLACK or stale == len(self._entries):
            for entry in self._entries[self._first : stale]:
                self._total.remove(entry)
            del self._entries[:stale]
            self._first = max(self._first - stale, 0)
        if self._notified:
            self._notified = [stretch for stretch in self._notified if stretch[1] >= before]

    def state(self) -> JsonObject:
        """Return the state as JSON values."""
        return {
            "entries": [[at, str(value), distinct_value] for at, value, distinct_value in self._entries],
            "notified": self._notified,
        }

    @classmethod
    def of(cls, plan: RuleConditions, state: JsonObject) -> Self:
        """Return the window with a saved state."""
        entries = (Entry(at, Decimal(value), distinct_value) for at, value, distinct_value in state["entries"])
        notified = state["notified"]
        return cls(plan, entries, None if notified is None else ((begins, ends) for begins, ends in notified))

    def _append(self, entry: Entry) -> bool:
        """Move the window on to the newest event. As nothing comes later and no value is below zero, the measure only
        falls from here: the event fires if it reaches the threshold now, and what was before it, up to it, did not."""
        is_later = not self._entries or entry.at > self._newest
        if is_later:
            self._leave(entry.at - self._span)
        reached = self._reached
        if is_later:
            self._leave(entry.at - self._span + 1)
        # Others at the same time may touch a range that ends with them, so all entries are checked.
        fires = not reached and self._total.with_(entry) >= self._threshold and (is_later or self._begins(entry))
        self._total.add(entry)
        self._entries.append(entry)
        return fires

    def _leave(self, before: int) -> None:
        while self._first < len(self._entries) and self._entries[self._first].at < before:
            self._total.remove(self._entries[self._first])
            self._first += 1

    @property
    def _reached(self) -> bool:
        return self._total.value >= self._threshold

    def _insert(self, entry: Entry) -> None:
        insort(self._entries, entry, key=_at)
        if entry.at > self._newest - self._span:
            self._total.add(entry)
        else:
            self._first += 1

    def _begins(self, entry: Entry) -> bool:
        """Return whether an event that is about to be added starts a crossing interval separate from the known ones."""
        near = self._near(entry.at)
        before = list(stretches(near, self._span, self._threshold))
        insort(near, entry, key=_at)
        return any(_is_apart(new, before) for new in stretches(near, self._span, self._threshold))

    def _near(self, at: int) -> list[Entry]:
        """Return the events up to a span before and after a time."""
        low = bisect_left(self._entries, at - self._span, key=_at)
        here = bisect_right(self._entries, at, key=_at)
        high = bisect_right(self._entries, at + self._span, key=_at)
        if self._neighbours is not None:
            # A window around the time with more than these has enough, with them alone. Those at the very time don't
            # count among the ones before it: a stretch that ends there must be seen whole.
            low = max(low, bisect_left(self._entries, at, key=_at) - self._neighbours)
            high = min(high, here + self._neighbours)
        return self._entries[low:high]

    def _starts_range(self, entry: Entry, notified: list[Stretch]) -> bool:
        """Add an event where values can be negative: recompute the time range that it changes.

        A sum that rises when something negative leaves it counts once an event sees it: what begins after the newest event may
        never come true. Ranges notified after it are not known yet.
        """
        newest, at, until = self._newest, entry.at, entry.at + self._span
        insort(self._entries, entry, key=_at)
        touched = (
            (max(begins, at), min(ends, until))
            for begins, ends in stretches(self._entries, self._span, self._threshold)
            if ends > at and begins < until
        )
        found = [stretch for stretch in touched if self._is_seen(stretch)]
        known = [(begins, min(ends, newest)) for begins, ends in notified if begins <= newest]
        before = [(begins, min(ends, at)) for begins, ends in notified if begins < at]
        after = [(max(begins, until), ends) for begins, ends in notified if ends > until]
        notified[:] = _joined([*before, *found, *after])
        # A range that began before the event, including its notified future, was started by another event.
        return any(_is_apart(new, known) and not _is_apart(new, found) for new in notified if new[0] >= at)

    def _is_seen(self, stretch: Stretch) -> bool:
        """Return whether an event is in a crossing interval."""
        first = bisect_left(self._entries, stretch[0], key=_at)
        return first < len(self._entries) and self._entries[first].at < stretch[1]


def microseconds(plan: RuleConditions) -> int:
    """Return the length of a plan's window or absence."""
    return plan.span // timedelta(microseconds=1)


def stretches(entries: Sequence[Entry], span: int, threshold: Decimal) -> Iterator[Stretch]:
    """Yield the maximal intervals [begin, end) in which the measure is the threshold or more; the entries are in order."""
    total, begins = _Total(), None
    coming, going = ((e.at, 1, e) for e in entries), ((e.at + span, 0, e) for e in entries)
    for moment, changes in groupby(heapq.merge(coming, going, key=_when), key=_when):
        for _, comes, entry in changes:
            (total.add if comes else total.remove)(entry)
        reached = total.value >= threshold
        if reached and begins is None:
            begins = moment
        elif not reached and begins is not None:
            yield begins, moment
            begins = None


class _Total:
    """The sum of the values, or the number of distinct values."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._items: Counter[str] = Counter()
        self._sum = Decimal(0)
        for entry in entries:
            self.add(entry)

    @property
    def value(self) -> Decimal:
        return Decimal(len(self._items)) if self._items else self._sum

    def add(self, entry: Entry) -> None:
        if entry.distinct_value is None:
            self._sum += entry.value
        else:
            self._items[entry.distinct_value] += 1

    def remove(self, entry: Entry) -> None:
        if entry.distinct_value is None:
            self._sum -= entry.value
            return
        self._items[entry.distinct_value] -= 1
        if not self._items[entry.distinct_value]:
            del self._items[entry.distinct_value]

    def with_(self, entry: Entry) -> Decimal:
        """Return the value with one more."""
        return self.value + (entry.value if entry.distinct_value is None else entry.distinct_value not in self._items)


def _joined(pieces: Iterable[Stretch]) -> list[Stretch]:
    """Return pieces with those that touch made one."""
    joined: list[Stretch] = []
    for piece in sorted(pieces):
        if joined and piece[0] <= joined[-1][1]:
            begins, ends = joined.pop()
            joined.append((begins, max(ends, piece[1])))
        else:
            joined.append(piece)
    return joined


def _is_apart(stretch: Stretch, others: Iterable[Stretch]) -> bool:
    return not any(stretch[0] <= ends and begins <= stretch[1] for begins, ends in others)


def _at(entry: Entry) -> int:
    return entry.at


def _when(change: tuple[int, int, Entry]) -> int:
    return change[0]
