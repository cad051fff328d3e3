"""The result of a check."""

from typing import NamedTuple

from signalops import db
from signalops.errors import Unusable
from signalops.watch import watch_queries


class Finding(NamedTuple):
    """What a check found. `remedy` is one sentence, empty when all is well; a warning does not stop events."""

    check: str
    ok: bool
    detail: str
    remedy: str = ""
    is_warning: bool = False


class Check(NamedTuple):
    """A query of doctor.sql, and the remedy for what it may find."""

    name: str
    query: str
    remedy: str
    is_warning: bool = False

    def finding(self, faults: list[str], well: str) -> Finding:
        """Return a finding for some faults, or that there is none."""
        return Finding(self.name, not faults, ", ".join(faults) or well, self.remedy if faults else "", self.is_warning)


async def examine(connection: db.Connection, check: Check) -> Finding:
    """Ask the database a check's query."""
    try:
        ok, detail = await watch_queries.examine(connection, check.query)
    except db.REFUSAL as error:
        ok, detail = False, f"can't be checked ({db.reason(error)})"
    return Finding(check.name, ok, detail, "" if ok else check.remedy, check.is_warning)


def refused(check: str, error: Unusable) -> Finding:
    """Translate what a process would refuse to start with."""
    detail, _, remedy = str(error).partition(": ")
    return Finding(check, False, detail, remedy[:1].upper() + remedy[1:])


def line(error: Exception) -> str:
    """Return an error's text in one line."""
    return " ".join(str(error).split()) or type(error).__name__
