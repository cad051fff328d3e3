"""Keys for tests, in the database and over HTTP."""

from collections.abc import Sequence
from uuid import UUID

import psycopg

from signalops import clock
from signalops.access.key_format import PREFIX, hash_key
from tests.support.api import Client
from tests.support.rows import add
from tests.support.tenants import EVERYTHING, Tenant


def add_key(
    owner: psycopg.Connection,
    tenant: Tenant,
    key: str,
    hashed: str | None = None,
    *,
    scopes: Sequence[str] = EVERYTHING,
    cidrs: Sequence[str] = (),
) -> tuple[Tenant, UUID]:
    """Give a tenant one more key; return the tenant as its bearer, and the key's id."""
    key_id = clock.new_id()
    stored = {"prefix": key[:PREFIX], "hash": hashed or hash_key(key), "label": "more", "scopes": list(scopes)}
    add(owner, "api_keys", tenant.id, id=key_id, **stored, allowed_cidrs=list(cidrs))
    return Tenant(tenant.id, tenant.slug, key), key_id


async def made(api: Client, tenant: Tenant, **fields: object) -> tuple[Tenant, str]:
    """Have a tenant make a key over HTTP; return the tenant as its bearer, and the key's id."""
    answer = await api.post({"label": "more", "scopes": ["events:read"], **fields}, tenant, "/api/keys")
    assert answer.status == 201, answer
    return Tenant(tenant.id, tenant.slug, answer.json["key"]), answer.json["id"]


async def status(api: Client, bearer: Tenant, address: str | None = None) -> int:
    """Return the status with which a key is let in or refused, from an address as a trusted proxy tells it."""
    headers = {} if address is None else {"x-forwarded-for": address}
    return (await api.request("GET", "/api/events", bearer, headers=headers)).status
