"""A rule as it is written, and its way into the database: checked whole, so that what can't be evaluated is never stored."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from signalops import clock, db
from signalops.errors import Invalid
from signalops.rules import store
from signalops.rules.faults import PatternError
from signalops.rules.pattern import compile_pattern
from signalops.rules.upgrade import CURRENT_GRAMMAR, upgrade
from signalops.terms import ChannelId, RuleId, TenantId


class NewRule(BaseModel):
    """A rule to be stored: a pattern in its grammar, and the template of the message; the channel is named beside it."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    grammar: int = Field(CURRENT_GRAMMAR, description="1: field path to value; 2: event patterns.")
    pattern: dict[str, Any]
    template: dict[str, str] = Field(default_factory=dict, description="{subject, body} in Liquid; each has a default.")


def check_pattern(grammar: int, pattern: dict[str, Any]) -> None:
    """Raise Invalid, with the path of the fault and the remedy, unless the pattern can be evaluated."""
    try:
        compile_pattern(upgrade(grammar, pattern))
    except PatternError as error:
        raise Invalid(str(error), path=error.path, remedy=error.remedy) from error


async def add_rule(connection: db.Connection, tenant: TenantId, rule: NewRule, channel: ChannelId) -> RuleId:
    """Store a rule as version 1, in a transaction of the tenant; the template must have been checked by its station."""
    check_pattern(rule.grammar, rule.pattern)
    rule_id = RuleId(clock.new_id())
    await store.add_rule(connection, tenant=tenant, id=rule_id, channel=channel, **rule.model_dump())
    return rule_id
