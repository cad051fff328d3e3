"""Authenticates API keys: looks a key up and verifies it once, then caches the caller.

The expiry of a cached key and its allowed addresses are checked at every request.
"""

import asyncio
import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial

import bcrypt

from signalops import clock, db
from signalops.access import access_queries
from signalops.access.addresses import is_within
from signalops.access.auth_throttle import AuthThrottle
from signalops.access.digests import Digests
from signalops.access.key_format import PREFIX, is_ours, is_plausible
from signalops.access.last_used import LastUsed
from signalops.cache import Cache
from signalops.errors import Forbidden, Unauthenticated, Unavailable
from signalops.types import Caller

_REMEMBER = 300.0  # seconds for which a verified key needs no look-up, were a NOTIFY ever lost
_MAX_UNVERIFIED = 64  # keys without a digest that wait for bcrypt at once: a quarter of a second's work each
_CHECKING = ThreadPoolExecutor(2, "check keys")
"""One for each queue: neither of them waits for threads that tenants' other work has."""
_MAX_REMEMBERED = 100_000


class ApiKeyAuthenticator:
    """The keys that this process has verified. What it remembers are SHA-256 hashes, never a key."""

    def __init__(self, connections: db.Pool, failures: AuthThrottle, digests: Digests) -> None:
        self.uses = LastUsed(connections)
        self._connections = connections
        self.cache = Cache[bytes, access_queries.FoundKey](
            _MAX_REMEMBERED, max_age=_REMEMBER, tags_of=lambda _, found: (found.caller.key, found.caller.tenant)
        )
        self._failures = failures
        self._digests = digests
        self._older, self._foreign = _Queue(), _Queue()

    async def identify(self, key: str | None, address: str | None) -> Caller:
        """Return who presents a key from an address, as the server gives it, and note that the key was used.

        Raises Unauthenticated, Forbidden (a wrong address, or a tenant that is suspended), TooManyFailures or Unavailable.
        """
        if not key:
            raise _refusal("Send your API key in the header x-api-key.")
        digest = hashlib.sha256(key.encode()).digest()
        known = self.cache.get(digest)
        if known is None:
            # What was right before is no guess, whatever else comes from its address.
            async with nullcontext() if self.cache.stale(digest) else self._failures.throttled(address):
                known = await self.cache.load(digest, partial(self._look_up, key, digest))
        if known.expires_at and known.expires_at <= clock.now():
            raise _refusal("The API key is expired: create a new one.")
        if known.allowed_cidrs and not is_within(address, known.allowed_cidrs):
            raise Forbidden("The API key is not accepted from this address: use it from a network in its allowedCidrs.")
        if known.tenant_status != "active":
            reason = known.status_reason or "ask the operator of this installation"
            raise Forbidden(f"The tenant is {known.tenant_status}: {reason.removesuffix('.')}.")
        caller = known.caller
        assert caller.key, "callers that this ring knows have a key"
        self.uses.record(caller.tenant, caller.key)
        return caller

    async def _look_up(self, key: str, digest: bytes, before: access_queries.FoundKey | None) -> access_queries.FoundKey:
        if not is_plausible(key):
            raise _refusal("This is no API key: check that it was copied whole.")
        for row in await self._stored(key[:PREFIX]):
            if (before and secrets.compare_digest(before.hash, row.hash)) or await self._is_right(key, row):
                return row
        self.cache.drop(digest)
        raise _refusal("The API key is unknown or revoked.")

    async def _stored(self, prefix: str) -> list[access_queries.FoundKey]:
        """Find keys; once more after an outage, which may have been over for long before it is noticed here."""
        try:
            try:
                return await self._fetch_keys(prefix)
            except db.OUTAGE:
                await db.repair(self._connections)
                return await self._fetch_keys(prefix)
        except db.OUTAGE as error:
            raise Unavailable("The key can't be looked up just now: try again.", headers={"Retry-After": "1"}) from error

    async def _fetch_keys(self, prefix: str) -> list[access_queries.FoundKey]:
        async with self._connections.connection() as connection:
            return await access_queries.find_keys(connection, prefix)

    async def _is_right(self, key: str, row: access_queries.FoundKey) -> bool:
        """Check a key by its digest, in microseconds, or else by bcrypt, a quarter of a second of work.

        Keys without a digest, and guesses, which look the same, wait in short queues: those of our format,
        which get theirs at the first use, apart from all others.
        """
        is_right = self._digests.compare(key, row.digest)
        if is_right is not None:
            return is_right
        queue = self._older if is_ours(key) else self._foreign
        if queue.is_full:
            raise Unavailable("Too many keys are being checked: send again in a second.", headers={"Retry-After": "1"})
        async with queue:
            work = partial(bcrypt.checkpw, key.encode(), row.hash.encode())
            is_right = await asyncio.get_running_loop().run_in_executor(_CHECKING, work)
        if is_right and (digest := self._digests.make(key)):
            await self._store_digest(row.caller, digest)
        return is_right

    async def _store_digest(self, caller: Caller, digest: bytes) -> None:
        """Complete a key that is older than digests; when it can't be, the next look-up does."""
        assert caller.key, "callers that this ring knows have a key"
        with suppress(db.REFUSAL):
            async with db.as_tenant(self._connections, caller.tenant) as connection:
                await access_queries.store_digest(connection, caller.tenant, caller.key, digest)


class _Queue:
    """Checks by bcrypt, one at a time: they can delay each other, and never the event loop or the second core."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    @property
    def is_full(self) -> bool:
        return self._waiting >= _MAX_UNVERIFIED

    async def __aenter__(self) -> None:
        self._waiting += 1
        try:
            await self._turn.acquire()
        except BaseException:
            self._waiting -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self._turn.release()
        self._waiting -= 1


def _refusal(detail: str) -> Unauthenticated:
    return Unauthenticated(detail, headers={"WWW-Authenticate": 'ApiKey realm="signalops", header="x-api-key"'})
