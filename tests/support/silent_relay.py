"""A relay that can fall silent: it confirms what it is sent, and passes nothing on any more, as a broken proxy does."""

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from signalops import db
from signalops.config import Settings

_TALKING, _SILENT = "talking", "silent"


class SilentRelay:
    """Stands for PostgreSQL on a TCP port; `settings` lead to it."""

    def __init__(self, settings: Settings) -> None:
        self._url = db.admin_url(settings)
        self._given = settings
        self._pumps: set[asyncio.Task[None]] = set()
        self.opened = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        own = SecretStr(make_conninfo(self._url, host="127.0.0.1", port=port))
        self.settings = self._given.model_copy(update={"database_url": own})
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def silence(self) -> None:
        """Pass nothing on any more over the connections that there are; new ones are served."""
        for pump in self._pumps:
            pump.set_name(_SILENT)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.opened += 1
        upstream = conninfo_to_dict(self._url)
        host, port = str(upstream.get("host") or "localhost"), int(upstream.get("port") or 5432)
        if host.startswith("/"):
            there = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            there = await asyncio.open_connection(host, port)
        for source, target in ((reader, there[1]), (there[0], writer)):
            pump = asyncio.create_task(_pump(source, target), name=_TALKING)
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)


async def _pump(source: StreamReader, target: StreamWriter) -> None:
    own = asyncio.current_task()
    assert own
    try:
        with suppress(OSError):
            while part := await source.read(65_536):
                if own.get_name() == _TALKING:
                    target.write(part)
        if own.get_name() != _TALKING:
            await asyncio.Event().wait()  # a server that is silent does not hang up either
    finally:
        target.close()
        with suppress(OSError):
            await target.wait_closed()
