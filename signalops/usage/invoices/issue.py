"""Issues an invoice: its lines, the credit it uses and its number, in the caller's transaction."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from signalops import db
from signalops.types import TenantId
from signalops.usage.credits import credit_grants as credits
from signalops.usage.invoices import invoice_queries
from signalops.usage.invoices.invoice_models import CLOSING, Draft, IssuedBy, Line
from signalops.usage.invoices.lines import drafts
from signalops.usage.plans.money import EXACT, rounded


class Issued(NamedTuple):
    """A document that was issued."""

    id: UUID
    number: int
    total: Decimal


async def drafts_of(connection: db.Connection, tenant: TenantId, month: date) -> list[Draft]:
    """Return what a period of a tenant is invoiced with; one that is open, as it stands."""
    billing_segments = await invoice_queries.segments_used(connection, tenant, month)
    return drafts(month, billing_segments, await invoice_queries.late_used(connection, tenant, month))


async def issue(connection: db.Connection, tenant: TenantId, draft: Draft, by: IssuedBy = CLOSING) -> Issued:
    """Issue the invoice of a closed period, which uses what credit there is."""
    invoice, due = await db.new_id(connection), max(draft.subtotal, Decimal(0))
    parameters = {"invoice": invoice, "currency": draft.currency, "at_most": due}
    burned = await credits.burn_credits(connection, tenant, **parameters) if due else Decimal(0)
    credited = rounded(burned, draft.currency)  # already rounded, except for the digits of a 0
    total = EXACT.subtract(draft.subtotal, credited)
    issued = {
        **{"id": invoice, "kind": "invoice", "period": draft.month, "currency": draft.currency},
        **{"subtotal": draft.subtotal, "credited": credited, "total": total, **by._asdict()},
    }
    number = await invoice_queries.issue_invoice(connection, tenant, issued, with_credit(draft.lines, credited))
    return Issued(invoice, number, total)


def with_credit(lines: Sequence[Line], credited: Decimal) -> list[Line]:
    """Return the lines of a document, the last of which is the credit that it uses."""
    return [*lines, Line("credit", "Credit", -credited)] if credited else list(lines)
