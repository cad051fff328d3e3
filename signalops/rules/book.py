"""The compiled rules of the tenants that a worker has met lately."""

import asyncio
import time
from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from signalops import db, facts
from signalops.rules import store
from signalops.rules.compiled import NO_RULES, CompiledRules, compile_rules
from signalops.terms import RuleId, TenantId

MOST_BYTES = 256 * 2**20
IDLE = 600.0
_LARGE = 200


class _Known(NamedTuple):
    compiled: CompiledRules
    used_at: float


class RuleBook:
    """Compiled rules by tenant. Those not used for some minutes are dropped; when all take too much, the least recently used.

    A batch says which version of a tenant's rules it must be held against, so nothing needs to be told of changes.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, idle: float = IDLE) -> None:
        self._most_bytes = most_bytes
        self._idle = idle
        self._bytes = 0
        self._known: OrderedDict[TenantId, _Known] = OrderedDict()
        self._compiling = asyncio.Lock()

    def __len__(self) -> int:
        """Return how many tenants' rules are held."""
        return len(self._known)

    async def rules_of(self, connection: db.Connection, tenant: TenantId, version: int) -> CompiledRules:
        """Return a tenant's rules, in the version asked for or a later one; reads them in a transaction of the tenant."""
        if version == 0:
            return NO_RULES
        known = self._known.get(tenant)
        compiled = known.compiled if known else NO_RULES
        if compiled.version < version:
            compiled = await self._load(connection, tenant, version)
        self._keep(tenant, compiled)
        return compiled

    async def _load(self, connection: db.Connection, tenant: TenantId, version: int) -> CompiledRules:
        await db.act_as(connection, tenant)
        rows = await store.active_rules(connection, tenant)
        silences = await store.active_silences(connection, tenant)
        rules = [row for row in rows if row["id"] is not None]
        compiling = partial(compile_rules, rows[0]["ruleset"], rules, silences, partial(_report, tenant))
        if len(rules) < _LARGE:
            return compiling()
        # In a thread, one at a time: a tenant with very many rules that changes them all day must not stop the others' batches.
        async with self._compiling:
            known = self._known.get(tenant)
            return known.compiled if known and known.compiled.version >= version else await asyncio.to_thread(compiling)

    def _keep(self, tenant: TenantId, compiled: CompiledRules) -> None:
        """Note that rules were used, and make room for them."""
        now = time.monotonic()
        before = self._known.pop(tenant, None)
        self._bytes += compiled.size - (before.compiled.size if before else 0)
        self._known[tenant] = _Known(compiled, now)
        oldest = next(iter(self._known.values()))
        while len(self._known) > 1 and (self._bytes > self._most_bytes or now - oldest.used_at > self._idle):
            _, dropped = self._known.popitem(last=False)
            self._bytes -= dropped.compiled.size
            oldest = next(iter(self._known.values()))


def _report(tenant: TenantId, rule: RuleId, error: str) -> None:
    facts.emit("rule.broken", tenant=tenant, rule=rule, error=error)
