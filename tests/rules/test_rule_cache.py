"""What a worker holds of compiled rules: never an old version, no more than it may, and nothing that nobody uses."""

import pytest

from signalops import db
from signalops.cache import Cache
from signalops.patterns import cache_of_compiled
from signalops.rules.compiled import CompiledRules
from signalops.rules.rule_cache import RuleCache
from tests.support.rules import make_rule
from tests.support.tenants import Tenant, make_tenant
from tests.support.worlds.orders import Orders


async def rules_of(book: RuleCache, pool: db.Pool, tenant: Tenant, version: int) -> CompiledRules:
    async with pool.connection() as connection, connection.transaction():
        return await book.rules_of(connection, tenant.id, version)


@pytest.fixture
def tenants(orders: Orders) -> list[Tenant]:
    made = [make_tenant(orders.owner, f"tenant-{n}") for n in range(4)]
    for tenant in made:
        make_rule(orders.owner, tenant, {"type": [f"t{n}" for n in range(50)]})
    return made


async def test_rules_are_read_once_for_a_version(orders: Orders, worker_pool: db.Pool, tenants: list[Tenant]) -> None:
    book = RuleCache()
    first = await rules_of(book, worker_pool, tenants[0], 1)
    assert await rules_of(book, worker_pool, tenants[0], 1) is first
    make_rule(orders.owner, tenants[0], {"type": ["more"]})
    second = await rules_of(book, worker_pool, tenants[0], 2)
    assert (len(first.by_id), len(second.by_id), second.version) == (1, 2, 2)
    assert await rules_of(book, worker_pool, tenants[0], 1) is second, "a batch of before the change takes the newer"


async def test_the_least_recently_used_make_room(worker_pool: db.Pool, tenants: list[Tenant]) -> None:
    size = (await rules_of(RuleCache(), worker_pool, tenants[0], 1)).size
    assert size > 0
    cache: Cache[int, CompiledRules] = cache_of_compiled(2 * size)
    book = RuleCache(cache)
    first = await rules_of(book, worker_pool, tenants[0], 1)
    second = await rules_of(book, worker_pool, tenants[1], 1)
    assert await rules_of(book, worker_pool, tenants[0], 1) is first
    await rules_of(book, worker_pool, tenants[2], 1)
    assert len(cache) == 2
    assert await rules_of(book, worker_pool, tenants[0], 1) is first
    assert await rules_of(book, worker_pool, tenants[1], 1) is not second


async def test_one_set_that_is_too_large_by_itself_is_used_all_the_same(worker_pool: db.Pool, tenants: list[Tenant]) -> None:
    cache: Cache[int, CompiledRules] = cache_of_compiled(1)
    book = RuleCache(cache)
    assert len((await rules_of(book, worker_pool, tenants[0], 1)).by_id) == 1
    assert len(cache) == 1


async def test_a_tenant_with_very_many_rules_has_them_compiled_beside_the_event_loop(
    orders: Orders, worker_pool: db.Pool
) -> None:
    for n in range(210):
        make_rule(orders.owner, orders.tenant, {"type": [f"t{n}"]})
    compiled = await rules_of(RuleCache(), worker_pool, orders.tenant, 210)
    assert (compiled.version, len(compiled.by_id)) == (210, 210)
    assert len(compiled.rules.match({"type": "t7"})) == 1


async def test_a_rule_that_was_written_by_hand_and_is_broken_stops_no_other(orders: Orders, worker_pool: db.Pool) -> None:
    broken = [orders.rule({"type": []}), orders.rule(time_window={"count": 5}), orders.rule(grammar=9)]
    sound = orders.rule()
    compiled = await rules_of(RuleCache(), worker_pool, orders.tenant, 4)
    assert set(compiled.by_id) == {sound}
    assert not set(broken) & set(compiled.by_id)
