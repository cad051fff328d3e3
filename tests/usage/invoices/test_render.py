"""Amounts: currencies, billing_segments of a month under one plan each, and credit."""

from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from signalops import db
from signalops.usage.invoices import invoice_reader, render
from tests.support.rows import add_meter
from tests.support.tenants import Tenant
from tests.support.worlds.billing import APRIL, MARCH, Billing, plan
from tests.usage.invoices.test_close_late import meter


@pytest.mark.parametrize(
    ("currency", "amounts"),
    [
        ("JPY", [Decimal(151), Decimal(11)]),  # 150.5 and 10.5
        ("USD", [Decimal("150.50"), Decimal("10.50")]),
        ("KWD", [Decimal("150.500"), Decimal("10.500")]),
    ],
)
async def test_lines_are_rounded_half_up_to_the_minor_unit(billing: Billing, currency: str, amounts: list[Decimal]) -> None:
    acme = billing.tenant("one", plan({"model": "per_unit", "unitAmount": "3.5"}, fee="150.5", currency=currency))
    billing.count(acme, "2025-03-05 07:00", 3)
    await billing.close(MARCH)
    (invoice,) = billing.invoices(acme)
    assert [str(line["amount"]) for line in invoice["lines"]] == [str(amount) for amount in amounts]
    assert (invoice["currency"], invoice["total"]) == (currency, sum(amounts))


async def test_each_billing_segment_of_a_month_is_priced_by_itself(billing: Billing) -> None:
    price = {"model": "per_unit", "unitAmount": "1", "included": "31"}
    acme = billing.tenant("one", plan(price, fee="31.00"), zone="Europe/Berlin")
    billing.subscribe(acme, plan({"model": "flat", "amount": "62"}, fee="0"), date(2025, 3, 31), "team")
    billing.count(acme, "2025-03-30 23:00", 40)  # on the day on which the clock is put forward
    billing.count(acme, "2025-03-31 00:00", 1000)
    await billing.close(MARCH)
    (invoice,) = billing.invoices(acme)
    assert [
        (line["plan"], line["description"], line["quantity"], line["included"], line["amount"]) for line in invoice["lines"]
    ] == [
        ("pro", "Pro, 30 of 31 days", None, None, 30),
        ("pro", "Events, 30 of 31 days", 40, 30, 10),
        ("team", "Events, 1 of 31 days", 1000, 0, 2),
    ]
    bounds = [(str(line["starts_at"].astimezone()), line["ends_at"]) for line in invoice["lines"]]
    assert invoice["lines"][1]["ends_at"] == invoice["lines"][2]["starts_at"], bounds


async def test_a_month_under_two_currencies_has_an_invoice_in_each(billing: Billing) -> None:
    acme = billing.tenant("one", plan({"model": "per_unit", "unitAmount": "1"}))
    billing.subscribe(acme, plan(fee="5.00", currency="EUR"), APRIL, "euro")
    billing.count(acme, "2025-03-05 07:00", 3, late=APRIL)
    await billing.close(APRIL)
    assert sorted((invoice["currency"], invoice["total"]) for invoice in billing.invoices(acme)) == [("EUR", 5), ("USD", 3)]


def grant(owner: psycopg.Connection, tenant: Tenant, amount: str, currency: str = "USD") -> None:
    granted = "select signalops.grant_credit(t, %s, %s, 'prepaid', 'ann') from (select %s::uuid as t) x, signalops.set_tenant(t)"
    owner.execute(granted, [Decimal(amount), currency, tenant.id])


async def test_credit_pays_what_it_can_and_no_more(billing: Billing, owner: psycopg.Connection) -> None:
    acme = billing.tenant("one", plan(fee="50.00"))
    grant(owner, acme, "30.00")
    grant(owner, acme, "40.00")
    grant(owner, acme, "99.00", "EUR")
    await billing.close(APRIL)
    first, second = billing.invoices(acme)
    assert (first["subtotal"], first["credited"], first["total"]) == (50, 50, 0)
    assert (second["subtotal"], second["credited"], second["total"]) == (50, 20, 30)
    assert [(line["kind"], line["amount"]) for line in second["lines"]] == [("base", 50), ("credit", -20)]
    assert billing.invoice_notices(acme, "issued")[1]["credited"] == "20.00"


async def test_an_invoice_in_the_tenants_favour_burns_no_credit(billing: Billing, owner: psycopg.Connection) -> None:
    acme = billing.tenant("one", plan({"model": "per_unit", "unitAmount": "1"}))
    grant(owner, acme, "30.00")
    billing.count(acme, "2025-03-05 07:00", 3)
    owner.execute(
        "insert into signalops.usage_adjustments (tenant_id, id, meter, hour, group_key, period, is_late, "
        "quantity, reason, author)"
        " values (%s, signalops.new_id(), 'events', '2025-03-05 07:00Z', '[]', %s, true, -2, 'r', 'ann')",
        [acme.id, APRIL],
    )
    await billing.close(APRIL)
    assert [(i["credited"], i["total"]) for i in billing.invoices(acme)] == [(3, 0), (0, -2)]


async def test_amounts_of_more_digits_than_decimals_have_by_default_are_billed_and_shown(billing: Billing) -> None:
    """Whoever sends such values must not be spared an invoice, since its lines would not add up."""
    terms = meter("m", "sum", unitAmount="1000000.01")
    acme = billing.tenant("one", terms)
    add_meter(billing.owner, acme.id, "m", "sum", first_version=0, field="payload.v", origin="plan")
    of: dict[str, Any] = {"meter": "m", "aggregation": "sum"}
    billing.count(acme, "2025-03-05 07:00", 1, value=Decimal("99999999999999999999.000000000000000001"), **of)
    late = Decimal("88888888888888888888.000000000000000001")
    billing.count(acme, "2025-03-05 07:00", 1, late=APRIL, **{**of, "value": late})
    assert await billing.close(APRIL) == 2
    first, second = billing.invoices(acme)
    assert first["total"] == Decimal("100000000999999999998999999.99")
    assert second["lines"][0]["quantity"] == late
    async with db.as_tenant(billing.workers, acme.id) as connection:
        shown = await invoice_reader.read(connection, acme.id, first["id"])
    assert "USD 100,000,000,999,999,999,998,999,999.99" in render.to_html(shown)
