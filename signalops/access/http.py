"""The requests that make, show, rotate and revoke keys."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.access import manage, store
from signalops.access.digests import Digests
from signalops.access.keys import KeyKind
from signalops.access.manage import Secret, make_secret
from signalops.access.model import KeyMade, KeyShown, NewKey, Revocation, Rotation
from signalops.http import Page, answer, id_of, read_model
from signalops.locks import Locks
from signalops.terms import Caller, TenantId

_HASHING = ThreadPoolExecutor(1, "hash keys")
"""A quarter of a second of work for each: never both cores, and no thread that others wait for."""


class Keys:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool, digests: Digests) -> None:
        self._connections = connections
        self._digests = digests
        self._turns = Locks[TenantId]()

    async def list(self, request: Request, caller: Caller) -> Response:
        """List a tenant's keys, newest first, also those that are over."""
        query = Page.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_keys(
                connection, caller.tenant, upwards=query.upwards, **query.window(await db.settled(connection))
            )
        return query.listed(rows, KeyShown.model_validate)

    async def create(self, request: Request, caller: Caller) -> Response:
        """Make a key, which is shown this once. It can be given no scope and no network that the key that makes it lacks.

        It ends no later than that key, and its events count against the rate limit of that key, too.

        What networks are compared with is the client's address as the server sees it: behind a proxy set
        FORWARDED_ALLOW_IPS to the proxy's address.
        """
        new = await read_model(request, NewKey)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            await manage.refuse_escalation(connection, caller, new)
        secret = await self._secret(new.kind, caller)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return _made(request, await manage.add(connection, caller.tenant, new, secret))

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show a key, but for the key itself."""
        key = id_of(request, "key")
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await manage.show(connection, caller.tenant, key))

    async def rotate(self, request: Request, caller: Caller) -> Response:
        """Make a key with the label, scopes and networks of another, which is accepted for a while yet."""
        key, rotation = id_of(request, "key"), await read_model(request, Rotation)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            old = await manage.show(connection, caller.tenant, key)
            await manage.refuse_escalation(connection, caller, old)
        secret = await self._secret(manage.kind_of_successor(old), caller)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return _made(request, await manage.rotate(connection, caller.tenant, old, rotation, secret))

    async def revoke(self, request: Request, caller: Caller) -> Response:
        """Refuse a key from now on, everywhere within a second; a key may revoke itself, and with keys:* any other.

        To revoke takes only away: it needs no scope of the key that is revoked.
        """
        key, query = id_of(request, "key"), Revocation.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await manage.revoke(connection, caller.tenant, key, query.withChildren))

    async def _secret(self, kind: KeyKind, maker: Caller) -> Secret:
        async with self._turns.of(maker.tenant):  # so that another tenant waits for one of this one's keys at most
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(_HASHING, make_secret, kind, self._digests, maker.key)


def _made(request: Request, made: KeyMade) -> Response:
    path, _, _ = request.url.path.rpartition("/keys")  # an operator's is of the tenant
    return answer(made, 201, {"location": f"{path}/keys/{made.id}", "cache-control": "no-store"})
