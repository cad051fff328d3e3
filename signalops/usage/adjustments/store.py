"""What adjustments ask of the database: one named query each, in a transaction of the tenant."""

from typing import Any

from signalops import db
from signalops.terms import TenantId

SQL = db.queries("usage/usage")


async def add_adjustment(connection: db.Connection, tenant: TenantId, **fields: Any) -> db.Row:
    """Store an adjustment and return it, or the one that was sent with the same idempotency key before.

    fields: id, meter, at, grp, quantity, reason, author, key, idempotency_key and body_hash.
    """
    return await db.the_row(connection, SQL["add-adjustment"], {"tenant": tenant, **fields})


async def list_adjustments(connection: db.Connection, tenant: TenantId, **wanted: Any) -> list[db.Row]:
    """Return the adjustments between two ids (lower, upper, upwards, limit), of one meter or of all (None)."""
    return await db.rows(connection, SQL["list-adjustments"], {"tenant": tenant, **wanted})
