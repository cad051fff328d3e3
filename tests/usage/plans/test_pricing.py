"""The arithmetic of prices: against published examples, and against a model that counts slice by slice."""

from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from signalops.usage.plans.money import rounded
from signalops.usage.plans.plan_models import Price
from signalops.usage.plans.pricing import WHOLE, price

PRICE: TypeAdapter[Price] = TypeAdapter(Price)


def priced(price_body: dict[str, Any], quantity: str | int, share: Fraction = WHOLE) -> Decimal:
    return price(PRICE.validate_python({"meter": "events", **price_body}), Decimal(quantity), share).amount


def tiers(*rows: tuple[int | None, str, str]) -> list[dict[str, Any]]:
    return [{"upTo": up_to, "unitAmount": unit, "flatAmount": flat} for up_to, unit, flat in rows]


# https://docs.stripe.com/subscriptions/pricing-models/tiered-pricing: its tiers, its table of volume-based pricing, and its
# rule of graduated pricing ("multiplied by the amount for each tier and summed together"; 5 fonts are its example).
STRIPE = tiers((5, "7", "0"), (10, "6.5", "0"), (None, "6", "0"))
# https://getlago.com/docs/guide/plans/charges/charge-models/graduated: its tiers, by its rule.
LAGO_GRADUATED = tiers((100, "1", "0"), (200, "0.50", "0"), (None, "0.10", "0"))
# https://getlago.com/docs/guide/plans/charges/charge-models/volume: 65,000 calls are its example.
LAGO_VOLUME = tiers((10_000, "0.0010", "10"), (50_000, "0.0008", "10"), (100_000, "0.0006", "10"), (None, "0.0004", "10"))
# https://getlago.com/docs/guide/plans/charges/charge-models/package: 201 units are its example.
LAGO_PACKAGE = {"model": "package", "included": 100, "size": 100, "amount": "5"}
# https://zuplo.com/docs/articles/monetization/pricing-models: 15,000 units are its example, both ways.
ZUPLO = tiers((1000, "0.10", "0"), (10_000, "0.05", "0"), (None, "0.01", "0"))
# https://docs.useautumn.com/documentation/modelling-pricing/graduated-pricing: 15,000 requests are its example.
AUTUMN = tiers((1000, "0.01", "0"), (10_000, "0.008", "0"), (None, "0.005", "0"))


@pytest.mark.parametrize(
    ("price_body", "quantity", "amount"),
    [
        *(({"model": "volume", "tiers": STRIPE}, n, a) for n, a in ((1, 7), (5, 35), (6, 39), (20, 120), (25, 150))),
        *(({"model": "graduated", "tiers": STRIPE}, n, a) for n, a in ((5, 35), (6, "41.5"), (20, "127.5"))),
        ({"model": "graduated", "tiers": LAGO_GRADUATED}, 250, 155),
        ({"model": "volume", "tiers": LAGO_VOLUME}, 65_000, 49),
        (LAGO_PACKAGE, 201, 10),
        ({"model": "graduated", "tiers": ZUPLO}, 15_000, 600),
        ({"model": "volume", "tiers": ZUPLO}, 15_000, 150),
        ({"model": "graduated", "tiers": AUTUMN}, 15_000, 107),
    ],
)
def test_published_examples(price_body: dict[str, Any], quantity: int, amount: str | int) -> None:
    assert priced(price_body, quantity) == Decimal(amount)


FLAT_FEES = tiers((1000, "0.01", "5"), (2000, "0.005", "3"), (None, "0", "1"))


@pytest.mark.parametrize(
    ("quantity", "graduated", "volume"),
    [(0, "0", "0"), (1, "5.01", "5.01"), (1000, "15", "15"), ("1000.5", "18.0025", "8.0025"), (2001, "24", "1")],
)
def test_a_bound_belongs_to_its_tier_and_a_flat_fee_falls_due_with_the_tier(
    quantity: str | int, graduated: str, volume: str
) -> None:
    assert priced({"model": "graduated", "tiers": FLAT_FEES}, quantity) == Decimal(graduated)
    assert priced({"model": "volume", "tiers": FLAT_FEES}, quantity) == Decimal(volume)


MODELS: list[dict[str, Any]] = [
    {"model": "per_unit", "included": "100", "unitAmount": "0.1"},
    {"model": "package", "included": "100", "size": "10", "amount": "1"},
    {"model": "graduated", "included": "100", "tiers": FLAT_FEES},
    {"model": "volume", "included": "100", "tiers": FLAT_FEES},
]


@pytest.mark.parametrize("price_body", MODELS, ids=lambda price_body: price_body["model"])
@pytest.mark.parametrize("quantity", ["-5", "0", "99.999", "100"])
def test_up_to_what_is_included_nothing_is_charged_not_even_a_flat_fee(price_body: dict[str, Any], quantity: str) -> None:
    done = price(PRICE.validate_python({"meter": "events", **price_body}), Decimal(quantity))
    assert [done.amount, done.quantity, *done.steps] == [0, 0]
    assert priced(price_body, "100.001") > 0


def test_a_flat_price_is_due_without_usage_and_by_its_days() -> None:
    price_body = {"model": "flat", "amount": "31"}
    assert [priced(price_body, n, Fraction(7, 31)) for n in (-1, 0, 1000)] == [7, 7, 7]


def test_a_share_prorates_what_is_included_and_leaves_bounds_alone() -> None:
    price_body = {"model": "volume", "included": "310", "tiers": FLAT_FEES}
    done = price(PRICE.validate_python({"meter": "events", **price_body}), Decimal(1100), Fraction(10, 31))
    assert [done.included, done.quantity, done.amount] == [100, 1000, 15]


