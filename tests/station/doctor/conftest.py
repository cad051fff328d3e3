"""A healthy installation: what the tests then break."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from signalops.config import Settings


@pytest.fixture
async def healthy(settings: Settings) -> AsyncIterator[Settings]:
    """Settings of an installation with a key and a mail server, in which only a worker lacks."""

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as mail_server:
        port = mail_server.sockets[0].getsockname()[1]
        yield settings.model_copy(update={"smtp_host": "127.0.0.1", "smtp_port": port})
