"""A wrong invoice is voided, reissued or credited; the invoice itself never changes."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection, sql

from signalops import db
from signalops.config import Settings
from signalops.errors import Conflict, Invalid, NotFound
from signalops.usage.invoices import corrections
from tests.support.tenants import Tenant
from tests.support.worlds.billing import MARCH, Billing, plan

REASON = corrections.ReasonAndAuthor(reason="wrong customer", author="ann")


@pytest.fixture
async def operator(settings: Settings) -> AsyncIterator[db.Connection]:
    """The operator's session; it acts for a tenant in each transaction."""
    async with await AsyncConnection.connect(db.dsn(settings, "owner")) as connection:
        yield connection


@pytest.fixture
async def billed(billing: Billing) -> Tenant:
    """A tenant with an invoice of 100.00, of which credit pays 30.00."""
    acme = billing.tenant("one", plan(fee="100.00"))
    billing.owner.execute(
        "select signalops.grant_credit(t.id, 30, 'USD', 'prepaid', 'ann') "
        "from signalops.tenants t, signalops.set_tenant(t.id) where t.id = %s",
        [acme.id],
    )
    await billing.close(MARCH)
    return acme


def invoice_of(billing: Billing, tenant: Tenant) -> UUID:
    return UUID(str(billing.invoices(tenant)[0]["id"]))


def note(amount: str) -> corrections.CreditNoteRequest:
    return corrections.CreditNoteRequest(amount=Decimal(amount), reason="an outage", author="ann")


async def test_voiding_gives_the_credit_back_and_tells(billing: Billing, operator: db.Connection, billed: Tenant) -> None:
    invoice = invoice_of(billing, billed)
    async with operator.transaction():
        await db.set_tenant(operator, billed.id)
        await corrections.void(operator, billed.id, invoice, REASON)
    (voided,) = billing.invoices(billed)
    assert (voided["void_reason"], voided["voided_by"], voided["total"]) == ("wrong customer", "ann", 70)
    assert billing.dicts("select remaining from signalops.credit_grants") == [{"remaining": 30}]
    (invoice_notices,) = billing.invoice_notices(billed, "voided")
    assert (invoice_notices["invoice"], invoice_notices["reason"], invoice_notices["total"]) == (
        str(invoice),
        "wrong customer",
        "70.00",
    )

    async with operator.transaction():
        await db.set_tenant(operator, billed.id)
        with pytest.raises(Conflict, match="voided already"):
            await corrections.void(operator, billed.id, invoice, REASON)


async def test_a_voided_invoice_is_reissued_from_the_same_figures(
    billing: Billing, operator: db.Connection, billed: Tenant
) -> None:
    invoice = invoice_of(billing, billed)
    billing.owner.execute("update signalops.tenants set name = 'Right Inc.' where id = %s", [billed.id])
    billing.count(billed, "2025-03-05 07:00", 10)  # which nobody can do, and which would not be billed
    async with operator.transaction():
        await db.set_tenant(operator, billed.id)
        with pytest.raises(Conflict, match="void it first"):
            await corrections.reissue(operator, billed.id, invoice, REASON)
        await corrections.void(operator, billed.id, invoice, REASON)
        reissued = await corrections.reissue(operator, billed.id, invoice, REASON)
        with pytest.raises(Conflict, match="is valid"):
            await corrections.reissue(operator, billed.id, invoice, REASON)
    old, new = billing.invoices(billed)
    assert (reissued.id, reissued.number, new["number"], old["number"]) == (new["id"], 2, 2, 1)
    same = ("period", "starts_at", "ends_at", "currency", "subtotal", "credited", "total")
    assert [new[name] for name in same] == [old[name] for name in same]
    assert (new["customer"], new["author"], new["reason"]) == ("Right Inc.", "ann", "wrong customer")
    own = ("kind", "plan", "amount", "quantity", "description", "details", "starts_at")
    assert [[line[n] for n in own] for line in new["lines"]] == [[line[n] for n in own] for line in old["lines"]]


async def test_credit_notes_take_at_most_what_is_left(billing: Billing, operator: db.Connection, billed: Tenant) -> None:
    invoice = invoice_of(billing, billed)
    async with operator.transaction():
        await db.set_tenant(operator, billed.id)
        with pytest.raises(Invalid, match=r"write at most 70\.00"):
            await corrections.credit(operator, billed.id, invoice, note("70.01"))
        with pytest.raises(Invalid, match=r"can't be paid in USD; write 0\.01"):
            await corrections.credit(operator, billed.id, invoice, note("0.005"))
        first = await corrections.credit(operator, billed.id, invoice, note("69.50"))
        second = await corrections.credit(operator, billed.id, invoice, note("0.5"))
        with pytest.raises(Invalid, match=r"write at most 0\.00"):
            await corrections.credit(operator, billed.id, invoice, note("0.01"))
        with pytest.raises(Conflict, match="void these first"):
            await corrections.void(operator, billed.id, invoice, REASON)
        with pytest.raises(Conflict, match="takes off an invoice"):
            await corrections.credit(operator, billed.id, first.id, note("1"))
        await corrections.void(operator, billed.id, second.id, REASON)
        third = await corrections.credit(operator, billed.id, invoice, note("0.01"))
    assert (first.number, second.number, third.number) == (1, 2, 3), "a series of its own"
    noted = billing.invoices(billed)[1]
    assert (noted["kind"], noted["corrects"], noted["total"]) == ("credit_note", invoice, Decimal("-69.50"))
    assert [(line["kind"], line["amount"]) for line in noted["lines"]] == [("correction", Decimal("-69.50"))]
    (invoice_notices, *_) = billing.invoice_notices(billed, "credited")
    assert (invoice_notices["invoice"], invoice_notices["creditNote"], invoice_notices["total"]) == (
        str(invoice),
        str(first.id),
        "-69.50",
    )


