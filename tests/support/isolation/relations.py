"""The tries on tables, partitions and views."""

from collections.abc import AsyncIterator
from typing import LiteralString
from uuid import UUID

from signalops import db
from tests.support.isolation import declared, statements
from tests.support.isolation.model import ROLES, Actor, Finding, Outcome, Relation, Role, Scratch
from tests.support.tenant_rows import Row

_COMMANDS: dict[str, LiteralString] = {
    "select": "select 1 from {table} limit 1",
    "insert": "insert into {table} default values",
    "update": "update {table} set {column} = {column} where false",
    "delete": "delete from {table} where false",
}
"""What a role without the privilege is refused, whatever the rows."""
_NEVER = {"truncate": "which no policy stops", "references": "which tells what exists", "trigger": "which sees every row"}


class Tries:
    """The tries on one relation, given a row of the other tenant and one of ours."""

    def __init__(self, connection: db.Connection, scratch: Scratch, relation: Relation, row: dict[UUID, Row]) -> None:
        self._connection = connection
        self._scratch = scratch
        self._relation = relation
        self._row = row

    async def all(self) -> AsyncIterator[Finding]:
        """Try everything in every role."""
        if self._relation.kind in ("table", "partition") and not self._relation.is_forced:
            yield self._finding("owner", "be forced", "row-level security is not enabled and forced", False)
        if not self._relation.is_owned:
            yield self._finding("owner", "belong to the owner", "belongs to a role that row-level security may not bind", False)
        for role in ROLES:
            granted = self._relation.granted[role]
            for privilege in _NEVER.keys() & set(granted):
                yield self._finding(role, privilege, f"is granted {privilege}, {_NEVER[privilege]}", False)
            across, reason = declared.OPERATORS.get(self._relation.name, (set(), "")) if role == "platform" else (set(), "")
            for command in _COMMANDS:
                if command in across & set(granted):
                    yield self._finding(role, command, f"declared: {reason}", True)
                elif command not in granted:
                    yield await self._refused(role, command)
                elif self._relation.kind not in ("table", "view") or not self._relation.key:
                    yield self._finding(role, command, f"is granted {command}, and nothing separates tenants in it", False)
                else:
                    async for finding in getattr(self, f"_{command}")(role):
                        yield finding

    async def _refused(self, role: Role, command: str) -> Finding:
        ours = Actor(role, self._scratch.ours)
        column = next(iter(self._relation.required), self._relation.key) or "tenant_id"
        outcome = await self._attempt(ours, _COMMANDS[command], column)
        # A view that can't be written says so before it looks at privileges.
        ok = outcome.is_forbidden or (self._relation.kind == "view" and outcome.state == "55000")
        return self._finding(role, command, "permission denied" if ok else str(outcome), ok)

    async def _select(self, role: Role) -> AsyncIterator[Finding]:
        ours, nobody = Actor(role, self._scratch.ours), Actor(role, None)
        yield self._none(role, "read the other's", await self._attempt(ours, "select 1 from {table} where {key} = %(other)s"))
        anyones: LiteralString = "select 1 from {table} where {key} is distinct from %(ours)s limit 1"
        yield self._none(role, "count all", await self._attempt(ours, anyones))
        named: LiteralString = "select 1 from {table} t where strpos(t::text, %(other)s::text) > 0 limit 1"
        yield self._none(role, "find the other's id", await self._attempt(ours, named))
        yield self._none(role, "read without a tenant", await self._attempt(nobody, "select 1 from {table} limit 1"))
        statistics: LiteralString = "select 1 from pg_stats where schemaname = 'signalops' and tablename = {name} limit 1"
        yield self._none(role, "read statistics", await self._attempt(ours, statistics))
        if self._row or self._relation.kind == "view":
            yield self._some(role, "read the own", await self._attempt(ours, "select 1 from {table} where {key} = %(ours)s"))

    async def _update(self, role: Role) -> AsyncIterator[Finding]:
        ours, column = Actor(role, self._scratch.ours), self._relation.updatable[role]
        update: LiteralString = "update {table} set {column} = {column} where {key} = "
        yield self._none(role, "change the other's", await self._attempt(ours, update + "%(other)s", column))
        yield self._none(role, "change without a tenant", await self._attempt(Actor(role, None), update + "%(other)s", column))
        if self._row:
            # Without a condition no row is read, and policies for reading have no say.
            given = await self._attempt(ours, "update {table} set {key} = %(other)s")
            yield self._forbidden(role, "give away the own", given)
            yield self._some(role, "change the own", await self._attempt(ours, update + "%(ours)s", column))

    async def _delete(self, role: Role) -> AsyncIterator[Finding]:
        ours, delete = Actor(role, self._scratch.ours), "delete from {table} where {key} = %(other)s"
        yield self._none(role, "delete the other's", await self._attempt(ours, delete))
        yield self._none(role, "delete without a tenant", await self._attempt(Actor(role, None), delete))
        own = await self._attempt(ours, "delete from {table} where {key} = %(ours)s")
        blind = await self._attempt(ours, "delete from {table}")
        yield self._finding(role, "delete blindly", str(blind), (own.affected, own.state) == (blind.affected, blind.state))
        if self._row:
            yield self._some(role, "delete the own", own)

    async def _insert(self, role: Role) -> AsyncIterator[Finding]:
        if not self._row:
            return
        for tried, tenant, whose in (
            ("write for the other", self._scratch.ours, self._scratch.other),
            ("write without a tenant", None, self._scratch.ours),
        ):
            statement, row = statements.insertion(self._relation, self._row[whose], role)
            outcome = await statements.attempt(self._connection, Actor(role, tenant), statement, row)
            forestalled = outcome.state == "23514" and (self._relation.name, role) in declared.FORESTALLED
            yield self._finding(role, tried, str(outcome), outcome.is_bound or forestalled)

    async def _attempt(self, actor: Actor, template: LiteralString, column: str | None = None) -> Outcome:
        statement = statements.about(template, self._relation, column)
        return await statements.attempt(self._connection, actor, statement, self._scratch._asdict())

    def _none(self, role: Role, tried: str, outcome: Outcome) -> Finding:
        return self._finding(role, tried, str(outcome), outcome.affected == 0 and outcome.state in ("", "42501"))

    def _some(self, role: Role, tried: str, outcome: Outcome) -> Finding:
        reached = outcome.affected > 0 or outcome.state == "23503"  # it is there: something of ours hangs on it
        return self._finding(role, tried, str(outcome), reached)

    def _forbidden(self, role: Role, tried: str, outcome: Outcome) -> Finding:
        return self._finding(role, tried, str(outcome), outcome.is_forbidden)

    def _finding(self, role: Role | str, tried: str, result: str, ok: bool) -> Finding:
        return Finding(self._relation.kind, self._relation.name, role, tried, result, ok)
