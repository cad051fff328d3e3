"""The check: two tenants are made, everything is tried, and nothing of it remains."""

from collections.abc import AsyncIterator

from signalops import clock, db
from tests.support.isolation import declared, statements
from tests.support.isolation.calls import Calls
from tests.support.isolation.indexes import of_index
from tests.support.isolation.model import ROLES, Finding, Function, Index, Relation, Scratch, Sequence
from tests.support.isolation.relations import Tries
from tests.support.isolation.scene import Scene

_LATE = ("limits", "limited_meters")
"""A new limit holds up flushes that make a month's first counters until it is undone: these are tried last, by themselves."""


async def check(connection: db.Connection) -> list[Finding]:
    """Try every object of the schema, as the owner who may act in the roles of the processes; leave nothing behind.

    Locks: ROW EXCLUSIVE on the tables, rows of the check's own tenants, and for moments what a sweep over all tenants takes.
    Numbers of a few jobs are skipped. Where a policy leaks, a try locks the rows that it lets through.
    """
    async with statements.undone(connection):
        return [finding async for finding in _walk(connection)]


async def _walk(connection: db.Connection) -> AsyncIterator[Finding]:
    relations = await statements.walk(connection, "relations", Relation)
    scratch = Scratch(*(clock.new_id() for _ in Scratch._fields))
    scene = Scene(connection, scratch, relations)
    eyes = await statements.Eyes.open(connection, scratch, relations)
    for late in (False, True):
        part = [relation for relation in relations if (relation.name in _LATE) is late]
        if late:
            await scene.found(next(relation for relation in relations if relation.name == "meters"))
        async for finding in scene.fill(part):
            yield finding
        for relation in part:
            async for finding in Tries(connection, scratch, relation, scene.stored(relation)).all():
                yield finding
        async for finding in scene.copy(part, eyes):
            yield finding
        if not late:
            async for finding in _functions(connection, scratch, eyes):
                yield finding
    async for finding in _indexes(connection, relations, scene):
        yield finding


async def _indexes(connection: db.Connection, relations: list[Relation], scene: Scene) -> AsyncIterator[Finding]:
    for index in await statements.walk(connection, "indexes", Index):
        yield of_index(index, {relation.name: relation for relation in relations}, scene.copies)
    for sequence in await statements.walk(connection, "sequences", Sequence):
        for role in ROLES:
            yield _of_sequence(sequence, role)


async def _functions(connection: db.Connection, scratch: Scratch, eyes: statements.Eyes) -> AsyncIterator[Finding]:
    calls = Calls(connection, scratch, eyes, await eyes.mark(connection))
    functions = await statements.walk(connection, "functions", Function)
    for function in functions:
        async for finding in calls.all(function):
            yield finding
    for gone in sorted(declared.FUNCTIONS.keys() - {function.name for function in functions}):
        yield Finding("function", gone, "-", "-", "is declared, and does not exist", False)


def _of_sequence(sequence: Sequence, role: str) -> Finding:
    ok = not sequence.shown[role]
    result = "permission denied" if ok else f"is shown ({sequence.feeds or 'by itself'}): it counts the rows of all tenants"
    return Finding("sequence", sequence.name, role, "count by numbers", result, ok)
