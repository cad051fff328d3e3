"""What access asks of the database: one named query each."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import dict_row

from signalops import db
from signalops.terms import Caller, KeyId, TenantId

SQL = db.queries("access")


class FoundKey(NamedTuple):
    """A usable key as it is stored: whose, its bcrypt hash, its end, and the state of its tenant."""

    caller: Caller
    hash: str
    expires_at: datetime | None
    tenant_status: str


async def find_keys(connection: db.Connection, prefix: str) -> list[FoundKey]:
    """Return the usable keys with a prefix; the one query that runs before a tenant is known."""
    rows = await (await connection.execute(SQL["find-keys"], {"prefix": prefix})).fetchall()
    return [
        FoundKey(Caller(TenantId(tenant), KeyId(key), frozenset(scopes)), hashed, expires_at, status)
        for tenant, key, hashed, scopes, expires_at, status in rows
    ]


async def add_tenant(connection: db.Connection, **fields: Any) -> None:
    """Make a tenant; the fields are id, slug and name, and time_zone when it is not UTC."""
    await connection.execute(SQL["add-tenant"], {"time_zone": "UTC", **fields})


async def set_time_zone(connection: db.Connection, tenant: TenantId, time_zone: str) -> None:
    """Set the time zone of a tenant, as the owner; a REFUSAL once something of it was counted."""
    await connection.execute(SQL["set-time-zone"], {"tenant": tenant, "time_zone": time_zone})


async def list_tenants(connection: db.Connection) -> list[dict[str, Any]]:
    """Return every tenant, by slug; as the owner."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        return await (await cursor.execute(SQL["list-tenants"])).fetchall()


async def tenant_by_slug(connection: db.Connection, slug: str) -> dict[str, Any] | None:
    """Return one tenant, or None; as the owner."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        return await (await cursor.execute(SQL["tenant-by-slug"], {"slug": slug})).fetchone()


async def add_key(connection: db.Connection, **fields: Any) -> None:
    """Store a key's hash; the fields are tenant, id, prefix, hash, label and scopes."""
    await connection.execute(SQL["add-key"], fields)


async def list_keys(connection: db.Connection, tenant: TenantId) -> list[dict[str, Any]]:
    """Return a tenant's keys, oldest first, without their hashes."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        return await (await cursor.execute(SQL["list-keys"], {"tenant": tenant})).fetchall()


async def revoke_key(connection: db.Connection, tenant: TenantId, key: UUID) -> bool:
    """Refuse a key from now on; return False when there is no such key, or it was revoked before."""
    row = await (await connection.execute(SQL["revoke-key"], {"tenant": tenant, "id": key})).fetchone()
    return row is not None
