"""The SQL queries of callbacks; all except the first in a transaction of the tenant."""

from typing import Any
from uuid import UUID

from signalops import db
from signalops.send.callbacks.callback_models import AddressToSuppress, ProviderStatus
from signalops.send.message_models import ERROR_LIMIT, PROVIDER_ID_LIMIT, storable
from signalops.types import ChannelId, TenantId

SQL = db.queries("send/callbacks")


async def find_called_channel(connection: db.Connection, channel: UUID) -> tuple[TenantId, bytes] | None:
    """Return whose channel is called back, and its sealed secret; before a tenant is known."""
    found = await db.row(connection, SQL["find-called-channel"], {"channel": channel})
    return (TenantId(found["tenant_id"]), found["secret"]) if found else None


async def apply_status(
    connection: db.Connection, tenant: TenantId, reported: ProviderStatus, channel: ChannelId | None
) -> bool | None:
    """Apply a status; return whether the delivery changed, None if the report must be sent again. Finds it by id or channel."""
    fields: dict[str, object] = {"tenant": tenant, "channel": channel, "delivery": reported.delivery, "status": reported.status}
    fields |= {"provider": storable(reported.provider_id, PROVIDER_ID_LIMIT), "error": storable(reported.error, ERROR_LIMIT)}
    moved: bool | None = await db.value(connection, SQL["apply-provider-status"], fields)
    return moved


async def suppress(connection: db.Connection, tenant: TenantId, delivery: UUID, addresses_to_suppress: AddressToSuppress) -> bool:
    """Suppress an address to which a delivery of the tenant went; return False if it was before, or there is no such."""
    arguments = {
        "tenant": tenant,
        "id": await db.new_id(connection),
        "delivery": delivery,
        "address": storable(addresses_to_suppress.address, 254),
    }
    arguments |= {"reason": addresses_to_suppress.reason, "detail": storable(addresses_to_suppress.detail, ERROR_LIMIT)}
    return (await connection.execute(SQL["suppress-address"], arguments)).rowcount == 1


async def list_suppressions(connection: db.Connection, tenant: TenantId, **page: Any) -> list[db.Row]:
    """Return suppressions between two ids, of one address or all; the fields are address, lower, upper, upwards and limit."""
    return await db.rows(connection, SQL["list-suppressions"], {"tenant": tenant, **page})


async def remove_suppression(connection: db.Connection, tenant: TenantId, suppression: UUID) -> db.Row | None:
    """Remove a suppression and return it; None if there is none."""
    arguments = {"tenant": tenant, "id": suppression}
    return await db.row(connection, SQL["remove-suppression"], arguments)
