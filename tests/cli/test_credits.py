"""signalops credit: what the operator grants, and sees of it."""

import json

import pytest

from tests.support.command import Run
from tests.support.tenants import Tenant

GRANT = ("credit", "grant", "--tenant", "acme", "--reason", "prepaid", "--author", "ann")


def test_credit_is_granted_listed_and_on_record(signalops: Run, acme: Tenant) -> None:
    done = signalops(*GRANT, "--amount", "100.00", "--currency", "USD", "--expires", "2100-01-01T00:00:00Z")
    assert (done.code, done.err) == (0, "")
    assert "Credit of 100.00 USD is granted to acme" in done.out
    made = json.loads(signalops(*GRANT, "--amount", "5", "--currency", "JPY", "--priority", "3", "--json").out)
    listed = json.loads(signalops("credit", "list", "--tenant", "acme", "--json").out)
    assert [(c["currency"], c["remaining"], c["author"]) for c in listed] == [("JPY", "5", "ann"), ("USD", "100.00", "ann")]
    assert listed[0]["id"] == made["id"]
    assert "100.00" in signalops("credit", "list", "--tenant", "acme").out
    history = json.loads(signalops("credit", "history", "--tenant", "acme", "--limit", "1", "--json").out)
    assert [(e["kind"], e["amount"], e["currency"]) for e in history] == [("granted", "5", "JPY")]


@pytest.mark.parametrize(
    ("amount", "currency", "message"),
    [
        ("1.5", "JPY", "amount: can't be paid in JPY; write 2."),
        ("0", "USD", "amount: "),
        ("-3", "USD", "amount: must be a decimal"),
        ("1", "XYZ", "currency: is no currency"),
    ],
)
def test_what_can_not_be_paid_is_refused(signalops: Run, acme: Tenant, amount: str, currency: str, message: str) -> None:
    done = signalops(*GRANT, "--amount", amount, "--currency", currency)
    assert done.code == 1
    assert done.err.startswith(f"signalops: {message}")
