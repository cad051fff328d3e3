"""What the check asks of the database; every try is undone before the next."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, LiteralString, TypeVar

import orjson
import psycopg
from psycopg import sql

from signalops import db
from signalops.db.queries import named
from tests.support.isolation.model import ROLES, Actor, Function, Index, Outcome, Relation, Scratch, Sequence
from tests.support.tenant_rows import Row

SQL = named((Path(__file__).parent / "catalogue.sql").read_text())
Statement = sql.Composed
Part = TypeVar("Part", Relation, Index, Sequence, Function)
# Nothing of a live installation may wait for the check, and a leaking view must not have it read a whole table.
_GUARDS = "set local lock_timeout = '2s'; set local statement_timeout = '30s'; set local enable_seqscan = off"


@asynccontextmanager
async def undone(connection: db.Connection) -> AsyncIterator[None]:
    """Do something and undo it, whatever comes of it."""
    async with connection.transaction(force_rollback=True):
        await connection.execute(_GUARDS)
        yield


async def walk(connection: db.Connection, query: str, of: type[Part]) -> list[Part]:
    """Return what one of the catalogue's queries finds."""
    return await db.records(connection, of, SQL[query])


def about(template: LiteralString, relation: Relation, column: str | None = None) -> Statement:
    """Return a statement about a table, with the names in the places {table}, {key} and {column}."""
    return sql.SQL(template).format(
        table=sql.Identifier("signalops", relation.name),
        name=sql.Literal(relation.name),
        key=sql.Identifier(relation.key or ""),
        column=sql.Identifier(column or ""),
    )


def insertion(relation: Relation, row: Row, role: str) -> tuple[Statement, dict[str, Any]]:
    """Return the statement that inserts what a role may insert of a row, and its parameters."""
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in row if column in relation.insertable.get(role, row))
    statement = sql.SQL("insert into {0} ({1}) select {1} from jsonb_populate_record(null::{0}, %(row)s)").format(
        sql.Identifier("signalops", relation.name), columns
    )
    return statement, {"row": orjson.dumps(row).decode()}


def call(function: Function, arguments: Iterable[str | None]) -> tuple[Statement, dict[str, Any]]:
    """Return the statement that calls a function with arguments in text, and its parameters."""
    values = {f"a{place}": value for place, value in enumerate(arguments)}
    casts = [
        sql.SQL("{}::{}").format(sql.Placeholder(name), sql.SQL(type_))  # the catalogue's own name of the type
        for name, (_, type_) in zip(values, function.arguments, strict=True)
    ]
    verb = sql.SQL("call {}({})" if function.is_procedure else "select * from {}({})")
    return verb.format(sql.Identifier("signalops", function.name), sql.SQL(", ").join(casts)), values


async def attempt(connection: db.Connection, actor: Actor, statement: Statement, parameters: dict[str, Any]) -> Outcome:
    """Do something as an actor, and undo it."""
    try:
        async with connection.transaction(force_rollback=True):
            return await _run(connection, actor, statement, parameters)
    except psycopg.Error as error:
        return _refusal(error)


async def insert(connection: db.Connection, actor: Actor, relation: Relation, row: Row) -> Outcome:
    """Insert a row as an actor, for the rest of the check."""
    try:
        async with connection.transaction():
            return await _run(connection, actor, *insertion(relation, row, actor.role))
    except psycopg.Error as error:
        return _refusal(error)


async def _become(connection: db.Connection, actor: Actor) -> None:
    tenant = "" if actor.tenant is None else str(actor.tenant)
    await connection.execute(sql.SQL("set local role {}").format(sql.Identifier(f"signalops_{actor.role}")))
    await connection.execute("select set_config('signalops.tenant_id', %s, true)", [tenant])


async def _run(connection: db.Connection, actor: Actor, statement: Statement, parameters: dict[str, Any]) -> Outcome:
    await _become(connection, actor)
    cursor = await connection.execute(statement, parameters)
    count, rows = cursor.rowcount, await cursor.fetchall() if cursor.description else []
    await connection.execute("set constraints all immediate")
    return Outcome(count, tuple(rows))


def _refusal(error: psycopg.Error) -> Outcome:
    message = ". ".join(filter(None, [error.diag.message_primary or str(error), error.diag.message_detail]))
    return Outcome(0, (), error.sqlstate or "client", message, error.diag.constraint_name or "")


class Eyes:
    """Watches the other tenant: what its rows are, and whether a role sees one."""

    def __init__(self, scratch: Scratch, relations: Iterable[Relation], last_job: int) -> None:
        owned = [relation for relation in relations if relation.key and relation.kind == "table" and relation.is_owned]
        self._other = scratch.other
        self._parameters = {"other": scratch.other, "last": last_job}
        digest = "select {name}, md5(string_agg(t::text, ' ' order by t::text)) from {table} t where {key} = %(other)s"
        self._everything = sql.SQL(" union all ").join(
            [*(about(digest, relation) for relation in owned), sql.SQL(SQL["jobs-about"])]
        )
        self._seen = {role: _any_of(owned, role) for role in ROLES}

    @classmethod
    async def open(cls, connection: db.Connection, scratch: Scratch, relations: Iterable[Relation]) -> "Eyes":
        """Return eyes that hold jobs which come from now on for the check's own."""
        row = await (await connection.execute(SQL["last-job"])).fetchone()
        assert row is not None, "a maximum is one row"
        return cls(scratch, relations, row[0])

    async def watch(
        self, connection: db.Connection, actor: Actor, statement: Statement, parameters: dict[str, Any]
    ) -> tuple[Outcome, frozenset[str], dict[str, str]]:
        """Do something and undo it; return what came of it, where the actor then saw the other, and what that had."""
        try:
            async with connection.transaction(force_rollback=True):
                outcome = await _run(connection, actor, statement, parameters)
                return outcome, await self._sees(connection, actor), await self.mark(connection)
        except psycopg.Error as error:
            return _refusal(error), frozenset(), {}

    async def seen(self, connection: db.Connection, actor: Actor) -> frozenset[str]:
        """Return the tables in which an actor sees rows of the other by itself."""
        async with undone(connection):
            await _become(connection, actor)
            return await self._sees(connection, actor)

    async def _sees(self, connection: db.Connection, actor: Actor) -> frozenset[str]:
        if actor.role == "owner":
            return frozenset()
        cursor = await connection.execute(self._seen[actor.role], self._parameters)
        return frozenset(name for (name,) in await cursor.fetchall())

    async def mark(self, connection: db.Connection) -> dict[str, str]:
        """Return a digest of the other's rows by table, and of the jobs about it."""
        async with undone(connection):
            await _become(connection, Actor("owner", self._other))
            cursor = await connection.execute(self._everything, self._parameters)
            return {name: digest or "" for name, digest in await cursor.fetchall()}


def _any_of(owned: list[Relation], role: str) -> Statement:
    seen: LiteralString = "select {name} from {table} where {key} = %(other)s"
    return sql.SQL(" union all ").join(about(seen, relation) for relation in owned if "select" in relation.granted[role])
