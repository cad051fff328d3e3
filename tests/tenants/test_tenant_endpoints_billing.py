"""Credit, and what is done about wrong invoices, by HTTP, in the role of operators: once a key, and for one tenant."""

import asyncio
from uuid import uuid4

import pytest

from tests.support.api import Answer, assert_problem
from tests.support.operators import Operator
from tests.support.tenants import Tenant
from tests.support.worlds.billing import MARCH, Billing, plan

OF_ACME, OF_GLOBEX = "/api/tenants/acme", "/api/tenants/globex"
CREDIT = {"amount": "30.00", "currency": "USD", "reason": "prepaid"}
NOTE = {"amount": "12.50", "reason": "an outage"}
WHY = {"reason": "wrong customer"}


@pytest.fixture
async def billed(billing: Billing) -> None:
    """Two tenants, acme and globex, with an invoice of 100.00 each, of the numbers 1 and 2."""
    for slug in ("acme", "globex"):
        billing.tenant(slug, plan(fee="100.00"))
        await billing.close(MARCH)


async def invoices(operator: Operator, of: str = OF_ACME) -> list[tuple[str, int, str, bool]]:
    """Return kind, number, total and whether it is voided, in the order of issue."""
    listed = (await operator.get(f"{of}/invoices")).json["data"]
    return [(i["kind"], i["number"], i["total"], i["voidedAt"] is not None) for i in reversed(listed)]


async def test_credit_with_an_idempotency_key_is_granted_once(operator: Operator, acme: Tenant, globex: Tenant) -> None:
    async def grant(key: str, of: str = OF_ACME, **fields: str) -> Answer:
        return await operator.send("POST", f"{of}/credits", CREDIT | fields, idempotency_key=key)

    answers = await asyncio.gather(*(grant("k") for _ in range(6)))
    assert sorted(answer.status for answer in answers) == [200] * 5 + [201]
    assert len({answer.body for answer in answers}) == 1
    assert (await grant('"k"')).status == 200
    assert_problem(await grant("k", amount="31.00"), 422, "idempotency-conflict")
    assert (await grant("l", amount="31.00")).status == 201
    assert (await grant("k", OF_GLOBEX, amount="7.00")).status == 201, "a key is a tenant's own"
    assert (await operator.send("POST", f"{OF_ACME}/credits", CREDIT)).status == 201, "without a key each is another"
    for of, amount in ((OF_ACME, "91.00"), (OF_GLOBEX, "7.00")):
        shown = (await operator.get(f"{of}/credits")).json
        assert shown["balances"] == [{"currency": "USD", "amount": amount}]
    assert len((await operator.get(f"{OF_ACME}/credits/history")).json["data"]) == 3
    for key in ("", "k" * 256):
        assert_problem(await grant(key), 422, "invalid")


async def test_what_can_not_be_granted_is_refused_by_path(operator: Operator, acme: Tenant) -> None:
    for fields, path in (
        ({"amount": "0.001"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"currency": "XYZ"}, "currency"),
        ({"author": "ann"}, "author"),
    ):
        answer = await operator.send("POST", f"{OF_ACME}/credits", CREDIT | fields)
        assert [e["path"] for e in assert_problem(answer, 422, "invalid")["errors"]] == [path]
    assert (await operator.get(f"{OF_ACME}/credits")).json["balances"] == []
    await operator.send("POST", f"{OF_ACME}/close", {"reason": "The contract has ended."})
    assert_problem(await operator.send("POST", f"{OF_ACME}/credits", CREDIT), 409, "conflict")


async def test_a_credit_note_with_an_idempotency_key_is_issued_once(operator: Operator, billed: None) -> None:
    async def note(key: str, path: str = f"{OF_ACME}/invoices/1", **fields: str) -> Answer:
        return await operator.send("POST", f"{path}/credit-notes", NOTE | fields, idempotency_key=key)

    answers = await asyncio.gather(*(note("k") for _ in range(6)))
    assert sorted(answer.status for answer in answers) == [200] * 5 + [201]
    assert len({answer.body for answer in answers}) == 1
    issued = answers[0].json
    assert (issued["kind"], issued["number"], issued["total"]) == ("credit_note", 1, "-12.50")
    by_id = f"{OF_ACME}/invoices/{issued['corrects']}"
    assert (await note("k", by_id)).json["id"] == issued["id"], "an invoice's number and its id are one"
    assert_problem(await note("k", reason="another"), 422, "idempotency-conflict")
    assert_problem(await note("k", f"{OF_ACME}/invoices/{issued['id']}"), 422, "idempotency-conflict")
    assert (await note("l")).status == 201
    assert (await note("k", f"{OF_GLOBEX}/invoices/2", amount="1.00")).status == 201, "a key is a tenant's own"
    too_much = await note("m", amount="75.01")
    assert [e["path"] for e in assert_problem(too_much, 422, "invalid")["errors"]] == ["amount"]
    assert (await note("m", amount="75.00")).status == 201, "what was refused leaves its key free"
    notes = [("credit_note", n, total, False) for n, total in ((1, "-12.50"), (2, "-12.50"), (4, "-75.00"))]
    assert await invoices(operator) == [("invoice", 1, "100.00", False), *notes]
    assert await invoices(operator, OF_GLOBEX) == [("invoice", 2, "100.00", False), ("credit_note", 3, "-1.00", False)]


