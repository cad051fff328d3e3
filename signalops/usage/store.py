"""What usage asks of the database: one named query each."""

from datetime import date
from typing import Any

from psycopg.rows import dict_row

from signalops import db
from signalops.terms import TenantId

SQL = db.queries("usage")


async def usage_of_month(connection: db.Connection, tenant: TenantId, period: date) -> dict[str, Any]:
    """Return soft_limit, hard_limit, accepted, processed and days of a month that begins with `period`."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(SQL["usage-of-month"], {"tenant": tenant, "period": period})).fetchone()
    assert row is not None, "a caller's tenant exists"
    return row
