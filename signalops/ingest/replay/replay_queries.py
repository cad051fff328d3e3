"""The SQL queries of replays, in a transaction of the tenant."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from signalops import db
from signalops.types import BatchId, TenantId

SQL = db.queries("ingest/replay")


async def choose_events(connection: db.Connection, tenant: TenantId, **choice: Any) -> list[tuple[UUID, str]]:
    """Return (event, chosen | waiting | operational | dead) of a choice: ids, lower, upper, type and limit."""
    return await db.tuples(connection, SQL["choose-events"], {"tenant": tenant, **choice})


async def unknown_rules(connection: db.Connection, tenant: TenantId, rules: Sequence[UUID]) -> list[UUID]:
    """Return which of some rules a tenant does not have."""
    return await db.values(connection, SQL["unknown-rules"], {"tenant": tenant, "rules": list(rules)})


async def refill_inbox(
    connection: db.Connection, tenant: TenantId, replay: UUID, batches: Mapping[UUID, BatchId]
) -> list[BatchId]:
    """Put events into the inbox, each in its batch; return the batch of each that was."""
    events = {"events": list(batches), "batches": list(batches.values())}
    return await db.values(connection, SQL["refill-inbox"], {"tenant": tenant, "replay": replay, **events})


async def add_replay(connection: db.Connection, tenant: TenantId, **fields: Any) -> None:
    """Note a replay and enqueue its batches: id, reason, rules, events (how many), batches and priority."""
    await connection.execute(SQL["add-replay"], {"tenant": tenant, **fields})


async def list_replays(connection: db.Connection, tenant: TenantId, **filters: Any) -> list[db.Row]:
    """Return replays between two ids, or one of them: id, lower, upper, upwards and limit."""
    return await db.rows(connection, SQL["list-replays"], {"tenant": tenant, **filters})
