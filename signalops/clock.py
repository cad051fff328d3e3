"""The current time and time-ordered ids (UUIDv7). All code takes the time from here, so that tests can set it."""

import itertools
import re
import secrets
import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated
from uuid import UUID

import uuid_utils
from pydantic import BeforeValidator

_RFC3339 = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<minute>[0-9]{2}:[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?P<rest>(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2}))"
)
"""Digits of a second beyond the microsecond are dropped."""
_MAX_CHARACTERS = 64
_BLANK_FOR_PLUS = re.compile(r"[0-9Tt:. -]+ [0-9]{2}:[0-9]{2}")
_WRITE_PLUS = "must be an RFC 3339 time with a zone; in an address a + stands for a blank: write %2B, or Z for UTC"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNCOUNTED = ~(0xFFF << 64 | 0xFFFFF << 42)
_numbers = itertools.count(secrets.randbits(31))
_offset = 0.0
"""Seconds by which this machine's clock is behind PostgreSQL's; 0 while they agree."""
TOLERANCE = 1.0
"""Seconds that machines with a time service differ at most: nothing is corrected within them."""


def correct(offset: float) -> None:
    """Set the offset of this machine's clock from the database's, in seconds.

    Order, lateness, due times and retries are compared between processes and in SQL, so all use the database's clock.
    """
    global _offset  # noqa: PLW0603  time is one for the whole process
    _offset = offset if abs(offset) > TOLERANCE else 0.0


def corrected() -> float:
    """Return by how many seconds this machine's clock is corrected."""
    return _offset


def now() -> datetime:
    """Return the current time, in UTC, by the database's clock."""
    return datetime.fromtimestamp(time.time() + _offset, UTC)


def new_id() -> UUID:
    """Return a new UUIDv7 (RFC 9562): its first 48 bits are the millisecond, so ids sort and partition by time."""
    return UUID(int=_uuid7())


def _uuid7() -> int:
    return uuid_utils.uuid7().int + (round(_offset * 1000) << 80)


def new_id_in_order() -> UUID:
    """Return a new UUIDv7 that comes after those made before it in this process, also when all get the same milliseconds.

    A transaction gives its rows those of its own (`placed`). A counter of 32 bits: RFC 9562, section 6.2, method 1.
    """
    number = next(_numbers)
    counter = (number >> 20 & 0xFFF) << 64 | (number & 0xFFFFF) << 42
    return UUID(int=_uuid7() & _UNCOUNTED | counter)


def placed(identity: UUID, place: str) -> UUID:
    """Return an id with the milliseconds of a place: what signalops.repositioned_id makes of them, 13 characters of a UUID."""
    return UUID(int=int(place.replace("-", ""), 16) << 80 | identity.int & (1 << 80) - 1)


def unix() -> int:
    """Return the current Unix time in whole seconds."""
    return int(time.time() + _offset)


def uuid7_floor(moment: datetime) -> UUID:
    """Return the least UUIDv7 of a moment's millisecond: ids compare with it as their times do."""
    return UUID(int=max((moment - _EPOCH) // timedelta(milliseconds=1), 0) << 80)


def uuid7_time(identity: UUID) -> datetime:
    """Return the millisecond in which a UUIDv7 was made."""
    return datetime.fromtimestamp((identity.int >> 80) / 1000, UTC)


def event_time(identity: UUID, occurred_at: datetime) -> datetime:
    """Return the event time of an event: its occurredAt, but never after it was received."""
    return min(occurred_at, uuid7_time(identity))


def hour_of(moment: datetime, zone: tzinfo) -> datetime:
    """Return the start of the local hour of a moment, as PostgreSQL's date_trunc('hour', moment, zone).

    Around a clock change there are two such hours in a row, or half of one.
    """
    local = moment.astimezone(zone)
    return moment - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or len(value) > _MAX_CHARACTERS or not (parts := _RFC3339.fullmatch(value)):
        plus = isinstance(value, str) and _BLANK_FOR_PLUS.fullmatch(value)
        raise ValueError(_WRITE_PLUS if plus else "must be an RFC 3339 time with a zone, such as 2026-11-23T12:00:00Z")
    is_leap = parts["second"] == "60"
    text = f"{parts['date']}T{parts['minute']}:{'59' if is_leap else parts['second']}{parts['rest']}".upper()
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
        if not is_leap:
            return moment
        # RFC 3339, section 5.7: at the end of a month in UTC. As PostgreSQL does, it is taken for the second after it.
        after = moment.replace(microsecond=0) + timedelta(seconds=1)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is no moment of the calendar ({error})") from error
    if (after.day, after.hour, after.minute) != (1, 0, 0):
        raise ValueError("is no moment of the calendar (second 60 stands only at the end of a month in UTC)")
    return after


Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=str)]
"""A time as requests give it (RFC 3339, with a zone), in UTC."""
