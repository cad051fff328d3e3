"""Usage as a worker counts it, of any time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import psycopg

from signalops import clock
from tests.support.rows import add_meter
from tests.support.tenants import Tenant


@dataclass(frozen=True)
class Counters:
    """The counters of a tenant in its time zone."""

    owner: psycopg.Connection
    tenant: Tenant
    zone: ZoneInfo = ZoneInfo("UTC")  # noqa: RUF009

    def in_zone(self, zone: str) -> "Counters":
        """Give the tenant a time zone."""
        self.owner.execute("update signalops.tenants set time_zone = %s where id = %s", [zone, self.tenant.id])
        return Counters(self.owner, self.tenant, ZoneInfo(zone))

    def make_meter(self, key: str, aggregation: str, group_by: Iterable[str] = ()) -> str:
        """Make a meter of all events; return its key."""
        field = None if aggregation == "count" else "payload.n"
        columns = {"field": field, "group_by": list(group_by), "unit": "GB"}
        add_meter(self.owner, self.tenant.id, key, aggregation, first_version=1, **columns)
        return key

    def month_of(self, moment: datetime) -> date:
        """Return the period in which a moment lies."""
        return moment.astimezone(self.zone).date().replace(day=1)

    def count(self, moment: datetime, events: int = 1, late: date | None = None, **more: Any) -> None:
        """Count events of a moment, late when the period that bills them is named; more: columns of the counter, and items."""
        hour = clock.hour_of(moment, self.zone)
        slot = {"tenant": self.tenant.id, "hour": hour, "period": late or self.month_of(hour), "group_key": "[]"}
        counted = {"meter": "events", "aggregation": "count", "events": events, "value": events, "is_late": bool(late)}
        metered = {**slot, **counted, "id": clock.new_id(), "batch": clock.new_id(), "event_ids": [clock.new_id()], **more}
        text = orjson.dumps([metered], default=str).decode()
        self.owner.execute("select signalops.count_usage(%s::jsonb)", [text])

    def close(self, until: datetime) -> None:
        """Close the periods before a moment."""
        self.owner.execute("update signalops.tenants set closed_until = %s where id = %s", [until, self.tenant.id])
