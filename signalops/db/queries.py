"""The named queries of `sql/queries/`, and how their rows are read."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, LiteralString, TypeVar, cast

from psycopg.rows import class_row, dict_row

from signalops.db.pools import Connection
from signalops.errors import Unusable

Parameters = Mapping[str, Any] | Sequence[Any] | None
Record = TypeVar("Record")
Row = dict[str, Any]
"""A row by the names of its columns."""


def sql_folder() -> Path:
    """Return the folder `sql/`: in the wheel inside the package, in the tree run_in_thread it."""
    here = Path(__file__).parents[1]
    for folder in (here / "sql", here.parent / "sql"):
        if folder.is_dir():
            return folder
    raise Unusable("The folder sql/ is missing from this installation: install the package again.")


@cache
def queries(file: str) -> dict[str, LiteralString]:
    """Return the named queries of `sql/queries/<file>.sql`; each begins with a line `-- name: purpose`."""
    return named((sql_folder() / "queries" / f"{file}.sql").read_text(encoding="utf-8"))


def named(text: str) -> dict[str, LiteralString]:
    """Return the queries of a file by name."""
    parts = re.split(r"^-- ([a-z-]+): .*\n", text, flags=re.MULTILINE)
    # The files are part of the program, as safe as literals in it.
    return {name: cast("LiteralString", body.strip()) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


async def rows(connection: Connection, query: LiteralString, parameters: Parameters = None) -> list[Row]:
    """Return the rows of a query by the names of their columns."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        return await (await cursor.execute(query, parameters)).fetchall()


async def row(connection: Connection, query: LiteralString, parameters: Parameters = None) -> Row | None:
    """Return the first row of a query by the names of its columns; None: there is none."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        return await (await cursor.execute(query, parameters)).fetchone()


async def the_row(connection: Connection, query: LiteralString, parameters: Parameters = None) -> Row:
    """Return the first row of a query that always has one."""
    found = await row(connection, query, parameters)
    assert found is not None, "the query always returns a row"
    return found


async def records(
    connection: Connection, kind: type[Record], query: LiteralString, parameters: Parameters = None, prepare: bool | None = None
) -> list[Record]:
    """Return the rows of a query as objects, whose fields are its columns; prepare: see psycopg."""
    async with connection.cursor(row_factory=class_row(kind)) as cursor:
        return await (await cursor.execute(query, parameters, prepare=prepare)).fetchall()


async def record(
    connection: Connection, kind: type[Record], query: LiteralString, parameters: Parameters = None
) -> Record | None:
    """Return the first row of a query as an object, whose fields are its columns; None: there is none."""
    async with connection.cursor(row_factory=class_row(kind)) as cursor:
        return await (await cursor.execute(query, parameters)).fetchone()


async def stream(
    connection: Connection, at_a_time: int, query: LiteralString, parameters: Parameters = None
) -> AsyncIterator[Row]:
    """Yield the rows of a query, `size` rows in memory at a time."""
    async with connection.cursor(name="stream", row_factory=dict_row) as cursor:
        cursor.itersize = at_a_time
        await cursor.execute(query, parameters)
        async for row in cursor:
            yield row


async def tuples(
    connection: Connection, query: LiteralString, parameters: Parameters = None, prepare: bool | None = None
) -> list[Any]:
    """Return the rows of a query as tuples; prepare: see psycopg."""
    return await (await connection.execute(query, parameters, prepare=prepare)).fetchall()


async def the_tuple(connection: Connection, query: LiteralString, parameters: Parameters = None) -> Any:
    """Return the first row of a query that always has one as a tuple."""
    found = await (await connection.execute(query, parameters)).fetchone()
    assert found is not None, "the query always returns a row"
    return found


async def values(connection: Connection, query: LiteralString, parameters: Parameters = None) -> list[Any]:
    """Return the first column of the rows of a query."""
    return [first for first, *_ in await tuples(connection, query, parameters)]


async def value(connection: Connection, query: LiteralString, parameters: Parameters = None) -> Any:
    """Return the first column of the first row; None: there is no row."""
    found = await (await connection.execute(query, parameters)).fetchone()
    return found and found[0]
