"""A worker that is killed in the middle of a backtest costs nothing but time."""

import signal
from collections.abc import Callable

from signalops.config import Settings
from tests.chaos.processes import eventually, worker
from tests.station.rules.backtest.conftest import START, World

GATE = """
  create function signalops.wait_at_gate() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock_shared(1); return new; end $$;
  create trigger wait_at_gate before update on signalops.backtests for each row when (old.slices = 0)
    execute function signalops.wait_at_gate();
"""
FILL = """
  insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload)
  select %(tenant)s, signalops.id_at(%(start)s + n * interval '1 millisecond'), signalops.new_id(), 'order.paid',
    %(start)s + n * interval '1 millisecond' - (n %% 7) * interval '1 second', %(start)s + n * interval '1 millisecond',
    jsonb_build_object('user', n * 7919 %% 101, 'plan', case when n %% 3 = 0 then 'pro' else 'free' end)
  from generate_series(1, %(events)s) as n
"""
EVENTS = 20_000


def held(world: World) -> Callable[[], bool]:
    query = "select from pg_locks where locktype = 'advisory' and objid = 1 and not granted"
    return lambda: world.owner.execute(query).rowcount == 1


async def test_a_killed_worker_costs_nothing_but_time(world: World, settings: Settings) -> None:
    world.owner.execute(FILL, {"tenant": world.tenant.id, "start": START, "events": EVENTS})
    window = {"within": "1s", "count": 4, "groupBy": ["payload.user"], "lateness": "5s"}
    draft = world.draft({"payload": {"plan": ["pro"]}}, window=window, cooldown={"for": "2s"})
    whole = await world.result(draft)
    assert whole["scanned"] == EVENTS
    assert whole["fired"] > 0

    answer = await world.ask(draft)
    world.owner.execute(GATE)
    world.owner.execute("select pg_advisory_lock(1)")
    async with worker(settings) as first:
        await eventually(held(world))
        first.send(signal.SIGKILL)
        await first.ended()
    world.owner.execute("select pg_advisory_unlock(1)")
    async with worker(settings):
        await eventually(lambda: not world.count("backtests where status <> 'done'"), seconds=40)
    assert (await world.shown(answer))["result"] == whole
