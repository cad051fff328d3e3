"""Credits are burned in order, returned, and written off, as a naive model does it; and never overdrawn."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalops import clock, db
from tests.support.tenants import Tenant
from tests.usage.credits.naive import NaiveGrant, Purse

GRANT = """
  with acting as materialized (select t, signalops.set_tenant(t) from (select %s::uuid as t) as given)
  select signalops.grant_credit(t, %s, %s, 'prepaid', 'ann', %s::smallint, %s) from acting
"""
BURN = "select signalops.burn_credits(%s, %s, %s, %s)"
RETURN = "select signalops.return_credits(%s, %s)"
EXPIRE = "select signalops.expire_credits(%s)"
OVERDRAWN = """
  select from signalops.credit_grants g
  where g.remaining < 0 or g.remaining <> (select sum(e.amount) from signalops.credit_entries e where e.grant_id = g.id)
"""

grants = st.fixed_dictionaries(
    {
        "do": st.just("grant"),
        "currency": st.sampled_from(["USD", "EUR"]),
        "coins": st.integers(1, 20),
        "priority": st.integers(0, 2),
        "days": st.sampled_from([None, -1, 1, 1, 2]),
    }
)
burns = st.fixed_dictionaries(
    {
        "do": st.just("burn"),
        "invoice": st.integers(0, 3),
        "currency": st.sampled_from(["USD", "EUR"]),
        "at_most": st.integers(-1, 30),
    }
)
others = st.fixed_dictionaries({"do": st.just("return"), "invoice": st.integers(0, 3)}) | st.fixed_dictionaries(
    {"do": st.just("expire")}
)


def value(connection: psycopg.Connection, query: str, *arguments: Any) -> Any:
    """Return what a function returns."""
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None
    return row[0]


class Books:
    """The same steps, taken by the database and by the model."""

    def __init__(self, owner: psycopg.Connection, tenant: Tenant) -> None:
        self._owner, self._tenant = owner, tenant
        self._purse, self._now = Purse(), value(owner, "select now()")
        self._invoices = [clock.new_id() for _ in range(4)]
        self._ids: list[UUID] = []

    def take(self, step: dict[str, Any]) -> None:
        """Take a step in both; what it returns, and what remains, must be the same."""
        left, right = getattr(self, f"_{step.pop('do')}")(**step)
        assert left == right
        remains: dict[UUID, Decimal] = dict(self._owner.execute("select id, remaining from signalops.credit_grants").fetchall())
        assert remains == {self._ids[g.name]: g.coins for g in self._purse.grants}
        assert self._owner.execute(OVERDRAWN).fetchall() == []

    def _grant(self, currency: str, coins: int, priority: int, days: int | None) -> tuple[int, int]:
        expires: datetime | None = None if days is None else self._now + timedelta(days=days)
        self._purse.grants.append(NaiveGrant(len(self._ids), currency, coins, priority, expires))
        self._ids.append(value(self._owner, GRANT, self._tenant.id, coins, currency, priority, expires))
        # In one transaction all are made at one time; the model's order is that of making.
        self._owner.execute("set local session_replication_role = replica")
        made = self._now + timedelta(microseconds=len(self._ids))
        self._owner.execute("update signalops.credit_grants set created_at = %s where id = %s", [made, self._ids[-1]])
        self._owner.execute("set local session_replication_role = origin")
        return 0, 0

    def _burn(self, invoice: int, currency: str, at_most: int) -> tuple[int, int]:
        burned = value(self._owner, BURN, self._tenant.id, self._invoices[invoice], currency, at_most)
        return burned, self._purse.burn(invoice, currency, at_most, self._now)

    def _return(self, invoice: int) -> tuple[int, int]:
        return value(self._owner, RETURN, self._tenant.id, self._invoices[invoice]), self._purse.uncount_duplicates(invoice)

    def _expire(self) -> tuple[int, int]:
        return value(self._owner, EXPIRE, 1000), self._purse.expire(self._now)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(grants | grants | burns | burns | others, max_size=15))
def test_the_books_agree_with_a_naive_purse(owner: psycopg.Connection, acme: Tenant, steps: list[dict[str, Any]]) -> None:
    with owner.transaction(force_rollback=True):
        value(owner, "select signalops.set_tenant(%s)", acme.id)
        books = Books(owner, acme)
        for step in steps:
            books.take(dict(step))


async def burn(pool: db.Pool, tenant: Tenant, at_most: str) -> Decimal:
    async with db.as_tenant(pool, tenant.id) as connection:
        row = await (await connection.execute(BURN, [tenant.id, clock.new_id(), "USD", Decimal(at_most)])).fetchone()
    assert row is not None
    return Decimal(row[0])


async def test_invoices_at_once_never_overdraw(
    owner: psycopg.Connection, worker_pool: db.Pool, acme: Tenant, globex: Tenant
) -> None:
    for tenant in (acme, globex):
        for priority in (2, 1, 0):
            value(owner, GRANT, tenant.id, Decimal("33.34"), "USD", priority, None)
    burned = await asyncio.gather(*(burn(worker_pool, acme, "9.99") for _ in range(12)))
    assert sorted(burned) == [Decimal(0), Decimal("0.12"), *[Decimal("9.99")] * 10]
    assert owner.execute(OVERDRAWN).fetchall() == []
    left = owner.execute("select tenant_id, sum(remaining) from signalops.credit_grants group by 1").fetchall()
    assert dict(left) == {acme.id: 0, globex.id: Decimal("100.02")}


async def test_an_invoice_that_is_not_committed_is_waited_for(
    owner: psycopg.Connection, worker_pool: db.Pool, acme: Tenant
) -> None:
    value(owner, GRANT, acme.id, 10, "USD", 0, None)
    async with db.as_tenant(worker_pool, acme.id) as connection:
        await connection.execute(BURN, [acme.id, clock.new_id(), "USD", 7])
        second = asyncio.create_task(burn(worker_pool, acme, "7"))
        waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        async with asyncio.timeout(5):
            while not owner.execute(waiting).fetchall():
                await connection.execute("select")
    assert await second == 3


def test_what_comes_back_to_an_expired_grant_expires_again(owner: psycopg.Connection, acme: Tenant) -> None:
    invoice = clock.new_id()
    with owner.transaction():
        value(owner, "select signalops.set_tenant(%s)", acme.id)
        grant = value(owner, GRANT, acme.id, 10, "USD", 0, clock.now() + timedelta(hours=1))
        assert value(owner, BURN, acme.id, invoice, "USD", 10) == 10
        owner.execute("set local session_replication_role = replica")
        owner.execute("update signalops.credit_grants set expires_at = now() where id = %s", [grant])
    with owner.transaction():
        value(owner, "select signalops.set_tenant(%s)", acme.id)
        assert value(owner, RETURN, acme.id, invoice) == 10
        assert value(owner, RETURN, acme.id, invoice) == 0, "once"
        assert value(owner, BURN, acme.id, clock.new_id(), "USD", 1) == 0
        assert value(owner, EXPIRE, 1000) == 1
    kinds = owner.execute("select kind, amount from signalops.credit_entries order by created_at, id").fetchall()
    assert sorted(kinds) == [("burned", -10), ("expired", -10), ("granted", 10), ("returned", 10)]


def test_expiry_stops_at_its_bound_and_goes_on(owner: psycopg.Connection, acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex, acme):
        value(owner, GRANT, tenant.id, 1, "USD", 0, clock.now() - timedelta(hours=1))
    assert [value(owner, EXPIRE, 2) for _ in range(3)] == [2, 1, 0]


@pytest.mark.parametrize(
    "statement",
    [
        "update signalops.credit_entries set amount = 5",
        "delete from signalops.credit_entries",
        "update signalops.credit_grants set amount = 20",
        "update signalops.credit_grants set expires_at = null, remaining = 5",
        "delete from signalops.credit_grants",
        "insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount)"
        " select tenant_id, signalops.new_id(), id, 'expired', -11 from signalops.credit_grants",
    ],
)
def test_the_ledger_is_only_added_to_and_never_overdrawn(owner: psycopg.Connection, acme: Tenant, statement: str) -> None:
    value(owner, GRANT, acme.id, 10, "USD", 0, clock.now())
    with pytest.raises(psycopg.errors.CheckViolation):
        owner.execute(statement.encode())


async def test_no_role_moves_credit_but_for_its_tenant(
    owner: psycopg.Connection, worker_pool: db.Pool, api_pool: db.Pool, acme: Tenant, globex: Tenant
) -> None:
    value(owner, GRANT, globex.id, 10, "USD", 0, None)
    calls: list[tuple[str, list[Any]]] = [(BURN, [globex.id, clock.new_id(), "USD", 1]), (RETURN, [globex.id, clock.new_id()])]
    for tenant, (query, arguments), reason in (
        (acme, calls[0], "acts for another tenant"),
        (globex, calls[1], "permission denied"),  # an operator's, who voids the invoice
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=reason):
            async with db.as_tenant(worker_pool, tenant.id) as connection:
                await connection.execute(query.encode(), arguments)
    denied = [*calls, (GRANT, [globex.id, 10, "USD", 0, None]), (EXPIRE, [1])]
    for query, arguments in denied:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with db.as_tenant(api_pool, globex.id) as connection:
                await connection.execute(query.encode(), arguments)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with db.as_tenant(worker_pool, globex.id) as connection:
            await connection.execute(GRANT, [globex.id, 10, "USD", 0, None])
