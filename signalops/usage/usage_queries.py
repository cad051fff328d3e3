"""The SQL queries of usage, in a transaction of the tenant."""

from datetime import date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from signalops import db
from signalops.types import TenantId
from signalops.usage.meters.meter_models import Aggregation

SQL = db.queries("usage/usage")


class MeterInfo(NamedTuple):
    """What reading a meter's figures takes: the time zone of its tenant, what it is called, and the fields of its groups."""

    time_zone: str
    name: str
    aggregation: Aggregation
    unit: str | None
    group_by: list[str]

    @property
    def zone(self) -> ZoneInfo:
        """The tenant's time zone."""
        return ZoneInfo(self.time_zone)


async def find_meter(connection: db.Connection, tenant: TenantId, meter: str) -> MeterInfo | None:
    """Return a meter, as it was last if it has ended; None when there never was one."""
    return await db.record(connection, MeterInfo, SQL["find-meter"], {"tenant": tenant, "meter": meter})


async def is_limited(connection: db.Connection, tenant: TenantId, lower: datetime, upper: datetime) -> bool:
    """Return whether a month in a range exceeded the limit of groups and distinct values."""
    parameters = {"tenant": tenant, "lower": lower, "upper": upper}
    return bool(await db.value(connection, SQL["is-limited"], parameters))


async def usage_by(connection: db.Connection, tenant: TenantId, **parameters: Any) -> list[db.Row]:
    """Return bucket, group_key, events and quantity, in order.

    parameters: meter, lower, upper, step (hour, day, month, or None), by_group, group_key (or None) and limit.
    """
    return await db.rows(connection, SQL["usage-by"], {"tenant": tenant, **parameters})


async def quota_of_month(connection: db.Connection, tenant: TenantId, period: date) -> db.Row:
    """Return accepted, soft_limit and hard_limit of the month that begins with `period`."""
    return await db.the_row(connection, SQL["quota-of-month"], {"tenant": tenant, "period": period})
