"""Windows by their definition: recomputes all intervals for each event from the list of events."""

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import TypeVar

Id = TypeVar("Id")
Stretch = tuple[int, int]


def fired(events: Iterable[tuple[Id, int, int | str]], span: int, threshold: int, *, distinct: bool = False) -> list[Id]:
    """Return which events (id, time, value), in the order in which they are processed, bring a new stretch about.

    A count is the sum of ones; `distinct` counts different values instead. Of the stretches that an event changes, those in
    which no event happens may never come true (with weights below zero) and are left to the next one; and what fired for
    the time after the newest event before is not known yet: it can be taken away, and come again. An event brings about
    what begins with it or after it.
    """
    taken: list[tuple[int, int | str]] = []
    fired_intervals: list[Stretch] = []
    firing = []
    for identity, at, value in events:
        newest = max((time for time, _ in taken), default=at)
        known = [(begins, min(ends, newest)) for begins, ends in fired_intervals if begins <= newest]
        taken.append((at, value))
        found = stretches(taken, span, threshold, distinct=distinct)
        touched = [(max(begins, at), min(ends, at + span)) for begins, ends in found if ends > at and begins < at + span]
        now = [(begins, ends) for begins, ends in touched if any(begins <= time < ends for time, _ in taken)]
        fired_intervals = [
            piece for begins, ends in fired_intervals for piece in ((begins, min(ends, at)), (max(begins, at + span), ends))
        ]
        fired_intervals = _union([(begins, ends) for begins, ends in fired_intervals + now if begins < ends])
        if any(_meets(stretch, now) and not _meets(stretch, known) for stretch in fired_intervals if stretch[0] >= at):
            firing.append(identity)
    return firing


def stretches(events: Sequence[tuple[int, int | str]], span: int, threshold: int, *, distinct: bool = False) -> list[Stretch]:
    """Return the maximal intervals [a, b) in which the measure is the threshold or more."""

    def reached(moment: int) -> bool:
        values = [value for at, value in events if moment - span < at <= moment]
        return (len(set(values)) if distinct else sum(value for value in values if isinstance(value, int))) >= threshold

    moments = sorted({at + offset for at, _ in events for offset in (0, span)})
    runs = groupby(pairwise(moments), key=lambda piece: reached(piece[0]))
    return [(pieces[0][0], pieces[-1][1]) for high, run in runs if high for pieces in [list(run)]]


def _union(pieces: Sequence[Stretch]) -> list[Stretch]:
    """Return the stretches that pieces make which touch."""
    begins = [b for b, _ in pieces if not any(other < b <= ends for other, ends in pieces)]
    ends = [e for _, e in pieces if not any(begin <= e < other for begin, other in pieces)]
    return list(zip(sorted(set(begins)), sorted(set(ends)), strict=True))


def _meets(one: Stretch, others: Iterable[Stretch]) -> bool:
    return any(one[0] <= ends and begins <= one[1] for begins, ends in others)
