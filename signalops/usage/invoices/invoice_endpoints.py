"""The endpoints of invoices: tenants read them, operators correct them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from signalops import db, errors
from signalops.endpoint import endpoint, for_operators
from signalops.http import Headers, Page, Query, Request, Response, answer, headers_of
from signalops.types import Caller, FoundTenant, Operator
from signalops.usage.invoices import corrections, invoice_queries, render
from signalops.usage.invoices.corrections import CreditNoteIn, CreditNoteRequest, Reason, ReasonAndAuthor
from signalops.usage.invoices.invoice_models import InvoiceList, InvoiceShown, InvoiceSummary, Preview
from signalops.usage.invoices.invoice_reader import find, preview, read
from signalops.usage.usage_models import Month

Format = Literal["json", "csv", "html"]
CSV, HTML = "text/csv", "text/html"
_TENANTS = "/api/tenants/{tenant}/invoices"
_ONE = _TENANTS + "/{invoice}"
_ALIKE = {"Vary": "Accept", "X-Content-Type-Options": "nosniff"}
_FORMATS: dict[str, Format] = {"application/json": "json", CSV: "csv", HTML: "html"}


class PreviewQuery(Query):
    """Which period is previewed."""

    period: Month | None = Field(None, description="A month that is not closed, such as 2026-11; default: the present.")


class InvoiceQuery(Query):
    """How an invoice is shown."""

    format: Annotated[Format | None, Field(description="Instead of the Accept header: json, csv or html.")] = None


@for_operators(_TENANTS, "listTenantInvoices", "List a tenant's invoices and credit notes")
@endpoint("GET /api/invoices", "listInvoices", "List invoices and credit notes", "usage:read", answers={200: InvoiceList})
async def list_invoices(connection: db.Connection, caller: Caller, query: Page) -> Response:
    """List invoices and credit notes, newest first."""
    window = query.window(await db.settled(connection))
    rows = await invoice_queries.list_invoices(connection, caller.tenant, upwards=query.upwards, **window)
    return query.listed(rows, InvoiceSummary.model_validate)


@endpoint(
    "GET /api/invoices/preview",
    "previewInvoice",
    "Show what the open period would be invoiced with",
    "usage:read",
    problems=(errors.NotFound,),
)
async def preview_invoice(connection: db.Connection, caller: Caller, query: PreviewQuery) -> Preview:
    """Show what an open period would be invoiced with as it stands, by the code that will invoice it."""
    return await preview(connection, caller.tenant, query.period)


@for_operators(f"{_TENANTS}/{{id}}", "getTenantInvoice", "Show an invoice of a tenant, for programs or for people")
@endpoint(
    "GET /api/invoices/{id}",
    "getInvoice",
    "Show an invoice, for programs or for people",
    "usage:read",
    answers={200: InvoiceShown},
    texts=(CSV, HTML),
)
async def get_invoice(
    request: Request, connection: db.Connection, caller: Caller, invoice: UUID, query: InvoiceQuery
) -> Response:
    """Show an invoice or a credit note: as JSON, as CSV, or as an HTML page that prints."""
    media = query.format or _accepted(headers_of(request))
    shown = await read(connection, caller.tenant, invoice)
    if media == "csv":
        name = f"{shown.kind.replace('_', '-')}-{shown.number}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(render.to_csv(shown), headers=_ALIKE | headers, media_type=CSV)
    if media == "html":
        headers = {"Content-Security-Policy": render.CSP}
        return Response(render.to_html(shown), headers=_ALIKE | headers, media_type=HTML)
    return answer(shown, headers=_ALIKE)


@endpoint(
    f"POST {_ONE}/void",
    "voidInvoice",
    "Void an invoice by its number or id, or a credit note by its id",
    "tenants:*",
    lock="tenant",
    problems=(errors.Conflict,),
)
async def void(connection: db.Connection, operator: Operator, tenant: FoundTenant, invoice: str, body: Reason) -> InvoiceShown:
    """Void an invoice, or a credit note by its id; the credit that it used comes back."""
    found = await find(connection, tenant.id, invoice)
    await corrections.void(connection, tenant.id, found, _said(body, operator))
    return await read(connection, tenant.id, found)


@endpoint(
    f"POST {_ONE}/reissue",
    "reissueInvoice",
    "Reissue a voided invoice, with the same figures",
    "tenants:*",
    status=201,
    lock="tenant",
    problems=(errors.Conflict,),
)
async def reissue(connection: db.Connection, operator: Operator, tenant: FoundTenant, invoice: str, body: Reason) -> InvoiceShown:
    """Reissue a voided invoice: the same figures, a new number."""
    found = await find(connection, tenant.id, invoice)
    issued = await corrections.reissue(connection, tenant.id, found, _said(body, operator))
    return await read(connection, tenant.id, issued.id)


@endpoint(
    f"POST {_ONE}/credit-notes",
    "creditInvoice",
    "Take an amount off an invoice",
    "tenants:*",
    answers={201: InvoiceShown, 200: InvoiceShown},
    headers={"Idempotency-Key": "A second request with this key and body credits nothing more."},
    lock="tenant",
    problems=(errors.Conflict,),
)
async def credit(
    connection: db.Connection,
    operator: Operator,
    tenant: FoundTenant,
    invoice: str,
    body: CreditNoteIn,
    idempotency_key: str | None,
) -> Response:
    """Issue a credit note, which takes an amount off an invoice."""
    request = CreditNoteRequest(**body.model_dump(), author=operator.author)
    found = await find(connection, tenant.id, invoice)
    issued, is_new = await corrections.credit_once(connection, tenant.id, found, request, idempotency_key)
    return answer(await read(connection, tenant.id, issued), 201 if is_new else 200)


def _said(why: Reason, operator: Operator) -> ReasonAndAuthor:
    return ReasonAndAuthor(reason=why.reason, author=operator.author)


def _accepted(headers: Headers) -> Format:
    """Return the format that a request likes best; JSON when it names none of them."""
    liked = [part.partition(";") for part in headers.get("accept", "").lower().split(",")]
    ranked = sorted(liked, key=lambda part: -_quality(part[2]))
    return next((_FORMATS[media.strip()] for media, _, _ in ranked if media.strip() in _FORMATS), "json")


def _quality(parameters: str) -> float:
    """Return the q of a media range (RFC 9110, section 12.5.1); what can't be read is liked least."""
    _, found, text = parameters.replace(" ", "").partition("q=")
    try:
        return float(text.partition(";")[0]) if found else 1.0
    except ValueError:
        return 0.0