async def test_two_credit_notes_at_once_do_not_take_more(billing: Billing, settings: Settings, billed: Tenant) -> None:
    invoice = invoice_of(billing, billed)

    async def credit() -> Decimal:
        async with await AsyncConnection.connect(db.dsn(settings, "owner")) as connection:
            await db.set_tenant(connection, billed.id)
            return (await corrections.credit(connection, billed.id, invoice, note("40"))).total

    results = await asyncio.gather(credit(), credit(), credit(), return_exceptions=True)
    assert [type(result) for result in results if isinstance(result, Exception)] == [Invalid, Invalid]
    assert sum(invoice["total"] for invoice in billing.invoices(billed)) == 30


async def test_nobody_touches_another_tenants(billing: Billing, operator: db.Connection, billed: Tenant) -> None:
    other = billing.tenant("two", plan())
    async with operator.transaction():
        await db.set_tenant(operator, other.id)
        with pytest.raises(NotFound):
            await corrections.void(operator, other.id, invoice_of(billing, billed), REASON)
        with pytest.raises(NotFound):
            await corrections.credit(operator, other.id, invoice_of(billing, billed), note("1"))


CHANGES: list[LiteralString] = [
    "update signalops.invoices set total = total + 1, subtotal = subtotal + 1",
    "update signalops.invoices set number = number + 1",
    "update signalops.invoice_lines set amount = 0",
    "update signalops.usage_daily set quantity = 0",
    "update signalops.usage_hash_chain set days = 0",
    "delete from signalops.invoice_lines",
    "delete from signalops.invoices",
    "delete from signalops.usage_daily",
    "delete from signalops.usage_hash_chain",
]


@pytest.mark.parametrize("role", ["api", "worker", "owner", None])
async def test_what_was_billed_is_changed_and_removed_by_nobody(
    billing: Billing, owner: psycopg.Connection, role: str | None
) -> None:
    acme = billing.tenant("one", plan(fee="100.00"))
    billing.count(acme, "2025-03-05 07:00", 1)
    await billing.close(MARCH)

    def change(statement: LiteralString) -> None:
        with owner.transaction():
            owner.execute("select signalops.set_tenant(%s)", [acme.id])
            if role:
                owner.execute(sql.SQL("set local role {}").format(sql.Identifier(f"signalops_{role}")))
            owner.execute(statement)

    refusal = psycopg.errors.InsufficientPrivilege if role in ("api", "worker") else psycopg.errors.CheckViolation
    for statement in CHANGES:
        with pytest.raises(refusal):
            change(statement)


async def test_a_voided_invoice_stays_void(billing: Billing, owner: psycopg.Connection, billed: Tenant) -> None:
    owner.execute("update signalops.invoices set voided_at = now(), void_reason = 'r', voided_by = 'ann'")
    with pytest.raises(psycopg.errors.CheckViolation, match="void it once"):
        owner.execute("update signalops.invoices set voided_at = null, void_reason = null, voided_by = null")


@pytest.mark.parametrize("role", ["api", "worker"])
@pytest.mark.parametrize("table", ["invoices", "invoice_lines", "usage_daily", "usage_hash_chain", "billing_periods"])
def test_no_process_writes_them_but_by_the_functions(owner: psycopg.Connection, role: str, table: str) -> None:
    row = owner.execute(
        "select array_agg(p) from unnest(array['insert', 'update', 'delete', 'truncate']) p"
        " where has_table_privilege(%s, %s, p) or p <> 'truncate' and p <> 'delete' and has_any_column_privilege(%s, %s, p)",
        [f"signalops_{role}", f"signalops.{table}"] * 2,
    ).fetchone()
    assert row == (None,)


async def test_lines_that_do_not_add_up_are_not_issued(billing: Billing, operator: db.Connection, billed: Tenant) -> None:
    issued = '{"id": "%s", "kind": "invoice", "period": "2025-03-01", "currency": "EUR", "subtotal": 2, "credited": 0,'
    async with operator.transaction(force_rollback=True):
        await db.set_tenant(operator, billed.id)
        with pytest.raises(psycopg.errors.CheckViolation, match="add up to 1, not to 2"):
            await operator.execute(
                "select signalops.issue_invoice(%s, %s, %s)",
                [
                    billed.id,
                    issued % invoice_of(billing, billed) + '"total": 2, "author": "a"}',
                    '[{"kind": "base", "amount": 1, "description": "d", "details": {}}]',
                ],
            )
