"""The cache of compiled schemas of an API process."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import orjson

from signalops import db, sandbox, telemetry
from signalops.cache import Cache
from signalops.errors import Invalid, SchemaViolation
from signalops.ingest.types import event_type_queries
from signalops.ingest.types.validator import Fault, Schema, faults_apart, whole
from signalops.types import JsonObject, TenantId

_TOO_LONG = "took too long to be validated against its schema, with the events before it: send smaller batches"
_MAX_BYTES = 32 * 1024 * 1024
_MIN_BYTES = 3 * 1024
_MAX_AGE = 300.0
"""Seconds for which schemas are not read again, were a NOTIFY ever lost."""


class StoredSchema(Schema):
    """A schema of a tenant for a type. It was checked; but one of another release, or written by hand, must stop no event."""

    def __init__(self, tenant: TenantId, row: JsonObject) -> None:
        super().__init__(row["schema"], row["mode"] == "reject")
        self.tenant = tenant
        self._about = {"tenant": tenant, "type": row["type"]}

    @cached_property
    def is_usable(self) -> bool:
        """Whether the schema can be compiled; determined at the first event, since compiling takes up to 50 ms."""
        try:
            self.check()
        except Invalid as error:
            telemetry.emit("schema.compile_failed", **self._about, error=str(error))
            return False
        return True


Schemas = dict[str, StoredSchema]


class SchemaCache:
    """Schemas by tenant and type, bounded in bytes, with at least 3 KiB for each tenant; least recently used tenants are dropped
    first."""

    def __init__(self, connections: db.Pool, most_bytes: int = _MAX_BYTES) -> None:
        self._connections = connections
        self.cache = Cache[TenantId, Schemas](most_bytes, max_age=_MAX_AGE, size_of=_size, tags_of=lambda tenant, _: (tenant,))

    async def of(self, tenant: TenantId) -> Schemas:
        """Return a tenant's schemas by type."""
        return await self.cache.load(tenant, partial(self._read, tenant))

    async def _read(self, tenant: TenantId, _: object) -> Schemas:
        async with db.as_tenant(self._connections, tenant) as connection:
            rows = await event_type_queries.list_schemas(connection, tenant)
        return {row["type"]: StoredSchema(tenant, row) for row in rows}


@dataclass(slots=True)
class PayloadValidator:
    """Validates the events of one request within a time budget in seconds.

    `light`: the part of it on the event loop; slower schemas and what exceeds it run in the sandbox.
    """

    schemas: Schemas
    seconds: float = 1.0
    light: float = 0.01

    async def faults(self, event_type: str, payload: JsonObject, row: bytes) -> Sequence[Fault]:
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

    async def _found(self, schema: StoredSchema, payload: JsonObject, row: bytes) -> Sequence[Fault]:
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
    return max(_MIN_BYTES, sum(schema.size for schema in schemas.values()))
