"""Creates, rotates and revokes keys, in a transaction of the tenant. Expired and revoked keys stay on record.

A key's scopes and allowed addresses never change, so a cached check stays valid.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from signalops import clock, db
from signalops.access import access_queries
from signalops.access.addresses import are_within
from signalops.access.digests import Digests
from signalops.access.key_format import PREFIX, KeyKind, hash_key, new_key
from signalops.access.key_models import CreatedKey, KeyPatch, KeyRotation, KeyShown, NewKey
from signalops.access.request_limiter import RateLimit
from signalops.errors import Conflict, Forbidden, NotFound
from signalops.types import Caller, KeyId, TenantId

MAX_KEYS = 1000
"""How many keys of a tenant may be usable; a few more when they are made at the same time."""


class Secret(NamedTuple):
    """A new key, and what is stored of it: its hash, its digest where that can be made, and the key that it was made by."""

    key: str
    hash: str
    digest: bytes | None
    made_by: KeyId | None = None


class NewKeyFields(NamedTuple):
    """What is stored of a new key besides its secret; `made_by` is the key that it was made by."""

    label: str
    scopes: list[str]
    allowed_cidrs: list[str]
    expires_at: datetime | None
    rate_limit: RateLimit | None
    made_by: KeyId | None = None
    replaces: UUID | None = None


def make_secret(kind: KeyKind, digests: Digests, made_by: KeyId | None = None) -> Secret:
    """Make a new key with its hash: a quarter of a second of work, so not while a transaction is open."""
    key = new_key(kind)
    return Secret(key, hash_key(key), digests.make(key), made_by)


async def refuse_escalation(connection: db.Connection, caller: Caller, rights: NewKey | KeyShown) -> None:
    """Raise Forbidden when a key would create or rotate to a key with scopes or networks that it lacks itself.

    Its rate limit needs no check: a created key also takes tokens from its creator's bucket.
    """
    if lacking := set(rights.scopes) - caller.scopes:
        raise Forbidden(
            f"The API key lacks the scope {min(lacking)}, so it can't give it: use a key that has it.", requiredScope=min(lacking)
        )
    if caller.key is None:
        return
    for own in await access_queries.list_keys(connection, caller.tenant, id=caller.key):
        if own["allowedCidrs"] and not are_within(rights.allowed_cidrs, own["allowedCidrs"]):
            raise Forbidden(
                "The API key is itself restricted to networks: name allowedCidrs that lie within them, or use another key."
            )


async def add(connection: db.Connection, tenant: TenantId, new: NewKey, secret: Secret) -> CreatedKey:
    """Store a new key and return it, this once; Conflict when there are too many.

    It ends no later than the key that makes it; Forbidden when it is asked to.
    """
    ends = await _end(connection, tenant, secret.made_by, new.expires_at, None)
    gift = NewKeyFields(new.label, [*new.scopes], new.allowed_cidrs, ends, new.rate_limit, secret.made_by)
    return await _add(connection, tenant, gift, secret)


async def show(connection: db.Connection, tenant: TenantId, key: UUID) -> KeyShown:
    """Return a key, even if expired or revoked; NotFound."""
    rows = await access_queries.list_keys(connection, tenant, id=key)
    if not rows:
        raise NotFound("There is no such key: check the id.")
    return KeyShown.model_validate(rows[0])


def kind_of_successor(old: KeyShown) -> KeyKind:
    """Return the kind of the key that takes the place of another."""
    return "test" if old.kind == "test" else "live"


async def rotate(connection: db.Connection, tenant: TenantId, old: KeyShown, rotation: KeyRotation, secret: Secret) -> CreatedKey:
    """Let a key expire after the overlap, and return its replacement; Conflict if it has expired or was rotated.

    That ends no later than the key that makes it, which may be the old one; Forbidden when it is asked to.
    """
    # First, since this locks the row: of two at once the second finds the successor of the first.
    if not await access_queries.end_key(connection, tenant, old.id, rotation.overlap_seconds):
        raise Conflict("The key is revoked or has expired: create a new one.")
    lifetime = old.expires_at and clock.now() + (old.expires_at - old.created_at)
    ends = await _end(connection, tenant, secret.made_by, rotation.expires_at, lifetime)
    gift = NewKeyFields(old.label, [*old.scopes], old.allowed_cidrs, ends, old.rate_limit, secret.made_by, old.id)
    return await _add(connection, tenant, gift, secret)


async def patch(connection: db.Connection, caller: Caller, key: UUID, change: KeyPatch) -> KeyShown:
    """Change the fields that are set of a usable key. NotFound, Conflict, or Forbidden for rights that the caller lacks."""
    old = await show(connection, caller.tenant, key)
    new = old.model_copy(update={name: getattr(change, name) for name in change.model_fields_set})
    await refuse_escalation(connection, caller, new)
    if "expires_at" in change.model_fields_set:
        new.expires_at = await _end(connection, caller.tenant, caller.key, change.expires_at, None)
    fields = {"label": new.label, "expires_at": new.expires_at, "allowed_cidrs": [str(one) for one in new.allowed_cidrs]}
    if not await access_queries.change_key(connection, caller.tenant, key, new.rate_limit, **fields):
        raise Conflict("The key is revoked or has expired: create a new one.")
    return await show(connection, caller.tenant, key)


async def revoke(connection: db.Connection, tenant: TenantId, key: UUID, with_children: bool = False) -> KeyShown:
    """Revoke a key, and with `family` every key created by it or rotated from it. NotFound."""
    await access_queries.revoke_key(connection, tenant, key, with_children)
    return await show(connection, tenant, key)


async def _end(
    connection: db.Connection, tenant: TenantId, maker: KeyId | None, ends_at: datetime | None, otherwise: datetime | None
) -> datetime | None:
    """Return when a key ends that another one makes: as asked for or otherwise, but no later than its maker; None: never."""
    rows = await access_queries.list_keys(connection, tenant, id=maker) if maker else []
    latest: datetime | None = rows[0]["expiresAt"] if rows else None
    if latest and ends_at and ends_at > latest:
        raise Forbidden(f"The API key ends itself at {latest:%Y-%m-%dT%H:%MZ}: what it makes ends no later.")
    return min(filter(None, (ends_at or otherwise, latest)), default=None)


async def _add(connection: db.Connection, tenant: TenantId, gift: NewKeyFields, secret: Secret) -> CreatedKey:
    key = KeyId(await db.new_id(connection))
    fields = {"tenant": tenant, "id": key, "prefix": secret.key[:PREFIX], "hash": secret.hash}
    fields |= {"digest": secret.digest, **gift._asdict()}
    await access_queries.add_key(connection, **fields)
    if await access_queries.count_usable_keys(connection, tenant) > MAX_KEYS:
        raise Conflict(f"There are {MAX_KEYS} usable keys already: revoke those that nobody uses.")
    shown = await show(connection, tenant, key)
    return CreatedKey(key=secret.key, **shown.model_dump())
