"""Recomputes the price of a closed period, and compares it with the invoices."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

from signalops import db
from signalops.usage.invoices.issue import drafts_of
from signalops.usage.reconciliation import reconciliation_queries
from signalops.usage.reconciliation.reconciliation_models import Difference
from signalops.usage.reconciliation.reconciliation_queries import Audited

Amounts = Mapping[tuple[Any, ...], Decimal]
"""The amounts of an invoice's lines, by what distinguishes them."""
_LINE = ("kind", "meter", "plan", "version", "starts_at", "late_period")
_drafted, _billed = attrgetter(*_LINE), itemgetter(*_LINE)


async def mispriced(connection: db.Connection, what: Audited) -> AsyncIterator[Difference]:
    """Find lines whose amount differs from their period's usage at the terms of that time, and missing invoices (price).

    A voided invoice is checked against the same figures, and need not be issued again.
    """
    for period, rows in groupby(await reconciliation_queries.amounts(connection, what), itemgetter("period")):
        invoices = defaultdict[tuple[int, str], dict[tuple[Any, ...], Decimal]](dict)
        for row in rows:
            if row["kind"] is not None:
                invoices[row["number"], row["currency"]][_billed(row)] = row["amount"]
        drafts = await drafts_of(connection, what.tenant, period)
        expected = {draft.currency: {_drafted(line): line.amount for line in draft.lines} for draft in drafts}
        missing = [(currency, "an invoice", "none") for currency in expected.keys() - {of for _, of in invoices}]
        wrong = [
            (f"invoice {number}", should, does)
            for (number, currency), lines in invoices.items()
            for should, does in _compared(expected.get(currency, {}), lines)
        ]
        for subject, should, does in [*missing, *wrong]:
            fields = {"subject": subject, "expected": should, "found": does}
            yield Difference(tenant=what.slug, period=f"{period:%Y-%m}", check="price", **fields)


def _compared(expected: Amounts, found: Amounts) -> list[tuple[str, str]]:
    """Return what lines should cost and do, where that differs."""
    return [
        (_said(line, expected.get(line)), _said(line, found.get(line)))
        for line in [*expected, *(line for line in found if line not in expected)]
        if expected.get(line) != found.get(line)
    ]


def _said(line: tuple[Any, ...], amount: Decimal | None) -> str:
    kind, meter, plan, *_ = line
    return "no such line" if amount is None else f"{amount:f} for {meter or kind} by {plan}"
