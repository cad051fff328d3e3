"""What rules ask of the database: one named query each."""

from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from signalops import db
from signalops.terms import TenantId

SQL = db.queries("rules")


async def active_rules(connection: db.Connection, tenant: TenantId) -> list[dict[str, Any]]:
    """Return ruleset, id, version, grammar, pattern and channel_id of each rule that decides now."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        return await (await cursor.execute(SQL["active-rules"], {"tenant": tenant})).fetchall()


async def add_rule(connection: db.Connection, **fields: Any) -> None:
    """Store a rule as version 1; the fields are tenant, id, name, grammar, pattern, channel and template."""
    fields |= {"pattern": Jsonb(fields["pattern"]), "template": Jsonb(fields["template"])}
    await connection.execute(SQL["add-rule"], fields)


async def list_rules(connection: db.Connection, tenant: TenantId) -> list[dict[str, Any]]:
    """Return a tenant's rules in their active versions, by name."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        return await (await cursor.execute(SQL["list-rules"], {"tenant": tenant})).fetchall()
