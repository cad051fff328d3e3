"""The SQL queries of closing and invoices."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from signalops import db
from signalops.types import TenantId
from signalops.usage.invoices.invoice_models import BillingSegment, LateUsage, Line, MeterUsage, Period, terms_of
from signalops.usage.plans.money import EXACT

SQL = db.queries("usage/invoices")


async def freeze_periods(connection: db.Connection, closing_after: timedelta, at_most: int) -> int:
    """Freeze the next period of tenants whose month ended so long ago; return of how many."""
    row = await _one(connection, "freeze-periods", closing_after=closing_after, at_most=at_most)
    return row["freeze_periods"] if row else 0


async def record_barriers(connection: db.Connection) -> None:
    """Note what has to end before frozen periods can be closed; a transaction of its own, after that of freeze_periods."""
    await connection.execute(SQL["record-barriers"])


async def periods_ready(connection: db.Connection, at_most: int) -> list[tuple[TenantId, date]]:
    """Return frozen periods of all tenants that can be closed."""
    rows = await _all(connection, "periods-ready", at_most=at_most)
    return [(TenantId(row["tenant"]), row["period"]) for row in rows]


async def seal_period(connection: db.Connection, tenant: TenantId, period: date) -> bool:
    """Seal and close a frozen period in a transaction of its tenant; False: another worker does, or did."""
    row = await _one(connection, "seal-period", tenant=tenant, period=period)
    return row is not None and bool(row["seal_period"])


async def segments_used(
    connection: db.Connection, tenant: TenantId, period: date
) -> list[tuple[BillingSegment, dict[str, MeterUsage]]]:
    """Return the billing_segments of a period, each with what the period bills of the meters that have a price."""
    rows = await _all(connection, "billing-segments-used", tenant=tenant, period=period)
    return [(_segment(row), {m: _used(usage) for m, usage in row["used"].items()}) for row in rows]


async def late_used(connection: db.Connection, tenant: TenantId, period: date) -> list[LateUsage]:
    """Return what a period bills of earlier ones."""
    columns = ("month", "meter", "events", "before", "after")
    rows = await _all(connection, "late-used", tenant=tenant, period=period)
    return [LateUsage(_segment(row), **{name: row[name] for name in columns}) for row in rows]


async def open_period(connection: db.Connection, tenant: TenantId, month: date | None) -> Period | None:
    """Return a period that is not closed, the present one by default; None: it is closed, or has not begun."""
    row = await _one(connection, "open-period", tenant=tenant, period=month)
    return None if row is None else Period(row["period"], row["starts_at"], row["ends_at"])


async def issue_invoice(connection: db.Connection, tenant: TenantId, issued: Mapping[str, object], lines: Sequence[Line]) -> int:
    """Issue an invoice or credit note: columns of `invoices`, and its lines; return its number."""
    texts = {"issued": _json(issued), "lines": _json(lines)}
    row = await _one(connection, "issue-invoice", tenant=tenant, **texts)
    assert row is not None, "the function returns the number"
    return int(row["issue_invoice"])


async def list_invoices(connection: db.Connection, tenant: TenantId, **window: Any) -> list[db.Row]:
    """Return the invoices and credit notes between two ids: lower, upper, upwards and limit."""
    return await _all(connection, "list-invoices", tenant=tenant, **window)


async def read_invoice(connection: db.Connection, tenant: TenantId, invoice: UUID) -> db.Row | None:
    """Return an invoice or credit note with its lines; None when there is none."""
    row = await _one(connection, "read-invoice", tenant=tenant, id=invoice)
    return row and row | {"lines": await _all(connection, "read-lines", tenant=tenant, id=invoice)}


async def find_invoice(connection: db.Connection, tenant: TenantId, kind: str, number: int) -> UUID | None:
    """Return the id of a document by its number; None when the tenant has none of it."""
    row = await _one(connection, "find-invoice", tenant=tenant, kind=kind, number=number)
    return None if row is None else UUID(str(row["id"]))


async def find_credit_note(connection: db.Connection, tenant: TenantId, key: str) -> db.Row | None:
    """Return id and body_hash of the credit note that was sent with an idempotency key."""
    return await _one(connection, "find-credit-note", tenant=tenant, key=key)


async def lock_invoice(connection: db.Connection, tenant: TenantId, invoice: UUID) -> db.Row | None:
    """Lock an invoice; return it with the amount that its credit notes leave (`left`)."""
    locked = await _one(connection, "lock-invoice", tenant=tenant, id=invoice)
    # After the lock, and by itself: who waited for it must see the credit note of who had it.
    noted = await _one(connection, "sum-credit-notes", tenant=tenant, id=invoice)
    return locked and noted and locked | {"left": EXACT.add(locked["total"], noted["noted"])}


async def is_invoiced(connection: db.Connection, tenant: TenantId, period: date, currency: str) -> bool:
    """Return whether a period has an invoice in a currency that is not void."""
    row = await _one(connection, "is-invoiced", tenant=tenant, period=period, currency=currency)
    return row is not None and bool(row["exists"])


async def void_invoice(connection: db.Connection, tenant: TenantId, invoice: UUID, reason: str, author: str) -> None:
    """Void an invoice, return its credit, and notify the tenant."""
    reasons = {"reason": reason, "author": author}
    await connection.execute(SQL["void-invoice"], {"tenant": tenant, "id": invoice, **reasons})


async def _all(connection: db.Connection, query: str, **parameters: object) -> list[db.Row]:
    return await db.rows(connection, SQL[query], parameters)


async def _one(connection: db.Connection, query: str, **parameters: object) -> db.Row | None:
    rows = await _all(connection, query, **parameters)
    return rows[0] if rows else None


def _segment(row: db.Row) -> BillingSegment:
    columns = ("plan", "version", "days", "of_days", "starts_at", "ends_at")
    return BillingSegment(terms=terms_of(row["terms"]), **{name: row[name] for name in columns})


def _used(usage: Mapping[str, Any]) -> MeterUsage:
    return MeterUsage(usage["events"], Decimal(usage["quantity"]))


def _json(value: object) -> str:
    """Write a value as JSON, its decimals as strings, which are read as numeric without loss."""
    return orjson.dumps(value, default=lambda number: format(number, "f")).decode()
