"""Time and the ids made of it. Whoever needs time takes it from here, so that tests can pass their own."""

import re
import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated
from uuid import UUID

import uuid_utils
from pydantic import BeforeValidator

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def now() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(UTC)


def new_id() -> UUID:
    """Return a new UUIDv7 (RFC 9562): its first 48 bits are the millisecond, so ids sort and partition by time."""
    return UUID(int=uuid_utils.uuid7().int)


def unix() -> int:
    """Return the current Unix time in whole seconds."""
    return int(time.time())


def next_month(moment: datetime) -> datetime:
    """Return the first moment of the calendar month (UTC) after a moment's: when monthly limits start anew."""
    return (moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)


def least_id(moment: datetime) -> UUID:
    """Return the least UUIDv7 of a moment's millisecond: ids compare with it as their times do."""
    return UUID(int=max(int(moment.timestamp() * 1000), 0) << 80)


def time_of(identity: UUID) -> datetime:
    """Return the millisecond in which a UUIDv7 was made."""
    return datetime.fromtimestamp((identity.int >> 80) / 1000, UTC)


def moment_of(identity: UUID, occurred_at: datetime) -> datetime:
    """Return when the event with this id happened: when it occurred, but not after it came in."""
    return min(occurred_at, time_of(identity))


def hour_of(moment: datetime, zone: tzinfo) -> datetime:
    """Return the start of the hour in which a moment lies by the clocks of a zone: PostgreSQL's date_trunc('hour', moment, zone).

    When clocks are changed there are two such hours in a row, or a half.
    """
    local = moment.astimezone(zone)
    return moment - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def _moment(value: object) -> datetime:
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("must be an RFC 3339 time with a zone, such as 2026-11-23T12:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is no moment of the calendar ({error})") from error


Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=str)]
"""A time as requests give it (RFC 3339, with a zone), in UTC."""
