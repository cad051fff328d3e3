"""Reads issued invoices, and previews the next one."""

import re
from collections import Counter
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Literal
from uuid import UUID

from signalops import db
from signalops.errors import NotFound
from signalops.types import TenantId
from signalops.usage.credits import credit_grants as credits
from signalops.usage.invoices import invoice_queries
from signalops.usage.invoices.invoice_models import Draft, DraftShown, InvoiceShown, Line, LineShown, Period, Preview
from signalops.usage.invoices.issue import drafts_of, with_credit
from signalops.usage.plans.money import EXACT, rounded

Kind = Literal["invoice", "credit_note"]


async def read(connection: db.Connection, tenant: TenantId, invoice: UUID) -> InvoiceShown:
    """Return an invoice or a credit note; NotFound when the tenant has none of that id."""
    row = await invoice_queries.read_invoice(connection, tenant, invoice)
    if row is None:
        raise NotFound("There is no such invoice: check the id.")
    return InvoiceShown.model_validate(row)


async def find(connection: db.Connection, tenant: TenantId, number_or_id: str, kind: Kind = "invoice") -> UUID:
    """Return the id of a document that is named by number or id; NotFound when the tenant has no such number."""
    if re.fullmatch(r"[0-9]{1,18}", number_or_id):
        found = await invoice_queries.find_invoice(connection, tenant, kind, int(number_or_id))
        if found is None:
            raise NotFound(f"The tenant has no number {number_or_id}: see `signalops invoice list`.")
        return found
    try:
        return UUID(number_or_id)
    except ValueError:
        raise NotFound(f"{number_or_id[:100]} is neither a number nor an id: see `signalops invoice list`.") from None


async def preview(connection: db.Connection, tenant: TenantId, month: date | None = None) -> Preview:
    """Return what closing would invoice of a period as it stands, the present one by default; NotFound if it is not open."""
    period = await invoice_queries.open_period(connection, tenant, month)
    if period is None:
        raise NotFound(f"The period {month:%Y-%m} is not open: it is closed, and was invoiced then, or has not begun.")
    left = Counter[str]()
    for grant in await credits.list_credits(connection, tenant):
        left[grant["currency"]] += grant["remaining"]
    found = await drafts_of(connection, tenant, period.month)
    shown = [_shown(draft, period, Decimal(left[draft.currency])) for draft in found]
    return Preview(period=period.month, starts_at=period.starts_at, ends_at=period.ends_at, invoices=shown)


def _shown(draft: Draft, period: Period, credit: Decimal) -> DraftShown:
    credited = rounded(min(credit, max(draft.subtotal, Decimal(0))), draft.currency)
    lines = with_credit(draft.lines, credited)
    shown = [_line(line, position, period) for position, line in enumerate(lines, 1)]
    return DraftShown(
        currency=draft.currency,
        subtotal=draft.subtotal,
        credited=credited,
        total=EXACT.subtract(draft.subtotal, credited),
        lines=shown,
    )


def _line(line: Line, position: int, period: Period) -> LineShown:
    bounds = {"starts_at": line.starts_at or period.starts_at, "ends_at": line.ends_at or period.ends_at}
    return LineShown.model_validate({**asdict(line), **bounds, "id": None, "position": position})
