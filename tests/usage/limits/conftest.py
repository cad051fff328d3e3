"""Limited meters, and flushes of any moment."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import psycopg
import pytest

from signalops import clock, db
from signalops.ingest import event_queries
from signalops.ingest.event_models import EventIn, incoming
from signalops.ingest.limited_meters import with_quantities
from signalops.types import BatchId
from signalops.usage.limits import LimitedMeters
from tests.support.rows import add_meter
from tests.support.tenants import Tenant

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
_batches = count(1)


def sent(gigabytes: object = 1, **more: Any) -> dict[str, Any]:
    """An event of which the meter traffic reads gigabytes."""
    return {"type": "file.sent", "payload": {"gb": gigabytes}, **more}


def make_meter(owner: psycopg.Connection, tenant: Tenant, key: str = "traffic", aggregation: str = "sum") -> None:
    """Make a meter of the gigabytes sent, or of how many files were."""
    field = None if aggregation == "count" else "payload.gb"
    add_meter(owner, tenant.id, key, aggregation, field=field, pattern={"type": ["file.sent"]})


def quotas(owner: psycopg.Connection, tenant: Tenant) -> dict[tuple[str, str], int]:
    """Return what is accepted by month and meter, where anything is."""
    rows = owner.execute(
        "select period::text, meter, accepted from signalops.accepted_counters where tenant_id = %s and accepted > 0", [tenant.id]
    )
    return {(period[:7], meter): accepted for period, meter, accepted in rows}


def accepted(owner: psycopg.Connection, tenant: Tenant, meter: str = "traffic") -> int:
    """Return what is accepted of a meter, in the only month."""
    ((amount,),) = owner.execute(
        "select accepted from signalops.accepted_counters where tenant_id = %s and meter = %s", [tenant.id, meter]
    ).fetchall()
    return int(amount)


def limit_notices(owner: psycopg.Connection, tenant: Tenant) -> list[tuple[str, dict[str, Any]]]:
    """Return the notices of limits, by the amount at which they were emitted."""
    rows = owner.execute(
        "select split_part(type, '.', 3), payload from signalops.events where tenant_id = %s and causation_depth = 1 "
        "order by (payload ->> 'accepted')::numeric, type",
        [tenant.id],
    )
    return [(word, payload) for word, payload in rows]


@dataclass
class Ingest:
    """Accepts flushes as an API process does, at moments of one's choice."""

    pool: db.Pool
    limited_meters: LimitedMeters = field(init=False)

    def __post_init__(self) -> None:
        self.limited_meters = LimitedMeters(self.pool)

    async def accept(
        self, tenants: Sequence[Tenant], bodies: Sequence[dict[str, Any]], moment: datetime = NOW
    ) -> list[tuple[Any, ...]]:
        """Accept the bodies of each tenant in one flush, with_quantities by the meters known here; return what accept says."""
        events = [incoming(tenant.id, EventIn.model_validate(body)) for tenant in tenants for body in bodies]
        batch = BatchId(UUID(int=clock.uuid7_floor(moment).int + next(_batches)))
        async with self.pool.connection() as connection:
            rows = await event_queries.accept(connection, with_quantities(self.limited_meters, events), batch, 0)
        return [row for row in rows if row[1] != "placed"]


@pytest.fixture
def ingest(api_pool: db.Pool) -> Ingest:
    return Ingest(api_pool)
