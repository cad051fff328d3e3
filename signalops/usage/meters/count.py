"""Counts the usage of a batch. Pure; the hot path of the worker."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from signalops import clock
from signalops.contracts import MeteredRow
from signalops.inbox.inbox_queries import Part, Results
from signalops.patterns import flattened
from signalops.types import TenantId
from signalops.usage.meters.aggregate import ALL_EVENTS, ALL_GROUPS, ONE, Meter, Reading
from signalops.usage.meters.buckets import Slot, minute_of, slot_of
from signalops.usage.meters.compiled_meters import CompiledMeters

Event = Mapping[str, Any]
Members = list[tuple[Event, Reading]]


def is_billed(event: Event) -> bool:
    """Return whether an event is counted: operational events (causation_depth above 0) are not, and replays were before."""
    return event["causation_depth"] == 0 and not event.get("replay")


def counted_in(part: Part) -> str:
    """Return the batch that the entries of a part name: the first of its events' batches."""
    return min((event["batch"] for event in part.events), default="")


def count(meters: CompiledMeters, part: Part, results: Results, batch: str) -> None:
    """Add to the results what one tenant's events count, as signalops.count_usage takes it; the entries name the batch."""
    billed, where = [event for event in part.events if is_billed(event)], (part.tenant, batch)
    for slot, events in _by_slot(part, billed).items():
        results.metered.append(_entry(where, ALL_EVENTS, slot, ALL_GROUPS, [(event, ONE) for event in events]))
        for (meter, group), members in _metered(meters, slot, events).items():
            results.metered.append(entry := _entry(where, meter, slot, group, members))
            results.rows += len(entry.get("items", ())) // 5


def _by_slot(part: Part, events: Sequence[Event]) -> dict[Slot, list[Event]]:
    minutes = defaultdict[int, list[Event]](list)
    for event in events:
        minutes[minute_of(event["id"], event["occurredAt"])].append(event)
    slots = defaultdict[Slot, list[Event]](list)
    for minute, members in minutes.items():
        slots[slot_of(minute, part.time_zone, part.closed_until)] += members
    return slots


def _metered(meters: CompiledMeters, slot: Slot, events: Sequence[Event]) -> Mapping[tuple[Meter, str], Members]:
    """Return what the tenant's own meters read off events, by meter and group."""
    found = defaultdict[tuple[Meter, str], Members](list)
    if not meters.version:
        return found
    for event in events:
        for meter, reading, group in meters.read(flattened(event, event["attributes"]), slot.period):
            found[meter, group].append((event, reading))
    return found


def _entry(where: tuple[TenantId, str], meter: Meter, slot: Slot, group: str, members: Members) -> MeteredRow:
    entry: MeteredRow = {
        "tenant": where[0],
        "id": clock.new_id(),
        "batch": where[1],
        "meter": meter.key,
        "aggregation": meter.aggregation,
        "period": slot.period,
        "hour": slot.hour,
        "is_late": slot.is_late,
        "group_key": group,
        "events": len(members),
        "event_ids": [event["id"] for event, _ in members],
    }
    if meter.aggregation == "unique_count":
        entry["items"] = sorted({item for _, reading in members for item in reading.items})
    elif meter.aggregation == "latest":
        at, latest, value = max((_moment(event), event["id"], reading.value) for event, reading in members)
        entry["latest_at"], entry["latest_event"], entry["value"] = at, latest, str(value)
    else:
        entry["value"] = str(meter.total([reading.value for _, reading in members if reading.value is not None]))
    return entry


def _moment(event: Event) -> datetime:
    return clock.event_time(UUID(event["id"]), datetime.fromisoformat(event["occurredAt"]))