async def test_an_invoice_is_voided_and_issued_anew(operator: Operator, billing: Billing, billed: None) -> None:
    assert_problem(await operator.send("POST", f"{OF_ACME}/invoices/1/reissue", WHY), 409, "conflict")
    voided = await operator.send("POST", f"{OF_ACME}/invoices/1/void", WHY)
    assert (voided.status, voided.json["number"], voided.json["voidReason"]) == (200, 1, WHY["reason"])
    assert_problem(await operator.send("POST", f"{OF_ACME}/invoices/1/void", WHY), 409, "conflict")
    assert_problem(await operator.send("POST", f"{OF_ACME}/invoices/1/credit-notes", NOTE), 409, "conflict")
    reissued = await operator.send("POST", f"{OF_ACME}/invoices/{voided.json['id']}/reissue", WHY)
    assert (reissued.status, reissued.json["number"], reissued.json["total"]) == (201, 3, "100.00")
    assert_problem(await operator.send("POST", f"{OF_ACME}/invoices/1/reissue", WHY), 409, "conflict")
    assert await invoices(operator) == [("invoice", 1, "100.00", True), ("invoice", 3, "100.00", False)]
    assert await invoices(operator, OF_GLOBEX) == [("invoice", 2, "100.00", False)]
    written = "select author, voided_by from signalops.invoices where tenant_id = %s order by id"
    acme = (await operator.get(OF_ACME)).json["id"]
    assert billing.dicts(written, acme) == [{"author": "signalops", "voided_by": "olga"}, {"author": "olga", "voided_by": None}]


async def test_voiding_gives_credit_back_and_takes_a_credit_note_back(operator: Operator, billing: Billing) -> None:
    billing.tenant("acme", plan(fee="100.00"))
    assert (await operator.send("POST", f"{OF_ACME}/credits", CREDIT)).status == 201
    await billing.close(MARCH)
    assert (await operator.get(f"{OF_ACME}/credits")).json["balances"] == []
    note = (await operator.send("POST", f"{OF_ACME}/invoices/1/credit-notes", NOTE)).json
    assert_problem(await operator.send("POST", f"{OF_ACME}/invoices/1/void", WHY), 409, "conflict")
    assert (await operator.send("POST", f"{OF_ACME}/invoices/{note['id']}/void", WHY)).status == 200
    assert (await operator.send("POST", f"{OF_ACME}/invoices/1/void", WHY)).status == 200
    assert (await operator.get(f"{OF_ACME}/credits")).json["balances"] == [{"currency": "USD", "amount": "30.00"}]
    assert (await operator.send("POST", f"{OF_ACME}/invoices/1/reissue", WHY)).json["total"] == "70.00"


@pytest.mark.parametrize(("act", "body"), [("void", WHY), ("reissue", WHY), ("credit-notes", NOTE)])
async def test_no_invoice_of_another_tenant_is_reached(operator: Operator, billed: None, act: str, body: dict[str, str]) -> None:
    (foreign,) = (await operator.get(f"{OF_GLOBEX}/invoices")).json["data"]
    for named in (foreign["id"], foreign["number"], uuid4(), "first"):
        path = f"{OF_ACME}/invoices/{named}/{act}"
        assert_problem(await operator.send("POST", path, body), 404, "not-found")
    assert_problem(await operator.send("POST", f"{OF_ACME}/invoices/1/{act}", {}), 422, "invalid")
    assert await invoices(operator) == [("invoice", 1, "100.00", False)]
    assert await invoices(operator, OF_GLOBEX) == [("invoice", 2, "100.00", False)]
    if act == "reissue":
        await operator.send("POST", f"{OF_GLOBEX}/invoices/2/void", WHY)
    assert (await operator.send("POST", f"{OF_GLOBEX}/invoices/{foreign['id']}/{act}", body)).status in (200, 201)
