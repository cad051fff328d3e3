"""The result of a backtest, accumulated event by event, in the form that is saved between slices. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from signalops.rules.backtest.backtest_models import MAX_BUCKETS
from signalops.rules.backtest.simulate import Notification, Outcome, moment_of, since_epoch
from signalops.types import JsonObject

_MICROSECOND, _HOUR, _DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)


class Ends:
    """The first and the last `most` items of a series."""

    def __init__(self, most: int, items: list[list[Any]]) -> None:
        self._most = most
        self.items = items

    def add(self, item: list[Any]) -> None:
        """Add the next item."""
        self.items.append(item)
        if len(self.items) > 2 * self._most:
            del self.items[self._most]


@dataclass(slots=True)
class _Counts:
    scanned: int = 0
    matched: int = 0
    fired: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    buckets: dict[str, list[int]] = field(default_factory=dict)
    examples: list[list[Any]] = field(default_factory=list)
    notifications: list[list[Any]] = field(default_factory=list)
    baseline_matched: int = 0
    baseline_fired: int = 0
    newly: list[str] = field(default_factory=list)
    newly_count: int = 0
    no_longer: list[str] = field(default_factory=list)
    no_longer_count: int = 0


class Report:
    """Counts, examples and the comparison of a backtest over a span of time; `most` examples at each end."""

    def __init__(self, starts_at: datetime, ends_at: datetime, most: int, state: Mapping[str, Any] | None) -> None:
        self._starts_at = since_epoch(starts_at)
        self._width = _width(ends_at - starts_at) // _MICROSECOND
        self._last = (since_epoch(ends_at) - 1 - self._starts_at) // self._width
        self._most = most
        self._counts = _Counts(**state) if state else _Counts()
        self._examples = Ends(most, self._counts.examples)
        self._notifications = Ends(most, self._counts.notifications)

    @property
    def scanned(self) -> int:
        """How many events were looked through."""
        return self._counts.scanned

    def scan(self) -> None:
        """Count an event that was looked at."""
        self._counts.scanned += 1

    def match(self, event: str, outcome: Outcome, now: int) -> None:
        """Count an event that matches, and what follows."""
        self._counts.matched += 1
        self._counts.outcomes[outcome] = self._counts.outcomes.get(outcome, 0) + 1
        self._bucket(now)[0] += 1
        self._examples.add([event, outcome])

    def add_notification(self, notification: Notification) -> None:
        """Count a notification."""
        self._counts.fired += 1
        self._bucket(notification.at)[1] += 1
        self._notifications.add([*notification])

    def add_baseline_notification(self, _: Notification) -> None:
        """Count a notification of the active version."""
        self._counts.baseline_fired += 1

    def compare(self, event: str, matches: bool, matched_before: bool) -> None:
        """Note on which events the active version disagrees."""
        counts = self._counts
        counts.baseline_matched += matched_before
        if matches and not matched_before:
            counts.newly_count += 1
            counts.newly += [event] * (len(counts.newly) < self._most)
        elif matched_before and not matches:
            counts.no_longer_count += 1
            counts.no_longer += [event] * (len(counts.no_longer) < self._most)

    def state(self) -> JsonObject:
        """Return all of it, as JSON takes it."""
        return asdict(self._counts)

    def examples(self) -> list[tuple[str, Outcome]]:
        """Return the first and the last matches."""
        return [(event, outcome) for event, outcome in self._examples.items]

    def notifications(self) -> list[Notification]:
        """Return the first and the last notifications."""
        return [Notification(*item) for item in self._notifications.items]

    def result(self, baseline: int | None, truncated: Mapping[str, Any] | None) -> JsonObject:
        """Return the results so far with the API's field names, without examples and messages."""
        counts = self._counts
        compared = {
            "version": baseline,
            "matched": counts.baseline_matched,
            "fired": counts.baseline_fired,
            "newlyMatched": {"count": counts.newly_count, "events": counts.newly},
            "noLongerMatched": {"count": counts.no_longer_count, "events": counts.no_longer},
        }
        return {
            "scanned": counts.scanned,
            "matched": counts.matched,
            "fired": counts.fired,
            "outcomes": counts.outcomes,
            "examples": [],
            "messages": [],
            "histogram": [
                {"from": moment_of(self._starts_at + int(n) * self._width), "matched": matched, "fired": fired}
                for n, (matched, fired) in sorted(counts.buckets.items(), key=lambda bucket: int(bucket[0]))
            ],
            "comparison": compared if baseline is not None else None,
            "truncated": truncated,
        }

    def _bucket(self, at: int) -> list[int]:
        # A digest may be sent after the end.
        place = min((at - self._starts_at) // self._width, self._last)
        return self._counts.buckets.setdefault(str(place), [0, 0])


def _width(whole: timedelta) -> timedelta:
    """Return the length of a bucket: an hour, a day, or as many days as it takes."""
    days = _DAY * -(-whole // (_DAY * MAX_BUCKETS))
    return next(width for width in (_HOUR, _DAY, days) if width * MAX_BUCKETS >= whole)
