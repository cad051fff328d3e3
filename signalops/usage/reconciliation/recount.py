"""Recounts the meters of a batch from its events, which SQL can't do."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from signalops import db, telemetry
from signalops.inbox.inbox_queries import Part, Results
from signalops.usage.meters.compiled_meters import CompiledMeters, compile_meters
from signalops.usage.meters.count import count
from signalops.usage.meters.meter_models import DEFAULT
from signalops.usage.reconciliation import reconciliation_queries
from signalops.usage.reconciliation.reconciliation_models import Difference
from signalops.usage.reconciliation.reconciliation_queries import Audited

Counter = tuple[str, str, date]
"""A counter of an hour: meter, group, period."""
Key = tuple[str, datetime, str]
"""What a batch counts by: meter, hour, group."""
Events = Mapping[UUID, db.Row]
_AT_ONCE = 2000
"""Events that are read and recounted at once."""


class BatchHour(NamedTuple):
    """What one batch counted in one hour, by meter and group."""

    hour: datetime
    batch: UUID
    meters_version: int
    entries: list[db.Row]

    @property
    def events(self) -> set[UUID]:
        return {event for entry in self.entries for event in entry["event_ids"]}


class Aggregate(NamedTuple):
    """The aggregate of some events; None: distinct values have no sum."""

    events: frozenset[UUID]
    value: Decimal | None

    def __str__(self) -> str:
        return f"{len(self.events)} events, {'no value' if self.value is None else format(self.value.normalize(), 'f')}"


class Recount:
    """Recounts what is audited; `recounted` is how many events it has been through."""

    def __init__(self, connection: db.Connection, what: Audited, meters: Iterable[db.Row], limited: Sequence[db.Row]) -> None:
        self._connection = connection
        self._what = what
        self._meters = list(meters)
        self._limited = limited
        self._compiled = cache(self._compile)
        self.recounted = 0

    async def differences(self) -> AsyncIterator[Difference]:
        """Find entries (recount) and distinct values (items) that differ from the events, hour by hour."""
        hour: datetime | None = None
        met, unsure = defaultdict[Counter, set[str]](set), False
        async for slips in _chunks(reconciliation_queries.entries(self._connection, self._what)):
            if hour is not None and slips[0].hour != hour:
                for difference in await self._items(hour, met, unsure):
                    yield difference
                met, unsure = defaultdict(set), False
            hour = slips[0].hour
            event_ids = {event for slip in slips for event in slip.events}
            events = await reconciliation_queries.events(self._connection, self._what.tenant, sorted(event_ids))
            for slip in slips:
                # SQL reports missing events (entry); without them there is nothing to recount.
                if slip.events <= events.keys():
                    for difference in self._check(slip, events, met):
                        yield difference
                else:
                    unsure = True
            self.recounted += len(events)
        if hour is not None:
            for difference in await self._items(hour, met, unsure):
                yield difference

    def _check(self, slip: BatchHour, events: Events, met: dict[Counter, set[str]]) -> Iterator[Difference]:
        """Check an entry against its events; collect the distinct values."""
        expected, stored = self._recounted(slip, events), _by_key(slip.entries)
        for key in sorted(expected.keys() | stored.keys()):
            entry, entries = expected.get(key), stored.get(key, [])
            meter, hour, group_key = key
            period = min((stands["period"] for stands in entries), default=None)
            if entry and period:
                met[meter, group_key, period].update(entry.get("items", ()))
            should, does = _expected(entry), _stored(entries, entry)
            if should != does:
                subject = f"{meter} {hour.isoformat()} {group_key} of the batch {slip.batch}"
                others = " (others)" if str(should) == str(does) else ""
                yield self._difference("recount", period, subject, str(should or "nothing"), f"{does or 'nothing'}{others}")

    def _recounted(self, slip: BatchHour, events: Events) -> dict[Key, Mapping[str, Any]]:
        """Return what a worker would count of the events of a slip today, by the meters of then."""
        results = Results()
        stored = [events[event] for event in sorted(slip.events)]
        part = Part(self._what.tenant, 0, stored, slip.meters_version, self._what.time_zone)
        count(self._compiled(slip.meters_version), part, results, str(slip.batch))
        return {_key(entry): entry for entry in results.metered if entry["meter"] != DEFAULT}

    async def _items(self, hour: datetime, met: Mapping[Counter, set[str]], unsure: bool) -> list[Difference]:
        """Check the distinct values of an hour's counters against those of its events."""
        unique = [row["key"] for row in self._meters if row["aggregation"] == "unique_count"]
        if unsure or not unique:
            return []
        stored = await reconciliation_queries.items(self._connection, self._what, hour, unique)
        expected = {counter: items for counter, items in met.items() if items}
        return [
            self._difference("items", period, f"{meter} {hour.isoformat()} {group_key}", _many(should), _many(does, should))
            for meter, group_key, period in sorted(expected.keys() | stored.keys())
            if (should := expected.get((meter, group_key, period), set()))
            != (does := stored.get((meter, group_key, period), set()))
        ]

    def _difference(self, check: str, period: date | None, subject: str, expected: str, found: str) -> Difference:
        month = None if period is None else f"{period:%Y-%m}"
        return Difference(tenant=self._what.slug, period=month, check=check, subject=subject, expected=expected, found=found)

    def _compile(self, version: int) -> CompiledMeters:
        def report(meter: str, error: str) -> None:
            telemetry.emit("meter.compile_failed", tenant=self._what.tenant, meter=meter, error=error)

        rows = [
            m for m in self._meters if m["first_version"] <= version and (m["end_version"] is None or version < m["end_version"])
        ]
        limited = (month["period"] for month in self._limited if month["limited_from_version"] <= version)
        return compile_meters(version, rows, report, limited)


