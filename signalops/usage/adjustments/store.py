"""What adjustments ask of the database: one named query each, in a transaction of the tenant."""

from typing import Any

from psycopg.rows import dict_row

from signalops import db
from signalops.terms import TenantId

Row = dict[str, Any]
SQL = db.queries("usage/usage")


async def add_adjustment(connection: db.Connection, tenant: TenantId, **fields: Any) -> Row:
    """Store an adjustment and return it, or the one that was sent with the same idempotency key before.

    fields: id, meter, at, grp, quantity, reason, author, key, idempotency_key and body_hash.
    """
    async with connection.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(SQL["add-adjustment"], {"tenant": tenant, **fields})).fetchone()
    assert row is not None, "the function returns an adjustment"
    return row


async def list_adjustments(connection: db.Connection, tenant: TenantId, **wanted: Any) -> list[Row]:
    """Return the adjustments between two ids (lower, upper, upwards, limit), of one meter or of all (None)."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        return await (await cursor.execute(SQL["list-adjustments"], {"tenant": tenant, **wanted})).fetchall()
