"""The rows that are tried: one of each table for the other tenant and for ours, and copies of the other's under a fresh one."""

from collections.abc import AsyncIterator, Iterable
from uuid import UUID

from signalops import clock, db
from tests.support.isolation import statements
from tests.support.isolation.indexes import Copies
from tests.support.isolation.model import ROLES, Actor, Finding, Outcome, Relation, Scratch
from tests.support.tenant_rows import Row, rows_of, simple_row

_UNIQUE = ("23505", "23P01")
_REACHED = ("", "23503")
"""A copy that was stored, or lacked a parent: all that could tell of the other had its turn."""


class Scene:
    """The scratch tenants' rows, within the transaction of the check."""

    def __init__(self, connection: db.Connection, scratch: Scratch, relations: Iterable[Relation]) -> None:
        self._connection = connection
        self._scratch = scratch
        self._now = clock.now()
        self._known = {tenant: rows_of(tenant, self._now) for tenant in scratch}
        self._stored: dict[str, dict[UUID, Row]] = {}
        self._relations = list(relations)
        self.copies: Copies = {}

    def stored(self, relation: Relation) -> dict[UUID, Row]:
        """Return the rows of a table by tenant; none, when they could not be stored."""
        return self._stored.get(relation.name, {})

    async def fill(self, relations: Iterable[Relation]) -> AsyncIterator[Finding]:
        """Store the rows; tell which index or table does not take them, and that a role may write its tenant's own."""
        for relation in self._parents_first(relations):
            rows = {tenant: self._row(relation, tenant) for tenant in self._scratch}
            if relation.key == "id":
                await self.found(relation)
            async for finding in self._fill(relation, rows):
                yield finding

    async def _fill(self, relation: Relation, rows: dict[UUID, Row]) -> AsyncIterator[Finding]:
        ours = self._scratch.ours
        for role in ROLES:
            if "insert" in relation.granted[role]:
                actor = Actor(role, ours)
                outcome = await statements.attempt(self._connection, actor, *statements.insertion(relation, rows[ours], role))
                if outcome.state in _UNIQUE:
                    yield _collision(outcome, role)
                else:
                    yield Finding(relation.kind, relation.name, role, "write the own", str(outcome), outcome.affected == 1)
        for tenant in (self._scratch.other, ours):
            outcome = await self._insert(relation, tenant)
            if outcome.state in _UNIQUE and tenant == ours:
                yield _collision(outcome, "owner")
            elif outcome.affected != 1:
                result = f"no row of it could be stored: give it one in isolation/rows.py ({outcome})"
                yield Finding(relation.kind, relation.name, "owner", "write the own", result, False)
            if outcome.affected != 1:
                return
        self._stored[relation.name] = rows

    async def copy(self, relations: Iterable[Relation], eyes: statements.Eyes) -> AsyncIterator[Finding]:
        """Repeat the other's rows under a tenant that has none: the answer must be that to a row which repeats nobody's."""
        before = await eyes.mark(self._connection)
        for relation in self._parents_first(relations):
            if relation.key == "id" or not self.stored(relation):
                continue
            self.copies[relation.name] = []
            for actor in self._writers(relation):
                outcome, mark = await self._copied(relation, actor, self._scratch.other, eyes)
                expected, _ = await self._copied(relation, actor, self._scratch.nobody, eyes)
                self.copies[relation.name].append((outcome, expected))
                yield self._compared(relation, actor, outcome, expected, mark not in ({}, before))

    def _compared(self, relation: Relation, actor: Actor, outcome: Outcome, expected: Outcome, meddles: bool) -> Finding:
        ok = _anonymous(outcome, self._scratch) == _anonymous(expected, self._scratch) and expected.state in _REACHED
        result = f"as nobody's: {expected}" if ok else str(outcome)
        if meddles:
            ok, result = False, "a trigger changes what the other has"
        return Finding(relation.kind, relation.name, actor.role, "refer to the other's", result, ok)

    def _writers(self, relation: Relation) -> list[Actor]:
        granted = [role for role in ROLES if "insert" in relation.granted[role]]
        return [Actor("owner", self._scratch.fresh), *(Actor(role, self._scratch.fresh) for role in granted)]

    async def _copied(
        self, relation: Relation, actor: Actor, whose: UUID, eyes: statements.Eyes
    ) -> tuple[Outcome, dict[str, str]]:
        row = self._row(relation, whose) | {str(relation.key): self._scratch.fresh}
        outcome, _, mark = await eyes.watch(self._connection, actor, *statements.insertion(relation, row, actor.role))
        return outcome, mark

    async def found(self, relation: Relation) -> None:
        """Give the fresh tenant a row of its own, which copies need."""
        await self._insert(relation, self._scratch.fresh)

    async def _insert(self, relation: Relation, tenant: UUID) -> Outcome:
        return await statements.insert(self._connection, Actor("owner", tenant), relation, self._row(relation, tenant))

    def _row(self, relation: Relation, tenant: UUID) -> Row:
        return self._known[tenant].get(relation.name) or simple_row(relation, tenant, self._now)

    def _parents_first(self, relations: Iterable[Relation]) -> list[Relation]:
        order = list(self._known[self._scratch.ours])
        owned = [relation for relation in relations if relation.kind == "table" and relation.key]
        return sorted(owned, key=lambda one: order.index(one.name) if one.name in order else len(order))


def _collision(outcome: Outcome, role: str) -> Finding:
    return Finding("index", outcome.constraint, role, "write what the other has", str(outcome), False)


def _anonymous(outcome: Outcome, scratch: Scratch) -> tuple[str, ...]:
    text = str(outcome).replace(str(scratch.other), "?").replace(str(scratch.nobody), "?")
    return text, outcome.state, outcome.constraint
