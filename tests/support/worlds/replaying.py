"""An API, and a worker's Journey that processes what was accepted or is replayed."""

from typing import Any
from uuid import UUID

import psycopg
import pytest

from signalops import db
from signalops.job_handlers import JobHandlers
from tests.support.api import Answer, Client
from tests.support.tenants import Tenant
from tests.support.worlds.base import World, accept_placed, event_of


class Replaying(World):
    """Orders that are processed, and replayed over HTTP."""

    def __init__(self, api: Client, pool: db.Pool, handlers: JobHandlers, owner: psycopg.Connection, tenant: Tenant) -> None:
        super().__init__(owner)
        self.api = api
        self.handlers = handlers
        self.tenant = tenant
        self._pool = pool

    async def accept(self, *payloads: dict[str, Any], tenant: Tenant | None = None) -> list[str]:
        """Store orders in one flush; return their ids."""
        events = [event_of(tenant or self.tenant, payload) for payload in payloads]
        return [str(event) for event in (await accept_placed(self._pool, events))[1]]

    async def process(self) -> int:
        """Process all that waits in the inbox; return how many batches there were."""
        batches = self.rows("select distinct batch from signalops.inbox order by batch")
        for (batch,) in batches:
            await self.handlers.process_batch(batch, 1)
        return len(batches)

    async def replay(self, **options: Any) -> Answer:
        return await self.api.post({"reason": "the receiver lost them", **options}, self.tenant, "/api/replays")

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
        return int(self.rows("select coalesce(sum(events), 0) from signalops.usage_counters where meter = 'events'")[0][0])


@pytest.fixture
def replaying(api: Client, api_pool: db.Pool, handlers: JobHandlers, owner: psycopg.Connection, acme: Tenant) -> Replaying:
    return Replaying(api, api_pool, handlers, owner, acme)
