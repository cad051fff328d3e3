"""A relay between a worker and PostgreSQL: it names the boundaries of the statements that pass, and can stop time at one.

It reads as much as it must of the frontend/backend protocol (PostgreSQL's manual, "Message Formats"): a message is its kind
(1 byte), its length (4 bytes, counting themselves) and a body; only the first of a client has no kind. What a client says up to
Sync, or one simple Query, is one statement here; its answer ends with ReadyForQuery.
"""

import asyncio
import re
from asyncio import StreamReader, StreamWriter, Task
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from signalops import db
from signalops.config import Settings

Streams = tuple[StreamReader, StreamWriter]
PARSE, BIND, READY = b"P", b"B", b"Z"
ENDS_STATEMENT = (b"Q", b"S")
PART_OF_STATEMENT = (PARSE, BIND, b"D", b"E", b"C")
IDLE = b"I"
OF_THE_JOB = ("fetch_job", "finish_job")
"""What procrastinate asks about a job, on connections of its own."""


class Message(NamedTuple):
    """A message of the protocol, and all its bytes."""

    kind: bytes
    body: bytes
    whole: bytes


async def next_message(reader: StreamReader, has_kind: bool = True) -> Message:
    """Read a message; IncompleteReadError at the end of the stream."""
    kind = await reader.readexactly(1) if has_kind else b""
    length = await reader.readexactly(4)
    body = await reader.readexactly(int.from_bytes(length) - 4)
    return Message(kind, body, kind + length + body)


class Relay:
    """Stands for PostgreSQL before one worker; `settings` lead to it.

    `trail` are the boundaries that processing a batch has passed: "before" a statement is passed on, and "after" it is answered
    and before the answer is passed on. Where `stops` says so, that connection stands still, and `stopped` is set.
    """

    def __init__(
        self, settings: Settings, folder: Path, stops: Callable[[str], bool] = lambda _: False, port: int = 5432
    ) -> None:
        url = db.admin_url(settings)
        own = SecretStr(make_conninfo(url, host=str(folder), port=port))
        self.settings = settings.model_copy(update={"database_url": own})
        self.trail: list[str] = []
        self.stopped = asyncio.Event()
        self._stops = stops
        self._upstream = conninfo_to_dict(url)
        self._socket = folder / f".s.PGSQL.{port}"
        self._times: Counter[str] = Counter()
        self._links: dict[Task[None], list[Task[None]]] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self._socket)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Cut every connection; return when PostgreSQL has noticed, and undone what was not committed."""
        for half in [half for halves in self._links.values() for half in halves]:
            half.cancel()
        await asyncio.gather(*self._links)
        self.stopped.clear()

    def number(self, statement: str) -> str:
        """Tell a statement from earlier ones of its name."""
        self._times[statement] += 1
        return statement if self._times[statement] == 1 else f"{statement} {self._times[statement]}"

    async def pass_by(self, boundary: str) -> None:
        """Pass a boundary, or block there until the process is killed."""
        self.trail.append(boundary)
        if self._stops(boundary):
            self.stopped.set()
            await asyncio.get_running_loop().create_future()

    async def _serve(self, *client: *Streams) -> None:
        own = asyncio.current_task()
        assert own
        server = await self._connect()
        link = _Link(client, server, self)
        self._links[own] = [asyncio.create_task(link.ask()), asyncio.create_task(link.answer())]
        await asyncio.wait(self._links[own], return_when=asyncio.FIRST_COMPLETED)
        for half in self._links[own]:
            half.cancel()
        await asyncio.gather(*self._links[own], return_exceptions=True)
        await _end(server)
        await _close(client[1])
        del self._links[own]

    async def _connect(self) -> Streams:
        host, port = str(self._upstream.get("host") or "localhost"), int(self._upstream.get("port") or 5432)
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)


class _Link:
    """One connection of the worker, and the relay's own that continues it."""

    def __init__(self, client: Streams, server: Streams, relay: Relay) -> None:
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._relay = relay
        self._texts: dict[bytes, str] = {}
        self._asked: deque[str | None] = deque()
        self._is_idle = True

    async def ask(self) -> None:
        """Pass on what the worker says, statement by statement."""
        self._to_server.write((await next_message(self._from_client, has_kind=False)).whole)
        statement = ""
        waiting = b""
        while True:
            message = await next_message(self._from_client)
            waiting += message.whole
            statement = self._named(message) or statement
            if message.kind in PART_OF_STATEMENT:
                continue
            if message.kind in ENDS_STATEMENT:
                await self._before(statement)
            self._to_server.write(waiting)
            waiting = b""

    async def answer(self) -> None:
        """Pass on what PostgreSQL says: an answer as a whole, notifications and the words before the first as they come."""
        waiting = b""
        while True:
            message = await next_message(self._from_server)
            waiting += message.whole
            if self._asked and message.kind != READY:
                continue
            if self._asked:
                self._is_idle = message.body == IDLE
                if name := self._asked.popleft():
                    await self._relay.pass_by(f"after {name}")
            self._to_client.write(waiting)
            waiting = b""

    async def _before(self, statement: str) -> None:
        is_on_trail = statement == "BEGIN" or statement in OF_THE_JOB or not self._is_idle
        name = self._relay.number(statement) if is_on_trail else None
        if name:
            await self._relay.pass_by(f"before {name}")
        self._asked.append(name)

    def _named(self, message: Message) -> str | None:
        """Return the short name of the statement that a message is about, if it says so."""
        match message.kind, message.body.split(b"\0", 2):
            case b"Q", [text, *_]:
                return _short(text.decode())
            case b"P", [name, text, *_]:
                self._texts[name] = _short(text.decode())
                return f"prepare {self._texts[name]}"
            case b"B", [_, name, *_]:
                return self._texts[name]
        return None


def _short(text: str) -> str:
    """BEGIN, COMMIT and the like; else the first thing of ours or of procrastinate's that a statement names."""
    named = re.search(r"(?:signalops\.|procrastinate_)(\w+?)(?:_v\d+)?\b", text)
    return named[1] if named else text.strip()


async def _end(server: Streams) -> None:
    """Hang up, and wait until PostgreSQL has done so too: then nothing of the session is left."""
    reader, writer = server
    if writer.can_write_eof() and not writer.is_closing():
        writer.write_eof()
        await reader.read()
    await _close(writer)


async def _close(writer: StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
