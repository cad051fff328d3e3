"""The endpoints that look at deliveries, retry and cancel them."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from signalops import db
from signalops.clock import Moment
from signalops.endpoint import endpoint
from signalops.errors import Conflict
from signalops.http import Page
from signalops.send.deliveries import delivery_queries, delivery_service
from signalops.send.deliveries.delivery_models import DeliveryDetail, DeliveryList, DeliveryShown
from signalops.types import Caller, DeliveryId, DeliveryStatus


class DeliveriesPage(Page):
    """Query of a list of deliveries."""

    status: DeliveryStatus | None = Field(None, description="Only deliveries in this state.")
    event: UUID | None = Field(None, description="Only deliveries of this event.")
    rule: UUID | None = Field(None, description="Only deliveries that this rule asked for.")
    channel: UUID | None = Field(None, description="Only deliveries through this channel.")
    since: Annotated[Moment | None, Field(alias="from", description="Asked for at or after this time (RFC 3339).")] = None
    until: Annotated[Moment | None, Field(alias="to", description="Asked for before this time (RFC 3339).")] = None


@endpoint("GET /api/deliveries", "listDeliveries", "List deliveries, newest first", "deliveries:*")
async def list_deliveries(connection: db.Connection, caller: Caller, query: DeliveriesPage) -> DeliveryList:
    """List a tenant's deliveries, newest first."""
    filters = query.model_dump(include={"status", "event", "rule", "channel"})
    window = query.window(await db.settled(connection), query.since, query.until)
    picked = await delivery_queries.pick_deliveries(connection, caller.tenant, **filters, upwards=query.upwards, **window)
    page, has_more = query.cut(picked)
    rows = await delivery_queries.read_deliveries(connection, caller.tenant, page)
    return DeliveryList(data=[DeliveryShown.model_validate(row) for row in rows], has_more=has_more)


@endpoint("GET /api/deliveries/{id}", "getDelivery", "Show a delivery with its attempts", "deliveries:*")
async def get_delivery(connection: db.Connection, caller: Caller, delivery: DeliveryId) -> DeliveryDetail:
    """Show a delivery with its attempts."""
    return await delivery_service.show(connection, caller.tenant, delivery)


@endpoint("POST /api/deliveries/{id}/retry", "retryDelivery", "Try a delivery again now", "deliveries:*", problems=(Conflict,))
async def retry_delivery(connection: db.Connection, caller: Caller, delivery: DeliveryId) -> DeliveryDetail:
    """Have a delivery tried now: one that is dead, with a schedule of its own, or one that waits."""
    return await delivery_service.retry(connection, caller.tenant, delivery)


@endpoint(
    "POST /api/deliveries/{id}/cancel", "cancelDelivery", "Cancel a delivery that waits", "deliveries:*", problems=(Conflict,)
)
async def cancel_delivery(connection: db.Connection, caller: Caller, delivery: DeliveryId) -> DeliveryDetail:
    """Cancel a delivery that waits; it is not tried again."""
    return await delivery_service.cancel(connection, caller.tenant, delivery)
