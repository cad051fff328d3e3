"""The SQL queries of authentication and key management."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from signalops import db
from signalops.access.addresses import Network
from signalops.access.request_limiter import RateLimit
from signalops.types import Actor, Caller, KeyId, TenantId

SQL = db.queries("access/access")


class FoundKey(NamedTuple):
    """A usable key as it is stored: whose, its bcrypt hash and digest, its networks and end, and the state of its tenant."""

    caller: Caller
    hash: str
    digest: bytes | None
    allowed_cidrs: list[Network]
    expires_at: datetime | None
    tenant_status: str
    status_reason: str | None


async def find_keys(connection: db.Connection, prefix: str) -> list[FoundKey]:
    """Return the usable keys with a prefix; the one query that runs before a tenant is known."""
    rows = await db.tuples(connection, SQL["find-keys"], {"prefix": prefix})
    return [
        FoundKey(_caller(tenant, key, scopes, buckets), hashed, digest, cidrs, expires_at, status, reason)
        for tenant, key, hashed, scopes, cidrs, expires_at, status, digest, buckets, reason in rows
    ]


class FoundTenant(NamedTuple):
    """A tenant as it must be known for who comes with a token: its state and why, and the rate limits of its events."""

    id: TenantId
    status: str
    reason: str | None
    buckets: list[str]


async def find_tenant(connection: db.Connection, id: UUID | None = None, slug: str | None = None) -> FoundTenant | None:
    """Return the tenant with an id or a slug, or None; before a tenant is known."""
    return await db.record(connection, FoundTenant, SQL["find-tenant"], {"id": id, "slug": slug})


def _caller(tenant: UUID, key: UUID, scopes: list[str], buckets: list[str]) -> Caller:
    return Caller(TenantId(tenant), Actor("key", str(key)), frozenset(scopes), KeyId(key), tuple(buckets))


def _rate_columns(rate: RateLimit | None) -> db.Row:
    return {"rate": rate and rate.events_per_second, "burst": rate and rate.burst}


async def add_key(connection: db.Connection, **fields: Any) -> None:
    """Store a key's hash; the fields are tenant, id, prefix, hash, label and scopes, and what it has of the others.

    The others are expires_at, allowed_cidrs, replaces, made_by, rate_limit and digest. Conflict when what it replaces was
    rotated already.
    """
    optional: db.Row = {"expires_at": None, "allowed_cidrs": [], "replaces": None}
    optional |= {"made_by": None, "digest": None}
    optional |= _rate_columns(fields.pop("rate_limit", None))
    await connection.execute(SQL["add-key"], {**optional, **fields})


async def list_keys(connection: db.Connection, tenant: TenantId, **filters: Any) -> list[db.Row]:
    """Return keys with the API's field names, newest first; filters: id, or the window of a page and upwards."""
    every = {"id": None, "lower": UUID(int=0), "upper": UUID(int=2**128 - 1), "upwards": False, "limit": None}
    return await db.rows(connection, SQL["list-keys"], {**every, "tenant": tenant, **filters})


async def count_usable_keys(connection: db.Connection, tenant: TenantId) -> int:
    """Return how many keys of a tenant are neither revoked nor expired."""
    return int(await db.value(connection, SQL["count-usable-keys"], {"tenant": tenant}) or 0)


async def change_key(connection: db.Connection, tenant: TenantId, key: UUID, rate: RateLimit | None, **fields: Any) -> bool:
    """Store {label, expires_at, allowed_cidrs} and the rate limit of a usable key; False when it is not usable."""
    rates = {"rate_per_second": rate and rate.events_per_second, "rate_burst": rate and rate.burst}
    return bool(await db.value(connection, SQL["change-key"], {"tenant": tenant, "id": key, **rates, **fields}))


async def end_key(connection: db.Connection, tenant: TenantId, key: UUID, seconds: int) -> bool:
    """Have a key expire in some seconds, or as it does already if that is sooner; False when it is not usable."""
    fields = {"tenant": tenant, "id": key, "seconds": seconds}
    return await db.value(connection, SQL["end-key"], fields) is not None


async def revoke_key(connection: db.Connection, tenant: TenantId, key: UUID, with_children: bool = False) -> bool:
    """Revoke a key, and with `family` every key created by it or rotated from it; False when all were revoked before."""
    fields = {"tenant": tenant, "id": key, "with_children": with_children}
    return (await connection.execute(SQL["revoke-key"], fields)).rowcount > 0


async def store_digest(connection: db.Connection, tenant: TenantId, key: KeyId, digest: bytes) -> None:
    """Note the digest of a key that has none, or one by a secret that is not used any more."""
    await connection.execute(SQL["store-key-digest"], {"tenant": tenant, "key": key, "digest": digest})


async def record_uses(connection: db.Connection, uses: Mapping[tuple[TenantId, KeyId], datetime]) -> None:
    """Note when keys were used, of any tenants; a key's at most once a minute."""
    tenants, keys = [list(ids) for ids in zip(*uses, strict=True)]
    await connection.execute(SQL["record-key-uses"], {"tenants": tenants, "keys": keys, "moments": list(uses.values())})
