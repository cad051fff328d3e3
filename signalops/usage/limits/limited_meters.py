"""Computes what an incoming event adds to its tenant's limited meters."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from signalops import db, telemetry
from signalops.cache import Cache
from signalops.patterns import cache_of_compiled, flattened
from signalops.types import TenantId
from signalops.usage.limits import limit_queries
from signalops.usage.meters.compiled_meters import CompiledMeters, compile_meters


class LimitedMeters:
    """The limited meters of the tenants that an API process has served lately, compiled.

    A tenant's version (tenants.limited_meters_version) is 0 until a meter besides events is limited. On a cache miss a process
    assumes no limited meters: signalops.accept answers that this is stale, and the meters are loaded. Quantities are computed
    as the worker counts, except that negative values count as 0, because limits only grow.
    """

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections
        self._cache: Cache[int, CompiledMeters] = cache_of_compiled()

    def version(self, tenant: TenantId) -> int:
        """Return the version of a tenant's limited meters that is known here; 0: none."""
        known = self._cache.get(tenant.int)
        return known.version if known else 0

    def quantities(self, tenant: TenantId, event: Mapping[str, Any]) -> Mapping[str, Decimal]:
        """Return what an event {id, type, source, occurredAt, payload, attributes} adds to limited meters."""
        known = self._cache.get(tenant.int)
        assert known, "only for tenants with a known version"
        seen = flattened(event, event["attributes"])
        readings = {meter.key: reading.value for meter, reading, _ in known.read(seen)}
        return {key: value for key, value in readings.items() if value and value > 0}

    async def refresh(self, tenants: Collection[TenantId]) -> None:
        """Read the present limited meters of tenants."""
        for tenant in tenants:
            async with db.as_tenant(self._connections, tenant) as connection:
                rows = await limit_queries.limited_meters(connection, tenant)
            meters = [row for row in rows if row["key"] is not None]
            self._cache.put(tenant.int, compile_meters(rows[0]["limited_meters_version"], meters, partial(_report, tenant)))


def _report(tenant: TenantId, meter: str, error: str) -> None:
    telemetry.emit("meter.compile_failed", tenant=tenant, meter=meter, error=error)
