"""The shapes of a rule: what is refused, and why."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from signalops.durations import duration
from signalops.rules.conditions import RuleConditions
from signalops.rules.rule_models import Conditions


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("7d", 604_800), ("1d2h3m4s", 93_784)])
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "m", "10 m", "1m1h", "-1s", "1.5h", "10min", "٣m", "1s\n", "999999999s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration such as 90s, 10m, 1h30m or 7d"):
        duration(text)


WINDOW = {"within": "10m"}


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({"window": WINDOW}, "window", "name one of count, sum and distinct"),
        ({"window": WINDOW | {"count": 1, "sum": {"field": "a", "atLeast": 1}}}, "window", "name one of"),
        ({"window": WINDOW | {"count": 0}}, "window.count", "greater than or equal to 1"),
        ({"window": WINDOW | {"count": 10_001}}, "window.count", "less than or equal to 10000"),
        ({"window": {"within": "8d", "count": 1}}, "window.within", "must be from 1s to 7d"),
        ({"window": WINDOW | {"count": 2, "allowedLateness": "2d"}}, "window.allowedLateness", "must be from 0s to 1d"),
        ({"window": WINDOW | {"distinct": {"field": "a", "atLeast": 1.5}}}, "window", "whole number"),
        ({"window": WINDOW | {"sum": {"field": "a", "atLeast": 0}}}, "window.sum.atLeast", "greater than 0"),
        ({"window": WINDOW | {"sum": {"field": "a..b", "atLeast": 1}}}, "window.sum.field", "path of a field"),
        ({"window": WINDOW | {"count": 1, "groupBy": ["a"] * 6}}, "window.groupBy", "at most 5"),
        ({"window": WINDOW | {"count": 1}, "absent": {"after": "1h"}}, "", "not both"),
        ({"absent": {"after": "32d"}}, "absent.after", "must be from 1s to 31d"),
        ({"cooldown": "0s"}, "cooldown.for", "must be from 1s to 31d"),
        ({"absent": {"after": "1h"}, "cooldown": {"for": "1h", "groupBy": ["a"]}}, "", "leave cooldown.groupBy out"),
        ({"digest": {}}, "digest", "name either every, or at and timeZone"),
        ({"digest": {"every": "1h", "at": "09:00", "timeZone": "UTC"}}, "digest", "name either"),
        ({"digest": {"at": "9:00", "timeZone": "UTC"}}, "digest.at", "time of day such as 08:30"),
        ({"digest": {"at": "09:00", "timeZone": "Mars"}}, "digest.timeZone", "no time zone"),
        ({"activeHours": {"timeZone": "UTC", "days": []}}, "activeHours.days", "at least 1"),
        ({"activeHours": {"timeZone": "UTC", "days": ["someday"]}}, "activeHours.days.0", "'mon'"),
        ({"activeHours": {"timeZone": "UTC", "from": "24:00"}}, "activeHours.from", "time of day"),
        ({"cooldwon": "1h"}, "cooldwon", "Extra inputs"),
    ],
)
def test_what_is_refused(body: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Conditions.model_validate(body)
    (error,) = refused.value.errors()
    assert ".".join(map(str, error["loc"])) == path
    assert message in error["msg"]


def test_a_plain_rule_has_no_plan_and_pays_nothing() -> None:
    assert RuleConditions.of(Conditions(), 1) is None


@pytest.mark.parametrize(
    ("body", "has_state"),
    [
        ({"activeHours": {"timeZone": "UTC"}}, False),
        ({"cooldown": "10m"}, True),
        ({"digest": {"every": "1h"}}, True),
        ({"absent": {"after": "1h"}}, True),
        ({"window": WINDOW | {"count": 5}}, True),
    ],
)
def test_which_plans_have_state(body: dict[str, Any], has_state: bool) -> None:
    plan = RuleConditions.of(Conditions.model_validate(body), 1)
    assert plan is not None
    assert plan.has_state is has_state
