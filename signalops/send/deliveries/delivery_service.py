"""Shows, retries and cancels deliveries, in a transaction of the tenant."""

from signalops import db
from signalops.errors import Conflict, NotFound
from signalops.send.deliveries import delivery_queries
from signalops.send.deliveries.delivery_models import DeliveryDetail
from signalops.types import DeliveryId, DeliveryStatus, TenantId

_NOT_AGAIN = {
    "pending": "a worker is about to send it",
    "sending": "a worker has it in hand",
    "dead": "its dead letter was discarded",
    "cancelled": "it was cancelled; replay its event to notify again",
    "suppressed": "its receiver wants no more messages",
}
_NOT_CANCELLED = {"sending": "a worker has it in hand", "dead": "it has ended; discard its dead letter instead"}


async def show(connection: db.Connection, tenant: TenantId, delivery: DeliveryId) -> DeliveryDetail:
    """Return a delivery with its attempts; NotFound."""
    rows = await delivery_queries.read_deliveries(connection, tenant, [delivery])
    if not rows:
        raise NotFound("There is no such delivery: check the id.")
    log = await delivery_queries.read_attempts(connection, tenant, delivery)
    return DeliveryDetail.model_validate(rows[0] | {"attemptLog": log})


async def retry(connection: db.Connection, tenant: TenantId, delivery: DeliveryId) -> DeliveryDetail:
    """Have a delivery that is dead or waits tried now; NotFound, or Conflict."""
    done = await delivery_queries.retry_delivery(connection, tenant, delivery)
    shown = await show(connection, tenant, delivery)
    if not done:
        raise _refused("retried", shown.status, _NOT_AGAIN.get(shown.status, "it has arrived"))
    return shown


async def cancel(connection: db.Connection, tenant: TenantId, delivery: DeliveryId) -> DeliveryDetail:
    """Cancel a delivery that waits; NotFound, or Conflict."""
    done = await delivery_queries.cancel_delivery(connection, tenant, delivery)
    shown = await show(connection, tenant, delivery)
    if not done:
        raise _refused("cancelled", shown.status, _NOT_CANCELLED.get(shown.status, "it has ended"))
    return shown


def _refused(what: str, status: DeliveryStatus, why: str) -> Conflict:
    return Conflict(f"A delivery that is {status} can't be {what}: {why}.", deliveryStatus=status)
