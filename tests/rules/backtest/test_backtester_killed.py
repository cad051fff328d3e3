"""A worker that is killed in the middle of a backtest costs nothing but time."""

import signal
from collections.abc import Callable

import pytest

from signalops.config import Settings
from tests.support.processes import eventually, worker
from tests.support.worlds.backtesting import START, Backtesting

GATE = """
  create function signalops.wait_at_gate() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock_shared(1); return new; end $$;
  create trigger wait_at_gate before update on signalops.backtests for each row when (old.iterations = 0)
    execute function signalops.wait_at_gate();
"""
FILL = """
  insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload)
  select %(tenant)s, signalops.uuid7_floor(%(start)s + n * interval '1 millisecond'), signalops.new_id(), 'order.paid',
    %(start)s + n * interval '1 millisecond' - (n %% 7) * interval '1 second', %(start)s + n * interval '1 millisecond',
    jsonb_build_object('user', n * 7919 %% 101, 'plan', case when n %% 3 = 0 then 'pro' else 'free' end)
  from generate_series(1, %(events)s) as n
"""
EVENTS = 20_000


def is_waiting(backtesting: Backtesting) -> Callable[[], bool]:
    query = "select from pg_locks where locktype = 'advisory' and objid = 1 and not granted"
    return lambda: backtesting.owner.execute(query).rowcount == 1


@pytest.mark.prove
async def test_a_killed_worker_costs_nothing_but_time(backtesting: Backtesting, settings: Settings) -> None:
    backtesting.owner.execute(FILL, {"tenant": backtesting.tenant.id, "start": START, "events": EVENTS})
    window = {"within": "1s", "count": 4, "groupBy": ["payload.user"], "allowedLateness": "5s"}
    draft = backtesting.draft({"payload": {"plan": ["pro"]}}, window=window, cooldown={"for": "2s"})
    whole = await backtesting.result(draft)
    assert whole["scanned"] == EVENTS
    assert whole["fired"] > 0

    answer = await backtesting.ask(draft)
    backtesting.owner.execute(GATE)
    backtesting.owner.execute("select pg_advisory_lock(1)")
    async with worker(settings) as first:
        await eventually(is_waiting(backtesting))
        first.send(signal.SIGKILL)
        await first.ended()
    backtesting.owner.execute("select pg_advisory_unlock(1)")
    async with worker(settings):
        await eventually(lambda: not backtesting.number_of("select from signalops.backtests where status <> 'done'"), seconds=40)
    assert (await backtesting.shown(answer))["result"] == whole
