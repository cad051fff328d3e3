"""Applies the current definitions, `sql/functions/` and `sql/grants.sql`, whenever they differ from those on record.

Functions, views, triggers and policies have no history: the files define them, and the database is changed to match. A statement
that is recorded as applied is skipped, since creating a view or a trigger locks tables in use; a definition that somebody changed
in the database is applied again. A definition that no file has any more is dropped, unless older processes may still call it.

TimescaleDB runs all its function files at each update, Flyway repeats a migration whose checksum has changed; yoyo's own
post-apply runs only when a migration is pending.
"""

import re
from collections import Counter
from dataclasses import dataclass

import psycopg
from psycopg.errors import AmbiguousFunction, InvalidFunctionDefinition, InvalidTableDefinition

from signalops import db
from signalops.errors import Unusable
from signalops.migrate.connections import LOCK_TIMEOUT
from signalops.migrate.definitions import GRANTS, STATEMENT, Statement, checksum, defined, grants, statements

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
        pending = _pending(connection, older_processes)
        for statement in pending:
            if statement.file != GRANTS:
                _run(connection, statement)
        dropped = [] if older_processes else _drop_undefined(connection)
        if pending or dropped:
            _grant(connection, older_processes)
            _record(connection, [_recorded_text(statement, older_processes) for statement in statements()])
        if dropped:
            connection.execute("truncate yoyo.definition_sets")
        connection.execute("insert into yoyo.definition_sets (checksum) values (%s) on conflict do nothing", [checksum()])
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
    """Return the differences between the database and what was applied: missing, changed, or unknown objects."""
    applied, found = _recorded(connection), _definitions(connection)
    named = {f"{name} is missing" for name in applied.keys() - found.keys()}
    named |= {f"{name} is not ours" for name in found.keys() - applied.keys()}
    return sorted(named | {f"{name} was changed" for name in applied.keys() & found.keys() if applied[name] != found[name]})


def _grant(connection: psycopg.Connection, older_processes: bool) -> None:
    """Run the grants; nothing is revoked while older processes may need it."""
    for text in STATEMENT.findall(grants().text):
        if not (older_processes and _RESETS.search(text)):
            connection.execute(text.encode())


def _recorded_text(statement: Statement, older_processes: bool) -> str:
    """Return how a statement that ran is on record; grants that took nothing back run again when no older process is left."""
    return f"{statement.checksum} in part" if statement.file == GRANTS and older_processes else statement.checksum


def _pending(connection: psycopg.Connection, older_processes: bool) -> list[Statement]:
    """Return the statements that are not on record; all of them, where what the files define is not as it was left."""
    on_record = {name for (name,) in connection.execute("select checksum from yoyo.definition_statements")}
    found, removed = _definitions(connection), _undefined(connection)
    if any(found.get(name) != checksum and _base(name) not in removed for name, checksum in _recorded(connection).items()):
        on_record.clear()
    return [s for s in statements() if not on_record & {s.checksum, _recorded_text(s, older_processes)}]


def _run(connection: psycopg.Connection, statement: Statement) -> None:
    if statement.text.startswith("create constraint trigger") and statement.defines:
        # It can't be replaced.
        connection.execute(f"drop trigger if exists {statement.defines.removeprefix('trigger ')}".encode())
    try:
        connection.execute(statement.text.encode())
    except _RENAME as error:
        raise Unusable(f"sql/functions/{statement.file} can't replace what is there ({db.reason(error)}): {_REMEDY}") from error


def _drop_undefined(connection: psycopg.Connection) -> list[str]:
    """Drop what was applied and no file defines any more; return its names."""
    undefined = _undefined(connection)
    for name in sorted(undefined, key=lambda name: _DROPPED_IN_ORDER.index(name.split(" ")[0])):
        connection.execute(f"drop {name.replace(' ', ' if exists ', 1)}".encode())
    return sorted(undefined)


def _undefined(connection: psycopg.Connection) -> set[str]:
    """Return what was applied and no file defines any more."""
    return {name for name in map(_base, _recorded(connection)) if name.split(" ")[0] in _DROPPED_IN_ORDER} - defined()


def _record(connection: psycopg.Connection, ran: list[str]) -> None:
    """Note which statements are applied, and what the database makes of them."""
    applied = {_base(name) for name in _recorded(connection)} | defined()
    found = {
        name: checksum
        for name, checksum in _definitions(connection).items()
        if _base(name) in applied or name.split(" ")[0] not in _DROPPED_IN_ORDER
    }
    if twice := [name for name, times in Counter(map(_base, found)).items() if times > 1]:
        raise Unusable(f"There would be two of {twice[0]}, which takes something else than before: {_REMEDY}.")
    connection.execute("truncate yoyo.definitions, yoyo.definition_statements")
    connection.execute(_NOTE, [list(found), list(found.values()), ran])


def _recorded(connection: psycopg.Connection) -> dict[str, str]:
    """Return the checksum of every object as it was applied."""
    return dict(connection.execute("select object, checksum from yoyo.definitions").fetchall())


def _definitions(connection: psycopg.Connection) -> dict[str, str]:
    """Return the checksum of every function, view, trigger, policy and grant that there is, as PostgreSQL prints it."""
    return dict(connection.execute(db.queries("migrate/definitions")["definitions"]).fetchall())


def _base(name: str) -> str:
    return name.split("(", maxsplit=1)[0]
