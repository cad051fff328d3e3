"""The endpoints that correct usage."""

from signalops import db
from signalops.endpoint import endpoint, for_operators
from signalops.errors import Forbidden
from signalops.http import Response, answer
from signalops.terms import Caller
from signalops.usage.adjustments import store
from signalops.usage.adjustments.adjust import Sent, adjust, shown
from signalops.usage.adjustments.model import AdjustmentIn, AdjustmentList, AdjustmentShown, AdjustmentsPage

_TENANTS = "/api/tenants/{tenant}/adjustments"


class Adjustments:
    """The endpoints; `backfill_days` is how far back usage can be corrected."""

    def __init__(self, backfill_days: int) -> None:
        self._backfill_days = backfill_days

    @for_operators(_TENANTS, "adjustTenantUsage", "Correct the usage of an hour, also downwards", "open tenant")
    @endpoint(
        "POST /api/usage/adjustments",
        "adjustUsage",
        "Correct the usage of an hour",
        "usage:adjust",
        answers={201: AdjustmentShown, 200: AdjustmentShown},
        headers={"Idempotency-Key": "A second request with this key and body corrects nothing more."},
    )
    async def adjust_usage(
        self, connection: db.Connection, caller: Caller, body: AdjustmentIn, idempotency_key: str | None
    ) -> Response:
        """Correct the usage of an hour. A period that is closed stays as it is: the open one bills the correction, late.

        To take usage off is the operator's: it lowers what is billed.
        """
        if caller.actor.kind == "operator":
            body = body.model_copy(update={"author": caller.actor.name[:200]})
        elif body.quantity < 0:
            raise Forbidden("Usage is taken off by the operator of this installation alone: ask for it.")
        sent = Sent(caller.key, idempotency_key)
        adjustment, is_new = await adjust(connection, caller.tenant, body, sent, self._backfill_days)
        return answer(adjustment, 201 if is_new else 200)

    @for_operators(_TENANTS, "listTenantAdjustments", "List corrections of a tenant's usage, newest first")
    @endpoint(
        "GET /api/usage/adjustments",
        "listAdjustments",
        "List corrections of usage, newest first",
        "usage:read",
        answers={200: AdjustmentList},
    )
    async def list_adjustments(self, connection: db.Connection, caller: Caller, query: AdjustmentsPage) -> Response:
        """List the corrections of usage, newest first."""
        wanted = {"meter": query.meter, "upwards": query.upwards, **query.window(await db.settled(connection))}
        rows = await store.list_adjustments(connection, caller.tenant, **wanted)
        return query.listed(rows, lambda row: shown(row, row["group_by"]))
