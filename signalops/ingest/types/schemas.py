"""The schemas of the tenants whose events an API process met lately."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from signalops import db, facts, sandbox
from signalops.errors import Invalid, SchemaViolation
from signalops.ingest.types import store
from signalops.ingest.types.schema import Fault, Schema, faults_apart, whole
from signalops.terms import TenantId

_MOST_TENANTS = 10_000
_TOO_LONG = "took too long to be held against its schema, with the events before it: send smaller batches"
_MOST_BYTES = 32 * 1024 * 1024


class StoredSchema(Schema):
    """A schema of a tenant for a type. It was checked; but one of another release, or written by hand, must stop no event."""

    def __init__(self, tenant: TenantId, row: dict[str, Any]) -> None:
        super().__init__(row["schema"], row["mode"] == "reject")
        self.tenant = tenant
        self._about = {"tenant": tenant, "type": row["type"]}

    @cached_property
    def is_usable(self) -> bool:
        """Whether events can be held against it; asked at the first of them, since compiling takes up to 50 ms."""
        try:
            self.check()
        except Invalid as error:
            facts.emit("schema.broken", **self._about, error=str(error))
            return False
        return True


Schemas = dict[str, StoredSchema]


class SchemaBook:
    """Schemas by tenant and type, least recently used tenants dropped first: as many tenants, and as much text, may stay."""

    def __init__(self, connections: db.Pool, most_tenants: int = _MOST_TENANTS, most_bytes: int = _MOST_BYTES) -> None:
        self._connections = connections
        self._most_tenants = most_tenants
        self._most_bytes = most_bytes
        self._known: OrderedDict[TenantId, Schemas] = OrderedDict()
        self._asked: dict[TenantId, asyncio.Task[Schemas]] = {}
        self._bytes = 0

    async def of(self, tenant: TenantId) -> Schemas:
        """Return a tenant's schemas by type."""
        known = self._known.get(tenant)
        if known is None:
            return await asyncio.shield(self._load_once(tenant))
        self._known.move_to_end(tenant)
        return known

    def forget(self, tenant: TenantId) -> None:
        """Read a tenant's schemas again at its next event: they changed. What is being read now may be from before that."""
        self._asked.pop(tenant, None)
        self._bytes -= _size(self._known.pop(tenant, {}))

    def forget_all(self) -> None:
        """Read all schemas again: a change may have been missed."""
        self._asked.clear()
        self._known.clear()
        self._bytes = 0

    def _load_once(self, tenant: TenantId) -> asyncio.Task[Schemas]:
        if tenant not in self._asked:
            self._asked[tenant] = asyncio.create_task(self._load(tenant))
        return self._asked[tenant]

    async def _load(self, tenant: TenantId) -> Schemas:
        try:
            async with db.as_tenant(self._connections, tenant) as connection:
                rows = await store.list_schemas(connection, tenant)
            schemas = {row["type"]: StoredSchema(tenant, row) for row in rows}
            if self._asked.get(tenant) is asyncio.current_task():
                self._keep(tenant, schemas)
            return schemas
        finally:
            if self._asked.get(tenant) is asyncio.current_task():
                del self._asked[tenant]

    def _keep(self, tenant: TenantId, schemas: Schemas) -> None:
        self._known[tenant] = schemas
        self._bytes += _size(schemas)
        while len(self._known) > self._most_tenants or (self._bytes > self._most_bytes and len(self._known) > 1):
            self._bytes -= _size(self._known.popitem(last=False)[1])


@dataclass(slots=True)
class Hold:
    """Holds the events of one request against their tenant's schemas, for so many seconds altogether.

    `light`: of these on the event loop; after them, and for what may take longer, in the sandbox.
    """

    schemas: Schemas
    seconds: float = 1.0
    light: float = 0.01

    async def faults(self, event_type: str, payload: dict[str, Any], row: bytes) -> Sequence[Fault]:
        """Return what a payload in a row of JSON is warned of; raise SchemaViolation when it is rejected."""
        schema = self.schemas.get(event_type)
        if schema is None or not schema.is_usable:
            return ()
        faults = await self._found(schema, payload, row)
        if faults and schema.rejects:
            raise SchemaViolation(
                f"{faults[0].path}: {faults[0].message}; send what the schema of {event_type} allows, or change the schema.",
                errors=[fault.model_dump() for fault in faults],
            )
        return faults

    async def _found(self, schema: StoredSchema, payload: dict[str, Any], row: bytes) -> Sequence[Fault]:
        if self.seconds <= 0:
            return [whole(_TOO_LONG)]
        began, is_light = time.perf_counter(), self.light > 0 and schema.is_light(row)
        try:
            if is_light:
                return schema.faults(payload, len(row))
            return await sandbox.run(schema.tenant, faults_apart, schema.text, orjson.dumps(payload), len(row))
        except sandbox.Stopped:
            return [whole(_TOO_LONG)]
        finally:
            spent = time.perf_counter() - began
            self.seconds -= spent
            self.light -= spent if is_light else 0


def _size(schemas: Schemas) -> int:
    return sum(schema.size for schema in schemas.values())
