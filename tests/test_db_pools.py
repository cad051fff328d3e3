"""Whatever ends a transaction of a tenant, the next user of its connection sees no tenant: on real pools of each role."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from signalops import clock, db
from signalops.config import Settings
from signalops.types import Actor, TenantId
from tests.prove.crash.relay import Relay
from tests.support.api import Client
from tests.support.tenants import Tenant

ROLES: tuple[db.Role, ...] = ("api", "worker", "platform")
OURS = TenantId(clock.new_id())
ACTION = db.Action(Actor("key", "k"), "127.0.0.1", "test")
_STATE = "select signalops.current_tenant(), coalesce(current_setting('signalops.action', true), ''), current_user"

Opens = Callable[[db.Pool], Awaitable[None]]


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest) -> db.Role:
    """Each role in which processes serve tenants."""
    role: db.Role = request.param
    return role


@pytest.fixture
async def pool(settings: Settings, role: db.Role) -> AsyncIterator[db.Pool]:
    """A pool of one connection: the next user gets the connection that was used before, or its replacement."""
    async with db.pool(settings, role, 1) as connections:
        yield connections


@pytest.fixture(autouse=True)
def acts() -> Iterator[None]:
    """What these tests do has an actor, which must be forgotten as the tenant is."""
    token = db.acting.set(ACTION)
    yield
    db.acting.reset(token)


async def seen(pool: db.Pool) -> tuple[object, str, str]:
    """What the next user of a connection sees: the tenant, the action, the role."""
    async with pool.connection() as connection:
        row = await (await connection.execute(_STATE)).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


async def fail_in_sql(pool: db.Pool) -> None:
    async with db.as_tenant(pool, OURS) as connection:
        await connection.execute("select 1 / 0")


async def fail_in_python(pool: db.Pool) -> None:
    async with db.as_tenant(pool, OURS):
        raise LookupError


async def fail_and_go_on(pool: db.Pool) -> None:
    async with db.as_tenant(pool, OURS) as connection:
        with suppress(psycopg.Error):
            await connection.execute("select 1 / 0")


async def run_too_long(pool: db.Pool) -> None:
    async with db.as_tenant(pool, OURS) as connection:
        await connection.execute("set local statement_timeout = '20ms'")
        await connection.execute("select pg_sleep(10)")


async def idle_too_long(pool: db.Pool) -> None:
    async with db.as_tenant(pool, OURS) as connection:
        await connection.execute("set local idle_in_transaction_session_timeout = '20ms'")
        with suppress(psycopg.Error):
            async for _ in connection.notifies(timeout=5):  # until the server hangs up
                pass
        await connection.execute("select 1")


async def be_terminated(pool: db.Pool) -> None:
    async with db.as_tenant(pool, OURS) as connection:
        await connection.execute("select pg_terminate_backend(pg_backend_pid())")


async def roll_back_by_hand(pool: db.Pool) -> None:
    async with db.as_tenant(pool, OURS) as connection:
        async with connection.transaction():
            await db.set_tenant(connection, TenantId(clock.new_id()))
            raise psycopg.Rollback
        await connection.execute("select 1")


async def leave_a_cursor_open(pool: db.Pool) -> None:
    async with db.as_tenant(pool, OURS) as connection:
        await connection.execute("declare c cursor for select signalops.current_tenant()")
        await connection.execute("fetch c")


@pytest.mark.parametrize(
    "ends",
    [
        *(fail_in_sql, fail_in_python, fail_and_go_on, run_too_long, idle_too_long, be_terminated, roll_back_by_hand),
        leave_a_cursor_open,
    ],
)
async def test_the_next_user_of_a_connection_sees_no_tenant(pool: db.Pool, role: db.Role, ends: Opens) -> None:
    with suppress(psycopg.Error, LookupError):
        await ends(pool)
    await db.repair(pool)
    assert await seen(pool) == (None, "", f"signalops_{role}")


async def test_the_positive_control_a_transaction_sees_its_tenant_and_who_acts(pool: db.Pool, role: db.Role) -> None:
    async with db.as_tenant(pool, OURS) as connection:
        row = await (await connection.execute(_STATE)).fetchone()
    assert row is not None
    assert row[0] == OURS
    assert "127.0.0.1" in row[1]
    assert await seen(pool) == (None, "", f"signalops_{role}")


async def work(pool: db.Pool) -> None:
    async with db.as_tenant(pool, OURS) as connection:
        await connection.execute("select 1")
        await connection.execute("select 2")


async def test_cancelled_at_any_turn_of_the_loop_a_tenant_is_forgotten(pool: db.Pool, role: db.Role) -> None:
    turns = 0
    while True:
        task = asyncio.ensure_future(work(pool))
        for _ in range(turns):
            await asyncio.sleep(0)
        was_done = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await seen(pool) == (None, "", f"signalops_{role}"), f"cancelled after {turns} turns"
        if was_done:
            break
        turns += 1
    assert turns > 3


_BOUNDARIES = [f"{when} {what}" for what in ("BEGIN", "set_tenant", "select 1", "COMMIT") for when in ("before", "after")]


@pytest.mark.parametrize("boundary", _BOUNDARIES)
@pytest.mark.parametrize("how", ["cancelled", "cut off"])
async def test_stopped_at_any_statement_a_tenant_is_forgotten(
    settings: Settings, tmp_path: Path, boundary: str, how: str
) -> None:
    has_begun = asyncio.Event()
    relay = Relay(settings, tmp_path, lambda at: at == boundary and has_begun.is_set())
    async with relay, db.pool(relay.settings, "api", 1) as pool:
        has_begun.set()
        task = asyncio.create_task(work(pool))
        await asyncio.wait_for(relay.stopped.wait(), 5)
        has_begun.clear()
        if how == "cancelled":
            task.cancel()
        await relay.cut()
        await asyncio.gather(task, return_exceptions=True)
        await db.repair(pool)
        assert await seen(pool) == (None, "", "signalops_api"), relay.trail


async def test_an_exhausted_pool_hands_no_tenant_on(pool: db.Pool, role: db.Role) -> None:
    pool.timeout = 0.05
    async with db.as_tenant(pool, OURS):
        with pytest.raises(db.OUTAGE):
            await work(pool)
    assert await seen(pool) == (None, "", f"signalops_{role}")


async def test_a_client_that_hangs_up_leaves_no_tenant(
    api: Client, api_pool: db.Pool, acme: Tenant, globex: Tenant, owner: psycopg.Connection
) -> None:
    """Requests that are broken off at a random moment, among those of another who must see its own events alone."""
    for tenant in (acme, globex):
        assert (await api.post({"type": f"of.{tenant.slug}"}, tenant)).status == 202
    chance = random.Random(6)

    async def hang_up() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(chance.random() / 100):
                await api.get("/api/events", acme)

    async def stay() -> set[str]:
        return {event["type"] for event in (await api.get("/api/events", globex)).json["data"]}

    for _ in range(20):
        _, *listed = await asyncio.gather(hang_up(), *(stay() for _ in range(3)))
        assert listed == [{"of.globex"}] * 3
    idle = sql.SQL("select count(*) from pg_stat_activity where datname = current_database() and state = {}")
    async with asyncio.timeout(5):
        while owner.execute(idle.format(sql.Literal("idle in transaction"))).fetchone() != (0,):
            await api.get("/healthz")


async def test_tenants_that_share_connections_see_themselves_alone(settings: Settings, role: db.Role) -> None:
    """A second of tenants crowding two connections, a third of them cancelled at random moments."""
    chance, transactions = random.Random(7), 0

    async def visit(pool: db.Pool) -> None:
        nonlocal transactions
        tenant = TenantId(clock.new_id())
        async with db.as_tenant(pool, tenant) as connection:
            for _ in range(chance.randrange(1, 4)):
                row = await (await connection.execute(_STATE)).fetchone()
                assert row
                assert row[0] == tenant
            transactions += 1

    async def tenants(pool: db.Pool, until: float) -> None:
        while asyncio.get_running_loop().time() < until:
            task = asyncio.ensure_future(visit(pool))
            if chance.random() < 0.3:
                await asyncio.wait([task], timeout=chance.random() / 200)
                task.cancel()
            for outcome in await asyncio.gather(task, return_exceptions=True):
                assert not isinstance(outcome, AssertionError), outcome
            assert (await seen(pool))[:2] == (None, "")

    async with db.pool(settings, role, 2) as pool:
        until = asyncio.get_running_loop().time() + 1
        await asyncio.gather(*(tenants(pool, until) for _ in range(6)))
    assert transactions > 50, "the positive control: transactions there were"
