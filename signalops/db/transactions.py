"""Transactions as the owner, as an operator or as one tenant."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import TypeVar
from uuid import UUID

import orjson

from signalops.config import Settings
from signalops.connection import WatchedConnection
from signalops.db.constraints import translated
from signalops.db.pools import Connection, Pool
from signalops.db.roles import dsn
from signalops.list_watermark import Settled
from signalops.types import Actor, TenantId

Result = TypeVar("Result")
Transaction = Callable[[], AbstractAsyncContextManager[Connection]]
"""Opens a transaction of one tenant."""


@dataclass(slots=True, frozen=True)
class Action:
    """What is being done, for the audit log: who does it, from which address, and by which operation or command."""

    actor: Actor
    address: str | None
    operation: str


acting: ContextVar[Action | None] = ContextVar("acting", default=None)
"""The action that this task works for; each transaction passes it to the database."""


@asynccontextmanager
async def as_owner(settings: Settings) -> AsyncIterator[Connection]:
    """Open one connection as the owner, in a transaction: for the command line, which works across tenants."""
    with translated():
        async with await WatchedConnection.connect(dsn(settings, "owner")) as connection:
            await _name_action(connection)
            yield connection


@asynccontextmanager
async def as_platform(connections: Pool) -> AsyncIterator[Connection]:
    """Open a transaction of an operator, across tenants; `set_tenant` lets it into the rows of one."""
    with translated():
        async with connections.connection() as connection, connection.transaction():
            await _name_action(connection)
            yield connection


async def _name_action(connection: Connection) -> None:
    await connection.execute("select set_config('signalops.action', %s, true)", [_action()])


async def unix_time(connection: Connection) -> float:
    """Return the Unix time by the server's clock."""
    row = await (await connection.execute("select extract(epoch from clock_timestamp())::double precision")).fetchone()
    assert row is not None
    return float(row[0])


@asynccontextmanager
async def as_tenant(connections: Pool, tenant: TenantId) -> AsyncIterator[Connection]:
    """Open a transaction that sees and writes the rows of one tenant; its end forgets the tenant."""
    with translated():
        async with connections.connection() as connection, connection.transaction():
            # In one round trip.
            statement = "select signalops.set_tenant(%s), set_config('signalops.action', %s, true)"
            await connection.execute(statement, [tenant, _action()])
            yield connection


async def settled(connection: Connection) -> Settled:
    """Return up to when a list can be shown: what this transaction then reads has no gaps before it.

    A row has its place in a list (an id, mostly) before it is committed: a reader that goes on behind the last row that it was
    shown would never see those whose transactions took longer.
    """
    query = "select date_trunc('milliseconds', clock_timestamp()), signalops.settled_time()"
    row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return Settled(*row)


async def new_id(connection: Connection) -> UUID:
    """Return a UUIDv7 for a row that this transaction adds to a list: the list's readers wait for it."""
    row = await (await connection.execute("select signalops.new_id()")).fetchone()
    assert row is not None
    identity: UUID = row[0]
    return identity


def _action() -> str:
    action = acting.get()
    return orjson.dumps(asdict(action)).decode() if action else ""


async def set_tenant(connection: Connection, tenant: TenantId) -> None:
    """Set the tenant of the transaction that a connection is in."""
    await connection.execute("select signalops.set_tenant(%s)", [tenant])


async def run_in_thread(connection: Connection, work: Callable[[], Result]) -> Result:
    """Run a function that may take seconds in a thread, and keep the transaction's connection from being closed as idle."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    while not (await asyncio.wait([running], timeout=1))[0]:
        await connection.execute("select 1")
    return running.result()
