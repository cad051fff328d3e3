"""Corrects invoices, in a transaction of the tenant: void, reissue, credit note."""

from decimal import Decimal
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from pydantic import Field

from signalops import db
from signalops.errors import Conflict, IdempotencyConflict, Invalid, NotFound
from signalops.http import body_hash
from signalops.models import RequestModel
from signalops.types import TenantId
from signalops.usage.invoices import invoice_queries
from signalops.usage.invoices.invoice_models import Draft, IssuedBy, Line
from signalops.usage.invoices.issue import Issued, issue
from signalops.usage.plans.money import PositiveNumber, rounded


class Reason(RequestModel):
    """The reason of a change of an invoice."""

    reason: Annotated[str, Field(min_length=1, max_length=500, description="The reason; it is stored with the document.")]


class CreditNoteIn(Reason):
    """What a credit note takes off an invoice."""

    amount: PositiveNumber = Field(description="At most what is left of the invoice.", examples=["12.50"])


class ReasonAndAuthor(Reason):
    """The reason of a change of an invoice, and its author."""

    author: Annotated[str, Field(min_length=1, max_length=200)]


class CreditNoteRequest(CreditNoteIn, ReasonAndAuthor):
    """What a credit note takes off, why, and who answers for it."""


async def void(connection: db.Connection, tenant: TenantId, invoice: UUID, decision: ReasonAndAuthor) -> None:
    """Void an invoice or a credit note, once, and return the credit that it used. Conflict if it has valid credit notes."""
    locked = await _lock_invoice(connection, tenant, invoice)
    if locked["left"] != locked["total"]:
        raise Conflict("The invoice has credit notes: void these first.")
    await invoice_queries.void_invoice(connection, tenant, invoice, **decision.model_dump())


async def reissue(connection: db.Connection, tenant: TenantId, invoice: UUID, decision: ReasonAndAuthor) -> Issued:
    """Reissue a voided invoice: the same lines, since the sealed figures are the same, and a new number."""
    voided = await _lock(connection, tenant, invoice)
    if voided["kind"] != "invoice" or voided["voided_at"] is None:
        raise Conflict("Only a voided invoice can be reissued: void it first.")
    if await invoice_queries.is_invoiced(connection, tenant, voided["period"], voided["currency"]):
        raise Conflict(f"Another invoice of {voided['period']:%Y-%m} is valid: void it first.")
    read = await invoice_queries.read_invoice(connection, tenant, invoice)
    assert read is not None, "it is locked"
    names = Line.__dataclass_fields__
    lines = [Line(**{name: row[name] for name in names}) for row in read["lines"] if row["kind"] != "credit"]
    draft = Draft(voided["period"], voided["currency"], lines)
    return await issue(connection, tenant, draft, IssuedBy(decision.author, decision.reason))


async def credit_once(
    connection: db.Connection, tenant: TenantId, invoice: UUID, request: CreditNoteRequest, key: str | None
) -> tuple[UUID, bool]:
    """Issue a credit note unless its idempotency key was used; return it, and whether it is new.

    IdempotencyConflict when the key was used with another body. With a key the tenant is locked.
    """
    if key is None:
        return (await credit(connection, tenant, invoice, request)).id, True
    hashed = sha256(invoice.bytes + body_hash(request)).digest()
    if before := await invoice_queries.find_credit_note(connection, tenant, key):
        if before["body_hash"] != hashed:
            raise IdempotencyConflict("The idempotency key came with another credit note before: choose another key.")
        return before["id"], False
    sent = {"idempotency_key": key, "body_hash": f"\\x{hashed.hex()}"}
    return (await credit(connection, tenant, invoice, request, **sent)).id, True


async def credit(connection: db.Connection, tenant: TenantId, invoice: UUID, request: CreditNoteRequest, **sent: str) -> Issued:
    """Issue a credit note for at most the remaining amount of an invoice; Invalid if it is more."""
    locked = await _lock_invoice(connection, tenant, invoice)
    if locked["kind"] != "invoice":
        raise Conflict("A credit note takes off an invoice: name that.")
    amount = rounded(request.amount, locked["currency"])
    if amount != request.amount:
        raise Invalid.at("amount", f"can't be paid in {locked['currency']}; write {amount}")
    if amount > locked["left"]:
        most = max(locked["left"], Decimal(0))
        raise Invalid.at("amount", f"is more than what is left of the invoice; write at most {most}")
    note = await db.new_id(connection)
    issued = {
        **{"id": note, "kind": "credit_note", "corrects": invoice, "period": locked["period"], "currency": locked["currency"]},
        **{"subtotal": -amount, "credited": Decimal(0), "total": -amount, "author": request.author, "reason": request.reason},
        **sent,
    }
    line = Line("correction", f"Correction of invoice {locked['number']}", -amount)
    return Issued(note, await invoice_queries.issue_invoice(connection, tenant, issued, [line]), -amount)


async def _lock_invoice(connection: db.Connection, tenant: TenantId, invoice: UUID) -> db.Row:
    """Return an invoice that is not voided, locked."""
    locked = await _lock(connection, tenant, invoice)
    if locked["voided_at"] is not None:
        raise Conflict("It is voided already: reissue it with `signalops invoice reissue`.")
    return locked


async def _lock(connection: db.Connection, tenant: TenantId, invoice: UUID) -> db.Row:
    locked = await invoice_queries.lock_invoice(connection, tenant, invoice)
    if locked is None:
        raise NotFound("There is no such invoice: check the id.")
    return locked
