"""Parses the rules that commands take as arguments or files."""

import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from signalops import db, strict_json
from signalops.config import settings
from signalops.errors import Malformed, Unusable
from signalops.rules import rule_queries, rule_service
from signalops.rules.rule_responses import RuleShown
from signalops.rules.rule_service import RuleRegistry
from signalops.templates import SendTemplates
from signalops.types import JsonObject, RuleId, TenantId

RuleName = Annotated[str, typer.Argument(metavar="RULE", help="The rule's name or id.")]


def registry() -> RuleRegistry:
    """Return what writes rules."""
    return RuleRegistry(SendTemplates(), settings().max_rules)


async def find(connection: db.Connection, tenant: TenantId, rule: str) -> RuleShown:
    """Return the rule of this id or name; Unusable."""
    rows = await rule_queries.list_rules(connection, tenant)
    found = [row for row in rows if rule in (str(row["id"]), row["name"])]
    if not found:
        raise Unusable(f"There is no rule {rule!r}: see `signalops rule list`.")
    return RuleShown.model_validate(found[0])


async def rule_id(connection: db.Connection, tenant: TenantId, rule: str) -> UUID:
    """Return the id of a rule by its name or id; Unusable."""
    return (await find(connection, tenant, rule)).id


async def shown(connection: db.Connection, tenant: TenantId, rule: RuleId) -> RuleShown:
    """Return a rule with its warnings, as it is after a change."""
    found = await rule_service.show(connection, tenant, rule)
    warnings = await rule_service.warnings_of(connection, tenant, SendTemplates(), rule_service.as_change(found))
    return found.model_copy(update={"warnings": warnings})


def _content(text: str | Path) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    file = text if isinstance(text, Path) else Path(text[1:]) if text.startswith("@") else None
    return file.read_bytes() if file else str(text).encode()


def read_object(text: str | Path) -> JsonObject:
    """Read a JSON object from a file, from a text, from the file that `@` names, or from standard input by `-`; Unusable."""
    try:
        value = strict_json.parse(_content(text))
    except (Malformed, OSError) as error:
        raise Unusable(f'{text} can\'t be read ({error}): write a JSON object such as {{"type": ["user.signup"]}}.') from error
    if not isinstance(value, dict):
        raise Unusable(f'{text} must be a JSON object, such as {{"type": ["user.signup"]}}.')
    return value
