"""The hour and the billing period in which an event counts."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from signalops import clock
from signalops.errors import Unusable
from signalops.usage.meters.buckets import Slot, minute_of, slot_of

CHANGES = ["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01", "2026-12-31", "2024-02-29"]
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Apia",
    "America/Sao_Paulo",
]


def minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


@pytest.mark.parametrize("zone", ZONES)
def test_hours_and_periods_are_those_of_postgresql(admin: psycopg.Connection, zone: str) -> None:
    """Every quarter of an hour of days on which clocks are changed somewhere."""
    starts = [datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=1) for day in CHANGES]
    moments = [start + n * timedelta(minutes=15) for start in starts for n in range(3 * 96)]
    query = """
      select extract(epoch from date_trunc('hour', m, %(zone)s))::bigint, date_trunc('month', m at time zone %(zone)s)::date
      from unnest(%(moments)s::timestamptz[]) with ordinality as u (m, n) order by n"""
    expected = admin.execute(query, {"zone": zone, "moments": moments}).fetchall()
    slots = [slot_of(minute(moment), zone, None) for moment in moments]
    assert [(int(slot.hour.timestamp()), slot.period) for slot in slots] == expected
    assert not any(slot.is_late for slot in slots)


def test_what_happened_in_a_closed_period_is_billed_late_in_the_open_one() -> None:
    closed_until = datetime(2026, 10, 31, 23, tzinfo=UTC)  # November begins in Berlin
    before, after = (slot_of(minute(closed_until) + m, "Europe/Berlin", closed_until) for m in (-1, 0))
    assert before == Slot(datetime(2026, 10, 31, 22, tzinfo=UTC), date(2026, 11, 1), True)
    assert after == Slot(closed_until, date(2026, 11, 1), False)
    long_ago = slot_of(minute(datetime(2026, 3, 5, 7, 30, tzinfo=UTC)), "Europe/Berlin", closed_until)
    assert long_ago == Slot(datetime(2026, 3, 5, 7, tzinfo=UTC), date(2026, 11, 1), True)


@pytest.mark.parametrize("offset", [-3 * 86_400, -61, -0.001, 0, 0.001, 61, 86_400 * 3000])
def test_an_event_counts_when_it_occurred_but_not_after_it_came_in(offset: float) -> None:
    event = clock.new_id()
    occurred = clock.uuid7_time(event) + timedelta(seconds=offset)
    assert minute_of(str(event), occurred.isoformat()) == minute(clock.event_time(event, occurred))


def test_a_zone_that_this_machine_does_not_know_is_the_operators_to_mend() -> None:
    with pytest.raises(Unusable, match="Mars/Olympus"):
        slot_of(0, "Mars/Olympus", None)
