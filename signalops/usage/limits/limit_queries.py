"""The SQL queries of limits."""

from typing import Any

from signalops import db
from signalops.types import TenantId

SQL = db.queries("usage/limits")


async def limited_meters(connection: db.Connection, tenant: TenantId) -> list[db.Row]:
    """Return scales, key and what it measures of each limited meter; one row with key None for none."""
    return await db.rows(connection, SQL["limited-meters"], {"tenant": tenant})


async def list_limits(connection: db.Connection, tenant: TenantId) -> list[db.Row]:
    """Return the limits in effect today, with period, accepted and notified."""
    return await db.rows(connection, SQL["list-limits"], {"tenant": tenant})


async def set_limit(connection: db.Connection, **fields: Any) -> bool:
    """Set a limit from today on: tenant, meter, soft, hard, thresholds and overage. False: the meter can't be limited."""
    try:
        await connection.execute(SQL["set-limit"], fields)
    except db.CheckViolation:
        return False
    return True


async def remove_limit(connection: db.Connection, tenant: TenantId, meter: str) -> bool:
    """Remove a tenant's own limit of a meter; return whether there was one."""
    cursor = await connection.execute(SQL["remove-limit"], {"tenant": tenant, "meter": meter})
    return cursor.rowcount > 0
