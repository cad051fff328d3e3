"""What comes late is billed in the open period, at what it makes the closed one cost more, or less."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from signalops import clock
from tests.support.rows import add_meter
from tests.support.tenants import Tenant
from tests.support.worlds.base import Row
from tests.support.worlds.billing import APRIL, GRADUATED, MARCH, Billing, plan

MAY = date(2025, 5, 1)


def meter(key: str, aggregation: str, **price: object) -> Row:
    """Return a plan that prices one meter by unit."""
    field = {} if aggregation == "count" else {"field": "payload.v"}
    of = {"key": key, "name": key.title(), "aggregation": aggregation, "pattern": {"type": ["a.b"]}, **field}
    return plan({"meter": key, "model": "per_unit", "unitAmount": "1", **price}, meters=[of])


def late(billing: Billing, tenant: Tenant) -> list[tuple[Any, ...]]:
    """Return period, quantity and amount of the late lines of a tenant's invoices, in order."""
    lines = [(invoice["period"], line) for invoice in billing.invoices(tenant) for line in invoice["lines"]]
    return [(period, line["quantity"], line["amount"]) for period, line in lines if line["kind"] == "late"]


async def test_late_events_cost_what_they_make_their_own_month_cost_more(billing: Billing) -> None:
    acme = billing.tenant("one", plan(GRADUATED))
    billing.count(acme, "2025-03-05 07:00", 90)
    billing.count(acme, "2025-04-05 07:00", 10)
    billing.count(acme, "2025-03-05 07:00", 20, late=APRIL)
    billing.count(acme, "2025-03-31 23:00", 100, late=MAY)
    assert await billing.close(MAY) == 3
    assert [invoice["total"] for invoice in billing.invoices(acme)] == [
        Decimal("9.00"),  # 90 x 0.10
        Decimal("2.50"),  # 10 of April x 0.10; of the 20 late ones 10 x 0.10 and 10 x 0.05, since March stands at 110
        Decimal("5.00"),  # 100 x 0.05
    ]
    assert late(billing, acme) == [(APRIL, 20, Decimal("1.50")), (MAY, 100, Decimal("5.00"))]
    line = billing.invoices(acme)[1]["lines"][1]
    assert (line["late_period"], line["events"], line["description"]) == (MARCH, 20, "Events of 2025-03, counted late")
    assert line["details"]["before"] == {"quantity": "90", "amount": "9"}
    assert line["details"]["after"] == {"quantity": "110", "amount": "10.5"}
    sealed = billing.dicts("select period, day, is_late, quantity from signalops.usage_daily where is_late order by period")
    assert [tuple(row.values()) for row in sealed] == [(APRIL, date(2025, 3, 5), True, 20), (MAY, date(2025, 3, 31), True, 100)]


async def test_what_is_billed_later_still_is_not_billed_twice(billing: Billing) -> None:
    """Events go on to come late while a period is being closed: they are the next one's."""
    acme = billing.tenant("one", plan({"model": "per_unit", "unitAmount": "1"}))
    billing.count(acme, "2025-03-05 07:00", 1)
    billing.count(acme, "2025-03-05 07:00", 10, late=APRIL)
    billing.count(acme, "2025-03-05 07:00", 100, late=MAY)
    assert await billing.close(APRIL) == 2
    assert late(billing, acme) == [(APRIL, 10, 10)]
    assert await billing.close(MAY) == 1
    assert late(billing, acme) == [(APRIL, 10, 10), (MAY, 100, 100)]


async def test_all_that_is_billed_of_a_month_adds_up_to_what_it_costs_altogether(billing: Billing) -> None:
    acme = billing.tenant("one", plan({"model": "per_unit", "unitAmount": "0.005"}))
    billing.count(acme, "2025-03-05 07:00", 1)
    billing.count(acme, "2025-03-05 07:00", 1, late=APRIL)
    billing.count(acme, "2025-03-05 07:00", 1, late=MAY)
    await billing.close(MAY)
    # 0.005, 0.010, 0.015: rounded by itself, each third would cost a cent.
    assert [invoice["total"] for invoice in billing.invoices(acme)] == [Decimal("0.01"), 0, Decimal("0.01")]


