"""Events as the API stores them, processed as a worker does, and what was counted of them."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from signalops import clock, db
from signalops.config import Settings
from signalops.journey import Journey
from signalops.send import Sender
from signalops.terms import BatchId
from signalops.usage.meters import manage
from signalops.usage.meters.model import MeterIn, MeterShown
from tests.people import Tenant

Row = dict[str, Any]


class World:
    """What the tests of meters do and look at."""

    def __init__(self, api: db.Pool, journey: Journey, owner: psycopg.Connection) -> None:
        self.api = api
        self.journey = journey
        self.owner = owner

    async def meter(self, tenant: Tenant, aggregation: str = "count", **said: Any) -> MeterShown:
        """Add a meter of all events named after its aggregation; of the field payload.v unless it counts."""
        field = None if aggregation == "count" else "payload.v"
        defaults = {"key": f"m_{aggregation}", "name": "M", "aggregation": aggregation, "field": field}
        new = MeterIn.model_validate(defaults | {"pattern": {"type": [{"prefix": ""}]}} | said)
        async with db.as_tenant(self.api, tenant.id) as connection:
            return (await manage.add(connection, tenant.id, new, 50))[0]

    def store(self, *events: tuple[Tenant, Row], at: datetime | None = None, depth: int = 0) -> BatchId:
        """Store events with these payloads as one batch, which occurred at a moment (or now)."""
        batch, now = BatchId(clock.new_id()), clock.now()
        for tenant, payload in events:
            event = clock.new_id()
            self.owner.execute(
                "insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload, depth)"
                " values (%s, %s, %s, 'api.call', %s, %s, %s, %s)",
                [tenant.id, event, batch, at or now, now, Jsonb(payload), depth],
            )
            self.owner.execute("insert into signalops.inbox values (%s, %s, %s)", [tenant.id, event, batch])
        return batch

    async def count(self, *events: tuple[Tenant, Row], at: datetime | None = None, depth: int = 0) -> BatchId:
        """Store and process events in one batch."""
        batch = self.store(*events, at=at, depth=depth)
        await self.journey.process_batch(batch, 1)
        return batch

    def counters(self, tenant: Tenant, meter: str) -> list[Row]:
        """Return the counters of a meter, in the order of hours and groups."""
        return self.rows(
            "select * from signalops.usage_counters where tenant_id = %s and meter = %s order by hour, grp, period",
            *(tenant.id, meter),
        )

    def value(self, tenant: Tenant, meter: str) -> Any:
        """Return the value of a meter's only counter."""
        (counter,) = self.counters(tenant, meter)
        return counter["value"]

    def rows(self, query: str, *parameters: object) -> list[Row]:
        """Return what a query answers."""
        with self.owner.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), parameters).fetchall()


@pytest.fixture
async def world(
    api_pool: db.Pool, worker_pool: db.Pool, settings: Settings, owner: psycopg.Connection
) -> AsyncIterator[World]:
    sender = Sender(worker_pool, settings)
    yield World(api_pool, Journey(worker_pool, sender), owner)
    await sender.close()
