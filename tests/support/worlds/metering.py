"""Events as the API stores them, processed as a worker does, and what was counted of them."""

from datetime import datetime
from typing import Any

import psycopg
import pytest

from signalops import clock, db
from signalops.job_handlers import JobHandlers
from signalops.types import BatchId
from signalops.usage.meters import meter_service
from signalops.usage.meters.meter_models import MeterIn, MeterShown
from tests.support.rows import add_event
from tests.support.tenants import Tenant
from tests.support.worlds.base import Row, World


class Metering(World):
    """Meters, events that they count, and their counters."""

    def __init__(self, api: db.Pool, handlers: JobHandlers, owner: psycopg.Connection) -> None:
        super().__init__(owner)
        self.api = api
        self.handlers = handlers

    async def meter(self, tenant: Tenant, aggregation: str = "count", **fields: Any) -> MeterShown:
        """Add a meter of all events named after its aggregation; of the field payload.v unless it counts."""
        field = None if aggregation == "count" else "payload.v"
        defaults = {"key": f"m_{aggregation}", "name": "M", "aggregation": aggregation, "field": field}
        new = MeterIn.model_validate(defaults | {"pattern": {"type": [{"prefix": ""}]}} | fields)
        async with db.as_tenant(self.api, tenant.id) as connection:
            return (await meter_service.add(connection, tenant.id, new, 50))[0]

    def store(self, *events: tuple[Tenant, Row], at: datetime | None = None, causation_depth: int = 0) -> BatchId:
        """Store events with these payloads as one batch, which occurred at a moment (or now)."""
        batch = BatchId(clock.new_id())
        for tenant, payload in events:
            add_event(
                self.owner,
                tenant.id,
                payload,
                type="api.call",
                batch=batch,
                waits=True,
                causation_depth=causation_depth,
                **({"occurred_at": at} if at else {}),
            )
        return batch

    async def count(self, *events: tuple[Tenant, Row], at: datetime | None = None, causation_depth: int = 0) -> BatchId:
        """Store and process events in one batch."""
        batch = self.store(*events, at=at, causation_depth=causation_depth)
        await self.handlers.process_batch(batch, 1)
        return batch

    def counters(self, tenant: Tenant, meter: str) -> list[Row]:
        """Return the counters of a meter, in the order of hours and groups."""
        return self.dicts(
            "select * from signalops.usage_counters where tenant_id = %s and meter = %s order by hour, group_key, period",
            *(tenant.id, meter),
        )

    def value(self, tenant: Tenant, meter: str) -> Any:
        """Return the value of a meter's only counter."""
        (counter,) = self.counters(tenant, meter)
        return counter["value"]


@pytest.fixture
def metering(api_pool: db.Pool, handlers: JobHandlers, owner: psycopg.Connection) -> Metering:
    return Metering(api_pool, handlers, owner)
