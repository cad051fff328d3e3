"""The lines of an invoice: pure arithmetic over billing_segments and what was used in them."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from signalops.usage.invoices.invoice_models import BillingSegment, LateUsage, MeterUsage, Terms, terms_of
from signalops.usage.invoices.lines import drafts, late_lines, segment_lines
from signalops.usage.plans.money import rounded
from signalops.usage.plans.plan_models import PlanDocument

MARCH = date(2025, 3, 1)
GRADUATED = {
    "meter": "events",
    "model": "graduated",
    "included": "5",
    "tiers": [{"upTo": "10", "unitAmount": "0.333", "flatAmount": "1"}, {"upTo": None, "unitAmount": "0.1"}],
}


def terms(*prices: Mapping[str, object], fee: str = "0", currency: str = "USD") -> Terms:
    body = {"name": "Pro", "currency": currency, "baseFee": fee, "prices": prices}
    return terms_of(PlanDocument.model_validate(body).model_dump_json())


def segment(of: Terms, days: int = 31, of_days: int = 31) -> BillingSegment:
    return BillingSegment("pro", 1, of, days, of_days, datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))


def used(events: int) -> dict[str, MeterUsage]:
    return {"events": MeterUsage(events, Decimal(events))}


def test_a_fee_of_nothing_and_an_unused_meter_make_no_line() -> None:
    free = segment(terms({"meter": "events", "model": "per_unit", "unitAmount": "1"}))
    assert list(segment_lines(free, {})) == []
    assert drafts(MARCH, [(free, {})], []) == []


def test_what_is_included_and_used_is_a_line_of_nothing() -> None:
    within = segment(terms({"meter": "events", "model": "per_unit", "unitAmount": "1", "included": "10"}))
    (line,) = segment_lines(within, used(3))
    assert (line.amount, line.quantity, line.included, line.events) == (Decimal(0), Decimal(3), Decimal(10), 3)


def test_a_share_of_what_is_included_stays_legible() -> None:
    of = segment(terms({"meter": "events", "model": "per_unit", "unitAmount": "0.1", "included": "2"}), days=8, of_days=30)
    (line,) = segment_lines(of, used(4))
    assert (line.included, line.amount) == (Decimal("0.533333333333"), Decimal("0.35"))


def test_a_flat_price_is_due_without_usage() -> None:
    (line,) = segment_lines(segment(terms({"meter": "events", "model": "flat", "amount": "7"})), {})
    assert (line.kind, line.amount, line.quantity) == ("usage", Decimal("7.00"), Decimal(0))


def test_a_fee_that_is_prorated_to_less_than_the_minor_unit_makes_no_line() -> None:
    assert list(segment_lines(segment(terms(fee="0.1"), days=1), {})) == []


def test_a_line_says_how_it_came_about() -> None:
    (line,) = segment_lines(segment(terms(GRADUATED), days=15, of_days=30), used(20))
    assert line.details["days"] == 15
    assert line.details["charged"] == "17.5"
    assert [step["quantity"] for step in line.details["steps"]] == ["10", "7.5"]
    assert line.amount == Decimal("5.08")  # 1 + 10 x 0.333 + 7.5 x 0.1
    assert line.description == "Events, 15 of 30 days"


@given(st.lists(st.integers(-30, 60), min_size=1, max_size=6), st.integers(1, 31))
def test_what_is_billed_late_bit_by_bit_adds_up(parts: list[int], days: int) -> None:
    of, total, billed = segment(terms(GRADUATED), days), Decimal(0), Decimal(0)
    for part in parts:
        late = LateUsage(of, MARCH, "events", 1, total, total + part)
        (line,) = late_lines(late)
        total, billed = total + part, billed + line.amount
        assert line.quantity == part
    whole = [line.amount for line in segment_lines(of, {"events": MeterUsage(1, total)})]
    assert billed == sum(whole)


FLAT = {"meter": "events", "model": "flat"}


@given(
    st.decimals(0, 10_000, places=2), st.lists(st.integers(1, 10), min_size=1, max_size=6), st.sampled_from(["USD", "JPY", "BHD"])
)
@example(Decimal("10.00"), [10, 10, 10], "USD")
@example(Decimal("10.00"), [10, 10, 11], "USD")
@example(Decimal("0.01"), [1] * 6, "USD")
def test_the_parts_of_a_month_add_up_to_the_month(fee: Decimal, days: list[int], currency: str) -> None:
    due = format(fee, "f")
    for of in (terms(fee=due, currency=currency), terms({**FLAT, "amount": due}, currency=currency)):
        parts = [(segment(of, n, sum(days)), dict[str, MeterUsage]()) for n in days]
        billed = sum((draft.subtotal for draft in drafts(MARCH, parts, [])), Decimal(0))
        whole = sum((draft.subtotal for draft in drafts(MARCH, [(segment(of), {})], [])), Decimal(0))
        assert billed == whole == rounded(fee, currency)


def test_fees_that_change_within_a_month_are_rounded_together() -> None:
    parts = [(segment(terms(fee=fee), 1, 3), dict[str, MeterUsage]()) for fee in ("10", "10", "20")]
    (draft,) = drafts(MARCH, parts, [])
    assert [line.amount for line in draft.lines] == [Decimal("3.33"), Decimal("3.34"), Decimal("6.66")]
    assert draft.subtotal == Decimal("13.33")


def test_currencies_are_never_added_up() -> None:
    euro = segment(terms(fee="5", currency="EUR"))
    found = drafts(MARCH, [(segment(terms(fee="3")), {}), (euro, {}), (euro, {})], [])
    assert [(draft.currency, draft.subtotal) for draft in found] == [("USD", Decimal(3)), ("EUR", Decimal(10))]
