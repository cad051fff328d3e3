"""A tenant's active rules, compiled together, with its silences."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from signalops.patterns import Budget, Pattern, RuleSet, compile_pattern, upgrade
from signalops.rules.conditions import RuleConditions
from signalops.types import ChannelId, RuleId

MAX_CONDITIONS = 20_000
"""Maximum conditions of all rules of a tenant: an index of as many takes some 100 MB at worst, and usually a tenth."""


@dataclass(frozen=True, eq=False, slots=True)
class ActiveRule:
    """A rule in the version that decides, where it sends to, and what else it asks for; None: nothing."""

    id: RuleId
    version: int
    channel: ChannelId
    plan: RuleConditions | None


class Silence(NamedTuple):
    """A time range in which matches of some events notify nobody."""

    pattern: Pattern
    starts_at: datetime
    ends_at: datetime


class CompiledRules(NamedTuple):
    """A tenant's rules, compiled together; `version` is the version of the whole set, `size` about how many bytes it takes."""

    version: int
    rules: RuleSet[ActiveRule]
    by_id: Mapping[RuleId, ActiveRule]
    silences: Sequence[Silence] = ()
    size: int = 0

    def is_silenced(self, event: Mapping[str, object], now: datetime, budget: Budget) -> bool:
        """Whether a silence covers an event now."""
        return any(s.starts_at <= now < s.ends_at and s.pattern.matches(event, budget) for s in self.silences)


NO_RULES = CompiledRules(0, RuleSet[ActiveRule]({}), {})
Row = Mapping[str, Any]


def compile_rules(
    version: int, rules: Iterable[Row], silences: Iterable[Row], report: Callable[[RuleId, str], None]
) -> CompiledRules:
    """Compile stored rules and silences; report a rule that can't be, with the reason.

    Rules are checked before they are stored; one that was written by hand must not stop the others.
    """
    patterns: dict[ActiveRule, Pattern] = {}
    for row in rules:
        try:
            pattern = compile_pattern(upgrade(row["grammar"], row["pattern"]))
            patterns[ActiveRule(row["id"], row["version"], row["channel_id"], RuleConditions.stored(row))] = pattern
        except ValueError as error:
            report(row["id"], str(error))
    by_id = {rule.id: rule for rule in patterns}
    ruleset = RuleSet(patterns)
    return CompiledRules(version, ruleset, by_id, [_silence(row) for row in silences], ruleset.size)


def _silence(row: Row) -> Silence:
    return Silence(compile_pattern(upgrade(row["grammar"], row["pattern"])), row["starts_at"], row["ends_at"])
