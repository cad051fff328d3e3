"""When notifications are sent: active hours and digest times, in the tenant's time zone. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from signalops.durations import duration
from signalops.rules.rule_models import DAYS, ActiveHours, Digest

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of some days of the week; where opens is later than closes they pass midnight, where equal they are whole days."""

    zone: ZoneInfo
    days: frozenset[int]
    opens: time
    closes: time
    drops: bool

    @classmethod
    def of(cls, hours: ActiveHours) -> Self:
        """Read them from a rule."""
        days = frozenset(DAYS.index(day) for day in hours.days)
        opens, closes = time.fromisoformat(hours.from_), time.fromisoformat(hours.to)
        return cls(ZoneInfo(hours.time_zone), days, opens, closes, hours.outside_hours == "drop")

    def opening(self, moment: datetime) -> datetime:
        """Return the moment itself when it is within the hours, else when they begin next."""
        if self._is_active(moment):
            return moment
        today = moment.astimezone(self.zone).date()
        # Local times become moments one day at a time: days with a change of clocks have 23 or 25 hours.
        days = (today + n * _DAY for n in range(9))
        openings = (_moment(self.zone, day, self.opens) for day in days if day.weekday() in self.days)
        return next(opening for opening in openings if opening > moment)

    def _is_active(self, moment: datetime) -> bool:
        local = moment.astimezone(self.zone)
        today, clock = local.weekday() in self.days, local.time()
        if self.opens < self.closes:
            return today and self.opens <= clock < self.closes
        if self.opens == self.closes:
            return today
        yesterday = (local.weekday() - 1) % 7 in self.days
        return (today and clock >= self.opens) or (yesterday and clock < self.closes)


def digest_due(digest: Digest, hours: Hours | None, opened: datetime) -> datetime:
    """Return when a digest that was opened at a moment is sent."""
    due = opened + duration(digest.every) if digest.every else _next_at(digest, opened)
    return hours.opening(due) if hours else due


def _next_at(digest: Digest, moment: datetime) -> datetime:
    assert digest.at is not None
    assert digest.time_zone is not None
    zone, at = ZoneInfo(digest.time_zone), time.fromisoformat(digest.at)
    today = moment.astimezone(zone).date()
    return next(due for n in range(3) if (due := _moment(zone, today + n * _DAY, at)) > moment)


def _moment(zone: ZoneInfo, day: date, at: time) -> datetime:
    # What the spring change of clocks skips is taken an hour later, what the autumn change repeats the first time.
    return datetime.combine(day, at, zone).astimezone(UTC)
