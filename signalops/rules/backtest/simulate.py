"""Simulates one version of a rule on past events, by the time of the events. Pure.

Event by event in the order of receipt: pattern (matched by the caller) -> window or absence -> silences -> active hours ->
cooldown -> digest, as decide and signalops.evaluate_stateful_rules do for new events. Times are microseconds since 1970.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Self

from signalops.constants import DIGEST_EVENTS
from signalops.rules.backtest.window import Window, microseconds
from signalops.rules.conditions import RuleConditions
from signalops.rules.evaluate import MAX_CAUSATION_DEPTH, NOTICE
from signalops.types import JsonObject

Event = Mapping[str, Any]
Outcome = Literal["notified", "counted", "late", "ignored", "silenced", "outside_hours", "cooldown", "digested"]
IsSilenced = Callable[[Event, datetime], bool]
"""How many of its events a digest lists."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HOUR = timedelta(hours=1) // _MICROSECOND


class Notification(NamedTuple):
    """A notification that the rule would have sent: about an event, a digest of events (the first ids), or an absence."""

    kind: Literal["event", "digest", "absence"]
    at: int
    events: list[str]
    context: JsonObject | None = None
    """The window's state, or the payload of the operational event of a digest or an absence."""


@dataclass(slots=True)
class _Group:
    labels: Mapping[str, object]
    window: Window | None = None
    seen_at: int | None = None
    due_at: int | None = None
    cooldown_until: int = 0

    def state(self) -> list[Any]:
        window = self.window and self.window.state()
        return [self.labels, window, self.seen_at, self.due_at, self.cooldown_until]

    @classmethod
    def of(cls, plan: RuleConditions, state: list[Any]) -> Self:
        labels, window, *times = state
        return cls(labels, window and Window.of(plan, window), *times)


@dataclass(slots=True)
class _Digest:
    opened_at: int
    due_at: int
    count: int = 0
    events: list[str] = field(default_factory=list)


