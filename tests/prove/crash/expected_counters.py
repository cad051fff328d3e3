"""The books made by hand: what every meter must say, reckoned from the stored events with nothing of the product's own."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from tests.support.tenants import Tenant

PAID = {"type": ["order.paid"]}
RARE = {"payload": {"rare": [True]}}
BY_RARE = ("payload.rare",)


class Meter(NamedTuple):
    """A meter of the orders that the tests make; their payloads are {key: a decimal text, rare: whether}."""

    key: str
    aggregation: str
    field: str | None = None
    group_by: tuple[str, ...] = ()
    pattern: Mapping[str, Any] = PAID


class Slot(NamedTuple):
    """The key of a counter."""

    tenant: UUID
    meter: str
    hour: datetime
    group_key: str
    period: date


class Order(NamedTuple):
    """A stored event, in the order of time."""

    moment: datetime
    id: UUID
    tenant: UUID
    number: Decimal
    is_rare: bool
    time_zone: str

    def slot(self, meter: Meter) -> Slot:
        """Return where a meter counts it."""
        hour = self.moment.astimezone(ZoneInfo(self.time_zone)).replace(minute=0, second=0, microsecond=0)
        group_key = json.dumps([self.is_rare] if meter.group_by else [])
        return Slot(self.tenant, meter.key, hour, group_key, hour.date().replace(day=1))


ALL = Meter("events", "count")
METERS = (
    Meter("orders", "count", None, BY_RARE),
    Meter("turnover", "sum", "payload.key", BY_RARE),
    Meter("most", "max", "payload.key"),
    Meter("least", "min", "payload.key", (), RARE),
    Meter("mean", "avg", "payload.key"),
    Meter("last", "latest", "payload.key", BY_RARE),
    Meter("different", "unique_count", "payload.key", BY_RARE),
)
ORDERS = """
  select least(e.occurred_at, signalops.uuid7_time(e.id)) as moment, e.id, e.tenant_id as tenant,
    (e.payload ->> 'key')::numeric as number, (e.payload ->> 'rare')::boolean as is_rare, t.time_zone
  from signalops.events e join signalops.tenants t on t.id = e.tenant_id where e.causation_depth = 0
"""
COUNTERS = """
  select c.tenant_id, c.meter, c.hour, c.group_key, c.period, c.events, c.value, c.latest_event, (
    select count(*) from signalops.usage_distinct_values i
    where (i.tenant_id, i.meter, i.hour, i.group_key, i.period) = (c.tenant_id, c.meter, c.hour, c.group_key, c.period))
  from signalops.usage_counters c
"""
ENTRIES = "select tenant_id, meter, hour, group_key, period, unnest(event_ids) from signalops.usage_entries"


def make_meters(owner: psycopg.Connection, tenant: Tenant) -> None:
    """Give a tenant a meter of each aggregation."""
    for meter in METERS:
        owner.execute(
            "insert into signalops.meters (tenant_id, key, name, aggregation, field, grammar, pattern, group_by, origin)"
            " values (%s, %s, %s, %s, %s, 2, %s, %s, 'tenant')",
            [tenant.id, meter.key, meter.key, meter.aggregation, meter.field, Jsonb(meter.pattern), [*meter.group_by]],
        )


def faults(owner: psycopg.Connection) -> list[str]:
    """Return a sentence for each counter, and each event of an entry, that isn't what the stored events make it."""
    slots = _slots(owner)
    expected = {slot: _counted(slot.meter, orders) for slot, orders in slots.items()}
    counted = {Slot(*row[:5]): tuple(row[5:]) for row in owner.execute(COUNTERS)}
    billed = Counter((Slot(*slot), event) for *slot, event in owner.execute(ENTRIES))
    once = Counter((slot, order.id) for slot, orders in slots.items() for order in orders)
    wrong = [
        f"{slot} is {counted.get(slot)}, and not {expected.get(slot)}"
        for slot in expected.keys() | counted.keys()
        if counted.get(slot) != expected.get(slot)
    ]
    return wrong + [
        f"{one} is on entry {billed[one]} times, and not {once[one]}" for one in billed | once if billed[one] != once[one]
    ]


def _slots(owner: psycopg.Connection) -> dict[Slot, list[Order]]:
    slots = defaultdict[Slot, list[Order]](list)
    with owner.cursor(row_factory=class_row(Order)) as cursor:
        for order in cursor.execute(ORDERS):
            for meter in (ALL, *METERS):
                if order.is_rare or meter.pattern is not RARE:
                    slots[order.slot(meter)].append(order)
    return slots


def _counted(key: str, orders: list[Order]) -> tuple[int, Decimal | None, UUID | None, int]:
    """Return what a counter has to hold: events, value, latest event and how many different values."""
    numbers = [order.number for order in orders]
    many = len(orders)
    match next(meter.aggregation for meter in (ALL, *METERS) if meter.key == key):
        case "count":
            return many, Decimal(many), None, 0
        case "sum" | "avg":
            return many, sum(numbers, Decimal(0)), None, 0
        case "max":
            return many, max(numbers), None, 0
        case "min":
            return many, min(numbers), None, 0
        case "latest":
            return many, max(orders).number, max(orders).id, 0
    return many, None, None, len(set(numbers))
