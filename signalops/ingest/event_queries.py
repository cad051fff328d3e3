"""The SQL queries of ingest."""

from collections import Counter
from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Any

import orjson

from signalops import db
from signalops.contracts import BucketAmount, MeterAmount
from signalops.ingest.event_models import Incoming
from signalops.types import BatchId, TenantId

SQL = db.queries("ingest/ingest")
_EXACT = Context(prec=100)
"""Weights have at most 38 digits, 18 of them after the point: their sums are exact."""


async def accept(connection: db.Connection, events: list[Incoming], batch: BatchId, priority: int) -> list[tuple[Any, ...]]:
    """Store a flush in one transaction; return only what was not plainly accepted.

    The rows are those of signalops.accept: (event, verdict, first event or tenant, meter or bucket, end of its period, pace).
    """
    paid = Counter((event.tenant, bucket) for event in events for bucket in event.buckets)
    rows = _paying(events, paid) if paid else [event.row for event in events]
    taken: list[BucketAmount] = [{"tenant": t, "bucket": b, "amount": paid[t, b]} for t, b in paid]
    buckets = orjson.dumps(taken) if taken else None
    parameters = {
        "flush": b"[%s]" % b",".join(rows),
        "buckets": buckets,
        "demand": orjson.dumps(_demand(events), default=str),
        "batch": batch,
        "priority": priority,
    }
    return await db.tuples(connection, SQL["accept"], parameters, prepare=True)


async def await_changed_limits(connection: db.Connection) -> None:
    """Wait briefly for concurrent changes of limits: while one runs, no flush can create a month's first counters."""
    await connection.execute(SQL["await-changed-limits"])


async def list_events(connection: db.Connection, upwards: bool, **parameters: Any) -> list[db.Row]:
    """Return the events between two ids: the newest of them, newest first, or upwards the oldest of them, oldest first."""
    query = SQL["list-events-upwards" if upwards else "list-events"]
    return await db.rows(connection, query, parameters)


def shown(row: db.Row) -> db.Row:
    """Return a row with the API's field names."""
    shown = {"id": row["id"], "type": row["type"], "source": row["source"], "status": row["status"]}
    shown |= {"occurredAt": row["occurred_at"], "receivedAt": row["received_at"], "payload": row["payload"]}
    shown |= {"overLimit": True} if row["over_limit"] else {}
    shown |= {"requestId": row["correlation"]} if row["correlation"] else {}
    return shown | ({"attributes": row["attributes"]} if row["attributes"] else {})


def _paying(events: list[Incoming], paid: Iterable[tuple[TenantId, str]]) -> list[bytes]:
    """Write the rows; those of events with a rate limit name the buckets that they pay by their places, from 1."""
    places = {bucket: place for place, bucket in enumerate(paid, 1)}
    return [
        b'%s,"buckets":%s}' % (event.row[:-1], orjson.dumps([places[event.tenant, b] for b in event.buckets]))
        if event.buckets
        else event.row
        for event in events
    ]


def _demand(events: list[Incoming]) -> list[MeterAmount]:
    """Sum up what the events of each tenant add to each of its limited meters."""
    counts = Counter(event.tenant for event in events)
    quantities: dict[TenantId, dict[str, Decimal]] = {}
    limited_meters_version = {event.tenant: event.limited_meters_version for event in events if event.limited_meters_version}
    for event in events if limited_meters_version else ():
        sums = quantities.setdefault(event.tenant, {})
        for meter, amount in event.quantities.items():
            sums[meter] = _EXACT.add(sums.get(meter, Decimal(0)), amount)
    amounts = [(tenant, "events", Decimal(count)) for tenant, count in counts.items()]
    amounts += [(tenant, meter, amount) for tenant, sums in quantities.items() for meter, amount in sums.items()]
    return [
        {"tenant": t, "meter": m, "amount": a, "limited_meters_version": limited_meters_version.get(t, 0)} for t, m, a in amounts
    ]
