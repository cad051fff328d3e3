"""The SQL queries of dead letters, in a transaction of the tenant."""

from typing import Any
from uuid import UUID

from signalops import db
from signalops.types import TenantId

SQL = db.queries("send/deliveries")
_ALL = dict.fromkeys(("ids", "kind", "channel", "rule", "error", "since", "until", "beyond"))


async def pick_dead_letters(connection: db.Connection, tenant: TenantId, **filters: Any) -> list[UUID]:
    """Return the ids of a page of unresolved dead letters: {kind, channel, rule, error, since, until, beyond, upwards, limit}."""
    return await db.values(connection, SQL["pick-dead-letters"], {**_ALL, "tenant": tenant, **filters})


async def read_dead_letters(connection: db.Connection, tenant: TenantId, ids: list[UUID]) -> list[db.Row]:
    """Return dead letters, also resolved ones, with the names of event, rule and channel, in the order of the given ids."""
    return await db.rows(connection, SQL["read-dead-letters"], {"tenant": tenant, "ids": ids})


async def count_dead_letters(connection: db.Connection, tenant: TenantId, **chosen: Any) -> int:
    """Return how many dead letters match: {ids, kind, channel, rule, error, since, until}."""
    return await _number(connection, "count-dead-letters", {**_ALL, "tenant": tenant, **chosen})


async def retry_dead_letters(connection: db.Connection, tenant: TenantId, limit: int, **chosen: Any) -> int:
    """Retry the newest of the matching dead letters; return how many."""
    return await _number(connection, "retry-dead-letters", {**_ALL, "tenant": tenant, "limit": limit, **chosen})


async def discard_dead_letters(connection: db.Connection, tenant: TenantId, limit: int, reason: str, **chosen: Any) -> int:
    """Discard the newest of the matching dead letters; return how many."""
    fields = {**_ALL, "tenant": tenant, "limit": limit, "reason": reason, **chosen}
    return await _number(connection, "discard-dead-letters", fields)


async def _number(connection: db.Connection, query: str, fields: db.Row) -> int:
    return int(await db.value(connection, SQL[query], fields) or 0)
