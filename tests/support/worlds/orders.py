"""Rules over time: events at times of their own, processed batch by batch, and what came of each match."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from signalops import clock, db
from signalops.job_handlers import JobHandlers
from signalops.types import BatchId
from tests.support.rules import make_rule
from tests.support.tenants import Tenant
from tests.support.worlds.base import World, accept, event_of


class Orders(World):
    """One tenant's orders at moments of event time, and what its rules make of them."""

    def __init__(self, api: db.Pool, handlers: JobHandlers, owner: psycopg.Connection, tenant: Tenant) -> None:
        super().__init__(owner)
        self.handlers = handlers
        self.tenant = tenant
        self._api = api
        self._start = clock.now() - timedelta(hours=6)

    def rule(self, pattern: dict[str, object] | None = None, **conditions: Any) -> UUID:
        """Make a rule for orders."""
        return make_rule(self.owner, self.tenant, pattern or {"type": ["order.paid"]}, **conditions)

    def at(self, minutes: float) -> datetime:
        """Return a moment so many minutes after the start, which is six hours before the test."""
        return self._start + timedelta(minutes=minutes)

    async def store(self, *events: tuple[float, dict[str, Any]]) -> BatchId:
        """Store orders of (minutes after the start, payload) in one flush."""
        return await accept(self._api, [event_of(self.tenant, payload, occurred_at=self.at(m)) for m, payload in events])

    async def see(self, *events: tuple[float, dict[str, Any]]) -> list[str]:
        """Store and process orders; return the outcomes of their matches in the order given."""
        batch = await self.store(*events)
        await self.handlers.process_batch(batch, 1)
        return self.outcomes(batch)

    def outcomes(self, batch: BatchId) -> list[str]:
        """Return what came of the matches of a batch, in the order of its events."""
        query = """select m.outcome from signalops.matches m join signalops.events e on e.id = m.event_id
            where e.batch = %s order by e.id"""
        return [outcome for (outcome,) in self.rows(query, batch)]

    def deliveries(self) -> int:
        """Return how many deliveries there are."""
        return len(self.rows("select from signalops.deliveries"))


@pytest.fixture
def orders(api_pool: db.Pool, handlers: JobHandlers, owner: psycopg.Connection, acme: Tenant) -> Orders:
    return Orders(api_pool, handlers, owner, acme)
