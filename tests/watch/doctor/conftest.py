"""A healthy installation: what the tests then break."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from signalops import db
from signalops.config import Settings


@pytest.fixture
def login(settings: Settings, owner: psycopg.Connection) -> Iterator[SecretStr]:
    """The connection string of a login that passes nothing, and may act as each process."""
    name, password = f"so_login_{secrets.token_hex(4)}", secrets.token_hex(8)
    who = sql.Identifier(name)
    owner.execute(sql.SQL("create role {} login password {}").format(who, password))
    owner.execute(sql.SQL("grant signalops_api, signalops_worker, signalops_platform to {}").format(who))
    yield SecretStr(make_conninfo(db.admin_url(settings), user=name, password=password))
    owner.execute(sql.SQL("drop role {}").format(who))


@pytest.fixture
async def healthy(settings: Settings, login: SecretStr) -> AsyncIterator[Settings]:
    """Settings of an installation with logins, a key and a mail server, in which only a worker lacks."""

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    logins = dict.fromkeys(("api_database_url", "worker_database_url", "platform_database_url"), login)
    async with await asyncio.start_server(accept, "127.0.0.1", 0) as mail_server:
        port = mail_server.sockets[0].getsockname()[1]
        yield settings.model_copy(update={"smtp_host": "127.0.0.1", "smtp_port": port, **logins})
