"""The SQL queries of dead letters, in a transaction of the tenant."""

from typing import Any
from uuid import UUID

from signalops import db
from signalops.types import TenantId

SQL = db.queries("send/deliveries")
_ALL = dict.fromkeys(("ids", "kind", "channel", "rule", "error", "since", "until", "beyond"))


async def pick_letters(connection: db.Connection, tenant: TenantId, **filters: Any) -> list[UUID]:
    """Return the ids of a page of letters that wait: {kind, channel, rule, error, since, until, beyond, upwards, limit}."""
    return await db.values(connection, SQL["pick-dead-letters"], {**_ALL, "tenant": tenant, **filters})


async def read_letters(connection: db.Connection, tenant: TenantId, ids: list[UUID]) -> list[db.Row]:
    """Return letters, also those that have ended, with the names of what they belong to, in the order of their ids as given."""
    return await db.rows(connection, SQL["read-dead-letters"], {"tenant": tenant, "ids": ids})


async def count_letters(connection: db.Connection, tenant: TenantId, **chosen: Any) -> int:
    """Return how many letters are chosen: {ids, kind, channel, rule, error, since, until}."""
    return await _number(connection, "count-dead-letters", {**_ALL, "tenant": tenant, **chosen})


async def retry_dead_letters(connection: db.Connection, tenant: TenantId, limit: int, **chosen: Any) -> int:
    """Retry the newest of the chosen letters; return how many."""
    return await _number(connection, "retry-dead-letters", {**_ALL, "tenant": tenant, "limit": limit, **chosen})


async def discard_dead_letters(connection: db.Connection, tenant: TenantId, limit: int, reason: str, **chosen: Any) -> int:
    """Discard the newest of the chosen letters; return how many."""
    fields = {**_ALL, "tenant": tenant, "limit": limit, "reason": reason, **chosen}
    return await _number(connection, "discard-dead-letters", fields)


async def _number(connection: db.Connection, query: str, fields: db.Row) -> int:
    return int(await db.value(connection, SQL[query], fields) or 0)
