"""The SQL queries of channel administration, in a transaction of the tenant."""

from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from signalops import db
from signalops.types import ChannelId, ChannelKind, TenantId

SQL = db.queries("send/channels")
_ANY = {"id": None, "kind": None, "enabled": None, "name": None}
_ALL = {"lower": UUID(int=0), "upper": UUID(int=2**128 - 1), "upwards": False, "limit": None}


class LockedChannel(TypedDict):
    """A channel as it stands, with its sealed secret."""

    kind: ChannelKind
    name: str
    config: db.Row
    secret: bytes | None
    enabled: bool
    disabled_because: str | None
    retry_schedule: list[int] | None
    max_per_minute: int | None
    send_target_id: UUID | None
    updated_at: datetime


async def add_channel(connection: db.Connection, tenant: TenantId, channel: ChannelId, **fields: Any) -> None:
    """Store a channel; Conflict if the name is taken."""
    written = fields | {"tenant": tenant, "id": channel, "config": db.Jsonb(fields["config"])}
    await connection.execute(SQL["add-channel"], written)


async def list_channels(connection: db.Connection, tenant: TenantId, **filters: Any) -> list[db.Row]:
    """Return channels, newest first; filters: id, kind, enabled, name; a page's bounds."""
    fields = {**_ANY, **_ALL, "tenant": tenant, **filters}
    return await db.rows(connection, SQL["list-channels"], fields)


async def lock_channel(connection: db.Connection, tenant: TenantId, channel: ChannelId) -> LockedChannel | None:
    """Lock a channel and return it; None if there is none."""
    row: Any = await db.row(connection, SQL["lock-channel"], {"tenant": tenant, "id": channel})
    found: LockedChannel | None = row
    return found


async def change_channel(connection: db.Connection, tenant: TenantId, channel: ChannelId, row: LockedChannel) -> None:
    """Update a locked channel; Conflict if another has its name. Invalid: its secret would be sent to another destination."""
    fields = {**row, "tenant": tenant, "id": channel, "config": db.Jsonb(row["config"])}
    await connection.execute(SQL["change-channel"], fields)


async def close_circuit(connection: db.Connection, tenant: TenantId, channel: ChannelId) -> None:
    """Let a channel send at once, whatever pause its receiver asked for."""
    await connection.execute(SQL["close-circuit"], {"tenant": tenant, "id": channel})


async def delete_channel(connection: db.Connection, tenant: TenantId, channel: ChannelId) -> None:
    """Delete a channel, except the row that versions of rules reference."""
    await connection.execute(SQL["delete-channel"], {"tenant": tenant, "id": channel})


async def log_test(connection: db.Connection, tenant: TenantId, channel: ChannelId, name: str) -> None:
    """Note in the audit log that a channel is tried out."""
    await connection.execute(SQL["log-channel-test"], {"tenant": tenant, "id": channel, "name": name})


async def rules_of_channel(connection: db.Connection, tenant: TenantId, channel: ChannelId) -> list[str]:
    """Return the names of the enabled rules that notify through a channel."""
    return await db.values(connection, SQL["rules-of-channel"], {"tenant": tenant, "id": channel})
