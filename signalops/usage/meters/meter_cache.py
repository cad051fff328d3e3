"""The cache of compiled meters of a worker."""

from functools import partial

from signalops import db, telemetry
from signalops.cache import Cache
from signalops.patterns import cache_of_compiled
from signalops.types import TenantId
from signalops.usage.meters import meter_queries
from signalops.usage.meters.compiled_meters import NO_METERS, CompiledMeters, compile_meters


class MeterCache:
    """Compiled meters by tenant. A batch names their version, so a change needs no invalidation."""

    def __init__(self) -> None:
        self._cache: Cache[int, CompiledMeters] = cache_of_compiled()

    async def meters_of(self, connection: db.Connection, tenant: TenantId, version: int) -> CompiledMeters:
        """Return a tenant's meters, in the version asked for or a later one; reads them in a transaction of the tenant."""
        if version == 0:
            return NO_METERS
        compiled = self._cache.get(tenant.int)
        if compiled is None or compiled.version < version:
            compiled = await self._load(connection, tenant)
            self._cache.put(tenant.int, compiled)
        return compiled

    async def _load(self, connection: db.Connection, tenant: TenantId) -> CompiledMeters:
        await db.set_tenant(connection, tenant)
        rows = await meter_queries.active_meters(connection, tenant)
        meters = [row for row in rows if row["key"] is not None]
        return compile_meters(rows[0]["meters_version"], meters, partial(_report, tenant), rows[0]["limited"])


def _report(tenant: TenantId, meter: str, error: str) -> None:
    telemetry.emit("meter.compile_failed", tenant=tenant, meter=meter, error=error)
