"""Computes the lines of an invoice from the usage and the price terms of a period. Pure, in decimals."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from signalops.types import JsonObject
from signalops.usage.invoices.invoice_models import BillingSegment, Draft, LateUsage, Line, MeterTerms, MeterUsage
from signalops.usage.plans.money import EXACT, rounded
from signalops.usage.plans.plan_models import FlatPrice, Price
from signalops.usage.plans.pricing import WHOLE, Priced, exact, price

_NOTHING = MeterUsage(0, Decimal(0))
_FINEST = Decimal("1e-12")


def drafts(
    month: date, billing_segments: Iterable[tuple[BillingSegment, Mapping[str, MeterUsage]]], late: Iterable[LateUsage]
) -> list[Draft]:
    """Return what a period is invoiced with: one draft for each currency, none when there is nothing to bill.

    Each segment is priced by itself. Lines are rounded, totals are sums of lines; what is due for time alone is rounded so that
    the parts of a month add up to the month.
    """
    lines = defaultdict[str, list[Line]](list)
    fees = Fees()
    for segment, used in billing_segments:
        lines[segment.terms.currency] += segment_lines(segment, used, fees)
    for one in late:
        lines[one.segment.terms.currency] += late_lines(one)
    return [Draft(month, currency, of_it) for currency, of_it in lines.items() if of_it]


class Fees:
    """What is due for time in the billing_segments of a month, one after the other: base fees, and flat prices of meters.

    A segment is billed the difference between the rounded sums up to its end and up to its beginning. Were each part rounded by
    itself, three thirds of 10.00 would be 9.99.
    """

    def __init__(self) -> None:
        self._due = defaultdict[tuple[str, str | None], Fraction](Fraction)

    def part(self, amount: Decimal, share: Fraction, currency: str, meter: str | None = None) -> Decimal:
        """Return what a segment is billed of an amount that is due for a whole month."""
        before = self._due[currency, meter]
        after = self._due[currency, meter] = before + Fraction(amount) * share
        return EXACT.subtract(*(rounded(exact(due), currency) for due in (after, before)))


def segment_lines(segment: BillingSegment, used: Mapping[str, MeterUsage], fees: Fees | None = None) -> Iterator[Line]:
    """Yield the base fee of a segment, unless it is 0, and each meter that was used or costs something unused.

    fees: those of the billing_segments before it in the month; None: it is the first.
    """
    terms, share, fees = segment.terms, _share(segment), fees or Fees()
    if fee := fees.part(terms.base_fee, share, terms.currency):
        description = f"{terms.name}{_days(segment)}"
        yield _line(segment, kind="base", description=description, amount=fee, details={"baseFee": format(terms.base_fee, "f")})
    for of in terms.prices:
        events, quantity = used.get(of.meter, _NOTHING)
        priced = price(of, quantity, share)
        if isinstance(of, FlatPrice):
            amount = fees.part(of.amount, share, terms.currency, of.meter)
        else:
            amount = rounded(priced.amount, terms.currency)
        if events or quantity or amount:
            meter = terms.meter(of.meter)
            yield _line(
                segment,
                meter,
                kind="usage",
                description=f"{meter.name}{_days(segment)}",
                amount=amount,
                events=events,
                quantity=quantity,
                included=_legible(priced.included),
                details=_arithmetic(of, priced),
            )


def late_lines(late: LateUsage) -> Iterator[Line]:
    """Yield what a closed segment costs more, or less, by what came late; nothing when the meter has no price there.

    It is the difference of the two amounts as they are rounded: so all that is ever billed of a month adds up to what the
    month costs altogether.
    """
    terms, share = late.segment.terms, _share(late.segment)
    of = terms.price(late.meter)
    if of is None:
        return
    before, after = price(of, late.before, share), price(of, late.after, share)
    meter = terms.meter(late.meter)
    figures = {
        "before": {"quantity": format(late.before, "f"), "amount": format(before.amount, "f")},
        "after": {"quantity": format(late.after, "f"), "amount": format(after.amount, "f")},
    }
    yield _line(
        late.segment,
        meter,
        kind="late",
        description=f"{meter.name} of {late.month:%Y-%m}, counted late{_days(late.segment)}",
        amount=EXACT.subtract(rounded(after.amount, terms.currency), rounded(before.amount, terms.currency)),
        late_period=late.month,
        events=late.events,
        quantity=EXACT.subtract(late.after, late.before),
        included=_legible(after.included),
        details=_arithmetic(of, after) | figures,
    )


def _share(segment: BillingSegment) -> Fraction:
    return Fraction(segment.days, segment.of_days)


def _days(segment: BillingSegment) -> str:
    return "" if _share(segment) == WHOLE else f", {segment.days} of {segment.of_days} days"


def _line(segment: BillingSegment, meter: MeterTerms | None = None, *, details: JsonObject, **fields: Any) -> Line:
    """Make a line of a billing segment: its terms, its days, and its meter."""
    metered: JsonObject = {"meter": meter.key, "aggregation": meter.aggregation, "unit": meter.unit} if meter else {}
    return Line(
        plan=segment.plan,
        version=segment.version,
        starts_at=segment.starts_at,
        ends_at=segment.ends_at,
        details={"days": segment.days, "ofDays": segment.of_days, **details},
        **metered,
        **fields,
    )


def _legible(included: Decimal) -> Decimal:
    """Return it with 12 digits behind the point at most; the amount is made of all."""
    short = included.quantize(_FINEST, context=EXACT)
    return included if included == short else short


def _arithmetic(of: Price, priced: Priced) -> JsonObject:
    steps = [step.model_dump(mode="json", exclude_none=True) for step in priced.steps]
    return {"price": of.model_dump(mode="json"), "charged": format(priced.quantity, "f"), "steps": steps}
