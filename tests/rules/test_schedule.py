"""Active hours and daily digests, in time zones with changing clocks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signalops.rules.rule_models import ActiveHours, Digest
from signalops.rules.schedule import Hours, digest_due


def hours(zone: str = "Europe/Berlin", **fields: Any) -> Hours:
    return Hours.of(ActiveHours.model_validate({"timeZone": zone, **fields}))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


WORK: dict[str, Any] = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}
NIGHT = {"days": ["fri"], "from": "22:00", "to": "06:00"}


@pytest.mark.parametrize(
    ("fields", "moment", "opening"),
    [
        pytest.param(WORK, "2026-11-23T07:00", "2026-11-23T07:00", id="the first minute is within"),
        pytest.param(WORK, "2026-11-23T06:59", "2026-11-23T07:00", id="before they begin"),
        pytest.param(WORK, "2026-11-23T17:00", "2026-11-24T07:00", id="the last minute is outside"),
        pytest.param(WORK, "2026-11-27T17:00", "2026-11-30T07:00", id="over the weekend"),
        pytest.param(WORK, "2026-07-01T05:30", "2026-07-01T06:00", id="in summer"),
        pytest.param(NIGHT, "2026-11-27T21:30", "2026-11-27T21:30", id="the evening they begin on"),
        pytest.param(NIGHT, "2026-11-28T04:30", "2026-11-28T04:30", id="the morning after is theirs"),
        pytest.param(NIGHT, "2026-11-27T04:30", "2026-11-27T21:00", id="the morning before is not"),
        pytest.param(NIGHT, "2026-11-28T05:00", "2026-12-04T21:00", id="a week until the next"),
        pytest.param({"days": ["sun"]}, "2026-11-29T22:59", "2026-11-29T22:59", id="a whole day"),
        pytest.param({"days": ["sun"]}, "2026-11-29T23:00", "2026-12-05T23:00", id="until the next whole day"),
        pytest.param(WORK, "2026-03-29T12:00", "2026-03-30T06:00", id="the day the clocks go forward"),
        pytest.param({"from": "02:30", "to": "04:00"}, "2026-03-29T00:00", "2026-03-29T01:30", id="begins in the skipped hour"),
        pytest.param({"from": "02:30", "to": "04:00"}, "2026-10-25T00:00", "2026-10-25T00:30", id="begins in the repeated hour"),
    ],
)
def test_the_next_opening(fields: dict[str, Any], moment: str, opening: str) -> None:
    assert hours(**fields).opening(utc(moment)) == utc(opening)


def test_an_opening_is_within_the_hours_or_the_hours_are_a_gap_of_the_clocks() -> None:
    active = hours(**WORK)
    for step in range(24 * 14):
        opening = active.opening(utc("2026-10-20T00:10") + timedelta(hours=step))
        assert active.opening(opening) == opening


@pytest.mark.parametrize(
    ("digest", "opened", "due"),
    [
        ({"every": "90m"}, "2026-11-23T10:00", "2026-11-23T11:30"),
        ({"at": "09:00", "timeZone": "Europe/Berlin"}, "2026-11-23T07:59", "2026-11-23T08:00"),
        ({"at": "09:00", "timeZone": "Europe/Berlin"}, "2026-11-23T08:00", "2026-11-24T08:00"),
        ({"at": "09:00", "timeZone": "Europe/Berlin"}, "2026-10-24T12:00", "2026-10-25T08:00"),
        ({"at": "00:00", "timeZone": "Asia/Kathmandu"}, "2026-11-23T12:00", "2026-11-23T18:15"),
    ],
)
def test_when_a_digest_is_told(digest: dict[str, str], opened: str, due: str) -> None:
    assert digest_due(Digest.model_validate(digest), None, utc(opened)) == utc(due)


def test_a_digest_that_is_due_outside_of_active_hours_waits_for_them() -> None:
    due = digest_due(Digest(every="1h"), hours(**WORK), utc("2026-11-27T16:30"))
    assert due == utc("2026-11-30T07:00")
