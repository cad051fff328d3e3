"""Keys for tests, in the database and over HTTP."""

from collections.abc import Sequence
from uuid import UUID

import bcrypt
import psycopg

from signalops import clock
from signalops.access.keys import PREFIX
from tests.api import Client
from tests.people import EVERYTHING, Tenant


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
    hashed = hashed or bcrypt.hashpw(key.encode(), bcrypt.gensalt(4)).decode()
    owner.execute(
        "insert into signalops.api_keys (tenant_id, id, prefix, hash, label, scopes, allowed_cidrs) "
        "values (%s, %s, %s, %s, 'more', %s, %s::cidr[])",
        [tenant.id, key_id, key[:PREFIX], hashed, list(scopes), list(cidrs)],
    )
    return Tenant(tenant.id, tenant.slug, key), key_id


async def made(api: Client, tenant: Tenant, **said: object) -> tuple[Tenant, str]:
    """Have a tenant make a key over HTTP; return the tenant as its bearer, and the key's id."""
    answer = await api.post({"label": "more", "scopes": ["events:read"], **said}, tenant, "/api/keys")
    assert answer.status == 201, answer
    return Tenant(tenant.id, tenant.slug, answer.json["key"]), answer.json["id"]


async def status(api: Client, bearer: Tenant, address: str | None = None) -> int:
    """Return the status with which a key is let in or refused, from an address as a trusted proxy tells it."""
    headers = {} if address is None else {"x-forwarded-for": address}
    return (await api.request("GET", "/api/events", bearer, headers=headers)).status
