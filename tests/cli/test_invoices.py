"""signalops invoice: what the operator does about invoices."""

import json

import psycopg
import pytest

from tests.support.command import Run
from tests.support.tenants import Tenant

FEE = """
  update signalops.tenants set created_at = date_trunc('month', now()) - interval '5 days';
  delete from signalops.subscriptions;
  insert into signalops.subscriptions (tenant_id, id, plan, version, terms, starts_on, author)
  select id, signalops.new_id(), 'pro', 1,
    '{"name": "Pro", "currency": "USD", "baseFee": "49.00", "meters": [], "prices": [], "limits": []}',
    date_trunc('month', now() at time zone 'UTC' - interval '1 month'), 'ann'
  from signalops.tenants
"""
OF = ("--tenant", "acme")
WHY = ("--reason", "a mistake", "--author", "ann")


@pytest.fixture
def billed(owner: psycopg.Connection, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """A tenant with a fee of 49.00, whose last month can be closed."""
    owner.execute(FEE)
    monkeypatch.setenv("SIGNALOPS_CLOSE_AFTER_HOURS", "0")
    return acme


def test_the_life_of_an_invoice(signalops: Run, billed: Tenant) -> None:
    assert '"total": "49.00"' in signalops("invoice", "preview", *OF, "--json").out
    assert "Closed: 1 periods." in signalops("invoice", "close").out
    assert "Closed: 0 periods." in signalops("invoice", "close").out
    assert "Total: 49.00 USD" in signalops("invoice", "show", "1", *OF).out
    assert "Credit note 1 of -9.00 is issued." in signalops("invoice", "credit-note", "1", *OF, *WHY, "--amount", "9").out
    assert "Corrects" in signalops("invoice", "show", "1", "--credit-note", *OF, "--format", "html").out
    refused = signalops("invoice", "void", "1", *OF, *WHY)
    assert (refused.code, refused.err) == (1, "signalops: The invoice has credit notes: void these first.")
    assert "It is void." in signalops("invoice", "void", "1", "--credit-note", *OF, *WHY).out
    assert "It is void." in signalops("invoice", "void", "1", *OF, *WHY).out
    assert "Invoice 2 of 49.00 is issued." in signalops("invoice", "reissue", "1", *OF, *WHY).out
    listed = json.loads(signalops("invoice", "list", *OF, "--json").out)
    assert [(row["kind"], row["number"], row["voidedBy"]) for row in listed] == [
        ("invoice", 2, None),
        ("credit_note", 1, "ann"),
        ("invoice", 1, "ann"),
    ]
    assert signalops("invoice", "show", listed[0]["id"], *OF, "--format", "csv").out.startswith("document.kind,")


@pytest.mark.parametrize(("number", "message"), [("17", "no number 17"), ("xyz", "neither a number nor an id")])
def test_an_invoice_that_is_not_there_is_named(signalops: Run, acme: Tenant, number: str, message: str) -> None:
    done = signalops("invoice", "show", number, *OF)
    assert done.code == 1
    assert message in done.err
    assert "signalops invoice list" in done.err
