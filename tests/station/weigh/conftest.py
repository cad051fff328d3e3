"""Rules over time: events at times of their own, processed batch by batch, and what came of each match."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
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
from tests.people import Tenant, make_rule

START = clock.now() - timedelta(hours=6)


class World:
    """What these tests do and look at."""

    def __init__(self, api: db.Pool, journey: Journey, owner: psycopg.Connection, tenant: Tenant) -> None:
        self.journey = journey
        self.owner = owner
        self.tenant = tenant
        self._api = api

    def rule(self, pattern: dict[str, object] | None = None, **conditions: Any) -> UUID:
        """Make a rule for orders."""
        return make_rule(self.owner, self.tenant, pattern or {"type": ["order.paid"]}, **conditions)

    async def store(self, *events: tuple[float, dict[str, Any]]) -> BatchId:
        """Store orders of (minutes after the start, payload) in one flush."""
        batch = BatchId(clock.new_id())
        rows = [
            incoming(
                self.tenant.id, EventIn(type="order.paid", payload=payload).model_copy(update={"occurredAt": at(m)})
            )
            for m, payload in events
        ]
        async with self._api.connection() as connection:
            await store.accept(connection, rows, batch, 0)
        return batch

    async def see(self, *events: tuple[float, dict[str, Any]]) -> list[str]:
        """Store and process orders; return the outcomes of their matches in the order given."""
        batch = await self.store(*events)
        await self.journey.process_batch(batch, 1)
        return self.outcomes(batch)

    def outcomes(self, batch: BatchId) -> list[str]:
        """Return what came of the matches of a batch, in the order of its events."""
        query = """select m.outcome from signalops.matches m join signalops.events e on e.id = m.event_id
            where e.batch = %s order by e.id"""
        return [outcome for (outcome,) in self.rows(query, batch)]

    def deliveries(self) -> int:
        """Return how many deliveries there are."""
        return len(self.rows("select from signalops.deliveries"))

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return what a query answers."""
        return self.owner.execute(query.encode(), parameters).fetchall()


def at(minutes: float) -> datetime:
    """Return a moment of event time."""
    return START + timedelta(minutes=minutes)


@pytest.fixture
async def world(
    api_pool: db.Pool, worker_pool: db.Pool, settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> AsyncIterator[World]:
    sender = Sender(worker_pool, settings)
    yield World(api_pool, Journey(worker_pool, sender), owner, acme)
    await sender.close()
