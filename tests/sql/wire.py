"""What a client really sends: the protocol messages, as libpq itself traces them."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from psycopg.pq import Trace

from signalops import db


@asynccontextmanager
async def statements(connections: db.Pool, log: Path) -> AsyncIterator[list[str]]:
    """Give a list that holds at the end what the only connection of a pool sent: commands, and what else was asked first."""
    sent: list[str] = []
    with log.open("w", encoding="utf-8") as file:
        async with connections.connection() as connection:
            connection.pgconn.trace(file.fileno())
            connection.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        yield sent
        async with connections.connection() as connection:
            connection.pgconn.untrace()
            known = await connection.execute("select name, statement from pg_prepared_statements")
            prepared: dict[str, str] = dict(await known.fetchall())
    trace = await asyncio.to_thread(log.read_text, encoding="utf-8")
    sent += map(_short, _texts(trace, prepared))


def _texts(trace: str, prepared: dict[str, str]) -> list[str]:
    """Return the text of each statement that was executed."""
    texts, unnamed = [], ""
    for message in re.split(r"^(?=[FB]\t\d+\t)", trace, flags=re.MULTILINE):
        match message.split("\t", 3):
            case ["F", _, "Query", text]:
                texts.append(text)
            case ["F", _, "Parse", text] if text.startswith(' "" '):
                unnamed = text
            case ["F", _, "Bind", text]:
                name = text.split('"')[3]
                texts.append(prepared[name] if name else unnamed)
    return texts


def _short(text: str) -> str:
    """BEGIN, COMMIT and the like; else the first thing of the schema that a statement names."""
    named = re.search(r"signalops\.(\w+)", text)
    return named[1] if named else text.strip(' "\n')
