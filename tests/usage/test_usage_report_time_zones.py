"""Windows of usage begin and end as the tenant's clocks do: across their changes, month ends, leap days and years."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from signalops import db
from signalops.usage.usage_models import Usage, UsageQuery, UsageWindow
from signalops.usage.usage_report import usage
from tests.support.counters import Counters

TEN_MINUTES = timedelta(minutes=10)


async def read(api_pool: db.Pool, counters: Counters, **query: Any) -> Usage:
    async with db.as_tenant(api_pool, counters.tenant.id) as connection:
        return await usage(connection, counters.tenant.id, UsageQuery.model_validate(query))


def fill(counters: Counters, first: datetime, end: datetime) -> int:
    """Count one event each ten minutes; return how many."""
    moments = [first + TEN_MINUTES * number for number in range((end - first) // TEN_MINUTES)]
    for moment in moments:
        counters.count(moment)
    return len(moments)


def utc(window: UsageWindow) -> tuple[datetime, datetime]:
    """The bounds of a window in UTC: within one time zone Python compares and subtracts by the clock on the wall."""
    return window.start.astimezone(UTC), window.end.astimezone(UTC)


class BillingSegment(NamedTuple):
    """A day or a month of a time zone, and when it begins and ends; a day also with its hours by the clock."""

    zone: str
    name: str
    since: str
    until: str
    hours: int = 24

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        return datetime.fromisoformat(self.since), datetime.fromisoformat(self.until)


DAYS = [
    BillingSegment("Europe/Berlin", "2027-03-28", "2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z", 23),
    BillingSegment("Europe/Berlin", "2027-10-31", "2027-10-30T22:00:00Z", "2027-10-31T23:00:00Z", 25),
    BillingSegment("America/New_York", "2027-03-14", "2027-03-14T05:00:00Z", "2027-03-15T04:00:00Z", 23),
    BillingSegment("America/New_York", "2027-11-07", "2027-11-07T04:00:00Z", "2027-11-08T05:00:00Z", 25),
    # The clock is changed by half an hour, so that 23 and a half hours, or 24 and a half, lie in as many by the clock.
    BillingSegment("Australia/Lord_Howe", "2027-10-03", "2027-10-02T13:30:00Z", "2027-10-03T13:00:00Z", 24),
    BillingSegment("Australia/Lord_Howe", "2027-04-04", "2027-04-03T13:00:00Z", "2027-04-04T13:30:00Z", 25),
    BillingSegment("Asia/Kolkata", "2027-03-28", "2027-03-27T18:30:00Z", "2027-03-28T18:30:00Z"),
    # There is no midnight.
    BillingSegment("America/Santiago", "2027-09-05", "2027-09-05T04:00:00Z", "2027-09-06T03:00:00Z", 23),
    BillingSegment("UTC", "2028-02-29", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
]


@pytest.mark.parametrize("day", DAYS, ids=lambda day: f"{day.zone} {day.name}")
async def test_a_day_is_as_long_as_it_is_by_the_clock(api_pool: db.Pool, counters: Counters, day: BillingSegment) -> None:
    counters, (first, end) = counters.in_zone(day.zone), day.bounds
    events = fill(counters, first, end)
    counters.count(first - timedelta(minutes=1), 1000)
    counters.count(end, 1000)
    query = {"from": day.name, "to": str((datetime.fromisoformat(day.name) + timedelta(days=1)).date())}

    used = await read(api_pool, counters, **query)
    assert (used.since, used.until, used.events) == (first, end, events)
    assert [(w.start, w.end, w.events) for w in used.windows] == [(first, end, events)]
    assert used.windows[0].start.isoformat().startswith(day.name)

    hours = [(*utc(w), w.events) for w in (await read(api_pool, counters, window="hour", **query)).windows]
    assert len(hours) == day.hours
    assert all(end - start == events * TEN_MINUTES for start, end, events in hours)
    assert [start for start, _, _ in hours] == [first, *(end for _, end, _ in hours[:-1])], "each begins as another ends"
    assert hours[-1][1] == end
    assert {events for _, _, events in hours} == ({6, 3} if day.zone == "Australia/Lord_Howe" else {6})


MONTHS = [
    BillingSegment("UTC", "2028-02", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
    BillingSegment("Europe/Berlin", "2027-10", "2027-09-30T22:00:00Z", "2027-10-31T23:00:00Z"),
    BillingSegment("America/New_York", "2027-12", "2027-12-01T05:00:00Z", "2028-01-01T05:00:00Z"),
    BillingSegment("Asia/Kolkata", "2027-04", "2027-03-31T18:30:00Z", "2027-04-30T18:30:00Z"),
    BillingSegment("Pacific/Kiritimati", "2028-01", "2027-12-31T10:00:00Z", "2028-01-31T10:00:00Z"),
]


@pytest.mark.parametrize("month", MONTHS, ids=lambda month: f"{month.zone} {month.name}")
async def test_a_month_is_one_of_the_tenants_time_zone(api_pool: db.Pool, counters: Counters, month: BillingSegment) -> None:
    counters, (first, end) = counters.in_zone(month.zone), month.bounds
    minute = timedelta(minutes=1)
    for moment, events in ((first - minute, 1), (first, 2), (end - minute, 4), (end, 8)):
        counters.count(moment, events)
    used = await read(api_pool, counters, period=month.name, window="month")
    assert (used.since, used.until, used.events, used.processed) == (first, end, 6, 6)
    assert [utc(w) for w in used.windows] == [(first, end)]
    days = (await read(api_pool, counters, period=month.name)).windows
    assert [w.events for w in days] == [2, 4]
    assert (utc(days[0])[0], utc(days[-1])[1]) == (first, end)
    wider = {"from": str((first - timedelta(days=2)).date()), "to": str((end + timedelta(days=2)).date())}
    months = (await read(api_pool, counters, window="month", **wider)).windows
    assert [w.events for w in months] == [1, 6, 8]
    assert utc(months[1]) == (first, end)


async def test_without_a_time_it_is_the_month_that_the_tenant_has_now(api_pool: db.Pool, counters: Counters) -> None:
    moment = datetime(2027, 12, 31, 23, 30, tzinfo=UTC)
    for zone, period in (("UTC", "2027-12"), ("Asia/Kolkata", "2028-01"), ("America/New_York", "2027-12")):
        of = counters.in_zone(zone)
        async with db.as_tenant(api_pool, of.tenant.id) as connection:
            used = await usage(connection, of.tenant.id, UsageQuery(), moment)
        assert f"{used.period:%Y-%m}" == period
