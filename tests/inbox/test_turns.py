"""Who waits for whose sake in a worker: one batch of a tenant tries at a time, and few tenants do heavy work at once."""

from signalops import clock
from signalops.inbox.turns import Turns
from signalops.types import TenantId

ACME, GLOBEX, INITECH = (TenantId(clock.new_id()) for _ in range(3))


def test_a_tenant_whose_counters_are_locked_waits_and_nobody_else() -> None:
    turns = Turns()
    assert turns.wait(ACME) == 0
    turns.lock(ACME)
    assert 0 < turns.wait(ACME) <= 10
    assert turns.wait(GLOBEX) == 0
    turns.free([ACME])
    assert turns.wait(ACME) == 0


def test_the_more_batches_wait_the_longer_they_do_up_to_a_bound() -> None:
    turns = Turns()
    turns.lock(ACME)
    waits = [turns.wait(ACME) for _ in range(2000)]
    assert max(waits[:20]) < 1 < max(waits[-100:]) <= 10


def test_few_tenants_do_heavy_work_at_once_and_each_once() -> None:
    turns = Turns()
    with turns.heavy(ACME):
        assert not turns.has_room(ACME)
        assert turns.has_room(GLOBEX)
        with turns.heavy(GLOBEX):
            assert not turns.has_room(INITECH)
        assert turns.has_room(INITECH)
    assert turns.has_room(ACME)
