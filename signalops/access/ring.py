"""How a key that is presented becomes a caller: looked up and checked by bcrypt once, then remembered.

What can change while it is remembered is held against every request: its end, and the address that it comes from.
"""

import asyncio
import hashlib
import secrets
from contextlib import nullcontext, suppress
from typing import NamedTuple

import bcrypt

from signalops import clock, db, facts
from signalops.access import store
from signalops.access.addresses import is_within
from signalops.access.failures import Failures
from signalops.access.keys import PREFIX, fingerprint, is_plausible
from signalops.access.uses import Uses
from signalops.errors import Forbidden, Unauthenticated, Unavailable
from signalops.terms import Caller

_REMEMBER = 300.0  # seconds for which a verified key needs no look-up, were a NOTIFY ever lost
_MOST_UNSURE = 64  # keys without a fingerprint that wait for bcrypt at once: a quarter of a second's work each
_MOST_REMEMBERED = 100_000


class _Known(NamedTuple):
    row: store.FoundKey
    until: float


class KeyRing:
    """The keys that this process has verified. What it remembers are SHA-256 hashes, never a key."""

    def __init__(self, connections: db.Pool, failures: Failures) -> None:
        self.uses = Uses(connections)
        self._connections = connections
        self._known: dict[bytes, _Known] = {}
        self._asked: dict[bytes, asyncio.Task[_Known]] = {}
        self._failures = failures
        # One check at a time: wrong keys can delay other unknown keys, and never the event loop or the second core.
        self._checking = asyncio.Semaphore(1)
        self._unsure = 0
        self._doubted_at = 0.0

    def doubt(self, reason: str) -> None:
        """Look every key up again at its next use. What is still there unchanged needs no second bcrypt check."""
        self._doubted_at = _seconds()
        self._asked = {}
        facts.emit("keys.doubted", reason=reason)

    async def identify(self, key: str | None, address: str | None) -> Caller:
        """Return who presents a key from an address, as the server gives it, and note that the key was used.

        Raises Unauthenticated, Forbidden (a wrong address, or a tenant that is suspended), TooManyFailures or Unavailable.
        """
        if not key:
            raise _refusal("Send your API key in the header x-api-key.")
        digest = hashlib.sha256(key.encode()).digest()
        known = self._known.get(digest)
        if known is None or known.until < _seconds() or known.until - _REMEMBER <= self._doubted_at:
            # What was right before is no guess, whatever else comes from its address.
            with nullcontext() if known else self._failures.counted(address):
                known = await asyncio.shield(self._look_up_once(key, digest, known))
        if known.row.expires_at and known.row.expires_at <= clock.now():
            raise _refusal("The API key is expired: create a new one.")
        if known.row.allowed_cidrs and not is_within(address, known.row.allowed_cidrs):
            raise Forbidden("The API key is not accepted from this address: use it from a network in its allowedCidrs.")
        if known.row.tenant_status != "active":
            reason = known.row.status_reason or "ask the operator of this installation"
            raise Forbidden(f"The tenant is {known.row.tenant_status}: {reason.removesuffix('.')}.")
        caller = known.row.caller
        assert caller.key, "callers that this ring knows have a key"
        self.uses.note(caller.tenant, caller.key)
        return caller

    def _look_up_once(self, key: str, digest: bytes, before: _Known | None) -> asyncio.Task[_Known]:
        """Join the look-up of the same key that is under way: a busy producer's first requests all come at once."""
        asked = self._asked
        if digest not in asked:
            asked[digest] = asyncio.create_task(self._look_up(key, digest, before))
            asked[digest].add_done_callback(lambda _: asked.pop(digest))
        return asked[digest]

    async def _look_up(self, key: str, digest: bytes, before: _Known | None) -> _Known:
        if not is_plausible(key):
            raise _refusal("This is no API key: check that it was copied whole.")
        # From before the look-up: a revocation that is heard of meanwhile may concern this very key.
        until = _seconds() + _REMEMBER
        for row in await self._stored(key[:PREFIX]):
            if (before and secrets.compare_digest(before.row.hash, row.hash)) or await self._is_right(key, row):
                if len(self._known) >= _MOST_REMEMBERED:
                    self._known.clear()
                self._known[digest] = _Known(row, until)
                return self._known[digest]
        self._known.pop(digest, None)
        raise _refusal("The API key is unknown or revoked.")

    async def _stored(self, prefix: str) -> list[store.FoundKey]:
        """Find keys; once more after an outage, which may have been over for long before it is noticed here."""
        try:
            try:
                return await self._found(prefix)
            except db.OUTAGE:
                await db.repair(self._connections)
                return await self._found(prefix)
        except db.OUTAGE as error:
            raise Unavailable(
                "The key can't be looked up just now: try again.", headers={"Retry-After": "1"}
            ) from error

    async def _found(self, prefix: str) -> list[store.FoundKey]:
        async with self._connections.connection() as connection:
            return await store.find_keys(connection, prefix)

    async def _is_right(self, key: str, row: store.FoundKey) -> bool:
        """Check a key by bcrypt, a quarter of a second of work, which what a fingerprint tells to be wrong does not get.

        Keys without a fingerprint, and the guesses at them, which can't be told from them, wait in a short queue.
        """
        if row.fingerprint is not None:
            return secrets.compare_digest(row.fingerprint, fingerprint(key) or b"") and await self._verify(key, row)
        if self._unsure >= _MOST_UNSURE:
            raise Unavailable("Too many keys are being checked: send again in a second.", headers={"Retry-After": "1"})
        self._unsure += 1
        try:
            is_right = await self._verify(key, row)
        finally:
            self._unsure -= 1
        if is_right and (found := fingerprint(key)):
            await self._note_fingerprint(row.caller, found)
        return is_right

    async def _verify(self, key: str, row: store.FoundKey) -> bool:
        async with self._checking:
            return await asyncio.to_thread(bcrypt.checkpw, key.encode(), row.hash.encode())

    async def _note_fingerprint(self, caller: Caller, found: bytes) -> None:
        """Complete a key that is older than fingerprints; when it can't be, the next look-up does."""
        assert caller.key, "callers that this ring knows have a key"
        with suppress(db.REFUSAL):
            async with db.as_tenant(self._connections, caller.tenant) as connection:
                await store.note_fingerprint(connection, caller.tenant, caller.key, found)


def _seconds() -> float:
    return asyncio.get_running_loop().time()


def _refusal(detail: str) -> Unauthenticated:
    return Unauthenticated(detail, headers={"WWW-Authenticate": 'ApiKey realm="signalops", header="x-api-key"'})
