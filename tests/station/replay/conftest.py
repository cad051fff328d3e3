"""An API, and a worker's Journey that processes what was accepted or is replayed."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from signalops import clock, db
from signalops.config import Settings
from signalops.ingest import store
from signalops.ingest.model import EventIn, incoming
from signalops.journey import Journey
from signalops.send import Sender
from signalops.terms import BatchId
from tests.api import Answer, Client
from tests.people import Tenant


class World:
    """What these tests do and look at."""

    def __init__(self, api: Client, pool: db.Pool, journey: Journey, owner: psycopg.Connection, tenant: Tenant) -> None:
        self.api = api
        self.journey = journey
        self.owner = owner
        self.tenant = tenant
        self._pool = pool

    async def accept(self, *payloads: dict[str, Any], tenant: Tenant | None = None) -> list[str]:
        """Store orders in one flush; return their ids."""
        events = [incoming((tenant or self.tenant).id, EventIn(type="order.paid", payload=p)) for p in payloads]
        async with self._pool.connection() as connection:
            await store.accept(connection, events, BatchId(clock.new_id()), 0)
        return [str(event.id) for event in events]

    async def process(self) -> int:
        """Process all that waits in the inbox; return how many batches there were."""
        batches = self.rows("select distinct batch from signalops.inbox order by batch")
        for (batch,) in batches:
            await self.journey.process_batch(batch, 1)
        return len(batches)

    async def replay(self, **asked: Any) -> Answer:
        return await self.api.post({"reason": "the receiver lost them", **asked}, self.tenant, "/api/replays")

    async def shown(self, answer: Answer) -> dict[str, Any]:
        """Return a replay as it is now."""
        shown: dict[str, Any] = (await self.api.get(answer.headers["location"], self.tenant)).json
        return shown

    def deliveries(self) -> list[tuple[str, UUID | None]]:
        """Return (event, replay) of all deliveries, in the order in which they were made."""
        query = "select event_id::text, replay_id from signalops.deliveries order by id"
        return [(event, replay) for event, replay in self.rows(query)]

    def used(self) -> int:
        """Return the usage of all hours and tenants."""
        return int(
            self.rows("select coalesce(sum(events), 0) from signalops.usage_counters where meter = 'events'")[0][0]
        )

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return what a query answers."""
        return self.owner.execute(query.encode(), parameters).fetchall()


@pytest.fixture
async def world(
    api: Client,
    *,
    api_pool: db.Pool,
    worker_pool: db.Pool,
    settings: Settings,
    owner: psycopg.Connection,
    acme: Tenant,
) -> AsyncIterator[World]:
    sender = Sender(worker_pool, settings)
    yield World(api, api_pool, Journey(worker_pool, sender), owner, acme)
    await sender.close()
