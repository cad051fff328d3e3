"""The tries on functions: called about the other tenant, each must answer as about an id that nobody has, and change nothing."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from signalops import db
from tests.support.isolation import declared, statements
from tests.support.isolation.model import Actor, Finding, Function, Outcome, Role, Scratch

_ANY_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

_BLIND = ("text", "text[]", "jsonb")
"""Types that do not say what reaches a row."""


class Calls:
    """Calls functions as a role, and holds what they do against what the other had before."""

    def __init__(self, connection: db.Connection, scratch: Scratch, eyes: statements.Eyes, before: dict[str, str]) -> None:
        self._connection = connection
        self._scratch = scratch
        self._eyes = eyes
        self._before = before

    async def all(self, function: Function) -> AsyncIterator[Finding]:
        """Try a function in each role that may call it, with a tenant set and without."""
        if fault := _unknown(function):
            yield _finding(function, "-", "call", fault, False)
        elif function.is_trigger:
            yield _finding(function, "-", "-", "a trigger: tried by the writes to its table", True)
        elif function.is_immutable and not function.is_definer:
            yield _finding(function, "-", "-", "immutable, with its caller's rights: computes from its arguments", True)
        elif not function.callers:
            yield _finding(function, "every role", "call", "may not be called", True)
        else:
            for role in function.callers:
                yield await self._called(function, role, self._scratch.ours)
                yield await self._called(function, role, None)

    async def _called(self, function: Function, role: Role, tenant: UUID | None) -> Finding:
        actor, tried = Actor(role, tenant), "call about the other" if tenant else "call without a tenant"
        outcome, seen, mark = await self._call(function, actor, self._scratch.other)
        shown = seen - await self._eyes.seen(self._connection, actor)
        if shown and function.name not in declared.SWITCHES:
            return _finding(function, role, tried, f"leaves the other's {', '.join(sorted(shown))} visible", False)
        if reason := declared.FUNCTIONS.get(function.name):
            return _finding(function, role, tried, f"declared: {reason}", True)
        if changed := sorted(name for name, digest in mark.items() if digest != self._before[name]):
            return _finding(function, role, tried, f"changes the other's {', '.join(changed)}", False)
        if function.is_definer and outcome.state.startswith(("22", "42883")):
            return _finding(function, role, tried, f"can't be called so: give it other arguments ({outcome})", False)
        expected, _, _ = await self._call(function, actor, self._scratch.nobody)
        if _without_ids(outcome) != _without_ids(expected) and function.name not in declared.ECHOES:
            result = f"answers {_short(outcome)} and not {_short(expected)}, as about nobody"
            return _finding(function, role, tried, result, False)
        return _finding(function, role, tried, f"as about nobody: {_short(outcome)}", True)

    async def _call(self, function: Function, actor: Actor, about: UUID) -> tuple[Outcome, frozenset[str], dict[str, str]]:
        arguments = [_argument(function.name, name, type_).format(id=about) for name, type_ in function.arguments]
        return await self._eyes.watch(self._connection, actor, *statements.call(function, arguments))


def _unknown(function: Function) -> str:
    """Tell why a function can't be tried, or is not known to be safe; empty: it is."""
    if function.name in declared.FUNCTIONS:
        return ""
    if function.is_switch:
        return "sets for whom the transaction acts: declare it with the reason"
    given = declared.ARGUMENTS.get(function.name, {})
    blind = [
        name for name, type_ in function.arguments if name not in given and (type_ in _BLIND or type_ not in declared.OF_TYPE)
    ]
    if function.is_definer and not function.is_trigger and blind:
        return f"is SECURITY DEFINER and untried: say what to call it with for {', '.join(blind)}"
    return ""


def _argument(function: str, name: str, type_: str) -> str:
    given = declared.ARGUMENTS.get(function, {})
    return given[name] if name in given else declared.OF_TYPE.get(type_, "")


def _without_ids(outcome: Outcome) -> tuple[Any, ...]:
    return tuple(_ANY_ID.sub("?", str(part)) for part in (outcome.rows, outcome.state, outcome.error))


def _short(outcome: Outcome) -> str:
    return outcome.error or ", ".join(str(row) for row in outcome.rows[:3]) or "nothing"


def _finding(function: Function, role: str, tried: str, result: str, ok: bool) -> Finding:
    return Finding("function", function.signature, role, tried, result, ok)
