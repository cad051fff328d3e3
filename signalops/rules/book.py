"""The compiled rules of the tenants that a worker has met lately."""

from collections import OrderedDict
from typing import NamedTuple

from signalops import db, facts
from signalops.rules import store
from signalops.rules.faults import PatternError
from signalops.rules.pattern import Pattern, compile_pattern
from signalops.rules.ruleset import RuleSet
from signalops.rules.upgrade import upgrade
from signalops.terms import ChannelId, RuleId, TenantId


class RuleRef(NamedTuple):
    """A rule in the version that decides, and where it sends to."""

    rule: RuleId
    version: int
    channel: ChannelId


class CompiledRules(NamedTuple):
    """A tenant's rules, compiled together; `version` is the version of the whole set."""

    version: int
    rules: RuleSet[RuleRef]
    size: int


_NONE = CompiledRules(0, RuleSet[RuleRef]({}), 0)


class RuleBook:
    """Compiled rules by tenant, least recently used dropped first.

    A batch says which version of a tenant's rules it must be held against, so nothing needs to be told of changes.
    """

    def __init__(self, most_tenants: int = 1000) -> None:
        self._most = most_tenants
        self._compiled: OrderedDict[TenantId, CompiledRules] = OrderedDict()

    async def rules_of(self, connection: db.Connection, tenant: TenantId, version: int) -> CompiledRules:
        """Return a tenant's rules, in the version asked for or a later one; reads them in a transaction of the tenant."""
        if version == 0:
            return _NONE
        known = self._compiled.get(tenant)
        if known is None or known.version < version:
            known = self._compiled[tenant] = await _load(connection, tenant)
            if len(self._compiled) > self._most:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(tenant)
        return known


async def _load(connection: db.Connection, tenant: TenantId) -> CompiledRules:
    await db.act_as(connection, tenant)
    rows = await store.active_rules(connection, tenant)
    patterns: dict[RuleRef, Pattern] = {}
    for row in rows:
        if row["id"] is None:
            continue
        try:
            pattern = compile_pattern(upgrade(row["grammar"], row["pattern"]))
        except PatternError as error:
            # Patterns are checked before they are stored; one that was written by hand must not stop the others.
            facts.emit("rule.broken", tenant=tenant, rule=row["id"], error=str(error))
            continue
        patterns[RuleRef(row["id"], row["version"], row["channel_id"])] = pattern
    return CompiledRules(rows[0]["ruleset"], RuleSet(patterns), len(patterns))
