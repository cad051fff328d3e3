"""How many statements the hot paths cost: each is a round trip, and at thousands of events a second each would show."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from signalops import clock, db
from signalops.config import Settings
from signalops.ingest import store
from signalops.ingest.flush import Flusher, Limits
from signalops.ingest.model import EventIn, incoming
from signalops.journey import Journey
from signalops.send import Sender
from signalops.terms import BatchId, DeliveryId

from tests.people import Tenant, make_rule
from tests.sql.wire import statements


@pytest.fixture
async def lone_api(settings: Settings) -> AsyncIterator[db.Pool]:
    """A pool of one connection, so that nothing is sent on another."""
    async with db.pool(settings, "api", 1) as pool:
        yield pool


@pytest.fixture
async def lone_worker(settings: Settings) -> AsyncIterator[db.Pool]:
    async with db.pool(settings, "worker", 1) as pool:
        yield pool


@pytest.fixture
async def journey(lone_worker: db.Pool, settings: Settings) -> AsyncIterator[Journey]:
    sender = Sender(lone_worker, settings)
    yield Journey(lone_worker, sender)
    await sender.close()


async def accept(api: db.Pool, *tenants: Tenant) -> BatchId:
    batch = BatchId(clock.new_id())
    async with api.connection() as connection:
        await store.accept(connection, [incoming(t.id, EventIn(type="user.signup")) for t in tenants], batch, 0)
    return batch


async def test_a_flush_is_one_statement(lone_api: db.Pool, acme: Tenant, globex: Tenant, tmp_path: Path) -> None:
    flusher = Flusher(lone_api, 0, Limits(waiting=1000, flush=500, linger=0.004))
    running = asyncio.create_task(flusher.run())
    await flusher.submit([incoming(acme.id, EventIn(type="a.b"))])  # prepares the statement
    async with statements(lone_api, tmp_path / "trace") as sent:
        events = [incoming(tenant.id, EventIn(type="a.b")) for tenant in (acme, globex) for _ in range(40)]
        assert await flusher.submit(events) == {}
    running.cancel()
    assert sent == ["accept"]


async def test_a_batch_is_read_and_recorded_in_one_statement_each(
    lone_api: db.Pool,
    lone_worker: db.Pool,
    journey: Journey,
    owner: psycopg.Connection,
    acme: Tenant,
    globex: Tenant,
    tmp_path: Path,
) -> None:
    for tenant in (acme, globex):
        make_rule(owner, tenant, {"type": ["user.signup"]})
    first, second, third = [await accept(lone_api, acme, globex, acme) for _ in range(3)]
    async with statements(lone_worker, tmp_path / "trace") as sent:
        await journey.process_batch(first, 1)
    load = ["act_as", "rulesets"]
    assert sent == ["BEGIN", "read_batch", *load, *load, "record_batch", "COMMIT"]

    async with statements(lone_worker, tmp_path / "trace") as sent:
        await journey.process_batch(second, 2)
    assert sent == ["BEGIN", "read_batch", "record_batch", "COMMIT"]

    make_rule(owner, acme, {"type": ["user.signup"]})
    async with statements(lone_worker, tmp_path / "trace") as sent:
        await journey.process_batch(third, 3)
    assert sent == ["BEGIN", "read_batch", *load, "record_batch", "COMMIT"], "only the tenant whose rules changed"

    async with statements(lone_worker, tmp_path / "trace") as sent:
        await journey.process_batch(third, 3)
    assert sent == ["BEGIN", "read_batch", "COMMIT"], "a batch that was processed costs no more than looking"


async def test_an_attempt_is_claimed_and_settled_in_a_transaction_each(
    lone_api: db.Pool, lone_worker: db.Pool, journey: Journey, owner: psycopg.Connection, acme: Tenant, tmp_path: Path
) -> None:
    make_rule(owner, acme, {"type": ["user.signup"]})
    await journey.process_batch(await accept(lone_api, acme), 1)
    row = owner.execute("select id from signalops.deliveries").fetchone()
    assert row is not None
    async with statements(lone_worker, tmp_path / "trace") as sent:
        await journey.send_delivery(acme.id, DeliveryId(row[0]))
    claim, settle = ["act_as", "deliveries"], ["act_as", "delivery_attempts"]
    assert sent == ["BEGIN", *claim, "COMMIT", "BEGIN", *settle, "COMMIT"]
