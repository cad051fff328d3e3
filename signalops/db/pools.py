"""Connection pools, and dedicated connections for LISTEN."""

from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import orjson
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool

from signalops.config import Settings
from signalops.connection import WatchedConnection
from signalops.db.errors import OUTAGE
from signalops.db.roles import Role, admin_url, dsn, reachable

# jsonb gives 1e300 back as 301 digits: a double once more, as it was sent, and not an integer that orjson can't write.
set_json_loads(orjson.loads)

Connection = AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

SILENCE = 2.0
"""Seconds without a notification after which the server is asked whether it is still there."""


async def autocommit(connection: Connection) -> None:
    """Configure a connection of a pool: without a transaction block of its own a statement costs one round trip."""
    await connection.set_autocommit(True)


async def async_commit(connection: Connection) -> None:
    """Configure a connection whose commits do not wait for the disk.

    A crash of the server takes the last of them back, in order and as a whole: only for what is then simply done again.
    """
    await autocommit(connection)
    await connection.execute("set synchronous_commit = off")


def pool(settings: Settings, role: Role, most: int, is_hasty: bool = False) -> Pool:
    """Create a pool (not open yet) with autocommit connections: a single statement costs one round trip.

    Behind a pooler, session settings and prepared statements stay on a server connection for its next client.
    """

    async def configure(connection: Connection) -> None:
        await (async_commit if is_hasty and not settings.pooler else autocommit)(connection)
        assert isinstance(connection, WatchedConnection)
        if role == "worker" and not settings.pooler:  # whose process ids are the pooler's
            connection.is_working = partial(_is_working, settings)

    return _WarmPool(
        lambda: dsn(settings, role),
        connection_class=WatchedConnection,
        kwargs={"prepare_threshold": None} if settings.pooler else None,
        min_size=min(2, most),
        max_size=most,
        configure=configure,
        open=False,
        # Gives up at once, and each further request tries again: the pool's own pauses double, and outlasted an outage by as
        # long as it had taken.
        timeout=2,
        reconnect_timeout=1,
        name=role,
    )


class _LastFirst(deque[Connection]):
    """Hands out the connection that was returned last."""

    def popleft(self) -> Connection:
        return self.pop()


class _WarmPool(AsyncConnectionPool[Connection]):
    """Hands out the connection that was returned last: its backend is the warmest. A pool in turn keeps each of them cold."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pool = _LastFirst()


async def _is_working(settings: Settings, process: int) -> bool:
    """Return whether the server is executing a worker's statement, asked over a separate connection."""
    own = settings.worker_database_url
    url = own.get_secret_value() if own else admin_url(settings)
    async with await WatchedConnection.connect(reachable(url), autocommit=True) as connection:
        query = "select from pg_stat_activity where pid = %s and state = 'active'"
        return (await connection.execute(query, [process])).rowcount == 1


async def repair(connections: Pool) -> None:
    """Replace the connections that an outage has broken: else each of them would cost a request of its own.

    The pool's own check before each use backs off a second and more for every broken one.
    """
    with suppress(*OUTAGE):
        await connections.check()


@asynccontextmanager
async def dedicated(conninfo: str) -> AsyncIterator[Connection]:
    """Open a connection of no pool, in autocommit: to listen on."""
    async with await WatchedConnection.connect(conninfo, autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def session(conninfo: str) -> AsyncIterator[Connection]:
    """Open one connection in autocommit: a check that fails leaves those after it unharmed."""
    async with await AsyncConnection.connect(conninfo, autocommit=True, connect_timeout=5) as connection:
        yield connection


async def listen(conninfo: str, channels: Iterable[str]) -> AsyncIterator[tuple[str, str] | None]:
    """Yield None when listening begins, and channel and payload of each notification; an OUTAGE when the connection is lost."""
    async with dedicated(conninfo) as connection:
        await connection.execute(sql.SQL("; ").join(sql.SQL("listen {}").format(sql.Identifier(c)) for c in channels))
        yield None
        while True:
            async for notification in connection.notifies(timeout=SILENCE):
                yield notification.channel, notification.payload
            await connection.execute("select 1")  # detects a dead connection, which would not notice otherwise
