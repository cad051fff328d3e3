"""Reads usage, for the API and the command line."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import reduce
from typing import Any

import orjson

from signalops import clock, db
from signalops.endpoint import endpoint
from signalops.errors import Invalid, NotFound
from signalops.patterns import Grouping
from signalops.types import Caller, TenantId
from signalops.usage import usage_queries
from signalops.usage.meters.meter_models import DEFAULT, Aggregation
from signalops.usage.plans.money import EXACT
from signalops.usage.time_range import Span
from signalops.usage.usage_models import Group, Usage, UsageQuery, UsageWindow

ADDITIVE = ("count", "sum", "unique_count")
"""Aggregations whose value of no events is 0; only these can be adjusted."""
MAX_WINDOWS = 10_000


async def usage(connection: db.Connection, tenant: TenantId, query: UsageQuery, at: datetime | None = None) -> Usage:
    """Return what a meter counted; when no time is asked for, in the month of `at` (now). NotFound or Invalid."""
    meter = await usage_queries.find_meter(connection, tenant, query.meter)
    if meter is None:
        raise NotFound(f"There is no meter {query.meter!r}: see GET /api/meters, or leave it out for all events.")
    span = Span.of(query, meter.zone, at or clock.now())
    group = None if query.group is None else group_key(meter.group_by, query.group)
    parameters = {"meter": query.meter, "lower": span.lower, "upper": span.upper, "group_key": group}
    rows = await _rows(connection, tenant, query, parameters)
    whole = await _whole(connection, tenant, meter.aggregation, parameters, rows)
    return Usage(
        meter=query.meter,
        name=meter.name,
        aggregation=meter.aggregation,
        unit=meter.unit,
        time_zone=meter.time_zone,
        period=span.period,
        since=span.lower.astimezone(meter.zone),
        until=span.upper.astimezone(meter.zone),
        quantity=whole["quantity"],
        events=whole["events"],
        **await _limits(connection, tenant, query.meter, span, whole["events"]),
        is_limited=await _is_limited(connection, tenant, meter, span),
        windows=[_window(row, span.bounds(row["bucket"], query.window), meter.group_by) for row in rows],
    )


def group_key(paths: Sequence[str], group: Group) -> str:
    """Return the key under which a group is counted; Invalid when it names another field."""
    if unknown := group.keys() - set(paths):
        known = f"by {', '.join(paths)}" if paths else "without groups"
        raise Invalid.at("group", f"{min(unknown)} is no field of a meter that counts {known}; leave it out")
    return Grouping(paths).key(group)


def group_of(paths: Sequence[str], key: str) -> Group | str | None:
    """Return the values of a group by field, or the hash of long ones; None of what concerns all groups."""
    if key.startswith("sha256:"):
        return key
    return dict(zip(paths, orjson.loads(key), strict=True)) if key != "[]" else None


async def _rows(connection: db.Connection, tenant: TenantId, query: UsageQuery, parameters: Mapping[str, Any]) -> list[db.Row]:
    step = None if query.window == "none" else query.window
    by_group = query.group_by or query.group is not None
    rows = await usage_queries.usage_by(connection, tenant, **parameters, step=step, by_group=by_group, limit=MAX_WINDOWS + 1)
    if len(rows) > MAX_WINDOWS:
        raise Invalid.at("window", f"there are more than {MAX_WINDOWS}; ask for a shorter time, or for one group")
    return rows


async def _whole(
    connection: db.Connection, tenant: TenantId, aggregation: Aggregation, parameters: Mapping[str, Any], rows: Sequence[db.Row]
) -> db.Row:
    """Return events and quantity of all the time that is asked for."""
    if aggregation in ("count", "sum"):
        # The windows are all of it, and reading a year twice would take twice as long.
        return {name: reduce(EXACT.add, (row[name] for row in rows), Decimal(0)) for name in ("events", "quantity")}
    by_group = parameters["group_key"] is not None
    total = await usage_queries.usage_by(connection, tenant, **parameters, step=None, by_group=by_group, limit=1)
    return total[0] if total else {"events": 0, "quantity": Decimal(0) if aggregation in ADDITIVE else None}


def _window(row: db.Row, bounds: tuple[datetime, datetime], group_by: Sequence[str]) -> UsageWindow:
    start, end = bounds
    group = group_of(group_by, row["group_key"])
    return UsageWindow(start=start, end=end, quantity=row["quantity"], events=row["events"], group=group)


async def _is_limited(connection: db.Connection, tenant: TenantId, meter: usage_queries.MeterInfo, span: Span) -> bool:
    if meter.aggregation != "unique_count" and not meter.group_by:
        return False
    return await usage_queries.is_limited(connection, tenant, span.lower, span.upper)


async def _limits(connection: db.Connection, tenant: TenantId, meter: str, span: Span, processed: int) -> dict[str, int | None]:
    if meter != DEFAULT or span.period is None:
        return dict.fromkeys(("accepted", "processed", "softLimit", "hardLimit"))
    quota = await usage_queries.quota_of_month(connection, tenant, span.period)
    limits = {"softLimit": quota["soft_limit"], "hardLimit": quota["hard_limit"]}
    return {"accepted": quota["accepted"], "processed": processed, **limits}


@endpoint("GET /api/usage", "getUsage", "Show what a meter counted, by hour, day or month", "usage:read", problems=(NotFound,))
async def get_usage(connection: db.Connection, caller: Caller, query: UsageQuery) -> Usage:
    """Show what a meter counted, by the time at which events happened; of a month's events also what was accepted."""
    return await usage(connection, caller.tenant, query)
