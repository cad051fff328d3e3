"""The SQL queries of reconciliation."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from signalops import db
from signalops.types import TenantId

SQL = db.queries("usage/reconciliation")
_AT_A_TIME = 200
"""Entries that are in memory at once; each names up to a flush of events."""


class Audited(NamedTuple):
    """A tenant and one of its periods (None: all) to reconcile; since: from when on its events are stored (None: all)."""

    tenant: TenantId
    slug: str
    period: date | None
    time_zone: str
    since: datetime | None

    @property
    def named(self) -> db.Row:
        """What the queries call it."""
        return {"tenant": self.tenant, "period": self.period, "since": self.since}


async def begin(connection: db.Connection) -> None:
    """Begin a transaction with one snapshot of the database, while events are stored and counted."""
    await connection.commit()
    await connection.set_isolation_level(db.IsolationLevel.REPEATABLE_READ)


async def audited(connection: db.Connection, tenant: TenantId, slug: str, period: date | None) -> Audited:
    """Return what an audit of a tenant covers."""
    (row,) = await db.rows(connection, SQL["reconcilable-range"], {"tenant": tenant, "period": period})
    return Audited(tenant, slug, period, row["time_zone"], row["since"])


async def differences(connection: db.Connection, what: Audited) -> list[db.Row]:
    """Return what SQL finds: period, check, subject, expected and found."""
    return await db.rows(connection, SQL["reconcile-differences"], what.named)


async def number_gaps(connection: db.Connection) -> list[db.Row]:
    """Return the gaps in the numbers of all invoices, as differences."""
    return await db.rows(connection, SQL["reconcile-numbers"], {})


async def amounts(connection: db.Connection, what: Audited) -> list[db.Row]:
    """Return what the lines of the invoices of closed periods cost, by period and number; of a period without any one row."""
    return await db.rows(connection, SQL["reconcile-amounts"], what.named)


async def counts(connection: db.Connection, what: Audited) -> dict[str, int]:
    """Return how much is checked: events, entries, counters, sealed, lines and credits."""
    (row,) = await db.rows(connection, SQL["reconcile-counts"], what.named)
    return row


async def all_meters(connection: db.Connection, tenant: TenantId) -> list[db.Row]:
    """Return every meter that a tenant ever had, with since and until."""
    return await db.rows(connection, SQL["reconcile-meters"], {"tenant": tenant})


async def limited_months(connection: db.Connection, tenant: TenantId) -> list[db.Row]:
    """Return period and limited_from_version of months that keep no groups and distinct values from a version of the meters on.
    Return period and limited_from_version of months that keep no groups and distinct values from a version of the meters on."""
    return await db.rows(connection, SQL["reconcile-limited"], {"tenant": tenant})


async def entries(connection: db.Connection, what: Audited) -> AsyncIterator[db.Row]:
    """Stream the entries of batches that own meters counted, by hour and batch."""
    async for row in db.stream(connection, _AT_A_TIME, SQL["reconcile-entries"], what.named):
        yield row


async def events(connection: db.Connection, tenant: TenantId, ids: Sequence[UUID]) -> dict[UUID, db.Row]:
    """Return those of some events that are stored, as signalops.read_batch gives them to a worker."""
    rows = await db.tuples(connection, SQL["reconcile-events"], {"tenant": tenant, "ids": list(ids)})
    return {event: orjson.loads(text) for event, text in rows}


async def items(
    connection: db.Connection, what: Audited, hour: datetime, meters: Sequence[str]
) -> dict[tuple[str, str, date], set[str]]:
    """Return the different values that an hour's counters have met, by meter, group and period."""
    rows = await db.tuples(connection, SQL["reconcile-items"], {**what.named, "hour": hour, "meters": list(meters)})
    return {(meter, group_key, period): set(met) for meter, group_key, period, met in rows}


async def find_line(connection: db.Connection, tenant: TenantId, line: UUID) -> db.Row | None:
    """Return kind, meter, starts_at, ends_at of a line, its invoice's period, and since when all events are stored."""
    rows = await db.rows(connection, SQL["find-line"], {"tenant": tenant, "line": line})
    return rows[0] if rows else None


async def trace_line(connection: db.Connection, tenant: TenantId, **parameters: Any) -> list[db.Row]:
    """Return entry, position and event of events behind a figure, and whether its meter allowed negative values.

    parameters: meter, period, lower and upper (hours), limit; and entry and position, beyond which they are.
    """
    return await db.rows(connection, SQL["trace-line"], {"tenant": tenant, **parameters})
