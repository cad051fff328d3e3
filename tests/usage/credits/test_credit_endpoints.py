"""GET /api/credits and its history: what a tenant has left, and what became of the rest."""

from datetime import timedelta

import psycopg
import pytest

from signalops import clock
from tests.support.api import Client, assert_problem
from tests.support.tenants import Tenant, make_tenant
from tests.usage.credits.test_credits_burning import BURN, EXPIRE, GRANT, value


@pytest.fixture
def spent(owner: psycopg.Connection, acme: Tenant, globex: Tenant) -> str:
    """Credit of acme in two currencies, some of it burned by the invoice whose id is returned, some expired."""
    soon, past, invoice = clock.now() + timedelta(days=3), clock.now() - timedelta(days=1), clock.new_id()
    terms = [(50, "USD", 9, None), ("30.50", "USD", 1, None), (20, "USD", 1, soon), (7, "EUR", 0, None)]
    for amount, currency, priority, expires in [*terms, (5, "USD", 0, past)]:
        value(owner, GRANT, acme.id, amount, currency, priority, expires)
    value(owner, GRANT, globex.id, 1000, "USD", 0, None)
    with owner.transaction():
        value(owner, "select signalops.set_tenant(%s)", acme.id)
        assert value(owner, BURN, acme.id, invoice, "USD", "22.25") == 22.25
        assert value(owner, EXPIRE, 10) == 1
    return str(invoice)


async def test_what_is_left_is_shown_in_the_order_of_burning(api: Client, acme: Tenant, spent: str) -> None:
    shown = (await api.get("/api/credits", acme)).json
    assert shown["balances"] == [{"currency": "EUR", "amount": "7"}, {"currency": "USD", "amount": "78.25"}]
    left = [(g["currency"], g["priority"], g["amount"], g["remaining"]) for g in shown["grants"]]
    assert left == [("EUR", 0, "7", "7"), ("USD", 1, "30.50", "28.25"), ("USD", 9, "50", "50")]


async def test_the_history_has_every_movement_by_page(api: Client, acme: Tenant, spent: str) -> None:
    seen: list[dict[str, str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await api.get("/api/credits/history", acme, limit=3, **cursor)).json
        seen += page["data"]
        if not page["hasMore"]:
            break
        cursor = {"startingAfter": page["data"][-1]["id"]}
    assert [e["id"] for e in seen] == sorted((e["id"] for e in seen), reverse=True)
    burned = [(e["amount"], e["invoice"]) for e in seen if e["kind"] == "burned"]
    assert sorted(burned) == [("-2.25", spent), ("-20", spent)]
    assert [e["amount"] for e in seen if e["kind"] == "expired"] == ["-5"]
    assert sum(e["kind"] == "granted" for e in seen) == 5


async def test_nobody_sees_anothers_credit(api: Client, globex: Tenant, owner: psycopg.Connection, spent: str) -> None:
    assert (await api.get("/api/credits", globex)).json["balances"] == [{"currency": "USD", "amount": "1000"}]
    assert len((await api.get("/api/credits/history", globex)).json["data"]) == 1
    empty = make_tenant(owner, "empty")
    assert (await api.get("/api/credits", empty)).json == {"balances": [], "grants": []}
    writer = make_tenant(owner, "writer", scopes=["events:write"])
    for path in ("/api/credits", "/api/credits/history"):
        assert assert_problem(await api.get(path, writer), 403, "forbidden")["requiredScope"] == "usage:read"
