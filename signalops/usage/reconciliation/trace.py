"""Traces a line of an invoice back to its events."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from signalops import db
from signalops.endpoint import endpoint
from signalops.errors import Gone, NotFound
from signalops.patterns import Grouping, Measured, flattened
from signalops.types import Caller, JsonObject, TenantId
from signalops.usage.meters.aggregate import ALL_EVENTS, Meter
from signalops.usage.meters.meter_models import DEFAULT
from signalops.usage.reconciliation import reconciliation_queries
from signalops.usage.reconciliation.reconciliation_models import TracedEvent, TracedEvents, TraceQuery

_BEGINNING = (UUID(int=0), 0)


async def events_of_line(connection: db.Connection, tenant: TenantId, line: UUID, query: TraceQuery) -> TracedEvents:
    """Return a page of the events behind a line, with what each added; NotFound, or Gone with where the figure stands by day."""
    of = await reconciliation_queries.find_line(connection, tenant, line)
    if of is None or of["meter"] is None:
        raise NotFound("There is no such line of usage: take the id of one of kind usage or late from an invoice.")
    # What is billed late came in in the period that bills it, whenever it happened.
    began = of["period_starts_at"] if of["kind"] == "late" else of["starts_at"]
    if of["since"] is not None and began < of["since"]:
        raise _gone(of)
    parameters = {"meter": of["meter"], "period": of["period"], "lower": of["starts_at"], "upper": of["ends_at"]}
    entry, position = _read(query.starting_after)
    rows = await reconciliation_queries.trace_line(
        connection, tenant, **parameters, entry=entry, position=position, limit=query.limit + 1
    )
    page, has_more = rows[: query.limit], len(rows) > query.limit
    events = await reconciliation_queries.events(connection, tenant, [row["event"] for row in page])
    if len(events) < len(page):
        raise _gone(of)
    meter = await _meter(connection, tenant, of["meter"])
    data = [_traced(replace(meter, allows_negative=row["allows_negative"]), events[row["event"]]) for row in page]
    return TracedEvents(data=data, has_more=has_more, next=_written(page[-1]) if has_more else None)


def _gone(line: db.Row) -> Gone:
    parameters = {"meter": line["meter"], "from": line["starts_at"].isoformat(), "to": line["ends_at"].isoformat()}
    return Gone(
        "The events of then are no longer stored; their totals by day are, sealed when the period was closed: "
        f"see GET /api/usage?{urlencode(parameters)}."
    )


def _read(cursor: str | None) -> tuple[UUID, int]:
    if cursor is None:
        return _BEGINNING
    entry, _, position = cursor.partition(":")
    return UUID(entry), int(position)


def _written(row: db.Row) -> str:
    return f"{row['entry'].hex}:{row['position']}"


async def _meter(connection: db.Connection, tenant: TenantId, key: str) -> Meter:
    if key == DEFAULT:
        return ALL_EVENTS
    # A meter's key means the same in every version of the meters, except for negative values.
    row = next(row for row in await reconciliation_queries.all_meters(connection, tenant) if row["key"] == key)
    measured = Measured(row["field"]) if row["field"] else None
    return Meter(key, row["aggregation"], measured, Grouping(row["group_by"]))


def _traced(meter: Meter, event: Mapping[str, Any]) -> TracedEvent:
    reading = meter.read(flattened(event, event["attributes"]))
    added: JsonObject = {"value": reading and reading.value, "values": list(reading.items) if reading else []}
    return TracedEvent.model_validate({name: event[name] for name in ("id", "type", "occurredAt")} | added)


@endpoint(
    "GET /api/usage/lines/{id}/events",
    "listLineEvents",
    "List the events behind a line of an invoice",
    "usage:read",
    problems=(Gone,),
)
async def list_line_events(connection: db.Connection, caller: Caller, line: UUID, query: TraceQuery) -> TracedEvents:
    """List the events behind a line of usage, in the order in which they were counted, with what each added."""
    return await events_of_line(connection, caller.tenant, line, query)
