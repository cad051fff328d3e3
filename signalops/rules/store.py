"""What rules ask of the database: one named query each."""

from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from signalops import db
from signalops.terms import ChannelId, RuleId, TenantId

SQL = db.queries("rules")


async def active_rules(connection: db.Connection, tenant: TenantId) -> list[dict[str, Any]]:
    """Return ruleset, id, version, grammar, pattern and channel_id of each rule that decides now."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        return await (await cursor.execute(SQL["active-rules"], {"tenant": tenant})).fetchall()


async def add_rule(  # noqa: PLR0913  # a row of the table
    connection: db.Connection,
    tenant: TenantId,
    rule: RuleId,
    name: str,
    grammar: int,
    pattern: dict[str, Any],
    channel: ChannelId,
    template: dict[str, str],
) -> None:
    """Store a rule as version 1; pattern and template must have been checked."""
    parameters = {"tenant": tenant, "id": rule, "name": name, "grammar": grammar, "channel": channel}
    await connection.execute(SQL["add-rule"], {**parameters, "pattern": Jsonb(pattern), "template": Jsonb(template)})


async def list_rules(connection: db.Connection, tenant: TenantId) -> list[dict[str, Any]]:
    """Return a tenant's rules in their active versions, by name."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        return await (await cursor.execute(SQL["list-rules"], {"tenant": tenant})).fetchall()
