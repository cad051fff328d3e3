"""How many statements the hot paths cost: each is a round trip, and at thousands of events a second each would show."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from signalops import clock, db
from signalops.config import Settings
from signalops.ingest import event_queries
from signalops.ingest.event_models import EventIn, Stored, incoming
from signalops.ingest.flush import Flusher, Limits
from signalops.ingest.rate_limit_cache import RateLimitCache
from signalops.job_handlers import JobHandlers
from signalops.send import Sender
from signalops.types import BatchId, DeliveryId
from signalops.usage.limits import LimitedMeters
from tests.sql.wire import statements
from tests.support.rules import make_rule
from tests.support.tenants import Tenant


@dataclass(frozen=True)
class Lone:
    """An API and a worker with one connection each, so that nothing is sent on another."""

    api: db.Pool
    worker: db.Pool
    handlers: JobHandlers
    trace: Path


@pytest.fixture
async def lone(settings: Settings, tmp_path: Path) -> AsyncIterator[Lone]:
    async with db.pool(settings, "api", 1) as api, db.pool(settings, "worker", 1) as worker:
        sender = Sender(worker, settings)
        yield Lone(api, worker, JobHandlers(worker, sender), tmp_path / "trace")
        await sender.close()


async def accept(api: db.Pool, *tenants: Tenant) -> BatchId:
    batch = BatchId(clock.new_id())
    async with api.connection() as connection:
        await event_queries.accept(connection, [incoming(t.id, EventIn(type="user.signup")) for t in tenants], batch, 0)
    return batch


async def test_a_flush_is_one_statement(lone: Lone, acme: Tenant, globex: Tenant) -> None:
    flusher = Flusher(
        (lone.api, lone.api), LimitedMeters(lone.api), RateLimitCache(), 0, Limits(waiting=1000, flush=500, linger=0.004)
    )
    running = asyncio.create_task(flusher.run())
    await flusher.submit([incoming(acme.id, EventIn(type="a.b"))])  # prepares the statement
    async with statements(lone.api, lone.trace) as sent:
        events = [incoming(tenant.id, EventIn(type="a.b")) for tenant in (acme, globex) for _ in range(40)]
        outcomes = await flusher.submit(events)
        assert [type(outcomes[event.id]) for event in events] == [Stored] * 80
    running.cancel()
    assert sent == ["accept"]


async def test_a_batch_is_read_and_recorded_in_one_statement_each(
    lone: Lone, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    for tenant in (acme, globex):
        make_rule(owner, tenant, {"type": ["user.signup"]})
    first, second, third = [await accept(lone.api, acme, globex, acme) for _ in range(3)]
    async with statements(lone.worker, lone.trace) as sent:
        await lone.handlers.process_batch(first, 1)
    load = ["set_tenant", "ruleset_versions", "silences"]
    assert sent == ["BEGIN", "read_batch", *load, *load, "record_batch", "COMMIT"]

    async with statements(lone.worker, lone.trace) as sent:
        await lone.handlers.process_batch(second, 2)
    assert sent == ["BEGIN", "read_batch", "record_batch", "COMMIT"]

    make_rule(owner, acme, {"type": ["user.signup"]})
    owner.execute("update signalops.tenants set meters_version = 1 where id = %s", [globex.id])
    async with statements(lone.worker, lone.trace) as sent:
        await lone.handlers.process_batch(third, 3)
    changed = sorted([(acme.id, load), (globex.id, ["set_tenant", "tenants"])])
    assert sent == ["BEGIN", "read_batch", *changed[0][1], *changed[1][1], "record_batch", "COMMIT"], "only what changed"

    async with statements(lone.worker, lone.trace) as sent:
        await lone.handlers.process_batch(third, 3)
    assert sent == ["BEGIN", "read_batch", "COMMIT"], "a batch that was processed costs no more than looking"


@pytest.mark.usefixtures("patient_senders")  # else the settling would go by itself on a busy machine
async def test_an_attempt_is_claimed_and_settled_in_a_transaction_each(
    lone: Lone, owner: psycopg.Connection, acme: Tenant
) -> None:
    make_rule(owner, acme, {"type": ["user.signup"]})
    await lone.handlers.process_batch(await accept(lone.api, acme), 1)
    row = owner.execute("select id from signalops.deliveries").fetchone()
    assert row is not None
    async with statements(lone.worker, lone.trace) as sent:
        await lone.handlers.send_delivery(acme.id, DeliveryId(row[0]))
    assert sent == ["claim_deliveries", "settle_deliveries"]
