"""The quantity that an incoming event adds to its tenant's limited meters. The meters themselves are injected."""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import orjson

from signalops import clock
from signalops.ingest.event_models import Incoming
from signalops.types import TenantId


class LimitedMeterReader(Protocol):
    """The limited meters of tenants besides the number of events, as far as this process has met them."""

    def version(self, tenant: TenantId) -> int:
        """Return the version of a tenant's limited meters that is known here; 0: none."""

    def quantities(self, tenant: TenantId, event: Mapping[str, Any]) -> Mapping[str, Decimal]:
        """Return what an event {id, type, source, occurredAt, payload, attributes} adds to limited meters."""

    async def refresh(self, tenants: Collection[TenantId]) -> None:
        """Read the present limited meters of tenants."""


def with_quantities(meters: LimitedMeterReader, events: Sequence[Incoming]) -> list[Incoming]:
    """Add the quantities to events of tenants that have limited meters; the others, nearly all, stay as they are."""
    return [_with_quantities(meters, event) if meters.version(event.tenant) else event for event in events]


def _with_quantities(meters: LimitedMeterReader, event: Incoming) -> Incoming:
    row = orjson.loads(event.row)
    # What its producer gave no time happens when it is stored, which is about now.
    occurred = row["occurred_at"] or clock.now().isoformat()
    quantities = meters.quantities(event.tenant, {**row, "occurredAt": occurred})
    row["quantities"] = {meter: str(amount) for meter, amount in quantities.items()}
    return event._replace(row=orjson.dumps(row), limited_meters_version=meters.version(event.tenant), quantities=quantities)
