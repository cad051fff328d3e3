"""The arithmetic of prices: the price of a quantity, and its steps.

It is exact: fractions (a third of a month is one), and one division at the end. A result that is no decimal is never close to
half of a minor unit, so 60 digits round correctly. The models are those of Stripe (graduated and volume,
https://docs.stripe.com/subscriptions/pricing-models/tiered-pricing) and of Lago (package as well,
https://getlago.com/docs/guide/plans/charges/charge-models).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil

from pydantic import ConfigDict

from signalops.models import ApiModel
from signalops.usage.plans.money import EXACT, Exact
from signalops.usage.plans.plan_models import FlatPrice, GraduatedPrice, PackagePrice, PerUnitPrice, Price, Tier

WHOLE = Fraction(1)
"""The share of a billing segment that is its whole period."""
_NOTHING = Fraction(0)


class Step(ApiModel):
    """A part of an amount: quantity x unitAmount + flatAmount; with `size` the quantity counts packages of that many units."""

    model_config = ConfigDict(frozen=True)

    quantity: Exact
    unit_amount: Exact
    flat_amount: Exact = Decimal(0)
    up_to: Exact | None = None
    size: Exact | None = None
    amount: Exact


class Priced(ApiModel):
    """What a quantity costs, not yet rounded; `quantity` is what was charged for beyond what is `included`."""

    model_config = ConfigDict(frozen=True)

    amount: Exact
    included: Exact
    quantity: Exact
    steps: tuple[Step, ...]


@dataclass(slots=True, frozen=True)
class _Part:
    """A step, in fractions."""

    quantity: Fraction
    unit: Decimal
    flat: Decimal = Decimal(0)
    up_to: Decimal | None = None
    size: Decimal | None = None

    @property
    def amount(self) -> Fraction:
        return self.quantity * Fraction(self.unit) + Fraction(self.flat)

    def shown(self) -> Step:
        return Step(
            quantity=exact(self.quantity),
            unit_amount=self.unit,
            flat_amount=self.flat,
            up_to=self.up_to,
            size=self.size,
            amount=exact(self.amount),
        )


def price(of: Price, quantity: Decimal, share: Fraction = WHOLE) -> Priced:
    """Price the usage of a billing segment that is a `share` of its period.

    The share prorates a flat amount and what is included; bounds of tiers and sizes of packages stay what they are. A
    quantity that corrections made negative costs nothing and earns nothing: what was paid is given back by a credit note.
    """
    if isinstance(of, FlatPrice):
        return _priced([_Part(share, of.amount)], _NOTHING, _NOTHING)
    included = Fraction(of.included) * share
    billed = max(Fraction(quantity) - included, _NOTHING)
    return _priced(list(_parts(of, billed)) if billed else [], included, billed)


def exact(value: Fraction) -> Decimal:
    """Return a fraction with all digits that rounding can depend on."""
    return EXACT.divide(Decimal(value.numerator), Decimal(value.denominator))


def _priced(parts: Sequence[_Part], included: Fraction, billed: Fraction) -> Priced:
    return Priced(
        amount=exact(sum((part.amount for part in parts), _NOTHING)),
        included=exact(included),
        quantity=exact(billed),
        steps=tuple(part.shown() for part in parts),
    )


def _parts(of: Price, billed: Fraction) -> Iterator[_Part]:
    if isinstance(of, PerUnitPrice):
        yield _Part(billed, of.unit_amount)
    elif isinstance(of, PackagePrice):
        yield _Part(Fraction(ceil(billed / Fraction(of.size))), of.amount, size=of.size)
    elif isinstance(of, GraduatedPrice):
        yield from _graduated(of.tiers, billed)
    elif not isinstance(of, FlatPrice):
        tier = next(tier for tier in of.tiers if tier.up_to is None or billed <= Fraction(tier.up_to))
        yield _Part(billed, tier.unit_amount, tier.flat_amount, tier.up_to)


def _graduated(tiers: Sequence[Tier], billed: Fraction) -> Iterator[_Part]:
    """Yield the tiers that are reached, each with the units above the bound of the tier before."""
    lower = _NOTHING
    for tier in tiers:
        upper = billed if tier.up_to is None else min(billed, Fraction(tier.up_to))
        if upper <= lower:
            return
        yield _Part(upper - lower, tier.unit_amount, tier.flat_amount, tier.up_to)
        lower = upper
