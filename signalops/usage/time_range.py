"""The time range and the windows of a usage query, in a tenant's time zone. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from signalops.clock import hour_of
from signalops.errors import Invalid
from signalops.usage.usage_models import UsageQuery, Window

MAX_DAYS = 366
MAX_DAYS_BY_HOUR = 31
_HALF_AN_HOUR = timedelta(minutes=30)


@dataclass(slots=True, frozen=True)
class Span:
    """The hours from `lower` to before `upper`; `period` is the first day of the month that they are, if they are one."""

    lower: datetime
    upper: datetime
    zone: ZoneInfo
    period: date | None = None

    @classmethod
    def of(cls, query: UsageQuery, zone: ZoneInfo, at: datetime) -> Self:
        """Return the time that is asked for; without any it is the month of a moment. Invalid."""
        if query.since is None and query.until is None:
            first = query.period or at.astimezone(zone).date().replace(day=1)
            return cls(starts_at(first, zone), starts_at(next_month(first), zone), zone, first)
        if query.since is None or query.until is None or query.period:
            raise Invalid.at("period", "name either a period, or both from and to")
        span = cls(_hour("from", query.since, zone), _hour("to", query.until, zone), zone)
        span._check(query.window)
        return span

    def _check(self, window: Window) -> None:
        most = MAX_DAYS_BY_HOUR if window == "hour" else MAX_DAYS
        # By the clock on the wall: a month in which it is set back is 31 days, though an hour longer.
        length = self.upper.astimezone(self.zone).replace(tzinfo=None) - self.lower.astimezone(self.zone).replace(tzinfo=None)
        if self.upper <= self.lower:
            raise Invalid.at("to", "must be later than from")
        if length > timedelta(days=most):
            raise Invalid.at("to", f"must be within {most} days after from; ask for less at once, or for longer windows")

    def bounds(self, start: datetime, window: Window) -> tuple[datetime, datetime]:
        """Return start and end of the window that begins at a moment, within the span, in local time."""
        begins, ends = self._whole(start, window)
        return max(begins, self.lower).astimezone(self.zone), min(ends, self.upper).astimezone(self.zone)

    def _whole(self, start: datetime, window: Window) -> tuple[datetime, datetime]:
        first = start.astimezone(self.zone).date()
        match window:
            case "none":
                return self.lower, self.upper
            case "month":
                return start, starts_at(next_month(first), self.zone)
            case "day":
                return start, starts_at(first + timedelta(days=1), self.zone)
            case "hour":
                # Where the clock is changed by half an hour (Lord Howe), one hour by the clock on the wall is only a half.
                halves = [start, start + _HALF_AN_HOUR]
                own = [half for half in halves if hour_of(half, self.zone) == start]
                return own[0], own[-1] + _HALF_AN_HOUR


def starts_at(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a local day; where the clock skips midnight it is the moment of that."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def next_month(first: date) -> date:
    """Return the first day of the month after the one that begins with a day."""
    return (first + timedelta(days=31)).replace(day=1)


def _hour(path: str, value: date | datetime, zone: ZoneInfo) -> datetime:
    """Return a bound as a moment, a day as its start; Invalid within an hour, since usage is counted by the hour."""
    if not isinstance(value, datetime):
        return starts_at(value, zone)
    if hour_of(value, zone) != value:
        full = hour_of(value, zone).astimezone(zone).isoformat()
        raise Invalid.at(path, f"must be a full hour in {zone.key}, such as {full}; usage is kept by the hour")
    return value
