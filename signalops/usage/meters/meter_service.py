"""Adds and ends meters. A meter never changes, so that past figures keep their meaning.

Each function runs in a transaction of the tenant.
"""

from signalops import db
from signalops.errors import Conflict, NotFound
from signalops.types import TenantId
from signalops.usage.meters import meter_queries
from signalops.usage.meters.meter_models import MeterIn, MeterShown, is_key

MAX_RESULT = 10
"""Meters that may be made within 30 days for each that may count: what has ended stays."""


async def add(connection: db.Connection, tenant: TenantId, new: MeterIn, most: int) -> tuple[MeterShown, bool]:
    """Add a meter, which counts from the next batch on; return it, and whether it is new.

    The same one once more is the one there is. Conflict when its key is taken, or when more than `most` would count.
    """
    if known := await _known(connection, tenant, new):
        return known, False
    is_new = await meter_queries.add_meter(connection, tenant, new)
    known = await _known(connection, tenant, new)
    assert known is not None
    # After it was added, which locks the tenant's row: two at once can't both be the last.
    counting, recent = await meter_queries.count_meters(connection, tenant)
    if is_new and counting > most:
        raise Conflict(f"There are {most} meters already: end one, or have SIGNALOPS_MAX_METERS raised.")
    if is_new and recent > most * MAX_RESULT:
        raise Conflict(f"{most * MAX_RESULT} meters were made within 30 days, and are never deleted: wait, or change fewer.")
    return known, is_new


async def show(connection: db.Connection, tenant: TenantId, key: str) -> MeterShown:
    """Return a meter, also one that has ended; NotFound."""
    rows = await meter_queries.list_meters(connection, tenant, key=key) if is_key(key) else []
    if not rows:
        raise NotFound("There is no such meter: check the key.")
    return MeterShown.model_validate(rows[0])


async def end(connection: db.Connection, tenant: TenantId, key: str) -> MeterShown:
    """Have a meter count no more from the next batch on, and return it; what it has counted stays. Conflict: its plan's."""
    meter = await show(connection, tenant, key)
    if meter.ended_at is not None:
        return meter
    if meter.origin == "plan":
        raise Conflict(f"The plan bills by the meter {key}: it ends with the plan.")
    await meter_queries.end_meter(connection, tenant, key)
    return await show(connection, tenant, key)


async def _known(connection: db.Connection, tenant: TenantId, new: MeterIn) -> MeterShown | None:
    """Return the meter that is just this one and counts; None if there is none."""
    rows = await meter_queries.list_meters(connection, tenant, key=new.key)
    if not rows:
        return None
    if not await meter_queries.counts_the_same(connection, tenant, new):
        raise Conflict(f"The meter {new.key} counts or counted something else: choose another key.")
    known = MeterShown.model_validate(rows[0])
    if known.ended_at is not None:
        return None
    if (known.name, known.unit) != (new.name, new.unit):
        raise Conflict(f"The meter {new.key} has another name or unit: end it first, or leave them as they are.")
    return known