def test_a_half_that_only_fractions_see_is_rounded_up() -> None:
    """10 - 100/31 units at 0.0155 cost exactly 0.105; decimals that are cut on the way may lie below it."""
    price_body = {"model": "per_unit", "included": "10", "unitAmount": "0.0155"}
    amount = priced(price_body, 10, Fraction(10, 31))
    assert amount == Decimal("0.105")
    assert rounded(amount, "USD") == Decimal("0.11")


@pytest.mark.parametrize(
    ("amount", "currency", "to"),
    [
        ("2.345", "USD", "2.35"),
        ("2.3449999999999999999999999999999999999", "USD", "2.34"),
        ("-2.345", "USD", "-2.35"),
        ("2.5", "JPY", "3"),
        ("2.0005", "BHD", "2.001"),
        ("999999999999999.995", "EUR", "1000000000000000.00"),
    ],
)
def test_amounts_are_rounded_half_up_to_the_minor_unit(amount: str, currency: str, to: str) -> None:
    assert str(rounded(Decimal(amount), currency)) == to


AMOUNT = st.decimals(0, 20, places=3)
BOUNDS = st.lists(st.integers(1, 40).map(lambda n: Decimal(n) / 10), max_size=4, unique=True).map(sorted)
DAYS = st.sampled_from([28, 29, 30, 31]).flatmap(lambda of: st.tuples(st.integers(1, of), st.just(of)))


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[Decimal | None, Decimal, Decimal]]:
    return [(bound, draw(AMOUNT), draw(AMOUNT)) for bound in [*draw(BOUNDS), None]]


USED = st.tuples(st.integers(-10, 50), st.integers(0, 20), DAYS)
"""Tenths that were used, whole units that are included, and the days of the segment and the period."""


class Naive:
    """Cuts what was used into slices that come out even, takes away those that are included, and looks at each of the rest."""

    def __init__(self, tenths: int, included: int, days: tuple[int, int]) -> None:
        self.in_unit = 10 * days[1]
        self.slices = range(1, tenths * days[1] - included * 10 * days[0] + 1)

    def tier(self, table: list[tuple[Decimal | None, Decimal, Decimal]], number: int) -> int:
        """The tier in which the slice of a number ends."""
        for index, (bound, _, _) in enumerate(table):
            if bound is None or number <= bound * self.in_unit:
                return index
        raise AssertionError("the last tier has no bound")

    def sum(self, units: list[Decimal], flats: list[Decimal]) -> Decimal:
        """The amounts of the slices, each with its unit price, and flat fees."""
        exact = Context(prec=60)
        return exact.divide(sum(units, Decimal(0)) + sum(flats, Decimal(0)) * self.in_unit, Decimal(self.in_unit))

    def graduated(self, table: list[tuple[Decimal | None, Decimal, Decimal]]) -> Decimal:
        met = [self.tier(table, number) for number in self.slices]
        return self.sum([table[tier][1] for tier in met], [table[tier][2] for tier in set(met)])

    def volume(self, table: list[tuple[Decimal | None, Decimal, Decimal]]) -> Decimal:
        last = [self.tier(table, number) for number in self.slices[-1:]]
        return self.sum([table[tier][1] for tier in last] * len(self.slices), [table[tier][2] for tier in last])

    def package(self, size: Decimal, amount: Decimal) -> Decimal:
        """A package is paid for by the slice that opens it."""
        opening = [number for number in self.slices if (number - 1) % (size * self.in_unit) == 0]
        return amount * len(opening)


def offered(used: tuple[int, int, tuple[int, int]], **price_body: Any) -> Decimal:
    tenths, included, (days, of_days) = used
    of = PRICE.validate_python({"meter": "events", "included": included, **price_body})
    return price(of, Decimal(tenths) / 10, Fraction(days, of_days)).amount


def as_said(table: list[tuple[Decimal | None, Decimal, Decimal]]) -> list[dict[str, Any]]:
    return [{"upTo": bound, "unitAmount": unit, "flatAmount": flat} for bound, unit, flat in table]


@given(USED, tables())
def test_tiers_agree_with_the_naive_model(
    used: tuple[int, int, tuple[int, int]], table: list[tuple[Decimal | None, Decimal, Decimal]]
) -> None:
    naive = Naive(*used)
    assert offered(used, model="graduated", tiers=as_said(table)) == naive.graduated(table)
    assert offered(used, model="volume", tiers=as_said(table)) == naive.volume(table)


@given(USED, AMOUNT, st.integers(1, 30).map(lambda n: Decimal(n) / 10))
def test_units_and_packages_agree_with_the_naive_model(
    used: tuple[int, int, tuple[int, int]], amount: Decimal, size: Decimal
) -> None:
    naive = Naive(*used)
    assert offered(used, model="per_unit", unitAmount=amount) == naive.graduated([(None, amount, Decimal(0))])
    assert offered(used, model="package", size=size, amount=amount) == naive.package(size, amount)


@given(USED, tables(), st.sampled_from(["graduated", "volume"]))
def test_the_steps_add_up(
    used: tuple[int, int, tuple[int, int]], table: list[tuple[Decimal | None, Decimal, Decimal]], model: str
) -> None:
    tenths, included, (days, of_days) = used
    of = PRICE.validate_python({"meter": "events", "included": included, "model": model, "tiers": as_said(table)})
    done = price(of, Decimal(tenths) / 10, Fraction(days, of_days))
    near = Decimal("1e-20")
    assert abs(sum((step.quantity for step in done.steps), Decimal(0)) - done.quantity) < near
    assert abs(sum((step.amount for step in done.steps), Decimal(0)) - done.amount) < near
    for step in done.steps:
        assert abs(step.quantity * step.unit_amount + step.flat_amount - step.amount) < near
