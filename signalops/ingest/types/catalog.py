"""Updates the catalog of event types from a worker's events: counts in memory, writes once a second."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from signalops import db, telemetry
from signalops.contracts import SeenType
from signalops.ingest.types import event_type_queries
from signalops.ingest.types.infer import Event, Structure
from signalops.types import TenantId

EVERY = 1.0
"""Seconds between two flushes: what a killed worker has counted in them is missing from the catalogue."""
MAX_TYPES = 1000
"""The types of one tenant, here and in the catalogue."""
_SAMPLES = 3  # events of a type whose structure is looked at between two flushes
_MAX_AT_ONCE = 500
_EXAMPLE_EVERY = 60.0
_MAX_EXAMPLE = 16 * 1024
_SHOWN = ("id", "type", "source", "occurredAt", "payload", "attributes")


@dataclass(slots=True)
class _Seen:
    """What was seen of one type since the last flush; its structure, since it is remembered."""

    count: int = 0
    first: str = ""
    last: str = ""
    structure: Structure = field(default_factory=Structure)
    example: Event | None = None
    example_at: float = -_EXAMPLE_EVERY

    def learn(self, event: Event) -> None:
        """Look at a sample."""
        self.structure.learn(event)
        if (now := time.monotonic()) - self.example_at >= _EXAMPLE_EVERY:
            self.example_at = now
            shown = {name: event[name] for name in _SHOWN if name != "attributes" or event[name]}
            if len(orjson.dumps(shown)) <= _MAX_EXAMPLE:
                self.example = shown

    def take(self, tenant: TenantId, event_type: str) -> SeenType:
        """Return the pending updates, and reset them."""
        structure = self.structure
        row: SeenType = {
            "tenant": tenant,
            "type": event_type,
            "first": self.first,
            "last": self.last,
            "count": self.count,
            "fields": structure.fresh,
            "cut": structure.cut,
            "example": self.example,
        }
        self.count, self.example, structure.fresh = 0, None, {}
        return row


class EventTypeCatalog:
    """The event types seen and not yet written, and those known to be in the catalogue."""

    def __init__(self, connections: db.Pool, most_kept: int = 4000) -> None:
        self._connections = connections
        self._most_kept = most_kept
        self._tenants: OrderedDict[TenantId, dict[str, _Seen]] = OrderedDict()
        self._counted: list[tuple[TenantId, str, _Seen]] = []
        self._rows: list[SeenType] = []
        self._flushing = asyncio.Lock()

    def record(self, tenant: TenantId, events: Sequence[Event]) -> None:
        """Take in processed events of a tenant; after the commit, since what is rolled back is processed again."""
        types = self._tenants.setdefault(tenant, {})
        self._tenants.move_to_end(tenant)
        for event in events:
            event_type, identity = event["type"], event["id"]
            if event.get("replay"):
                continue  # it was counted the first time
            seen = types.get(event_type)
            if seen is None:
                if len(types) >= MAX_TYPES:
                    continue
                seen = types[event_type] = _Seen()
            if seen.count == 0:
                self._counted.append((tenant, event_type, seen))
                seen.first = seen.last = identity
            elif identity > seen.last:
                seen.last = identity
            elif identity < seen.first:  # batches overtake one another
                seen.first = identity
            seen.count += 1
            if seen.count <= _SAMPLES:
                seen.learn(event)

    async def run(self) -> None:
        """Write once a second what was seen, until cancelled; flush at the end what is left."""
        while True:
            await asyncio.sleep(EVERY)
            await asyncio.shield(self.flush())

    @property
    def remembered_types(self) -> int:
        """How many types are remembered; between two flushes more can be added."""
        return sum(map(len, self._tenants.values()))

    async def flush(self) -> None:
        """Write what was seen. Each statement is a transaction; after an outage the next flush goes on where this one stopped."""
        async with self._flushing:
            await self._flush()

    async def _flush(self) -> None:
        try:
            await self._write()  # what an outage left: in one statement no type may stand twice
            self._rows = [seen.take(tenant, event_type) for tenant, event_type, seen in self._counted]
            self._counted.clear()
            await self._write()
        except db.OUTAGE:
            pass  # no events are processed in an outage, so the pending updates do not grow
        except Exception as error:
            telemetry.emit("types.flush_failed", types=len(self._rows), error=db.redact(error))
            self._rows.clear()
        self._forget()

    async def _write(self) -> None:
        if not self._rows:
            return
        async with self._connections.connection() as connection:
            while self._rows:
                await event_type_queries.record_event_types(connection, self._rows[:_MAX_AT_ONCE])
                del self._rows[:_MAX_AT_ONCE]

    def _forget(self) -> None:
        """Forget the tenants without events for the longest time; their types are learned again."""
        remembered = self.remembered_types
        for tenant, types in list(self._tenants.items()):
            if remembered <= self._most_kept:
                break
            if not any(seen.count for seen in types.values()):  # counted while this flush was written
                remembered -= len(self._tenants.pop(tenant))