async def test_a_correction_of_a_closed_month_takes_off(billing: Billing) -> None:
    acme = billing.tenant("one", plan(GRADUATED, fee="1.00"))
    billing.count(acme, "2025-03-05 07:00", 110)
    assert await billing.close(MARCH) == 1
    with billing.owner.transaction():
        billing.owner.execute("select signalops.set_tenant(%s)", [acme.id])
        billing.owner.execute(
            "select signalops.add_adjustment(%s, %s, 'events', '2025-03-05 07:10Z', '[]', -60, 'a bug', 'ann')",
            [acme.id, clock.new_id()],
        )
    assert await billing.close(APRIL) == 1
    assert late(billing, acme) == [(APRIL, -60, Decimal("-5.50"))]
    assert billing.invoices(acme)[1]["total"] == Decimal("-4.50"), "below zero: in the tenant's favour"


@pytest.mark.parametrize(
    ("aggregation", "values", "quantity"),
    [("max", (7, 5), 0), ("max", (7, 9), 2), ("min", (7, 5), -2), ("sum", (7, 5), 5), ("avg", (7, 5), -1)],
)
async def test_figures_that_do_not_add_up_are_figured_out_anew(
    billing: Billing, aggregation: str, values: tuple[int, int], quantity: int
) -> None:
    acme = billing.tenant("one", meter("m", aggregation))
    add_meter(billing.owner, acme.id, "m", aggregation, first_version=0, field="payload.v", origin="plan")
    of: dict[str, Any] = {"meter": "m", "aggregation": aggregation}
    billing.count(acme, "2025-03-05 07:00", 1, value=values[0], **of)
    billing.count(acme, "2025-03-06 07:00", 1, late=APRIL, value=values[1], **of)
    await billing.close(APRIL)
    assert late(billing, acme) == [(APRIL, quantity, quantity)]


async def test_a_value_that_was_seen_in_time_is_not_different_when_it_comes_late(billing: Billing) -> None:
    acme = billing.tenant("one", meter("users", "unique_count"))
    add_meter(billing.owner, acme.id, "users", "unique_count", first_version=0, field="payload.v", origin="plan")
    of: dict[str, Any] = {"meter": "users", "aggregation": "unique_count", "value": None}
    for period, is_late, items in ((MARCH, False, ("a", "b")), (APRIL, True, ("b", "c"))):
        billing.count(acme, "2025-03-05 07:00", 2, late=period if is_late else None, **of)
        for item in items:
            billing.owner.execute(
                "insert into signalops.usage_distinct_values values (%s, 'users', '2025-03-05 07:00Z', '[]', %s, %s)",
                [acme.id, period, item],
            )
    await billing.close(APRIL)
    assert late(billing, acme) == [(APRIL, 1, 1)]


async def test_terms_are_those_of_the_days_on_which_it_happened(billing: Billing) -> None:
    acme = billing.tenant("one", plan({"model": "per_unit", "unitAmount": "1"}))
    billing.subscribe(acme, plan({"model": "per_unit", "unitAmount": "3"}), date(2025, 3, 16), "team")
    billing.count(acme, "2025-03-15 23:00", 1, late=APRIL)
    billing.count(acme, "2025-03-16 00:00", 1, late=APRIL)
    await billing.close(APRIL)
    assert late(billing, acme) == [(APRIL, 1, 1), (APRIL, 1, 3)]


async def test_what_has_no_price_is_sealed_and_not_billed(billing: Billing) -> None:
    acme = billing.tenant("one", plan())
    billing.count(acme, "2025-03-05 07:00", 1, late=APRIL)
    await billing.close(APRIL)
    assert billing.invoices(acme) == []
    assert len(billing.dicts("select from signalops.usage_daily where is_late")) == 1
