"""Adjusts usage and lists adjustments, for the API and the command line, in a transaction of the tenant."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from signalops import clock, db, telemetry
from signalops.endpoint import endpoint, for_operators
from signalops.errors import Forbidden, IdempotencyConflict, Invalid
from signalops.http import Response, answer, body_hash
from signalops.types import Caller, JsonObject, KeyId, TenantId
from signalops.usage.adjustments.adjustment_models import AdjustmentIn, AdjustmentList, AdjustmentShown, AdjustmentsPage
from signalops.usage.usage_queries import MeterInfo, find_meter
from signalops.usage.usage_report import ADDITIVE, group_key, group_of

SQL = db.queries("usage/usage")
_TENANTS = "/api/tenants/{tenant}/adjustments"


class RequestOrigin(NamedTuple):
    """How an adjustment was sent: with which API key (none from the command line), and which idempotency key."""

    key: KeyId | None = None
    idempotency_key: str | None = None


async def adjust(
    connection: db.Connection, tenant: TenantId, request: AdjustmentIn, sent: RequestOrigin, backfill_days: int
) -> tuple[AdjustmentShown, bool]:
    """Correct usage of the last `backfill_days`; return the adjustment, and whether it is new.

    Invalid; IdempotencyConflict when the idempotency key came with something else before.
    """
    meter = await find_meter(connection, tenant, request.meter)
    if meter is None:
        raise Invalid.at("meter", f"there is no meter {request.meter!r}; see GET /api/meters, or write events")
    fields = {
        "id": await db.new_id(connection),
        "at": _recent(request.at or clock.now(), backfill_days),
        "group_key": "[]" if request.group is None else group_key(meter.group_by, request.group),
        "key": sent.key,
        "idempotency_key": sent.idempotency_key,
        "body_hash": sent.idempotency_key and body_hash(request),
    }
    _refuse_others(request, meter)
    content = request.model_dump(include={"meter", "quantity", "reason", "author"})
    row = await db.the_row(connection, SQL["add-adjustment"], {"tenant": tenant, **fields, **content})
    if row["body_hash"] != fields["body_hash"]:
        raise IdempotencyConflict("The idempotency key came with another adjustment before: choose another key.")
    is_new = row["id"] == fields["id"]
    if is_new:
        telemetry.emit("usage.adjusted", tenant=tenant, adjustment=row["id"], meter=request.meter, author=request.author)
    return shown(row, meter.group_by), is_new


def shown(row: JsonObject, group_by: Sequence[str]) -> AdjustmentShown:
    """Return a row with the API's field names."""
    own = {name: row[name] for name in ("id", "meter", "quantity", "hour", "period", "reason", "author")}
    group = group_of(group_by, row["group_key"])
    return AdjustmentShown(**own, group=group, late=row["is_late"], created_at=row["created_at"])


def _recent(at: datetime, backfill_days: int) -> datetime:
    now = clock.now()
    if at > now:
        raise Invalid.at("at", "lies ahead; leave it out to correct the usage of this hour")
    if at < now - timedelta(days=backfill_days):
        raise Invalid.at(
            "at", f"is more than {backfill_days} days ago; leave it out to correct the usage of now, or ask for a credit note"
        )
    return at


def _refuse_others(request: AdjustmentIn, meter: MeterInfo) -> None:
    if meter.aggregation not in ADDITIVE:
        raise Invalid.at(
            "meter", f"{request.meter} can't be added to, it is {meter.aggregation}; correct one that counts or sums"
        )
    if meter.aggregation != "sum" and request.quantity % 1:
        raise Invalid.at("quantity", f"must be a whole number; {request.meter} counts")


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
        sent = RequestOrigin(caller.key, idempotency_key)
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
        filters = {"meter": query.meter, "upwards": query.upwards, **query.window(await db.settled(connection))}
        rows = await db.rows(connection, SQL["list-adjustments"], {"tenant": caller.tenant, **filters})
        return query.listed(rows, lambda row: shown(row, row["group_by"]))
