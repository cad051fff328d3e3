"""The endpoints that make, show, rotate and revoke keys."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from signalops import db, errors
from signalops.access import access_queries, key_service
from signalops.access.digests import Digests
from signalops.access.key_format import KeyKind
from signalops.access.key_models import CreatedKey, KeyList, KeyPatch, KeyRotation, KeyShown, NewKey, Revocation
from signalops.access.key_service import Secret, make_secret
from signalops.endpoint import endpoint, for_operators
from signalops.http import Page, Request, Response, answer
from signalops.locks import Locks
from signalops.types import Caller, TenantId

_HASHING = ThreadPoolExecutor(1, "hash keys")
"""A quarter of a second of work for each: never both cores, and no thread that others wait for."""
_TENANTS = "/api/tenants/{tenant}/keys"


class Keys:
    """The endpoints of keys."""

    def __init__(self, digests: Digests) -> None:
        self._digests = digests
        self._turns = Locks[TenantId]()

    @for_operators(_TENANTS, "listTenantKeys", "List a tenant's keys, newest first")
    @endpoint("GET /api/keys", "listKeys", "List keys, newest first", "keys:*", answers={200: KeyList})
    async def list_keys(self, connection: db.Connection, caller: Caller, query: Page) -> Response:
        """List a tenant's keys, newest first, including revoked and expired keys."""
        window = query.window(await db.settled(connection))
        rows = await access_queries.list_keys(connection, caller.tenant, upwards=query.upwards, **window)
        return query.listed(rows, KeyShown.model_validate)

    @for_operators(_TENANTS, "createTenantKey", "Make a key of a tenant, which is shown this once", "open tenant")
    @endpoint(
        "POST /api/keys",
        "createKey",
        "Make a key, which is shown this once",
        "keys:*",
        answers={201: CreatedKey},
        problems=(errors.Conflict,),
    )
    async def create_key(self, request: Request, caller: Caller, transaction: db.Transaction, body: NewKey) -> Response:
        """Make a key, which is shown this once. It can be given no scope and no network that the key that makes it lacks.

        It ends no later than that key, and its events count against the rate limit of that key, too.

        What networks are compared with is the client's address as the server sees it: behind a proxy set
        FORWARDED_ALLOW_IPS to the proxy's address.
        """
        async with transaction() as connection:
            await key_service.refuse_escalation(connection, caller, body)
        secret = await self._secret(body.kind, caller)
        async with transaction() as connection:
            return _made(request, await key_service.add(connection, caller.tenant, body, secret))

    @endpoint("GET /api/keys/{id}", "getKey", "Show a key's metadata, without its secret", "keys:*")
    async def get_key(self, connection: db.Connection, caller: Caller, key: UUID) -> KeyShown:
        """Show the metadata of a key, without the key itself."""
        return await key_service.show(connection, caller.tenant, key)

    @for_operators(_TENANTS + "/{id}", "patchTenantKey", "Change some fields of a tenant's key", "open tenant")
    @endpoint("PATCH /api/keys/{id}", "patchKey", "Change some fields of a key", "keys:*", problems=(errors.Conflict,))
    async def patch_key(self, connection: db.Connection, caller: Caller, key: UUID, body: KeyPatch) -> KeyShown:
        """Change label, expiry, networks or rate limit; scopes never change: rotate the key, or create another."""
        return await key_service.patch(connection, caller, key, body)

    @for_operators(_TENANTS + "/{id}", "revokeTenantKey", "Refuse a tenant's key from now on")
    @endpoint("DELETE /api/keys/{id}", "revokeKey", "Refuse a key from now on", "keys:*")
    async def revoke_key(self, connection: db.Connection, caller: Caller, key: UUID, query: Revocation) -> KeyShown:
        """Refuse a key from now on, everywhere within a second; a key may revoke itself, and with keys:* any other.

        To revoke takes only away: it needs no scope of the key that is revoked.
        """
        return await key_service.revoke(connection, caller.tenant, key, query.with_children)

    @for_operators(
        _TENANTS + "/{id}/rotate",
        "rotateTenantKey",
        "Replace a tenant's key by a new one; both are accepted for a while",
        "open tenant",
    )
    @endpoint(
        "POST /api/keys/{id}/rotate",
        "rotateKey",
        "Replace a key by a new one; both are accepted for a while",
        "keys:*",
        answers={201: CreatedKey},
        problems=(errors.Conflict,),
    )
    async def rotate_key(
        self, request: Request, caller: Caller, transaction: db.Transaction, key: UUID, body: KeyRotation
    ) -> Response:
        """Make a key with the label, scopes and networks of another, which is accepted for a while yet."""
        async with transaction() as connection:
            old = await key_service.show(connection, caller.tenant, key)
            await key_service.refuse_escalation(connection, caller, old)
        secret = await self._secret(key_service.kind_of_successor(old), caller)
        async with transaction() as connection:
            return _made(request, await key_service.rotate(connection, caller.tenant, old, body, secret))

    async def _secret(self, kind: KeyKind, maker: Caller) -> Secret:
        async with self._turns.of(maker.tenant):  # so that another tenant waits for one of this one's keys at most
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(_HASHING, make_secret, kind, self._digests, maker.key)


def _made(request: Request, made: CreatedKey) -> Response:
    path, _, _ = request.url.path.rpartition("/keys")  # an operator's is of the tenant
    return answer(made, 201, {"location": f"{path}/keys/{made.id}", "cache-control": "no-store"})