class Simulation:
    """A rule at work: `rule` is {id, version ...} as templates read it, `after` how its absence is written.

    It passes notifications to `notify`.
    """

    def __init__(
        self,
        rule: Mapping[str, Any],
        plan: RuleConditions | None,
        is_silenced: IsSilenced,
        notify: Callable[[Notification], None],
        after: str | None = None,
    ) -> None:
        self._rule = {"id": rule["id"], "version": rule["version"]}
        self._plan = plan
        self._is_silenced = is_silenced
        self._notify = notify
        self._after = after
        self._groups: dict[str, _Group] = {}
        self._due: list[tuple[int, str]] = []
        self._digest: _Digest | None = None

    def begin(self, now: int) -> None:
        """Start the clock: without groups an absence runs from here on."""
        if self._plan and self._plan.kind == "absent" and not self._plan.grouping.paths:
            self._await(self._plan, "[]", _Group({}), now)

    def take(self, event: Event, seen: Event, now: int) -> Outcome | None:
        """Take in an event that the pattern matches, as it is and as patterns see it; None if it must not match."""
        self.advance(now)
        if event["causation_depth"] and not self._may_match(event):
            return None
        plan = self._plan
        if plan is None or plan.kind == "each":
            return self._fire(seen, Notification("event", now, [event["id"]]))
        at = min(since_epoch(datetime.fromisoformat(event["occurredAt"])), now)
        if plan.kind == "absent":
            return self._appear(plan, seen, at)
        return self._count(plan, seen, at, Notification("event", now, [event["id"]]))

    def advance(self, now: int) -> None:
        """Let time pass: absences and digests fall due."""
        for due in self._falling_due(now):
            if due is None:
                self._close_digest()
            else:
                self._miss(due)

    def finish(self, now: int) -> None:
        """Finish: an open digest would be sent when it is due, even after the end."""
        self.advance(now)
        self._close_digest()

    def forget(self, now: int) -> None:
        """Drop what can't matter any more."""
        plan = self._plan
        if plan is None:
            return
        horizon = now - plan.lateness // _MICROSECOND
        last = horizon - microseconds(plan) - _HOUR
        for key, group in list(self._groups.items()):
            if group.window is not None:
                group.window.forget(horizon)
            is_over = group.cooldown_until <= now and group.due_at is None and (group.seen_at or 0) < last
            if is_over and not group.window:
                del self._groups[key]

    def __len__(self) -> int:
        """The size of the state: groups, and events in their windows."""
        return sum(1 + len(group.window or ()) for group in self._groups.values())

    def state(self) -> JsonObject:
        """Return the state as JSON values."""
        digest = self._digest
        return {
            "groups": {key: group.state() for key, group in self._groups.items()},
            "digest": digest and [digest.opened_at, digest.due_at, digest.count, digest.events],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""
        if self._plan is not None:
            self._groups = {key: _Group.of(self._plan, group) for key, group in state["groups"].items()}
        self._due = [(group.due_at, key) for key, group in self._groups.items() if group.due_at is not None]
        heapq.heapify(self._due)
        self._digest = _Digest(*state["digest"]) if state["digest"] else None

    def _may_match(self, event: Event) -> bool:
        """A rule matches no notice of its own, and operational events caused by one another to some depth only."""
        about_rule = event["payload"].get("rule", {}).get("id")
        return event["causation_depth"] <= MAX_CAUSATION_DEPTH and (
            self._rule["id"] is None or about_rule != str(self._rule["id"])
        )

    def _count(self, plan: RuleConditions, event: Event, at: int, notification: Notification) -> Outcome:
        if notification.at - at > plan.lateness // _MICROSECOND:
            return "late"
        measure = plan.measure(event)
        if measure is None:
            return "ignored"
        key, labels = plan.grouping.of(event)
        group = self._groups.setdefault(key, _Group(labels, Window(plan)))
        assert group.window is not None
        if not group.window.add(at, measure):
            return "counted"
        saw: JsonObject = {"value": _number(group.window.value_at(at)), "group": dict(group.labels)}
        saw |= {"since": _iso(at - microseconds(plan)), "until": _iso(at)}
        return self._fire(event, notification._replace(context=saw), key)

    def _appear(self, plan: RuleConditions, event: Event, at: int) -> Outcome:
        key, labels = plan.grouping.of(event)
        group = self._groups.setdefault(key, _Group(labels))
        if group.seen_at is None or at > group.seen_at:
            group.seen_at = at
            self._await(plan, key, group, at)
        return "counted"

    def _await(self, plan: RuleConditions, key: str, group: _Group, since: int) -> None:
        due, before = since + microseconds(plan) + plan.lateness // _MICROSECOND, group.due_at
        self._groups[key] = group
        group.due_at = max(due, before or due)
        if before is None:  # else it stands in the heap, and is moved down when its earlier time has come
            heapq.heappush(self._due, (due, key))

    def _falling_due(self, now: int) -> Iterator[str | None]:
        """Yield, by their times, the groups in which nothing came; None stands for the digest."""
        while True:
            while self._due and (later := self._groups[self._due[0][1]].due_at or 0) != self._due[0][0]:
                heapq.heapreplace(self._due, (later, self._due[0][1]))
            absent = self._due[0][0] if self._due else now + 1
            digest = self._digest.due_at if self._digest else now + 1
            if min(absent, digest) > now:
                return
            yield heapq.heappop(self._due)[1] if absent < digest else None

    def _miss(self, key: str) -> None:
        """Fire the absence of a group."""
        group = self._groups[key]
        assert group.due_at is not None
        at, group.due_at = group.due_at, None
        seen = None if group.seen_at is None else _iso(group.seen_at)
        payload = {"rule": self._rule, "group": dict(group.labels), "lastSeenAt": seen, "after": self._after}
        notice = {"type": NOTICE, "source": "signalops", "occurredAt": _iso(at), "payload": payload}
        self._fire(notice, Notification("absence", at, [], payload), key)

    def _fire(self, event: Event, notification: Notification, key: str | None = None) -> Outcome:
        """Pass what fires through silences, active hours, cooldown and digest; notify the rest."""
        moment, plan = moment_of(notification.at), self._plan
        if self._is_silenced(event, moment):
            return "silenced"
        if plan and plan.hours and plan.hours.drops and plan.hours.opening(moment) != moment:
            return "outside_hours"
        if plan and plan.cooldown and not self._cool(plan, event, notification.at, key):
            return "cooldown"
        if plan and plan.digest:
            self._collect(plan, notification, moment)
            return "digested"
        self._notify(notification)
        return "notified"

    def _cool(self, plan: RuleConditions, event: Event, now: int, key: str | None) -> bool:
        """Begin a cooldown; False while one lasts."""
        group = self._groups.setdefault(plan.grouping.of(event).key if key is None else key, _Group({}))
        if group.cooldown_until > now:
            return False
        assert plan.cooldown is not None
        group.cooldown_until = now + plan.cooldown // _MICROSECOND
        return True

    def _collect(self, plan: RuleConditions, notification: Notification, moment: datetime) -> None:
        if self._digest is None:
            due = plan.digest_due(moment)
            assert due is not None
            self._digest = _Digest(notification.at, since_epoch(due))
        self._digest.count += 1
        self._digest.events += notification.events[: DIGEST_EVENTS - len(self._digest.events)]

    def _close_digest(self) -> None:
        if self._digest is None:
            return
        digest, self._digest = self._digest, None
        payload = {"rule": self._rule, "count": digest.count, "events": digest.events}
        payload |= {"since": _iso(digest.opened_at), "until": _iso(digest.due_at)}
        self._notify(Notification("digest", digest.due_at, digest.events, payload))


def since_epoch(moment: datetime) -> int:
    """Return a moment in microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(microseconds: int) -> datetime:
    """Return the moment of some microseconds since 1970."""
    return _EPOCH + microseconds * _MICROSECOND


def _iso(microseconds: int) -> str:
    return moment_of(microseconds).isoformat()


def _number(value: Decimal) -> int | float:
    """Return a number as JSON from the database reads: a whole one without a point."""
    return int(value) if value == value.to_integral_value() else float(value)
