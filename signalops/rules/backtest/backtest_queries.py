"""The SQL queries of backtests, in a transaction of the tenant."""

from collections.abc import Iterable
from typing import LiteralString
from uuid import UUID

import orjson

from signalops import db
from signalops.types import TenantId

SQL = db.queries("rules/backtest")
MAX_BYTES = 1024 * 1024
"""Payload that is read at once, as it is stored: perhaps compressed."""


async def try_acquire_slot(connection: db.Connection, tenant: TenantId) -> int:
    """Return the number of a tenant's unfinished backtests, under a lock until the transaction ends."""
    await connection.execute(SQL["try-acquire-slot"], {"tenant": tenant})
    row = await db.row(connection, SQL["count-unfinished"], {"tenant": tenant})
    return int(row["count"]) if row else 0


async def add(connection: db.Connection, tenant: TenantId, backtest: UUID, request: db.Row, span: db.Row) -> None:
    """Store a backtest of a span {starts_at, ends_at}, and enqueue its first slice."""
    await connection.execute(
        SQL["add-backtest"], {"tenant": tenant, "id": backtest, "request": db.Jsonb(request, orjson.dumps), **span}
    )


async def past_silences(connection: db.Connection, tenant: TenantId, span: db.Row) -> list[db.Row]:
    """Return grammar, pattern, starts_at and ends_at of the silences in a span {starts_at, ends_at}."""
    return await db.rows(connection, SQL["past-silences"], {"tenant": tenant, **span})


async def find(connection: db.Connection, tenant: TenantId, backtest: UUID) -> db.Row | None:
    """Return a backtest as it stands."""
    return await db.row(connection, SQL["find-backtest"], {"tenant": tenant, "id": backtest})


async def is_parked(connection: db.Connection, tenant: TenantId) -> bool:
    """Return whether a tenant is suspended or being deleted: its backtests wait."""
    return bool(await db.value(connection, SQL["is-parked"], {"tenant": tenant}))


async def list_(connection: db.Connection, tenant: TenantId, upwards: bool, window: db.Row) -> list[db.Row]:
    """Return a page of backtests without state and result."""
    return await db.rows(connection, SQL["list-backtests"], {"tenant": tenant, "upwards": upwards, **window})


async def cancel(connection: db.Connection, tenant: TenantId, backtest: UUID) -> None:
    """End a backtest that is not over."""
    await connection.execute(SQL["cancel-backtest"], {"tenant": tenant, "id": backtest})


async def read_past(connection: db.Connection, tenant: TenantId, types: list[str] | None, window: db.Row) -> list[db.Row]:
    """Return the next events of a window {after, before, limit}, those of some types only or all."""
    await connection.execute(SQL["read-in-order"])
    query = SQL["read-past" if types is None else "read-past-of-types"]
    return await _json(connection, query, {"tenant": tenant, "types": types, **window})


async def read_events(connection: db.Connection, tenant: TenantId, events: Iterable[str]) -> dict[str, db.Row]:
    """Return events by their ids, as templates see them."""
    found = await _json(connection, SQL["read-events"], {"tenant": tenant, "ids": list(events)})
    return {event["id"]: event for event in found}


async def save(connection: db.Connection, tenant: TenantId, backtest: UUID, iterations: int, found: db.Row) -> bool:
    """Save an iteration: {status, scanned_until, scanned, state, result, error}; False if another one was saved since."""
    documents = {name: None if found[name] is None else db.Jsonb(found[name], orjson.dumps) for name in ("state", "result")}
    place = {"tenant": tenant, "id": backtest, "iterations": iterations}
    return await db.row(connection, SQL["save-slice"], found | documents | place) is not None


async def enqueue(connection: db.Connection, tenant: TenantId, backtest: UUID) -> None:
    """Enqueue the next slice of a backtest."""
    await connection.execute(SQL["enqueue-slice"], {"tenant": tenant, "id": backtest})


async def _json(connection: db.Connection, query: LiteralString, fields: db.Row) -> list[db.Row]:
    found: list[db.Row] = orjson.loads(await db.value(connection, query, {**fields, "bytes": MAX_BYTES}) or "[]")
    return found
