"""The current definitions: `sql/functions/` and `sql/grants.sql`, applied whenever they differ from those on record.

What they define (functions, views, triggers, policies) has no history: the files say what is, and the database is made to fit. A
statement that is on record as applied is not run again, since a view or a trigger locks what others use; one that somebody has
changed in the database is. What no file defines any more is dropped, but not as long as older processes may call it.

TimescaleDB runs all its function files at each update, Flyway repeats a migration whose checksum has changed; yoyo's own
post-apply runs only when a migration is pending.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg
from psycopg.errors import AmbiguousFunction, InvalidFunctionDefinition, InvalidTableDefinition

from signalops import db
from signalops.errors import Unusable
from signalops.migrate.connections import LOCK_TIMEOUT

_STATEMENT = re.compile(r"(?>\$\$.*?\$\$|'[^']*'|--[^\n]*|[^;])*+;", re.DOTALL)
_LEADING_COMMENTS = re.compile(r"(?:\s*--[^\n]*\n)*\s*")
_OBJECT = re.compile(r"create (?:or replace )?(?:constraint )?(function|procedure|view|trigger) (\w+(?:\.\w+)?)")
_TABLE = re.compile(r"\bon (\w+\.\w+)")
_GRANTS = "grants.sql"
_RESETS = re.compile(r"^(?:revoke all|grant execute on all) ", re.MULTILINE)
_DROPPED_IN_ORDER = ("trigger", "view", "function", "procedure")
_NOTE = """
with noted as (
  insert into yoyo.definitions (object, checksum) select * from unnest(%s::text[], %s::text[])
)
insert into yoyo.definition_statements (checksum) select distinct checksum from unnest(%s::text[]) as checksum"""
_RENAME = (AmbiguousFunction, InvalidFunctionDefinition, InvalidTableDefinition)
"""PostgreSQL replaces no function that takes or returns something else, and no view that loses or reorders columns."""
_REMEDY = "give a function that takes or returns something else another name; drop a view whose columns change, in a migration"
_SESSION = f"""
set local role signalops_owner;
set local lock_timeout = '{LOCK_TIMEOUT}';
set local check_function_bodies = off;
set local search_path = pg_catalog"""


@dataclass(frozen=True)
class Statement:
    """One statement of a file, and the object that it defines; None: it defines none, a comment for instance."""

    file: str
    text: str
    defines: str | None

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Applied:
    """How many statements ran, and what was dropped."""

    statements: int
    dropped: list[str]


def apply(connection: psycopg.Connection, *, older_processes: bool) -> Applied:
    """Make the database's definitions those of the files, in one transaction; safe to run again.

    older_processes: some may still run, so nothing is dropped that only they call.
    """
    with connection.transaction():
        connection.execute(_SESSION)
        pending = _pending(connection)
        for statement in pending:
            if statement.file != _GRANTS:
                _run(connection, statement)
        dropped = [] if older_processes else _drop_undefined(connection)
        if pending or dropped:
            _grant(connection, older_processes)
            _record(connection, [s for s in statements() if s.file != _GRANTS or not older_processes])
        if dropped:
            connection.execute("truncate yoyo.definition_sets")
        connection.execute(
            "insert into yoyo.definition_sets (checksum) values (%s) on conflict do nothing", [checksum()]
        )
    return Applied(len(pending), dropped)


def remove(connection: psycopg.Connection) -> None:
    """Drop all that was ever applied, with what depends on it."""
    with connection.transaction():
        connection.execute(_SESSION)
        if connection.execute("select to_regclass('yoyo.definitions')").fetchone() == (None,):
            return
        for name in _recorded(connection):
            kind, identity = name.split(" ", 1)
            if kind in ("function", "procedure", "view"):
                connection.execute(f"drop {kind} if exists {identity} cascade".encode())
        connection.execute("truncate yoyo.definitions, yoyo.definition_statements, yoyo.definition_sets")


def differences(connection: psycopg.Connection) -> list[str]:
    """Return what in the database is not as it was applied: what is missing, was changed, or is of nobody knows whom."""
    applied, found = _recorded(connection), _found(connection)
    named = {f"{name} is missing" for name in applied.keys() - found.keys()}
    named |= {f"{name} is not ours" for name in found.keys() - applied.keys()}
    return sorted(
        named | {f"{name} was changed" for name in applied.keys() & found.keys() if applied[name] != found[name]}
    )


@cache
def statements() -> tuple[Statement, ...]:
    """Return what runs, in its order: the files beside the folders, those in them by name, the grants as one statement."""
    folder = db.sql_folder() / "functions"
    files = sorted(folder.rglob("*.sql"), key=lambda file: (len(file.relative_to(folder).parts) > 1, file))
    return (*(statement for file in files for statement in _read(file, str(file.relative_to(folder)))), _grants())


@cache
def checksum() -> str:
    """Return the checksum of all definitions of this code."""
    return hashlib.sha256("".join(statement.checksum for statement in statements()).encode()).hexdigest()


def defined() -> set[str]:
    """Return the objects that the files define: `view ops.workers`, a trigger with its table, a function without types."""
    return {statement.defines for statement in statements() if statement.defines}


def _read(file: Path, name: str) -> Iterator[Statement]:
    for text in _STATEMENT.findall(file.read_text(encoding="utf-8")):
        body = _LEADING_COMMENTS.sub("", text, count=1)
        defines = _OBJECT.match(body)
        table = _TABLE.search(body) if defines and defines[1] == "trigger" else None
        suffix = f" on {table[1]}" if table else ""
        yield Statement(name, body, f"{defines[1]} {defines[2]}{suffix}" if defines else None)


def _grants() -> Statement:
    return Statement(_GRANTS, (db.sql_folder() / _GRANTS).read_text(encoding="utf-8"), None)


def _grant(connection: psycopg.Connection, older_processes: bool) -> None:
    """Run the grants; as long as older processes may run, nothing is taken back that they may need."""
    for text in _STATEMENT.findall(_grants().text):
        if not (older_processes and _RESETS.search(text)):
            connection.execute(text.encode())


def _pending(connection: psycopg.Connection) -> list[Statement]:
    """Return the statements that are not on record; all of them, where what the files define is not as it was left."""
    on_record = {name for (name,) in connection.execute("select checksum from yoyo.definition_statements")}
    found, removed = _found(connection), _undefined(connection)
    if any(
        found.get(name) != checksum and _base(name) not in removed for name, checksum in _recorded(connection).items()
    ):
        on_record.clear()
    return [statement for statement in statements() if statement.checksum not in on_record]


def _run(connection: psycopg.Connection, statement: Statement) -> None:
    if statement.text.startswith("create constraint trigger") and statement.defines:
        # It can't be replaced.
        connection.execute(f"drop trigger if exists {statement.defines.removeprefix('trigger ')}".encode())
    try:
        connection.execute(statement.text.encode())
    except _RENAME as error:
        raise Unusable(
            f"sql/functions/{statement.file} can't replace what is there ({db.reason(error)}): {_REMEDY}"
        ) from error


def _drop_undefined(connection: psycopg.Connection) -> list[str]:
    """Drop what was applied and no file defines any more; return its names."""
    undefined = _undefined(connection)
    for name in sorted(undefined, key=lambda name: _DROPPED_IN_ORDER.index(name.split(" ")[0])):
        connection.execute(f"drop {name.replace(' ', ' if exists ', 1)}".encode())
    return sorted(undefined)


def _undefined(connection: psycopg.Connection) -> set[str]:
    """Return what was applied and no file defines any more."""
    return {name for name in map(_base, _recorded(connection)) if name.split(" ")[0] in _DROPPED_IN_ORDER} - defined()


def _record(connection: psycopg.Connection, ran: list[Statement]) -> None:
    """Note which statements are applied, and what the database makes of them."""
    applied = {_base(name) for name in _recorded(connection)} | defined()
    found = {
        name: checksum
        for name, checksum in _found(connection).items()
        if _base(name) in applied or name.split(" ")[0] not in _DROPPED_IN_ORDER
    }
    if twice := [name for name, times in Counter(map(_base, found)).items() if times > 1]:
        raise Unusable(f"There would be two of {twice[0]}, which takes something else than before: {_REMEDY}.")
    connection.execute("truncate yoyo.definitions, yoyo.definition_statements")
    connection.execute(_NOTE, [list(found), list(found.values()), [statement.checksum for statement in ran]])


def _recorded(connection: psycopg.Connection) -> dict[str, str]:
    """Return the checksum of every object as it was applied."""
    return dict(connection.execute("select object, checksum from yoyo.definitions").fetchall())


def _found(connection: psycopg.Connection) -> dict[str, str]:
    """Return the checksum of every function, view, trigger, policy and grant that there is, as PostgreSQL prints it."""
    return dict(connection.execute(db.queries("migrate/definitions")["definitions"]).fetchall())


def _base(name: str) -> str:
    return name.split("(", maxsplit=1)[0]
