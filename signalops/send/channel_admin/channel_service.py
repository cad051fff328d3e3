"""Adds, changes and deletes channels, and decrypts their secrets for tests; in a transaction of the tenant."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from pydantic import SecretStr, ValidationError

from signalops import clock, db
from signalops.config import Settings
from signalops.errors import Conflict, Invalid, NotFound, PreconditionFailed
from signalops.send.channel_admin import channel_queries
from signalops.send.channel_admin.channel_models import (
    ChannelChange,
    ChannelPatch,
    NewChannel,
    SecretRotation,
    StoredChannel,
    tag_of,
)
from signalops.send.channel_admin.channel_queries import LockedChannel
from signalops.send.channels import configured
from signalops.send.channels.base import Channel
from signalops.send.secrets import SecretBox
from signalops.types import ChannelId, ChannelKind, TenantId

Expected = frozenset[str] | None
"""The tags of the states that a change may be made of; None: any."""


class AddedChannel(NamedTuple):
    """A channel that was added; `secret` is what was made here, and can't be read again."""

    id: ChannelId
    secret: str | None


class OpenedChannel(NamedTuple):
    """A channel ready to send, with its secret in plain."""

    channel: Channel
    secret: str | None


class ChannelRegistry:
    """Writes channels with the installation's keys; Unusable if there are none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keyring = SecretBox(settings)

    async def add(self, connection: db.Connection, tenant: TenantId, new: NewChannel) -> AddedChannel:
        """Add a channel; Invalid, or Conflict when its name is taken."""
        secret = _plain(new.secret)
        channel = configured(new.kind, new.config)
        normalized = channel.normalize_secret(secret)
        channel.check(normalized, self._settings)
        added = ChannelId(await db.new_id(connection))
        await channel_queries.add_channel(
            connection,
            tenant,
            added,
            name=new.name,
            kind=new.kind,
            config=channel.model_dump(mode="json", exclude_unset=True),
            secret=None if normalized is None else self._keyring.seal(normalized),
            enabled=new.enabled,
            retry_schedule=new.retry_schedule,
            max_per_minute=new.max_per_minute,
            send_target_id=_send_target(tenant, new.kind, channel.account(normalized)),
        )
        return AddedChannel(added, channel.made_here(secret, normalized))

    async def change(
        self, connection: db.Connection, tenant: TenantId, channel: ChannelId, change: ChannelChange, expected: Expected = None
    ) -> str | None:
        """Change a channel; return what of a new secret was made here. Invalid, or Conflict when its name is taken."""
        locked = await _lock(connection, tenant, channel, expected)
        checked = configured(locked["kind"], change.config)
        secret = _plain(change.secret)
        normalized = self._open(locked["secret"]) if secret is None else checked.normalize_secret(secret)
        checked.check(normalized, self._settings)
        if secret is not None and normalized is not None:
            locked["secret"] = self._keyring.seal(normalized)
        elif not checked.takes_secret:
            locked["secret"] = None
        locked["config"] = checked.model_dump(mode="json", exclude_unset=True)
        locked["retry_schedule"] = change.retry_schedule
        locked["max_per_minute"] = change.max_per_minute
        locked["send_target_id"] = _send_target(tenant, locked["kind"], checked.account(normalized))
        locked["name"] = locked["name"] if change.name is None else change.name
        await channel_queries.change_channel(connection, tenant, channel, _switched(locked, change.enabled))
        return None if secret is None else checked.made_here(secret, normalized)

    async def patch(
        self, connection: db.Connection, tenant: TenantId, channel: ChannelId, patch: ChannelPatch, expected: Expected = None
    ) -> str | None:
        """Change the fields that are set, as `change` does."""
        locked = await _lock(connection, tenant, channel, expected)
        current = {name: locked[name] for name in ("config", "retry_schedule", "max_per_minute")}
        changed = {name: getattr(patch, name) for name in patch.model_fields_set}
        try:
            change = ChannelChange.model_validate(current | changed)
        except ValidationError as error:  # null, where something is required
            raise Invalid.of(error, model=ChannelChange) from error
        return await self.change(connection, tenant, channel, change, expected)

    async def rotate(
        self, connection: db.Connection, tenant: TenantId, channel: ChannelId, rotation: SecretRotation
    ) -> tuple[str | None, datetime]:
        """Replace the secret of a webhook; return the one that was made here, and until when the old one signs as well."""
        locked = await _lock(connection, tenant, channel, None)
        secret = _plain(rotation.secret)
        made = _made(locked["kind"], locked["config"], secret)
        old = self._open(locked["secret"]) if rotation.overlap_seconds else None
        locked["secret"] = self._keyring.rotate(made, old, rotation.overlap_seconds)
        await channel_queries.change_channel(connection, tenant, channel, locked)
        overlap = rotation.overlap_seconds if old else 0
        return None if secret else made, clock.now() + timedelta(seconds=overlap)

    async def open(self, connection: db.Connection, tenant: TenantId, channel: ChannelId) -> OpenedChannel:
        """Return a channel ready to be tried, also one that is disabled; NotFound, or Invalid. It is on record who does."""
        locked = await _lock(connection, tenant, channel, None)
        opened = OpenedChannel(configured(locked["kind"], locked["config"]), self._open(locked["secret"]))
        await channel_queries.log_test(connection, tenant, channel, locked["name"])
        return opened

    def _open(self, sealed: bytes | None) -> str | None:
        return None if sealed is None else self._keyring.open(sealed)


async def show(connection: db.Connection, tenant: TenantId, channel: ChannelId) -> StoredChannel:
    """Return a channel; NotFound."""
    rows = await channel_queries.list_channels(connection, tenant, id=channel)
    if not rows:
        raise _unknown()
    return StoredChannel.model_validate(rows[0])


async def find(connection: db.Connection, tenant: TenantId, channel: str) -> StoredChannel:
    """Return the channel of this id or name; NotFound."""
    for row in await channel_queries.list_channels(connection, tenant):
        if channel in (str(row["id"]), row["name"]):
            return StoredChannel.model_validate(row)
    raise NotFound(f"There is no channel {channel!r}: check its name.")


async def enable(connection: db.Connection, tenant: TenantId, channel: ChannelId, expected: Expected = None) -> None:
    """Let a channel send, also one that SignalOps itself had disabled."""
    locked = await _lock(connection, tenant, channel, expected)
    await channel_queries.change_channel(connection, tenant, channel, _switched(locked, True))


async def disable(connection: db.Connection, tenant: TenantId, channel: ChannelId, expected: Expected = None) -> None:
    """Disable a channel: its deliveries become dead letters."""
    locked = await _lock(connection, tenant, channel, expected)
    await channel_queries.change_channel(connection, tenant, channel, _switched(locked, False))


async def delete(connection: db.Connection, tenant: TenantId, channel: ChannelId, expected: Expected = None) -> StoredChannel:
    """Delete a channel with its secret, and return it as it was, disabled; Conflict while enabled rules notify through it."""
    await _lock(connection, tenant, channel, expected)
    if rules := await channel_queries.rules_of_channel(connection, tenant, channel):
        named = ", ".join(map(repr, rules[:10])) + (" and others" if len(rules) > 10 else "")
        raise Conflict(f"Enabled rules notify through it ({named}): disable them, or let them notify another.", rules=rules)
    shown = await show(connection, tenant, channel)
    await channel_queries.delete_channel(connection, tenant, channel)
    return shown.model_copy(update={"enabled": False, "has_secret": False})


async def _lock(connection: db.Connection, tenant: TenantId, channel: ChannelId, expected: Expected) -> LockedChannel:
    """Return a channel, whose changes from here on follow one another."""
    locked = await channel_queries.lock_channel(connection, tenant, channel)
    if locked is None:
        raise _unknown()
    if expected is not None and tag_of(locked["updated_at"]) not in expected:
        raise PreconditionFailed("The channel is not as it was read: read it again, then change it.")
    return locked


def _switched(locked: LockedChannel, enabled: bool | None) -> LockedChannel:
    if enabled is not None and enabled != locked["enabled"]:
        locked["enabled"], locked["disabled_because"] = enabled, None
    return locked


def _made(kind: ChannelKind, config: Mapping[str, Any], secret: str | None) -> str:
    """Return the secret that takes another's place. Only what signs can have two at once: a webhook."""
    if kind != "webhook":
        raise Conflict(f"The secret of a channel of kind {kind} is its provider's to change: then PUT the channel with it.")
    if secret is not None and " " in secret:
        raise Invalid("secret: give one; the old one signs as well until the overlap ends.")
    made = configured(kind, config).normalize_secret(secret)
    assert made is not None
    return made


def _send_target(tenant: TenantId, kind: ChannelKind, account: str | None) -> UUID | None:
    """Return the send target that a tenant's channels of one account share: its pace and its circuit."""
    return None if account is None else uuid5(tenant, f"{kind} {account}")


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _unknown() -> NotFound:
    return NotFound("There is no such channel: check the id.")
