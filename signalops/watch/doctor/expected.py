"""What the schema must hold, read from sql/schema.sql, the dump of the migrated database.

A migration is one transaction, but hands slip: an index that was dropped in an incident, a `create index concurrently` that
failed and left an invalid one, a restore that broke off.
"""

import re
from collections.abc import Iterator
from functools import cache

from signalops import db

_OBJECT = re.compile(r"^CREATE (?:UNIQUE |CONSTRAINT )?(TABLE|VIEW|FUNCTION|PROCEDURE|SEQUENCE) ([\w.]+)", re.MULTILINE)
_INDEX = re.compile(r"^CREATE (?:UNIQUE )?INDEX (\w+) ON (?:ONLY )?(\w+)\.", re.MULTILINE)
_ON_TABLE = re.compile(r"^CREATE (?:CONSTRAINT )?(TRIGGER|POLICY) (\w+) (?:.*? )?ON ([\w.]+)", re.MULTILINE)
_CONSTRAINT = re.compile(r"^ALTER TABLE (?:ONLY )?([\w.]+)\n +ADD CONSTRAINT (\w+)", re.MULTILINE)


@cache
def objects() -> frozenset[str]:
    """Return what must be there, as the query `objects` names it: `index signalops.inbox_by_batch`."""
    return frozenset(_objects(_dump()))


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
