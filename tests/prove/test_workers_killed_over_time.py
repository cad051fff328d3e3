"""Workers that are killed at each step of a window, a digest or an absence: one notification, neither none nor two."""

import signal
from uuid import UUID

import psycopg
import pytest

from signalops.config import Settings
from tests.support.processes import eventually, worker
from tests.support.rules import make_rule
from tests.support.worlds.traffic import Traffic

PAID = {"type": ["order.paid"]}
WINDOW = {"count": 10, "within": "1h", "groupBy": ["payload.rare"]}


def notified(owner: psycopg.Connection, rule: UUID) -> int:
    """Return how many deliveries a rule has; assert that each has its one match, and a job or an end."""
    # In one statement: between two of them a worker may commit.
    query = """select count(m.event_id), count(*) from signalops.deliveries d left join signalops.matches m
        on m.tenant_id = d.tenant_id and m.event_id = d.event_id and m.rule_id = d.rule_id and m.outcome = 'notified'
        where d.rule_id = %s"""
    ((matched, made),) = owner.execute(query, [rule]).fetchall()
    assert matched == made
    return int(matched)


async def kill_at_gate(traffic: Traffic, settings: Settings, table: str) -> None:
    """Have a worker come as far as a table, and kill it there; the gate is gone then, and the server has noticed."""
    traffic.close_gate(table)
    async with worker(settings) as victim:
        await eventually(lambda: traffic.waiting_batches() > 0)
        victim.send(signal.SIGKILL)
        await victim.ended()
    # The backends of the killed worker still stand at the gate: they end there, as they do once they notice.
    traffic.owner.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
        "where application_name = 'signalops worker' and datname = current_database()"
    )
    traffic.owner.execute("select pg_advisory_unlock(1)")
    traffic.remove_gate()


@pytest.mark.parametrize("step", ["rule_states", "window_events", "matches", "deliveries", "batch_results", "usage_counters"])
async def test_a_crossing_is_told_once(traffic: Traffic, settings: Settings, step: str) -> None:
    rule = make_rule(traffic.owner, traffic.tenants[0], PAID, time_window=WINDOW)
    await traffic.accept(batches=3)
    await kill_at_gate(traffic, settings, step)
    assert notified(traffic.owner, rule) == 0
    async with worker(settings):
        await eventually(traffic.is_done, seconds=20)
    assert notified(traffic.owner, rule) == 1, "27 events in the group of the frequent, 3 in that of the rare"
    assert traffic.number_of("select from signalops.window_events") == 30


@pytest.mark.parametrize("step", ["digests", "matches", "batch_results"])
async def test_a_match_is_collected_once(traffic: Traffic, settings: Settings, step: str) -> None:
    make_rule(traffic.owner, traffic.tenants[0], PAID, digest={"every": "1h"})
    await traffic.accept(batches=3)
    await kill_at_gate(traffic, settings, step)
    async with worker(settings):
        await eventually(traffic.is_done, seconds=20)
    assert traffic.owner.execute("select matched from signalops.digests").fetchall() == [(30,)]


@pytest.mark.parametrize("step", ["digests", "events", "matches", "deliveries"])
async def test_a_digest_is_told_once(traffic: Traffic, settings: Settings, step: str) -> None:
    rule = make_rule(traffic.owner, traffic.tenants[0], PAID, digest={"every": "1h"})
    await traffic.accept(batches=3)
    async with worker(settings):
        await eventually(traffic.is_done, seconds=20)
    traffic.owner.execute("update signalops.digests set due_at = now()")
    await kill_at_gate(traffic, settings, step)
    assert notified(traffic.owner, rule) == 0
    async with worker(settings), worker(settings):
        await eventually(lambda: notified(traffic.owner, rule) == 1, seconds=20)
        await eventually(traffic.is_done)
    counted = traffic.owner.execute(
        "select payload -> 'count' from signalops.events where type = 'signalops.rule.digest'"
    ).fetchall()
    assert (notified(traffic.owner, rule), counted) == (1, [(30,)])


@pytest.mark.parametrize("step", ["rule_states", "events", "inbox", "matches"])
async def test_an_absence_is_told_once(traffic: Traffic, settings: Settings, step: str) -> None:
    rule = make_rule(traffic.owner, traffic.tenants[0], {"type": ["heartbeat"]}, absent={"after": "1h"})
    traffic.owner.execute("update signalops.rule_states set due_at = now() - interval '2 seconds'")
    await kill_at_gate(traffic, settings, step)
    assert notified(traffic.owner, rule) == 0
    async with worker(settings), worker(settings):
        await eventually(lambda: notified(traffic.owner, rule) == 1, seconds=20)
        await eventually(traffic.is_done)
    assert notified(traffic.owner, rule) == 1
    assert traffic.number_of("select from signalops.events where type = 'signalops.rule.absent'") == 1
