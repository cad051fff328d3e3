"""Windows by their definition: all stretches are found anew for each event, from nothing but the list of events."""

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import TypeVar

Id = TypeVar("Id")
Stretch = tuple[int, int]


def fired(
    events: Iterable[tuple[Id, int, int | str]], span: int, threshold: int, *, distinct: bool = False
) -> list[Id]:
    """Return which events (id, time, value), in the order in which they are processed, bring a new stretch about.

    A count is the sum of ones; `distinct` counts different values instead. Of the stretches that an event changes, those
    that begin after the newest event may never come true (with weights below zero) and are left to the next one.
    """
    taken: list[tuple[int, int | str]] = []
    told: list[Stretch] = []
    firing = []
    for identity, at, value in events:
        taken.append((at, value))
        end = min(at + span, max(time for time, _ in taken) + 1)
        found = stretches(taken, span, threshold, distinct=distinct)
        now = [(max(begins, at), ends) for begins, ends in found if ends > at and begins < end]
        if any(not any(_touch(new, old) for old in told) for new in now):
            firing.append(identity)
        told += now
    return firing


def stretches(
    events: Sequence[tuple[int, int | str]], span: int, threshold: int, *, distinct: bool = False
) -> list[Stretch]:
    """Return the maximal intervals [a, b) in which the measure is the threshold or more."""

    def reached(moment: int) -> bool:
        values = [value for at, value in events if moment - span < at <= moment]
        return (len(set(values)) if distinct else sum(value for value in values if isinstance(value, int))) >= threshold

    moments = sorted({at + offset for at, _ in events for offset in (0, span)})
    runs = groupby(pairwise(moments), key=lambda piece: reached(piece[0]))
    return [(pieces[0][0], pieces[-1][1]) for high, run in runs if high for pieces in [list(run)]]


def _touch(one: Stretch, other: Stretch) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
