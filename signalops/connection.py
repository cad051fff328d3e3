"""A PostgreSQL connection with a client-side deadline.

A statement_timeout is enforced by a server that may be gone. If packets are dropped, TCP gives up by tcp_user_timeout and
keepalives (`dsn`); if a middlebox acknowledges packets without forwarding them, only this deadline helps.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, ClassVar, TypeVar
from weakref import WeakSet

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import PQGen
from psycopg.rows import TupleRow

Value = TypeVar("Value")

DEADLINE = 8.0
"""Seconds that a statement may take; the statement_timeout of requests is shorter."""
DEFAULTS = {
    "connect_timeout": "3",
    "tcp_user_timeout": "5000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
}
"""Parameters that a URL may override: a server that is gone is noticed within 10 seconds."""


class WatchedConnection(AsyncConnection[TupleRow]):
    """A connection that is cut when a statement has had no answer for DEADLINE seconds."""

    _all: ClassVar["WeakSet[WatchedConnection]"] = WeakSet()
    is_waiting = False
    is_working: Callable[[int], Awaitable[bool]] | None = None
    """Asks over another connection whether the server is at work for the backend of a process id; None: it can't be."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._all.add(self)

    async def wait(self, gen: PQGen[Value], *args: Any, **options: Any) -> Value:
        """Wait for the events that an operation yields; OperationalError if the connection was cut."""
        if options.get("timeout") is not None or args:  # waits for notifications, which may never come
            return await super().wait(gen, *args, **options)
        self.is_waiting = True
        overdue = _Overdue(self)
        try:
            return await super().wait(gen, **options)
        finally:
            self.is_waiting = False
            overdue.cancel()

    def cut(self) -> None:
        """Make a waiting operation fail at once, as if the server had closed the connection."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=_duplicate(self)) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    def cut_with_idle(self) -> None:
        """Cut it, and all that wait in pools: what keeps silent about one keeps silent about the others, too."""
        self.cut()
        for other in list(self._all):
            if not other.is_waiting and not other.closed:
                other.cut()


class _Overdue:
    """The deadline of one statement; extended while the server is executing it."""

    def __init__(self, connection: WatchedConnection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._asking: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(DEADLINE, self._expire)

    def cancel(self) -> None:
        self._timer.cancel()
        if self._asking:
            self._asking.cancel()

    def _expire(self) -> None:
        if self._connection.is_working is None:
            self._connection.cut_with_idle()
        else:
            self._asking = self._loop.create_task(self._ask(), name="ask for an overdue statement")

    async def _ask(self) -> None:
        assert self._connection.is_working
        is_working = False
        with suppress(psycopg.Error, OSError, TimeoutError):
            async with asyncio.timeout(DEADLINE / 2):
                is_working = await self._connection.is_working(self._connection.pgconn.backend_pid)
        if is_working:
            self._timer = self._loop.call_later(DEADLINE, self._expire)
        else:
            self._connection.cut_with_idle()


def _duplicate(connection: WatchedConnection) -> int:
    return socket.dup(connection.fileno())
