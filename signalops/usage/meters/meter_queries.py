"""The SQL queries of meters."""

from typing import Any

from signalops import db
from signalops.patterns import CURRENT_GRAMMAR
from signalops.types import TenantId
from signalops.usage.meters.meter_models import MeterIn

SQL = db.queries("usage/meters")


async def active_meters(connection: db.Connection, tenant: TenantId) -> list[db.Row]:
    """Return meters_version, key and what it counts of each meter that counts now."""
    return await db.rows(connection, SQL["active-meters"], {"tenant": tenant})


async def list_meters(connection: db.Connection, tenant: TenantId, **filters: Any) -> list[db.Row]:
    """Return meters with the API's field names, by key; filters: key, ended (include them), after (a key), limit."""
    every = {"key": None, "ended": True, "after": "", "limit": None}
    return await db.rows(connection, SQL["list-meters"], {**every, "tenant": tenant, **filters})


async def counts_the_same(connection: db.Connection, tenant: TenantId, meter: MeterIn) -> bool:
    """Return whether an existing key has the same definition."""
    return bool(await db.value(connection, SQL["counts-the-same"], _fields(tenant, meter)))


async def add_meter(connection: db.Connection, tenant: TenantId, meter: MeterIn) -> bool:
    """Make a meter; False if somebody else has just made one of that key."""
    try:
        async with connection.transaction():
            await connection.execute(SQL["add-meter"], _fields(tenant, meter))
    except db.UniqueViolation:
        return False
    return True


async def count_meters(connection: db.Connection, tenant: TenantId) -> tuple[int, int]:
    """Return how many meters of its own a tenant has that count, and how many it has made in the last 30 days."""
    first, second = await db.the_tuple(connection, SQL["count-meters"], {"tenant": tenant})
    return first, second


async def end_meter(connection: db.Connection, tenant: TenantId, key: str) -> None:
    """Have a meter of the tenant's own count no more."""
    await connection.execute(SQL["end-meter"], {"tenant": tenant, "key": key})


def _fields(tenant: TenantId, meter: MeterIn) -> db.Row:
    written = meter.model_dump(exclude={"allow_negative"}, by_alias=False)
    written |= {"pattern": db.Jsonb(meter.pattern), "allows_negative": meter.allow_negative}
    return {"tenant": tenant, "grammar": CURRENT_GRAMMAR, **written}
