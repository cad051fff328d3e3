"""The cache of the tenants that tokens name; invalidated like the cache of keys."""

import re
from functools import partial
from uuid import UUID

from signalops import db
from signalops.access import access_queries
from signalops.access.tokens import refusal
from signalops.cache import Cache
from signalops.errors import Forbidden

_REMEMBER = 300.0  # seconds for which a tenant needs no look-up, were a NOTIFY ever lost
_MAX_REMEMBERED = 10_000
# A slug may look much like an id: what has this form is an id, and never a slug.
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class TenantCache:
    """The tenants that this process has looked up, by the id or the slug that a token has for them."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections
        self.cache = Cache[str, access_queries.FoundTenant](
            _MAX_REMEMBERED, max_age=_REMEMBER, tags_of=lambda _, found: (found.id,)
        )

    async def admit(self, name: str) -> access_queries.FoundTenant:
        """Return the tenant that a token names. Raises Unauthenticated when there is none, Forbidden unless it is active."""
        found = await self.cache.load(name, partial(self._look_up, name))
        if found.status != "active":
            reason = found.reason or "ask the operator of this installation"
            raise Forbidden(f"The tenant is {found.status}: {reason.removesuffix('.')}.")
        return found

    async def _look_up(self, name: str, _: access_queries.FoundTenant | None) -> access_queries.FoundTenant:
        found = await self._fetch(name)
        if found is None:
            self.cache.drop(name)
            raise refusal("The token names a tenant that this installation does not have.")
        return found

    async def _fetch(self, name: str) -> access_queries.FoundTenant | None:
        is_id = _ID.fullmatch(name)
        if not is_id and not _SLUG.fullmatch(name):
            return None
        async with self._connections.connection() as connection:
            return await access_queries.find_tenant(connection, **({"id": UUID(name)} if is_id else {"slug": name}))
