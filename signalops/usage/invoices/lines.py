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
    month: date, stretches: Iterable[tuple[BillingSegment, Mapping[str, MeterUsage]]], late: Iterable[LateUsage]
) -> list[Draft]:
    """Return what a period is invoiced with: one draft for each currency, none when there is nothing to bill.

    Each stretch is priced by itself. Lines are rounded, totals are sums of lines; what is due for time alone is rounded so that
    the parts of a month add up to the month.
    """
    lines = defaultdict[str, list[Line]](list)
    fees = Fees()
    for stretch, used in stretches:
        lines[stretch.terms.currency] += stretch_lines(stretch, used, fees)
    for one in late:
        lines[one.stretch.terms.currency] += late_lines(one)
    return [Draft(month, currency, of_it) for currency, of_it in lines.items() if of_it]


class Fees:
    """What is due for time in the stretches of a month, one after the other: base fees, and flat prices of meters.

    A stretch is billed the difference between the rounded sums up to its end and up to its beginning. Were each part rounded by
    itself, three thirds of 10.00 would be 9.99.
    """

    def __init__(self) -> None:
        self._due = defaultdict[tuple[str, str | None], Fraction](Fraction)

    def part(self, amount: Decimal, share: Fraction, currency: str, meter: str | None = None) -> Decimal:
        """Return what a stretch is billed of an amount that is due for a whole month."""
        before = self._due[currency, meter]
        after = self._due[currency, meter] = before + Fraction(amount) * share
        return EXACT.subtract(*(rounded(exact(due), currency) for due in (after, before)))


def stretch_lines(stretch: BillingSegment, used: Mapping[str, MeterUsage], fees: Fees | None = None) -> Iterator[Line]:
    """Yield the base fee of a stretch, unless it is 0, and each meter that was used or costs something unused.

    fees: those of the stretches before it in the month; None: it is the first.
    """
    terms, share, fees = stretch.terms, _share(stretch), fees or Fees()
    if fee := fees.part(terms.base_fee, share, terms.currency):
        description = f"{terms.name}{_days(stretch)}"
        yield _line(stretch, kind="base", description=description, amount=fee, details={"baseFee": format(terms.base_fee, "f")})
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
                stretch,
                meter,
                kind="usage",
                description=f"{meter.name}{_days(stretch)}",
                amount=amount,
                events=events,
                quantity=quantity,
                included=_legible(priced.included),
                details=_arithmetic(of, priced),
            )


def late_lines(late: LateUsage) -> Iterator[Line]:
    """Yield what a closed stretch costs more, or less, by what came late; nothing when the meter has no price there.

    It is the difference of the two amounts as they are rounded: so all that is ever billed of a month adds up to what the
    month costs altogether.
    """
    terms, share = late.stretch.terms, _share(late.stretch)
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
        late.stretch,
        meter,
        kind="late",
        description=f"{meter.name} of {late.month:%Y-%m}, counted late{_days(late.stretch)}",
        amount=EXACT.subtract(rounded(after.amount, terms.currency), rounded(before.amount, terms.currency)),
        late_period=late.month,
        events=late.events,
        quantity=EXACT.subtract(late.after, late.before),
        included=_legible(after.included),
        details=_arithmetic(of, after) | figures,
    )


def _share(stretch: BillingSegment) -> Fraction:
    return Fraction(stretch.days, stretch.of_days)


def _days(stretch: BillingSegment) -> str:
    return "" if _share(stretch) == WHOLE else f", {stretch.days} of {stretch.of_days} days"


def _line(stretch: BillingSegment, meter: MeterTerms | None = None, *, details: JsonObject, **fields: Any) -> Line:
    """Make a line of a billing segment: its terms, its days, and its meter."""
    metered: JsonObject = {"meter": meter.key, "aggregation": meter.aggregation, "unit": meter.unit} if meter else {}
    return Line(
        plan=stretch.plan,
        version=stretch.version,
        starts_at=stretch.starts_at,
        ends_at=stretch.ends_at,
        details={"days": stretch.days, "ofDays": stretch.of_days, **details},
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
