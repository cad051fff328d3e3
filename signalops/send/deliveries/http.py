"""The requests that look at deliveries, retry and cancel them."""

from typing import Annotated
from uuid import UUID

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.clock import Moment
from signalops.http import Page, answer, id_of
from signalops.send.deliveries import manage, store
from signalops.send.deliveries.model import DeliveryList, DeliveryShown
from signalops.terms import Caller, DeliveryId, DeliveryStatus


class DeliveriesPage(Page):
    """Query of a list of deliveries."""

    status: DeliveryStatus | None = Field(None, description="Only deliveries in this state.")
    event: UUID | None = Field(None, description="Only deliveries of this event.")
    rule: UUID | None = Field(None, description="Only deliveries that this rule asked for.")
    channel: UUID | None = Field(None, description="Only deliveries through this channel.")
    since: Annotated[Moment | None, Field(alias="from", description="Asked for at or after this time (RFC 3339).")] = (
        None
    )
    until: Annotated[Moment | None, Field(alias="to", description="Asked for before this time (RFC 3339).")] = None


class Deliveries:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def list(self, request: Request, caller: Caller) -> Response:
        """List a tenant's deliveries, newest first."""
        query = DeliveriesPage.of(request)
        wanted = query.model_dump(include={"status", "event", "rule", "channel"})
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            window = query.window(await db.settled(connection), query.since, query.until)
            picked = await store.pick_deliveries(connection, caller.tenant, **wanted, upwards=query.upwards, **window)
            page, has_more = query.cut(picked)
            rows = await store.read_deliveries(connection, caller.tenant, page)
        return answer(DeliveryList(data=[DeliveryShown.model_validate(row) for row in rows], has_more=has_more))

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show a delivery with its attempts."""
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await manage.show(connection, caller.tenant, _delivery(request)))

    async def retry(self, request: Request, caller: Caller) -> Response:
        """Have a delivery tried now: one that is dead, with a schedule of its own, or one that waits."""
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await manage.retry(connection, caller.tenant, _delivery(request)))

    async def cancel(self, request: Request, caller: Caller) -> Response:
        """Cancel a delivery that waits; it is not tried again."""
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await manage.cancel(connection, caller.tenant, _delivery(request)))


def _delivery(request: Request) -> DeliveryId:
    return DeliveryId(id_of(request, "delivery"))
