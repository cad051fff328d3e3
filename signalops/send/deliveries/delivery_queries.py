"""The SQL queries of deliveries, in a transaction of the tenant."""

from typing import Any, get_args
from uuid import UUID

from signalops import db
from signalops.types import DeliveryId, DeliveryStatus, TenantId

SQL = db.queries("send/deliveries")


async def pick_deliveries(connection: db.Connection, tenant: TenantId, **filters: Any) -> list[UUID]:
    """Return the ids of a page {lower, upper, upwards, limit} of deliveries; filters: status, event, rule, channel."""
    fields = {**dict.fromkeys(("status", "event", "rule", "channel")), **filters}
    if fields["event"]:
        query = "pick-deliveries-of-event"
    elif fields["status"] or fields["rule"] or fields["channel"]:
        query = "pick-deliveries-of-rules"
    else:
        query = "pick-deliveries"
    statuses = [fields["status"]] if fields["status"] else list(get_args(DeliveryStatus))
    return await db.values(connection, SQL[query], {**fields, "tenant": tenant, "statuses": statuses})


async def read_deliveries(connection: db.Connection, tenant: TenantId, ids: list[UUID]) -> list[db.Row]:
    """Return deliveries with the names of what they belong to, newest first."""
    return await db.rows(connection, SQL["read-deliveries"], {"tenant": tenant, "ids": ids})


async def read_attempts(connection: db.Connection, tenant: TenantId, delivery: DeliveryId) -> list[db.Row]:
    """Return the attempts at a delivery, in order."""
    return await db.rows(connection, SQL["read-attempts"], {"tenant": tenant, "delivery": delivery})


async def retry_delivery(connection: db.Connection, tenant: TenantId, delivery: DeliveryId) -> bool:
    """Make a delivery due now; False if it neither waits nor has an unresolved dead letter."""
    return await _done(connection, "retry-delivery", tenant, delivery)


async def cancel_delivery(connection: db.Connection, tenant: TenantId, delivery: DeliveryId) -> bool:
    """Cancel a delivery; False if it does not wait."""
    return await _done(connection, "cancel-delivery", tenant, delivery)


async def _done(connection: db.Connection, query: str, tenant: TenantId, delivery: DeliveryId) -> bool:
    return bool(await db.value(connection, SQL[query], {"tenant": tenant, "delivery": delivery}))
