"""Which hours a request for usage means, and the windows in them; without a database."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalops.clock import hour_of
from signalops.errors import Invalid
from signalops.http import validated
from signalops.usage.time_range import Span, next_month, starts_at
from signalops.usage.usage_models import UsageQuery
from signalops.usage.usage_report import group_key, group_of

NOW = datetime(2026, 11, 23, 12, 34, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana"]
).map(ZoneInfo)
DAYS = st.dates(date(2000, 1, 1), date(2037, 12, 1))


def span(zone: ZoneInfo = BERLIN, **query_fields: str) -> Span:
    """Return the time of a query, whose from and to are named since and until."""
    names = {"since": "from", "until": "to"}
    query = validated(UsageQuery, {names.get(name, name): value for name, value in query_fields.items()})
    return Span.of(query, zone, NOW)


def test_without_a_time_it_is_the_present_month() -> None:
    assert span() == span(period="2026-11")
    assert (span().lower, span().upper) == (datetime(2026, 10, 31, 23, tzinfo=UTC), datetime(2026, 11, 30, 23, tzinfo=UTC))
    assert span().period == date(2026, 11, 1)


@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        ("2026-11-01", "2026-11-02", 24),
        ("2026-03-29", "2026-03-30", 23),
        ("2026-10-25", "2026-10-26", 25),
        ("2026-10-25T00:00:00Z", "2026-10-25T03:00:00+01:00", 2),
        ("2026-01-01", "2027-01-01", 365 * 24),
        ("2028-01-01", "2029-01-01", 366 * 24),
    ],
)
def test_days_begin_by_the_local_clock_and_moments_are_moments(since: str, until: str, hours: int) -> None:
    query_fields = span(since=since, until=until)
    assert query_fields.upper - query_fields.lower == timedelta(hours=hours)
    assert query_fields.period is None


@pytest.mark.parametrize(
    ("window", "until", "is_refused"),
    [
        ("day", "2027-10-02", False),
        ("day", "2027-10-03", True),
        ("none", "2027-10-03", True),
        # The clock is set back in between: these 31 days are 745 hours.
        ("hour", "2026-11-01", False),
        ("hour", "2026-11-01T01:00:00+01:00", True),
    ],
)
def test_more_than_a_year_or_than_a_month_by_hour_is_refused(window: str, until: str, is_refused: bool) -> None:
    query_fields = {"since": "2026-10-01", "until": until, "window": window}
    if is_refused:
        with pytest.raises(Invalid, match="to: must be within"):
            span(BERLIN, **query_fields)
    else:
        assert span(BERLIN, **query_fields).lower == starts_at(date(2026, 10, 1), BERLIN)


def test_within_an_hour_the_full_hour_is_named() -> None:
    with pytest.raises(Invalid, match=r"from: must be a full hour in Asia/Kolkata, such as 2026-11-01T05:00:00\+05:30;") as e:
        span(ZoneInfo("Asia/Kolkata"), since="2026-11-01T00:00:00Z", until="2026-11-02")
    assert e.value.members["errors"][0]["path"] == "from"


@given(DAYS, ZONES)
def test_a_day_is_all_moments_of_its_date(day: date, zone: ZoneInfo) -> None:
    first, second = timedelta(), timedelta(seconds=1)
    begins = starts_at(day, zone)
    assert (begins + first).astimezone(zone).date() == day
    assert (begins - second).astimezone(zone).date() == day - timedelta(days=1)


@given(DAYS)
def test_the_next_month_begins_where_the_last_ends(day: date) -> None:
    first = day.replace(day=1)
    assert next_month(first).day == 1
    assert (next_month(first) - timedelta(days=1)).replace(day=1) == first


@given(st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)), ZONES)
def test_an_hour_holds_exactly_the_moments_that_are_counted_in_it(moment: datetime, zone: ZoneInfo) -> None:
    slot = hour_of(moment, zone)
    whole = Span(moment - timedelta(days=2), moment + timedelta(days=2), zone)
    start, end = (bound.astimezone(UTC) for bound in whole.bounds(slot, "hour"))
    assert start <= moment < end
    assert hour_of(start, zone) == hour_of(end - timedelta(seconds=1), zone) == slot
    assert slot not in (hour_of(end, zone), hour_of(start - timedelta(seconds=1), zone))


def test_windows_are_cut_at_the_bounds() -> None:
    query_fields = span(since="2026-11-10", until="2026-11-20T12:00:00+01:00")
    assert query_fields.bounds(starts_at(date(2026, 11, 1), BERLIN), "month") == (query_fields.lower, query_fields.upper)
    assert query_fields.bounds(query_fields.lower, "none") == (query_fields.lower, query_fields.upper)
    assert query_fields.bounds(starts_at(date(2026, 11, 20), BERLIN), "day")[1] == query_fields.upper


def test_a_group_is_named_as_it_is_counted() -> None:
    paths = ["payload.region", "payload.plan"]
    assert group_key(paths, {"payload.plan": 1.0, "payload.region": "eu"}) == '["eu",1]'
    assert group_key(paths, {}) == "[null,null]"
    assert group_of(paths, '["eu",1]') == {"payload.region": "eu", "payload.plan": 1}
    assert group_of(paths, "[]") is None
    long = group_key(["payload.region"], {"payload.region": "x" * 1000})
    assert long.startswith("sha256:")
    assert group_of(["payload.region"], long) == long
    for known, message in ((paths, "by payload.region, payload.plan"), ([], "without groups")):
        with pytest.raises(Invalid, match=f"group: payload.x is no field of a meter that counts {message}; leave it out"):
            group_key(known, {"payload.x": 1})
