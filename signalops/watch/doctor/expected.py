"""What the schema must hold, read from sql/schema.sql, the dump of the migrated database; and what of it is missing.

A migration is one transaction, but hands slip: an index that was dropped in an incident, a `create index concurrently` that
failed and left an invalid one, a restore that broke off, a right that was revoked.
"""

import re
from collections.abc import Iterator
from functools import cache

from signalops import db

_OBJECT = re.compile(r"^CREATE (?:UNIQUE |CONSTRAINT )?(TABLE|VIEW|FUNCTION|PROCEDURE|SEQUENCE) ([\w.]+)", re.MULTILINE)
_INDEX = re.compile(r"^CREATE (?:UNIQUE )?INDEX (\w+) ON (?:ONLY )?(\w+)\.", re.MULTILINE)
_ON_TABLE = re.compile(r"^CREATE (?:CONSTRAINT )?(TRIGGER|POLICY) (\w+) (?:.*? )?ON ([\w.]+)", re.MULTILINE)
_CONSTRAINT = re.compile(r"^ALTER TABLE (?:ONLY )?([\w.]+)\n +ADD CONSTRAINT (\w+)", re.MULTILINE)
_GRANT = re.compile(r"^GRANT (.+) ON (?:SCHEMA|TABLE|FUNCTION|PROCEDURE) ([\w.]+).* TO (\w+);$", re.MULTILINE)
_RIGHT = re.compile(r"(\w+)(?:\((\w+)\))?")
_FUNCTION = re.compile(r"^CREATE FUNCTION ([\w.]+)", re.MULTILINE)
_CLOSED = re.compile(r"^REVOKE ALL ON FUNCTION ([\w.]+).* FROM PUBLIC;$", re.MULTILINE)


@cache
def objects() -> frozenset[str]:
    """Return what must be there, as the query `objects` names it: `index signalops.inbox_by_batch`."""
    return frozenset(_objects(_dump()))


@cache
def grants() -> frozenset[tuple[str, str, str]]:
    """Return the rights that must be there, as the query `granted` tells them: role, right, on what (functions by name)."""
    return frozenset(_grants(_dump()))


def _dump() -> str:
    return (db.sql_folder() / "schema.sql").read_text(encoding="utf-8")


def _objects(dump: str) -> Iterator[str]:
    for kind, name in _OBJECT.findall(dump):
        yield f"{kind.lower()} {name}"
    for name, schema in _INDEX.findall(dump):
        yield f"index {schema}.{name}"
    for kind, name, table in _ON_TABLE.findall(dump):
        yield f"{kind.lower()} {name} on {table}"
    for table, name in _CONSTRAINT.findall(dump):
        yield f"constraint {name} on {table}"


def _grants(dump: str) -> Iterator[tuple[str, str, str]]:
    for name in set(_FUNCTION.findall(dump)) - set(_CLOSED.findall(dump)):
        yield "PUBLIC", "EXECUTE", name
    for rights, name, role in _GRANT.findall(dump):
        for right, column in _RIGHT.findall(rights):
            # All that there is on a function, and nothing else is granted whole.
            yield role, "EXECUTE" if right == "ALL" else right, f"{name}.{column}" if column else name
