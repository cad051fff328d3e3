"""The SQL queries of rules, in a transaction of the tenant."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from signalops import db
from signalops.types import EventId, RuleId, TenantId

SQL = db.queries("rules/rules")
_FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)
_ANY = {"id": None, "lower": _FIRST, "upper": _LAST, "upwards": False, "limit": None}


async def active_rules(connection: db.Connection, tenant: TenantId) -> list[db.Row]:
    """Return the ruleset version, and id and active version of each enabled rule."""
    return await db.rows(connection, SQL["active-rules"], {"tenant": tenant})


async def active_silences(connection: db.Connection, tenant: TenantId) -> list[db.Row]:
    """Return grammar, pattern, starts_at and ends_at of each silence that is not over."""
    return await db.rows(connection, SQL["active-silences"], {"tenant": tenant})


async def time_zone(connection: db.Connection, tenant: TenantId) -> str:
    """Return a tenant's time zone."""
    return str(await db.value(connection, SQL["time-zone"], {"tenant": tenant}))


async def add_rule(connection: db.Connection, tenant: TenantId, rule: RuleId, name: str, enabled: bool) -> None:
    """Make a rule whose first version is added next; Conflict if the name is taken."""
    fields = {"tenant": tenant, "id": rule, "name": name, "enabled": enabled}
    await connection.execute(SQL["add-rule"], fields)


async def add_version(
    connection: db.Connection, tenant: TenantId, rule: RuleId, numbers: Mapping[str, int], content: db.Row
) -> None:
    """Store a version {version, state_version} with its content, in the API's field names; the channel as its id."""
    written = {name: db.Jsonb(value) if isinstance(value, dict) else value for name, value in content.items()}
    await connection.execute(SQL["add-version"], {"tenant": tenant, "rule": rule, **numbers, **written})


async def count_versions(connection: db.Connection, tenant: TenantId) -> int:
    """Return how many versions of rules a tenant has made in the last 30 days."""
    return int(await db.value(connection, SQL["count-versions"], {"tenant": tenant}) or 0)


async def count_rules(connection: db.Connection, tenant: TenantId) -> tuple[int, int]:
    """Return how many rules a tenant has, and how many conditions those that decide have together."""
    row = (await db.rows(connection, SQL["count-rules"], {"tenant": tenant}))[0]
    return row["rules"], row["conditions"]


async def lock_rule(connection: db.Connection, tenant: TenantId, rule: RuleId) -> db.Row | None:
    """Lock a rule; return its name, enabled and active_version, or None."""
    return await db.row(connection, SQL["lock-rule"], {"tenant": tenant, "id": rule})


async def change_rule(connection: db.Connection, tenant: TenantId, rule: RuleId, **fields: Any) -> None:
    """Set name, enabled and active_version of a rule; Conflict if another has the name."""
    await connection.execute(SQL["change-rule"], {"tenant": tenant, "id": rule, **fields})


async def delete_rule(connection: db.Connection, tenant: TenantId, rule: RuleId) -> None:
    """Delete a rule, but not its versions."""
    await connection.execute(SQL["delete-rule"], {"tenant": tenant, "id": rule})


async def list_rules(connection: db.Connection, tenant: TenantId, **filters: Any) -> list[db.Row]:
    """Return rules in their active versions, newest first; filters: id, enabled, channel, severity, name; a page's bounds."""
    defaults = _ANY | {"enabled": None, "channel": None, "severity": None, "name": None}
    return await db.rows(connection, SQL["list-rules"], {**defaults, "tenant": tenant, **filters})


async def list_versions(connection: db.Connection, tenant: TenantId, rule: RuleId, before: int, limit: int) -> list[db.Row]:
    """Return the versions of a rule with lower numbers, newest first."""
    fields = {"tenant": tenant, "id": rule, "before": before, "limit": limit}
    return await db.rows(connection, SQL["list-versions"], fields)


async def find_channel(connection: db.Connection, tenant: TenantId, channel: str) -> db.Row | None:
    """Return id, name and kind of the channel that has this id or name."""
    return await db.row(connection, SQL["find-channel"], {"tenant": tenant, "channel": channel})


async def known_fields(connection: db.Connection, tenant: TenantId, types: frozenset[str]) -> frozenset[str] | None:
    """Return the paths that events of some types had, their steps joined by dots; None if not all are known."""
    rows = await db.rows(connection, SQL["known-fields"], {"tenant": tenant, "types": list(types)})
    if len(rows) < len(types) or any(row["fields_cut"] for row in rows):
        return None
    return frozenset(path for row in rows for path in row["paths"])


async def type_examples(connection: db.Connection, tenant: TenantId, types: frozenset[str]) -> list[db.Row]:
    """Return a recent event {id, type, source, occurredAt, payload} of each of some types that has one."""
    return await db.values(connection, SQL["type-examples"], {"tenant": tenant, "types": list(types)})


async def find_event(connection: db.Connection, tenant: TenantId, event: EventId) -> db.Row | None:
    """Return event {id, type, source, occurredAt, payload} and attributes; None if the tenant has no such event."""
    return await db.row(connection, SQL["find-event"], {"tenant": tenant, "id": event})


async def list_silences(connection: db.Connection, tenant: TenantId, **filters: Any) -> list[db.Row]:
    """Return silences, newest first; filters: id, state; a page's bounds."""
    return await db.rows(connection, SQL["list-silences"], {**_ANY, "state": None, "tenant": tenant, **filters})


async def add_silence(connection: db.Connection, **fields: Any) -> None:
    """Store a silence: tenant, id, grammar, pattern, starts_at, ends_at and reason."""
    await connection.execute(SQL["add-silence"], fields | {"pattern": db.Jsonb(fields["pattern"])})


async def end_silence(connection: db.Connection, tenant: TenantId, silence: UUID) -> None:
    """End a silence that is not over."""
    await connection.execute(SQL["end-silence"], {"tenant": tenant, "id": silence})
