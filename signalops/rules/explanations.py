"""Explains in one sentence each what a rule's window, absence and noise control would add to a match. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from signalops.patterns import Grouping
from signalops.rules.rule_models import Conditions, Window
from signalops.rules.rule_source import ResolvedRule
from signalops.rules.schedule import Hours
from signalops.rules.validate import compiled


def explain_match(chosen: ResolvedRule, seen: Mapping[str, object], now: datetime) -> Iterator[str]:
    """Yield what a match of an event would lead to."""
    if not chosen.enabled:
        yield "The rule is disabled: it notifies nobody."
    yield from _conditions(chosen.draft, seen)
    yield from _noise_control(chosen.draft, now)


def _conditions(draft: Conditions, seen: Mapping[str, object]) -> Iterator[str]:
    if draft.window:
        what, enough = threshold(draft.window)
        which = _group(draft.window.group_by, seen)
        yield f"It counts{which}; the rule fires once when there are {enough} {what} within {draft.window.within}."
    if draft.absent:
        which = _group(draft.absent.group_by, seen)
        yield f"It is a sign of life{which}; the rule fires when none follows for {draft.absent.after}."


def _noise_control(draft: Conditions, now: datetime) -> Iterator[str]:
    if draft.cooldown:
        yield f"After a notification there is none for {draft.cooldown.for_}, per group."
    if draft.digest:
        when = f"every {draft.digest.every}" if draft.digest.every else f"at {draft.digest.at} {draft.digest.time_zone}"
        yield f"The match is collected, and notified together with others {when}."
    if draft.active_hours:
        opening = Hours.of(draft.active_hours).opening(now)
        if opening != now:
            outside = "nobody is notified" if draft.active_hours.outside_hours == "drop" else "it waits for them"
            yield f"It is outside the active hours, which begin at {opening.isoformat(timespec='minutes')}: {outside}."


def _group(fields: list[str], seen: Mapping[str, object]) -> str:
    if not fields:
        return ""
    values = ", ".join(f"{path} = {value}" for path, value in Grouping(fields).of(seen)[1].items())
    return f" in the group {values}"[:300]


def silences_of(silences: Sequence[Mapping[str, Any]], seen: Mapping[str, object], now: datetime) -> Iterator[str]:
    """Yield the silences that suppress an event's notifications."""
    for one in silences:
        if one["starts_at"] <= now and compiled(one["grammar"], one["pattern"]).matches(seen):
            yield f"A silence until {one['ends_at'].isoformat(timespec='minutes')} suppresses it: {one['reason']}."


def threshold(window: Window) -> tuple[str, Any]:
    """Return what is measured, in words, and how much of it is enough."""
    if window.count is not None:
        return "matching events", window.count
    if window.sum:
        return f"of {window.sum.field} together", window.sum.model_dump(mode="json")["atLeast"]
    assert window.distinct is not None
    return f"different values of {window.distinct.field}", int(window.distinct.at_least)
