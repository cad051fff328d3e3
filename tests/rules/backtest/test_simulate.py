"""A rule on the events' own clock: windows, absences, silences, active hours, cooldowns and digests, in this order."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalops import clock
from signalops.rules.backtest.simulate import Notification, Outcome, Simulation, since_epoch
from signalops.rules.conditions import RuleConditions
from signalops.rules.rule_models import Conditions

START = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
RULE = {"id": "01a20862-10b6-70f7-a960-f844b7ad550a", "version": 3}


def minutes(count: float) -> datetime:
    return START + timedelta(minutes=count)


class Rule:
    """A rule at work from START on; `silenced`: minutes from and to."""

    def __init__(self, silenced: tuple[float, float] | None = None, **conditions: object) -> None:
        self.notifications: list[Notification] = []
        self._silenced = silenced
        self._conditions = Conditions.model_validate(conditions)
        self._numbers = iter(range(10**9))
        self.simulation = self._made()
        self.simulation.begin(since_epoch(START))

    def _made(self) -> Simulation:
        after = self._conditions.absent.after if self._conditions.absent else None
        plan = RuleConditions.of(self._conditions, 1)
        return Simulation(RULE, plan, self._is_silenced, self.notifications.append, after)

    def _is_silenced(self, _: object, now: datetime) -> bool:
        return self._silenced is not None and minutes(self._silenced[0]) <= now < minutes(self._silenced[1])

    def receive(self, received: float, occurred: float | None = None, causation_depth: int = 0, **payload: Any) -> Outcome | None:
        """Take in an event that the pattern matches, at minutes after START."""
        moment = minutes(received)
        identity = str(UUID(int=clock.uuid7_floor(moment).int + next(self._numbers)))
        event = {"id": identity, "causation_depth": causation_depth, "type": "order.paid", "payload": payload}
        event["occurredAt"] = minutes(received if occurred is None else occurred).isoformat()
        return self.simulation.take(event, event, since_epoch(moment))

    def receive_all(self, times: Iterable[float]) -> list[Outcome | None]:
        return [self.receive(time) for time in times]

    def end(self, at: float) -> list[tuple[str, float]]:
        """Let time pass; return the notifications and their minutes."""
        self.simulation.finish(since_epoch(minutes(at)))
        return [(one.kind, (one.at - since_epoch(START)) / 60_000_000) for one in self.notifications]

    def save_and_restore(self, at: float) -> None:
        """Go on as another worker does."""
        self.simulation.forget(since_epoch(minutes(at)))
        state = json.loads(json.dumps(self.simulation.state()))
        self.simulation = self._made()
        self.simulation.restore(state)


def test_without_conditions_each_match_is_told() -> None:
    rule = Rule()
    assert rule.receive_all([1, 2]) == ["notified", "notified"]
    assert rule.end(10) == [("event", 1), ("event", 2)]


def test_a_window_fires_once_per_stretch_and_tells_what_it_saw() -> None:
    rule = Rule(window={"within": "10m", "count": 2, "groupBy": ["payload.user"]})
    assert [rule.receive(t, user=u) for t, u in [(0, "a"), (1, "b"), (2, "a"), (3, "a"), (30, "a"), (31, "a")]] == [
        "counted",
        "counted",
        "notified",
        "counted",
        "counted",
        "notified",
    ]
    assert rule.notifications[0].context == {
        "value": 2.0,
        "group": {"payload.user": "a"},
        "since": minutes(-8).isoformat(),
        "until": minutes(2).isoformat(),
    }


def test_what_is_late_or_has_nothing_to_measure_does_not_count() -> None:
    rule = Rule(window={"within": "10m", "sum": {"field": "payload.n", "atLeast": 5}, "allowedLateness": "1m"})
    outcomes = [rule.receive(5, n=3), rule.receive(6, n="3"), rule.receive(7), rule.receive(8, 6.9, n=3)]
    assert outcomes == ["counted", "ignored", "ignored", "late"]
    assert rule.receive(8, 7, n=3) == "notified"


def test_an_event_from_the_future_occurred_when_it_came_in() -> None:
    rule = Rule(window={"within": "1m", "count": 2})
    assert [rule.receive(1, 600), rule.receive(1.5)] == ["counted", "notified"]


def test_an_absence_is_told_once_and_armed_again_by_the_next_match() -> None:
    rule = Rule(absent={"after": "15m", "allowedLateness": "1m"})
    assert rule.receive_all([10, 20, 50]) == ["counted"] * 3
    assert rule.end(200) == [("absence", 36), ("absence", 66)]
    assert rule.notifications[0].context == {"rule": RULE, "group": {}, "lastSeenAt": minutes(20).isoformat(), "after": "15m"}


def test_an_absence_without_any_event_is_told_and_one_of_groups_needs_their_first() -> None:
    assert Rule(absent={"after": "15m"}).end(60) == [("absence", 15)]
    grouped = Rule(absent={"after": "15m", "groupBy": ["payload.host"]})
    grouped.receive(5, host="a")
    grouped.receive(7, host="b")
    grouped.receive(9, host="a")
    assert grouped.end(60) == [("absence", 22), ("absence", 24)]


def test_an_older_event_neither_arms_an_absence_nor_moves_it() -> None:
    rule = Rule(absent={"after": "15m"})
    rule.receive(10)
    rule.receive(12, 3)
    rule.receive(40, 5)
    assert rule.end(100) == [("absence", 25)]


def test_a_silence_keeps_quiet_and_the_crossing_is_over() -> None:
    rule = Rule(silenced=(0, 5), window={"within": "10m", "count": 2})
    assert rule.receive_all([1, 2, 6]) == ["counted", "silenced", "counted"]
    assert rule.end(10) == []


def test_outside_of_active_hours_it_is_dropped_or_waits() -> None:
    hours = {"timeZone": "UTC", "from": "12:00", "to": "13:00"}
    drops, waits = Rule(active_hours={**hours, "outsideHours": "drop"}), Rule(active_hours=hours)
    assert drops.receive_all([59, 60]) == ["notified", "outside_hours"]
    assert waits.receive_all([59, 60]) == ["notified", "notified"]


def test_a_cooldown_lasts_from_the_notification_on_by_group() -> None:
    rule = Rule(cooldown={"for": "10m", "groupBy": ["payload.user"]})
    outcomes = [rule.receive(t, user=u) for t, u in [(0, "a"), (5, "b"), (9.9, "a"), (10, "a"), (14, "b")]]
    assert outcomes == ["notified", "notified", "cooldown", "notified", "cooldown"]


def test_what_is_silenced_or_quiet_begins_no_cooldown() -> None:
    rule = Rule(silenced=(0, 2), cooldown="10m")
    assert rule.receive_all([1, 2, 3]) == ["silenced", "notified", "cooldown"]


def test_a_digest_is_told_when_it_is_due_also_after_the_end() -> None:
    rule = Rule(digest={"every": "10m"})
    assert rule.receive_all([1, 2, 10.9, 11, 12]) == ["digested"] * 5
    assert rule.end(15) == [("digest", 11), ("digest", 21)]
    assert rule.notifications[0].context is not None
    assert (rule.notifications[0].context["count"], len(rule.notifications[0].events)) == (3, 3)


def test_a_digest_lists_the_first_hundred() -> None:
    rule = Rule(digest={"at": "18:00", "timeZone": "UTC"})
    rule.receive_all(range(120))
    assert rule.end(150) == [("digest", 360)]
    assert rule.notifications[0].context is not None
    assert (rule.notifications[0].context["count"], len(rule.notifications[0].events)) == (120, 100)


def test_an_absence_passes_through_the_noise_control() -> None:
    rule = Rule(absent={"after": "5m"}, cooldown="30m", digest={"every": "1h"})
    rule.receive_all([10, 20, 50])
    # Missing at 5, in the digest; at 15 and 25 within the cooldown; at 55 again.
    assert rule.end(200) == [("digest", 65)]
    assert rule.notifications[0].context is not None
    assert (rule.notifications[0].context["count"], rule.notifications[0].events) == (2, [])


@pytest.mark.parametrize(("causation_depth", "about", "outcome"), [(1, RULE["id"], None), (1, "x", "notified"), (4, "x", None)])
def test_notices_of_itself_and_chains_of_notices_are_no_matches(causation_depth: int, about: str, outcome: str | None) -> None:
    assert Rule().receive(1, causation_depth=causation_depth, rule={"id": about}) == outcome


CONDITIONS = st.sampled_from(
    [
        {},
        {"window": {"within": "3m", "count": 2, "groupBy": ["payload.user"], "allowedLateness": "2m"}},
        {"window": {"within": "3m", "sum": {"field": "payload.n", "atLeast": 3}, "allowedLateness": "2m"}},
        {"window": {"within": "5m", "distinct": {"field": "payload.user", "atLeast": 2}}, "cooldown": "4m"},
        {"absent": {"after": "2m", "groupBy": ["payload.user"]}, "digest": {"every": "7m"}},
        {"absent": {"after": "2m"}, "cooldown": "5m"},
        {"cooldown": {"for": "3m", "groupBy": ["payload.user"]}, "digest": {"every": "2m"}},
    ]
)
EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from("ab"), st.integers(-1, 3)), max_size=40)


@given(CONDITIONS, EVENTS, st.integers(1, 6))
def test_slices_change_nothing(conditions: dict[str, Any], events: list[tuple[int, int, str, int]], every: int) -> None:
    whole, sliced = Rule(**conditions), Rule(**conditions)
    received = 0
    for n, (step, delay, user, number) in enumerate(events):
        received += step
        arguments = (received, received - delay)
        assert whole.receive(*arguments, user=user, n=number) == sliced.receive(*arguments, user=user, n=number)
        if n % every == 0:
            sliced.save_and_restore(received)
    assert whole.end(received + 100) == sliced.end(received + 100)
