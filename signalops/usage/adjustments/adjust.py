"""Usage is corrected here, for the API and the command line alike, in a transaction of the tenant."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from signalops import clock, db, facts
from signalops.errors import IdempotencyConflict, Invalid
from signalops.http import body_hash
from signalops.terms import JsonObject, KeyId, TenantId
from signalops.usage.adjustments import store
from signalops.usage.adjustments.model import AdjustmentIn, AdjustmentShown
from signalops.usage.read import ADDITIVE, group_key, group_of
from signalops.usage.store import Metered, find_meter


class Sent(NamedTuple):
    """How an adjustment was sent: with which API key (none from the command line), and which idempotency key."""

    key: KeyId | None = None
    idempotency_key: str | None = None


async def adjust(
    connection: db.Connection, tenant: TenantId, asked: AdjustmentIn, sent: Sent, backfill_days: int
) -> tuple[AdjustmentShown, bool]:
    """Correct usage of the last `backfill_days`; return the adjustment, and whether it is new.

    Invalid; IdempotencyConflict when the idempotency key came with something else before.
    """
    meter = await find_meter(connection, tenant, asked.meter)
    if meter is None:
        raise Invalid.at("meter", f"there is no meter {asked.meter!r}; see GET /api/meters, or write events")
    fields = {
        "id": await db.new_id(connection),
        "at": _recent(asked.at or clock.now(), backfill_days),
        "grp": "[]" if asked.group is None else group_key(meter.group_by, asked.group),
        "key": sent.key,
        "idempotency_key": sent.idempotency_key,
        "body_hash": sent.idempotency_key and body_hash(asked),
    }
    _refuse_others(asked, meter)
    said = asked.model_dump(include={"meter", "quantity", "reason", "author"})
    row = await store.add_adjustment(connection, tenant, **fields, **said)
    if row["body_hash"] != fields["body_hash"]:
        raise IdempotencyConflict("The idempotency key came with another adjustment before: choose another key.")
    is_new = row["id"] == fields["id"]
    if is_new:
        facts.emit("usage.adjusted", tenant=tenant, adjustment=row["id"], meter=asked.meter, author=asked.author)
    return shown(row, meter.group_by), is_new


def shown(row: JsonObject, group_by: Sequence[str]) -> AdjustmentShown:
    """Write a row in the words of the API."""
    own = {name: row[name] for name in ("id", "meter", "quantity", "hour", "period", "reason", "author")}
    group = group_of(group_by, row["grp"])
    return AdjustmentShown(**own, group=group, late=row["is_late"], created_at=row["created_at"])


def _recent(at: datetime, backfill_days: int) -> datetime:
    now = clock.now()
    if at > now:
        raise Invalid.at("at", "lies ahead; leave it out to correct the usage of this hour")
    if at < now - timedelta(days=backfill_days):
        raise Invalid.at(
            "at",
            f"is more than {backfill_days} days ago; leave it out to correct the usage of now, or ask for a credit note",
        )
    return at


def _refuse_others(asked: AdjustmentIn, meter: Metered) -> None:
    if meter.aggregation not in ADDITIVE:
        raise Invalid.at(
            "meter", f"{asked.meter} can't be added to, it is {meter.aggregation}; correct one that counts or sums"
        )
    if meter.aggregation != "sum" and asked.quantity % 1:
        raise Invalid.at("quantity", f"must be a whole number; {asked.meter} counts")
