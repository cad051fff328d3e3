"""signalops.usage_by, the one definition of a quantity, against a naive reading of the same events."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby, product
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest

from signalops import clock, db
from signalops.clock import hour_of
from signalops.config import Settings
from signalops.usage.usage_report import ADDITIVE
from tests.sql.scans import scanned
from tests.support.counters import Counters
from tests.support.tenants import Tenant

AGGREGATIONS = ("count", "sum", "max", "min", "avg", "latest", "unique_count")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago")
BILLED = (None, date(2027, 12, 1), date(2028, 4, 1))

BY = "select bucket, group_key, events, quantity from signalops.usage_by(%s, %s, %s, %s, %s, %s, %s, %s)"

Quantities = dict[tuple[datetime, str], tuple[int, Decimal]]


class UsageQuery(NamedTuple):
    """The parameters of usage_by behind tenant and meter."""

    lower: datetime
    upper: datetime
    step: str | None
    by_group: bool
    in_period: date | None
    until: date | None


WHOLE = UsageQuery(datetime(2026, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC), None, False, None, None)


class Event(NamedTuple):
    """An event as it is counted: by its own period, or late by another."""

    moment: datetime
    group_key: str
    value: Decimal
    late: date | None
    id: UUID


class Adjusted(NamedTuple):
    """A correction."""

    hour: datetime
    group_key: str
    period: date
    quantity: Decimal


def some_events(random: random.Random) -> list[Event]:
    """Events around the changes of the clock of 2027 and 2028, the turn of the year and the leap day."""
    around = ("2027-10-31", "2027-11-07", "2027-12-31", "2028-02-29", "2028-03-26", "2028-04-01")
    days = [datetime.fromisoformat(f"{day}T00:00:00+00:00") for day in around]
    return [
        Event(
            random.choice(days) + timedelta(minutes=random.randrange(-2000, 2000)),
            random.choice(("[]", '["eu"]', "[null]")),
            Decimal(random.randrange(-500, 500)) / 8,
            random.choice(BILLED) if random.random() < 0.2 else None,
            clock.new_id(),
        )
        for _ in range(300)
    ]


def store(counters: Counters, meter: str, aggregation: str, events: Iterable[Event]) -> None:
    """Count events as workers do: some at a time, of one counter each."""

    def slot(event: Event) -> tuple[Any, ...]:
        return hour_of(event.moment, counters.zone), event.group_key, event.late or date.min

    for (_, group_key, _), some in groupby(sorted(events, key=slot), key=slot):
        together = list(some)
        for part in filter(None, (together[::2], together[1::2])):
            last, values = max(part, key=_age), [event.value for event in part]
            more: dict[str, Any] = {"value": quantity(aggregation, part)}
            if aggregation == "avg":
                more = {"value": sum(values)}
            if aggregation == "latest":
                more |= {"latest_at": last.moment, "latest_event": last.id}
            if aggregation == "unique_count":
                more = {"value": None, "items": list(map(str, set(values)))}
            more |= {"meter": meter, "aggregation": aggregation, "group_key": group_key}
            counters.count(last.moment, len(part), last.late, **more)


def adjust(counters: Counters, meter: str, events: Iterable[Event]) -> list[Adjusted]:
    """Store corrections of the hours of some events."""
    made = [
        Adjusted(hour_of(e.moment, counters.zone), e.group_key, e.late or counters.month_of(e.moment), Decimal(index))
        for index, e in enumerate(events, 1)
    ]
    counters.owner.cursor().executemany(
        "insert into signalops.usage_adjustments (tenant_id, id, meter, hour, group_key, period, is_late, "
        "quantity, reason, author) "
        "values (%s, signalops.new_id(), %s, %s, %s, %s, false, %s, 'r', 'a')",
        [(counters.tenant.id, meter, *one) for one in made],
    )
    return made


def _age(event: Event) -> tuple[datetime, UUID]:
    return event.moment, event.id


def quantity(aggregation: str, events: Sequence[Event]) -> Decimal:
    """What a meter makes of events."""
    values = [event.value for event in events]
    made = {
        "count": Decimal(len(values)),
        "sum": sum(values, Decimal(0)),
        "max": max(values),
        "min": min(values),
        "avg": round(sum(values, Decimal(0)) / len(values), 12),
        "latest": max(events, key=_age).value,
        "unique_count": Decimal(len(set(values))),
    }
    return made[aggregation]


def bucket(hour: datetime, step: str | None, zone: ZoneInfo, lower: datetime) -> datetime:
    local = hour.astimezone(zone)
    if step is None:
        return lower
    if step == "hour":
        return hour
    first = local.replace(hour=0, minute=0, fold=0)
    return (first if step == "day" else first.replace(day=1)).astimezone(UTC)


def naive(
    aggregation: str, events: Iterable[Event], adjusted: Iterable[Adjusted], counters: Counters, query: UsageQuery
) -> Quantities:
    """The result that usage_by must return, computed from every event instead of hourly counters."""
    own: dict[tuple[datetime, str], list[Event]] = defaultdict(list)
    added: dict[tuple[datetime, str], Decimal] = defaultdict(Decimal)

    def is_asked(hour: datetime, period: date) -> bool:
        is_billed = (query.in_period is None or period == query.in_period) and period <= (query.until or date.max)
        return query.lower <= hour < query.upper and is_billed

    def place(hour: datetime, group_key: str) -> tuple[datetime, str]:
        return bucket(hour, query.step, counters.zone, query.lower), group_key if query.by_group else "[]"

    for event in events:
        hour = hour_of(event.moment, counters.zone)
        if is_asked(hour, event.late or counters.month_of(hour)):
            own[place(hour, event.group_key)].append(event)
    for one in adjusted:
        if is_asked(one.hour, one.period):
            added[place(one.hour, one.group_key)] += one.quantity
    return {
        key: (len(own[key]), (quantity(aggregation, own[key]) if own[key] else 0) + added[key])
        for key in own.keys() | added.keys()
    }


def questions(zone: ZoneInfo) -> Iterator[UsageQuery]:
    """All the ways to ask for two years and for a leap day."""
    december = date(2027, 12, 1)
    starts = [datetime(*day, tzinfo=zone).astimezone(UTC) for day in ((2027, 1, 1), (2029, 1, 1), (2028, 2, 29), (2028, 3, 1))]
    for step, by_group, span in product((None, "hour", "day", "month"), (False, True), (starts[:2], starts[2:])):
        for in_period, until in ((None, None), (december, None), (None, december)):
            yield UsageQuery(span[0], span[1], step, by_group, in_period, until)


@pytest.mark.parametrize("zone", ZONES)
def test_a_quantity_is_what_all_events_together_make(counters: Counters, zone: str) -> None:
    counters, events, compared = counters.in_zone(zone), some_events(random.Random(zone)), 0
    for aggregation in AGGREGATIONS:
        meter = counters.make_meter(aggregation, aggregation, ["payload.region"])
        store(counters, meter, aggregation, events)
        adjusted = adjust(counters, meter, events[:40]) if aggregation in ADDITIVE else []
        for query in questions(counters.zone):
            found = {(row[0], row[1]): row[2:] for row in counters.owner.execute(BY, [counters.tenant.id, meter, *query])}
            assert found == naive(aggregation, events, adjusted, counters, query), (aggregation, query)
            compared += len(found)
    assert compared > 1000


def test_nothing_counted_is_no_row(counters: Counters, globex: Tenant) -> None:
    counters.count(datetime(2027, 1, 1, tzinfo=UTC))
    assert counters.owner.execute(BY, [globex.id, "events", *WHOLE]).fetchall() == []
    assert counters.owner.execute(BY, [counters.tenant.id, "events", *WHOLE]).fetchall() == [(WHOLE.lower, "[]", 1, 1)]


@pytest.mark.parametrize("role", ["api", "worker"])
def test_only_the_tenant_that_is_acted_for_is_read(settings: Settings, counters: Counters, role: db.Role) -> None:
    counters.count(datetime(2027, 1, 1, tzinfo=UTC))
    query = [counters.tenant.id, "events", *WHOLE]
    with psycopg.connect(db.dsn(settings, role)) as connection:
        assert connection.execute(BY, query).fetchall() == []
        connection.execute("select signalops.set_tenant(%s)", [counters.tenant.id])
        assert connection.execute(BY, query).fetchall() == [(WHOLE.lower, "[]", 1, 1)]


def fill_2027(counters: Counters) -> None:
    """Count an event an hour of two meters, and a late one of March."""
    counters.owner.execute(
        "insert into signalops.usage_counters (tenant_id, meter, hour, group_key, period, aggregation, is_late, events, value) "
        "select %s, m, h, '[]', signalops.period_of(h, 'UTC'), 'count', false, 1, 1 "
        "from generate_series('2027-01-01Z'::timestamptz, '2027-12-31 23:00Z', '1 hour') h, unnest(array['events', 'm']) m",
        [counters.tenant.id],
    )
    counters.count(datetime(2027, 3, 5, tzinfo=UTC), late=date(2027, 4, 1))


def test_a_year_by_day_and_what_is_late_are_read_by_their_indexes(settings: Settings, counters: Counters, globex: Tenant) -> None:
    fill_2027(counters)
    fill_2027(Counters(counters.owner, globex))
    counters.owner.execute("vacuum analyze signalops.usage_counters")
    year = UsageQuery(datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC), "day", False, None, None)
    april = UsageQuery(year.lower, datetime(2027, 4, 1, tzinfo=UTC), None, False, date(2027, 4, 1), None)
    with psycopg.connect(db.dsn(settings, "api"), autocommit=True) as connection:
        connection.execute("select set_config('signalops.tenant_id', %s, false)", [str(counters.tenant.id)])
        with scanned(connection) as seen:
            days = connection.execute(BY, [counters.tenant.id, "events", *year]).fetchall()
        assert (len(days), sum(row[2] for row in days)) == (365, 8761)
        assert "usage_counters_pkey" in seen
        assert "usage_counters" not in seen
        with scanned(connection) as seen:
            assert connection.execute(BY, [counters.tenant.id, "events", *april]).fetchall() == [(year.lower, "[]", 1, 1)]
        assert "usage_counters_late" in seen
        assert "usage_counters" not in seen
