"""The cache of compiled rules of a worker."""

import asyncio
from functools import partial

from signalops import db, telemetry
from signalops.cache import Cache
from signalops.patterns import cache_of_compiled
from signalops.rules import rule_queries
from signalops.rules.compiled import NO_RULES, CompiledRules, compile_rules
from signalops.types import RuleId, TenantId

_LARGE = 200


class RuleCache:
    """Compiled rules by tenant.

    A batch names the version of its tenant's rules, so a change needs no invalidation.
    """

    def __init__(self, cache: Cache[int, CompiledRules] | None = None) -> None:
        self._cache: Cache[int, CompiledRules] = cache_of_compiled() if cache is None else cache
        self._compiling = asyncio.Lock()

    async def rules_of(self, connection: db.Connection, tenant: TenantId, version: int) -> CompiledRules:
        """Return a tenant's rules, in the version asked for or a later one; reads them in a transaction of the tenant."""
        if version == 0:
            return NO_RULES
        compiled = self._cache.get(tenant.int)
        if compiled is None or compiled.version < version:
            compiled = await self._load(connection, tenant, version)
            self._cache.put(tenant.int, compiled)
        return compiled

    async def _load(self, connection: db.Connection, tenant: TenantId, version: int) -> CompiledRules:
        await db.set_tenant(connection, tenant)
        rows = await rule_queries.active_rules(connection, tenant)
        silences = await rule_queries.active_silences(connection, tenant)
        rules = [row for row in rows if row["id"] is not None]
        compiling = partial(compile_rules, rows[0]["ruleset_version"], rules, silences, partial(_report, tenant))
        if len(rules) < _LARGE:
            return compiling()
        # In a thread, one at a time: a tenant with very many rules that changes them all day must not stop the others' batches.
        async with self._compiling:
            cached = self._cache.get(tenant.int)
            return cached if cached and cached.version >= version else await asyncio.to_thread(compiling)


def _report(tenant: TenantId, rule: RuleId, error: str) -> None:
    telemetry.emit("rule.compile_failed", tenant=tenant, rule=rule, error=error)
