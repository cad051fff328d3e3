"""Parses the current definitions, `sql/functions/` and `sql/grants.sql`, into statements."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from signalops import db

GRANTS = "grants.sql"
STATEMENT = re.compile(r"(?>\$\$.*?\$\$|'[^']*'|--[^\n]*|[^;])*+;", re.DOTALL)
_LEADING_COMMENTS = re.compile(r"(?:\s*--[^\n]*\n)*\s*")
_OBJECT = re.compile(r"create (?:or replace )?(?:constraint )?(function|procedure|view|trigger) (\w+(?:\.\w+)?)")
_TABLE = re.compile(r"\bon (\w+\.\w+)")


@dataclass(frozen=True)
class Statement:
    """One statement of a file, and the object that it defines; None: it defines none, a comment for instance."""

    file: str
    text: str
    defines: str | None

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@cache
def statements() -> tuple[Statement, ...]:
    """Return what runs, in its order: the files beside the folders, those in them by name, the grants as one statement."""
    folder = db.sql_folder() / "functions"
    files = sorted(folder.rglob("*.sql"), key=lambda file: (len(file.relative_to(folder).parts) > 1, file))
    return (*(statement for file in files for statement in _read(file, str(file.relative_to(folder)))), grants())


@cache
def checksum() -> str:
    """Return the checksum of all definitions of this code."""
    return hashlib.sha256("".join(statement.checksum for statement in statements()).encode()).hexdigest()


def defined() -> set[str]:
    """Return the objects that the files define: `view ops.workers`, a trigger with its table, a function without types."""
    return {statement.defines for statement in statements() if statement.defines}


def _read(file: Path, name: str) -> Iterator[Statement]:
    for text in STATEMENT.findall(file.read_text(encoding="utf-8")):
        body = _LEADING_COMMENTS.sub("", text, count=1)
        defines = _OBJECT.match(body)
        table = _TABLE.search(body) if defines and defines[1] == "trigger" else None
        suffix = f" on {table[1]}" if table else ""
        yield Statement(name, body, f"{defines[1]} {defines[2]}{suffix}" if defines else None)


def grants() -> Statement:
    """Return the grants, which run as a whole."""
    return Statement(GRANTS, (db.sql_folder() / GRANTS).read_text(encoding="utf-8"), None)
