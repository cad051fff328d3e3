"""The requests for invoices."""

from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.http import Headers, Page, Query, answer, headers_of, id_of
from signalops.terms import Caller
from signalops.usage.invoices import export, store
from signalops.usage.invoices.model import InvoiceSummary
from signalops.usage.invoices.show import preview, read
from signalops.usage.model import Month

Format = Literal["json", "csv", "html"]
CSV, HTML = "text/csv", "text/html"
_ALIKE = {"Vary": "Accept", "X-Content-Type-Options": "nosniff"}
_FORMATS: dict[str, Format] = {"application/json": "json", CSV: "csv", HTML: "html"}


class PreviewQuery(Query):
    """Which period is previewed."""

    period: Month | None = Field(None, description="A month that is not closed, such as 2026-11; default: the present.")


class InvoiceQuery(Query):
    """How an invoice is shown."""

    format: Annotated[Format | None, Field(description="Instead of the Accept header: json, csv or html.")] = None


class Invoices:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def list(self, request: Request, caller: Caller) -> Response:
        """List invoices and credit notes, newest first."""
        page = Page.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_invoices(
                connection, caller.tenant, upwards=page.upwards, **page.window(await db.settled(connection))
            )
        return page.listed(rows, InvoiceSummary.model_validate)

    async def preview(self, request: Request, caller: Caller) -> Response:
        """Show what an open period would be invoiced with as it stands, by the code that will invoice it."""
        query = PreviewQuery.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await preview(connection, caller.tenant, query.period))

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show an invoice or a credit note: as JSON, as CSV, or as an HTML page that prints."""
        wanted = InvoiceQuery.of(request).format or _accepted(headers_of(request))
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            shown = await read(connection, caller.tenant, id_of(request, "invoice"))
        if wanted == "csv":
            name = f"{shown.kind.replace('_', '-')}-{shown.number}.csv"
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            return Response(export.to_csv(shown), headers=_ALIKE | headers, media_type=CSV)
        if wanted == "html":
            headers = {"Content-Security-Policy": export.CSP}
            return Response(export.to_html(shown), headers=_ALIKE | headers, media_type=HTML)
        return answer(shown, headers=_ALIKE)


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
