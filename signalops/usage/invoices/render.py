"""Renders an invoice as CSV (RFC 4180) and as one printable HTML page without scripts or other files."""

import csv
import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from hashlib import sha256
from importlib import resources
from io import StringIO
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_interval
from babel.numbers import format_currency, format_decimal
from liquid import Environment

from signalops.usage.invoices.invoice_models import InvoiceShown, LineShown
from signalops.usage.plans.money import EXACT

_SOURCE = (resources.files(__package__) / "invoice.html.liquid").read_text(encoding="utf-8")
_PAGE = Environment(autoescape=True).from_string(_SOURCE)
_STYLE = _SOURCE.partition("<style>")[2].partition("</style>")[0]
CSP = f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; base-uri 'none'"
"""The content security policy of the page: nothing is loaded, nothing runs."""
_LOCALE = "en"
_MONEY = "¤¤ #,##0.00;¤¤ -#,##0.00"
"""With the code of the currency: there are twenty dollars."""
_NAMES = {"invoice": "Invoice", "credit_note": "Credit note"}

_OF_DOCUMENT = ("kind", "number", "customer", "period", "currency", "issuedAt", "voidedAt")
_OF_LINE = ("position", "kind", "description", "plan", "version", "meter", "startsAt", "endsAt", "latePeriod")
_FIGURES = ("aggregation", "events", "quantity", "included", "unit", "amount")
COLUMNS = (*(f"document.{name}" for name in _OF_DOCUMENT), *_OF_LINE, *_FIGURES)
"""The header of the CSV: what stands on each line of it of the document, and of the line."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def to_csv(invoice: InvoiceShown) -> bytes:
    """Return the lines of an invoice as CSV with a header, in UTF-8; each repeats what document it stands on."""
    document = invoice.model_dump(mode="json", by_alias=True)
    own = [document[name] for name in _OF_DOCUMENT]
    written = StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for line in document["lines"]:
        writer.writerow([_cell(value) for value in (*own, *(line[name] for name in (*_OF_LINE, *_FIGURES)))])
    return written.getvalue().encode()


def _cell(value: object) -> object:
    """Keep a text from being a formula: spreadsheets run what begins so (OWASP, CSV injection). A number is none."""
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def to_html(invoice: InvoiceShown) -> str:
    """Return an invoice as a page for people, in English, with the days of its time zone."""
    zone = ZoneInfo(invoice.time_zone)
    with localcontext(EXACT):  # Babel quantizes in the context that it finds
        return _PAGE.render(
            title=f"{_NAMES[invoice.kind]} {invoice.number}",
            voided=invoice.voided_at and {"at": _time(invoice.voided_at, zone), "reason": invoice.void_reason},
            facts=[{"name": name, "value": value} for name, value in _facts(invoice, zone) if value],
            lines=[_row(line, invoice.currency, zone) for line in invoice.lines],
            sums=[{"name": name, "amount": _money(amount, invoice.currency)} for name, amount in _sums(invoice)],
        )


def _facts(invoice: InvoiceShown, zone: ZoneInfo) -> Sequence[tuple[str, object]]:
    return (
        ("Customer", invoice.customer),
        ("Period", f"{_days(invoice.starts_at, invoice.ends_at, zone)} ({invoice.time_zone})"),
        ("Issued", _time(invoice.issued_at, zone)),
        ("Reason", invoice.reason),
        ("Corrects", invoice.corrects),
        ("Reference", invoice.id),
    )


def _sums(invoice: InvoiceShown) -> list[tuple[str, Decimal]]:
    before = [("Subtotal", invoice.subtotal), ("Credit", -invoice.credited)] if invoice.credited else []
    return [*before, ("Total", invoice.total)]


def _row(line: LineShown, currency: str, zone: ZoneInfo) -> dict[str, str]:
    unit = f" {line.unit}" if line.unit else ""
    return {
        "description": line.description,
        "plan": f"Plan {line.plan}, version {line.version}" if line.plan else "",
        "days": "" if line.kind == "credit" else _days(line.starts_at, line.ends_at, zone),
        "quantity": "" if line.quantity is None else f"{_count(line.quantity)}{unit}",
        "included": _count(line.included) if line.included else "",
        "amount": _money(line.amount, currency),
    }


def _money(amount: Decimal, currency: str) -> str:
    return format_currency(amount, currency, _MONEY, locale=_LOCALE)


def _count(quantity: Decimal) -> str:
    return format_decimal(quantity, locale=_LOCALE, decimal_quantization=False)


def _days(starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> str:
    """Format the days between two moments, the second exclusive."""
    first, last = starts_at.astimezone(zone).date(), (ends_at - timedelta(seconds=1)).astimezone(zone).date()
    if first == last:
        return format_date(first, locale=_LOCALE)
    return format_interval(first, last, skeleton="yMMMd", locale=_LOCALE)


def _time(moment: datetime, zone: ZoneInfo) -> str:
    return format_datetime(moment, "medium", tzinfo=zone, locale=_LOCALE)
