"""The hour and the billing period that an event counts in, in the tenant's time zone. Pure."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from signalops import clock
from signalops.errors import Unusable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


class Slot(NamedTuple):
    """The hour in which an event happened, and the period that bills it (by its first day); late: its own was closed."""

    hour: datetime
    period: date
    is_late: bool


def minute_of(event_id: str, occurred_at: str) -> int:
    """Return the minute (since 1970) of an event: when it occurred, but not after it was received.

    event_id: a UUIDv7 as text; occurred_at: ISO 8601 in UTC, both as signalops.read_batch writes them.
    """
    # The first 48 bits of the id are its millisecond.
    return min(_minute(occurred_at[:16]), int(event_id[:8] + event_id[9:13], 16) // 60_000)


@lru_cache(65_536)
def slot_of(minute: int, time_zone: str, closed_until: datetime | None) -> Slot:
    """Return hour and period of a minute, given the end of the closed periods; Unusable for an unknown zone.

    A minute is in one hour, since every zone has been whole minutes off UTC since 1972.
    """
    zone = _zone(time_zone)
    hour = clock.hour_of(_EPOCH + minute * _MINUTE, zone)
    is_late = closed_until is not None and hour < closed_until
    billed = closed_until if closed_until is not None and is_late else hour
    return Slot(hour, billed.astimezone(zone).date().replace(day=1), is_late)


@lru_cache(65_536)
def _minute(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH) // _MINUTE


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError as error:
        raise Unusable(f"There is no time zone {name} on this machine: install tzdata, or set another.") from error
