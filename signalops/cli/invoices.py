"""signalops invoice: show, void, reissue and credit invoices."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import typer
from pydantic import BaseModel

from signalops import db, migrate, telemetry
from signalops.cli.common import AsJson, Result, TenantSlug, for_tenant
from signalops.cli.derived import Commands
from signalops.cli.output import show_done, show_json, show_rows
from signalops.config import settings
from signalops.http import validated
from signalops.types import JsonObject, TenantId
from signalops.usage.invoices import corrections, invoice_endpoints, render
from signalops.usage.invoices.close import Closer
from signalops.usage.invoices.invoice_models import DraftShown, InvoiceShown
from signalops.usage.invoices.invoice_reader import find, read
from signalops.usage.invoices.invoice_reader import preview as preview_of

app = typer.Typer(no_args_is_help=True)
commands = Commands(app, "invoice")
commands.add(invoice_endpoints.list_invoices, "list", columns="kind number period total currency issuedAt")

InvoiceRef = Annotated[str, typer.Argument(help="Its number, or its id.")]
IsNote = Annotated[bool, typer.Option("--credit-note", help="The number is a credit note's.")]
Reason = Annotated[str, typer.Option(help="Reason; it stays on record.")]
Author = Annotated[str, typer.Option(help="The person responsible.", envvar="USER")]
Format = Annotated[Literal["text", "json", "csv", "html"], typer.Option("--format", help="How it is written.")]
_LINES = ("position", "kind", "description", "quantity", "included", "unit", "amount")


@app.command(epilog="Example: signalops invoice show 17 --tenant acme --format html --output invoice-17.html")
def show(
    invoice: InvoiceRef,
    tenant: TenantSlug,
    is_note: IsNote = False,
    format_: Format = "text",
    output: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
) -> None:
    """Show an invoice or a credit note with its lines."""
    shown = for_tenant(tenant, _on(invoice, is_note, read))
    if format_ == "text":
        _show(shown)
        return
    written = {
        "json": lambda: shown.model_dump_json(by_alias=True, indent=2).encode(),
        "csv": lambda: render.to_csv(shown),
        "html": lambda: render.to_html(shown).encode(),
    }[format_]()
    if output:
        output.write_bytes(written)
    else:
        typer.echo(written, nl=False)


@app.command(epilog="Example: signalops invoice preview --tenant acme")
def preview(
    tenant: TenantSlug,
    period: Annotated[str | None, typer.Option(help="A month that is not closed; default: the present.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the open period would be invoiced with as it stands."""
    month = validated(invoice_endpoints.PreviewQuery, {"period": period} if period else {}).period
    shown = for_tenant(tenant, lambda connection, tenant_id: preview_of(connection, tenant_id, month))
    if as_json:
        show_json(_plain(shown))
        return
    for draft in shown.invoices:
        _show(draft)
    if not shown.invoices:
        typer.echo(f"Nothing is to be billed of {shown.period:%Y-%m} so far.")


@app.command(epilog="Example: signalops invoice void 17 --tenant acme --reason 'wrong customer' --author ann")
def void(
    invoice: InvoiceRef, tenant: TenantSlug, reason: Reason, author: Author, is_note: IsNote = False, as_json: AsJson = False
) -> None:
    """Void an invoice or a credit note; the credit that it used comes back."""
    decision = corrections.ReasonAndAuthor(reason=reason, author=author)
    for_tenant(tenant, _on(invoice, is_note, lambda c, t, found: corrections.void(c, t, found, decision)))
    show_done("It is void. To bill the period all the same: signalops invoice reissue", {"voided": invoice}, as_json)


@app.command(
    "credit-note",
    epilog="Example: signalops invoice credit-note 17 --tenant acme --amount 12.50 --reason 'an outage' --author ann",
)
def credit_note(
    invoice: InvoiceRef,
    tenant: TenantSlug,
    amount: Annotated[str, typer.Option(help="At most what is left of the invoice.")],
    reason: Reason,
    author: Author,
    as_json: AsJson = False,
) -> None:
    """Issue a credit note, which takes an amount off an invoice."""
    request = validated(corrections.CreditNoteRequest, {"amount": amount, "reason": reason, "author": author})
    issued = for_tenant(tenant, _on(invoice, False, lambda c, t, found: corrections.credit(c, t, found, request)))
    show_done(f"Credit note {issued.number} of {issued.total} is issued.", issued._asdict(), as_json)


@app.command(epilog="Example: signalops invoice reissue 17 --tenant acme --reason 'right customer' --author ann")
def reissue(invoice: InvoiceRef, tenant: TenantSlug, reason: Reason, author: Author, as_json: AsJson = False) -> None:
    """Reissue a voided invoice: the same figures, a new number."""
    decision = corrections.ReasonAndAuthor(reason=reason, author=author)
    issued = for_tenant(tenant, _on(invoice, False, lambda c, t, found: corrections.reissue(c, t, found, decision)))
    show_done(f"Invoice {issued.number} of {issued.total} is issued.", issued._asdict(), as_json)


@app.command(epilog="Example: signalops invoice close")
def close(as_json: AsJson = False) -> None:
    """Close the periods of all tenants that are due, and invoice them, as a worker does each minute."""
    telemetry.subscribe(lambda name, fields: typer.echo(f"{name} {fields}") if name == "period.close_failed" else None)

    async def closing() -> int:
        async with db.pool(settings(), "worker", 2) as connections:
            return await Closer(connections, timedelta(hours=settings().close_after_hours)).run()

    migrate.require_current(settings(), "worker")
    closed = asyncio.run(closing())
    show_done(f"Closed: {closed} periods.", {"closed": closed}, as_json)


def _on(
    invoice: str, is_note: bool, work: Callable[[db.Connection, TenantId, UUID], Awaitable[Result]]
) -> Callable[[db.Connection, TenantId], Awaitable[Result]]:
    """Return what does something about a document of a tenant, named by number or id."""

    async def working(connection: db.Connection, tenant: TenantId) -> Result:
        found = await find(connection, tenant, invoice, "credit_note" if is_note else "invoice")
        return await work(connection, tenant, found)

    return working


def _show(document: InvoiceShown | DraftShown) -> None:
    plain = _plain(document)
    show_rows(plain["lines"], _LINES, as_json=False)
    typer.echo(f"Total: {plain['total']} {plain['currency']}")


def _plain(shown: BaseModel) -> JsonObject:
    return shown.model_dump(mode="json", by_alias=True)
