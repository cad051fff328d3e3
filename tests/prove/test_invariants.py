"""The checker itself: it is silent about a sound database, and names each thing that is broken in another."""

from typing import LiteralString

import pytest

from signalops import db
from signalops.config import Settings
from signalops.job_handlers import JobHandlers
from signalops.send import Sender
from signalops.types import BatchId
from tests.support.invariants import INVARIANTS, SENDING, unsettled, violations
from tests.support.worlds.traffic import Traffic

BREAKING: dict[str, LiteralString] = {
    "every acknowledged event is stored once": "delete from signalops.events where payload = '{\"rare\": false}'",
    "nothing is stored but what was acknowledged": """
        insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload)
        select tenant_id, signalops.new_id(), batch, type, now(), now(), '{}' from signalops.events limit 1""",
    "every event is processed": "insert into signalops.inbox select tenant_id, id, batch from signalops.events limit 1",
    "the inbox is empty": "insert into signalops.inbox select tenant_id, signalops.new_id(), batch from signalops.events limit 1",
    "usage is the events processed, and those are the events accepted": """
        update signalops.usage_counters set events = events + 1""",
    "every counter is the sum of its entries": "update signalops.usage_counters set events = events + 1",
    "every event is in one entry of the meter of all": "delete from signalops.usage_entries",
    "every batch is on record with as many events as it has": "update signalops.batch_results set events = events - 1",
    "every replay is on record with as many events as it has": """
        insert into signalops.replays (tenant_id, id, reason, events, batches)
        select tenant_id, signalops.new_id(), 'r', 1, '{}' from signalops.events limit 1""",
    "each match has exactly one delivery": """
        insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id)
        select tenant_id, signalops.new_id(), event_id, rule_id, rule_version, channel_id from signalops.deliveries limit 1""",
    "no job failed or was lost": "update procrastinate.procrastinate_jobs set status = 'failed'",
    "no tenant sees another's rows": "create policy wide on signalops.events using (true)",
}

UNSETTLING: dict[str, LiteralString] = {
    "every delivery has ended": """
        update signalops.deliveries set status = 'pending', next_attempt_at = now()""",
    "every dead delivery has a dead letter, and no other delivery has one": "update signalops.deliveries set status = 'dead'",
    "no attempt has a number beyond those that were made": "update signalops.deliveries set attempts = 0",
    "what is sent has a success on record": "delete from signalops.delivery_attempts",
}


async def process_all(traffic: Traffic, worker_pool: db.Pool, settings: Settings) -> None:
    sender = Sender(worker_pool, settings)
    handlers = JobHandlers(worker_pool, sender)
    for (batch,) in traffic.owner.execute("select distinct batch from signalops.inbox").fetchall():
        await handlers.process_batch(BatchId(batch), 1)
    await sender.close()


async def test_every_way_to_break_an_invariant_is_named(traffic: Traffic, worker_pool: db.Pool, settings: Settings) -> None:
    await traffic.accept(batches=2)
    assert [violation.split(":")[0] for violation in violations(traffic.owner, traffic.acknowledged)] == [
        "every event is processed",
        "the inbox is empty",
        "usage is the events processed, and those are the events accepted",
        "every event is in one entry of the meter of all",
        "every batch is on record with as many events as it has",
    ]
    await process_all(traffic, worker_pool, settings)
    traffic.check()

    assert BREAKING.keys() == INVARIANTS.keys() | {"no tenant sees another's rows"}
    traffic.owner.execute("set search_path = procrastinate")
    for name, statement in BREAKING.items():
        with traffic.owner.transaction(force_rollback=True):
            traffic.owner.execute(statement)
            violation = violations(traffic.owner, traffic.acknowledged)
        assert any(sentence.startswith(name) for sentence in violation), name
    with pytest.raises(AssertionError, match="proves nothing"):
        Traffic(traffic.owner, worker_pool, []).check()


async def test_every_way_to_break_an_invariant_of_sending_is_named(
    traffic: Traffic, worker_pool: db.Pool, settings: Settings
) -> None:
    await traffic.accept(batches=1)
    await process_all(traffic, worker_pool, settings)
    assert [violation.split(":")[0] for violation in unsettled(traffic.owner)] == ["every delivery has ended"]
    traffic.owner.execute("alter table signalops.deliveries disable trigger enforce_transition")
    traffic.owner.execute("update signalops.deliveries set status = 'sent', attempts = 1")
    traffic.owner.execute(
        "insert into signalops.delivery_attempts (tenant_id, delivery_id, attempt, started_at, duration_ms, outcome)"
        " select tenant_id, id, 1, now(), 1, 'sent' from signalops.deliveries"
    )
    assert unsettled(traffic.owner) == []
    assert UNSETTLING.keys() == SENDING.keys()
    for name, statement in UNSETTLING.items():
        with traffic.owner.transaction(force_rollback=True):
            traffic.owner.execute(statement)
            assert any(sentence.startswith(name) for sentence in unsettled(traffic.owner)), name