async def _chunks(entries: AsyncIterator[db.Row]) -> AsyncIterator[list[BatchHour]]:
    """Gather entries, which come by hour and batch, into slips; and slips of one hour into chunks of some thousand events."""
    slips: list[BatchHour] = []
    events = 0
    async for entry in entries:
        if not slips or (slips[-1].hour, slips[-1].batch) != (entry["hour"], entry["batch"]):
            if slips and (slips[-1].hour != entry["hour"] or events >= _AT_ONCE):
                yield slips
                slips, events = [], 0
            slips.append(BatchHour(entry["hour"], entry["batch"], entry["meters_version"], []))
        slips[-1].entries.append(entry)
        events += entry["events"] if entry["meter"] == DEFAULT else 0
    if slips:
        yield slips


def _key(entry: Mapping[str, Any]) -> Key:
    return entry["meter"], entry["hour"], entry["group_key"]


def _by_key(entries: list[db.Row]) -> dict[Key, list[db.Row]]:
    by_key = defaultdict[Key, list[db.Row]](list)
    for entry in entries:
        if entry["meter"] != DEFAULT:
            by_key[_key(entry)].append(entry)
    return by_key


def _expected(entry: Mapping[str, Any] | None) -> Aggregate | None:
    if entry is None:
        return None
    value = entry.get("value")
    return Aggregate(frozenset(map(UUID, entry["event_ids"])), None if value is None else Decimal(value))


def _stored(entries: list[db.Row], expected: Mapping[str, Any] | None) -> Aggregate | None:
    """Put the entries of one batch, hour and group together: a batch that was bisected has several."""
    if not entries:
        return None
    events = frozenset(event for entry in entries for event in entry["event_ids"])
    values = [entry["value"] for entry in entries if entry["value"] is not None]
    match expected["aggregation"] if expected else "sum":
        case "max":
            value = max(values, default=None)
        case "min":
            value = min(values, default=None)
        case "latest":
            value = max(entries, key=lambda entry: (entry["latest_at"], entry["latest_event"]))["value"]
        case _:
            value = sum(values, Decimal(0)) if values else None
    return Aggregate(events, value)


def _many(items: set[str], others: set[str] | None = None) -> str:
    return f"{len(items)} different values" + (" (others)" if others is not None and len(items) == len(others) else "")
