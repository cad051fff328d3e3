"""Evaluates a tenant's rules on the events of a batch: immediate notifications, and matches that depend on earlier events.

A match of a plain rule is decided here. A match of a rule with a window, an absence, a cooldown or a digest is passed to
signalops.evaluate_stateful_rules, by group: the earlier state is known only under the lock of the group, in the transaction of
the batch.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from signalops import clock
from signalops.contracts import GroupEvent, GroupRow, MatchRow
from signalops.inbox.inbox_queries import Part, Results
from signalops.patterns import MAX_STEPS as PATTERN_STEPS
from signalops.patterns import Budget, Group, TooCostly, flattened
from signalops.rules.compiled import ActiveRule, CompiledRules
from signalops.rules.conditions import Kind, Measure, RuleConditions
from signalops.types import RuleId

Event = Mapping[str, Any]
NOTICE = "signalops.rule.absent"
MAX_CAUSATION_DEPTH = 3
"""Maximum causation depth of operational events that cause one another, so that a rule on them can't loop."""
MAX_STEPS = 1_000_000
"""Steps for the events of one part together: a second or two."""
_NOTHING = Measure(Decimal(0), None)


class DecidedEvents(NamedTuple):
    """How many events were decided about, the first ones; and which of them take more steps than an event may."""

    events: int
    costly: list[Event]


class _Match(NamedTuple):
    """An event that a rule matched, and whether a silence covers it."""

    event: Event
    rule: ActiveRule
    is_silenced: bool


def decide(compiled: CompiledRules, part: Part, results: Results) -> DecidedEvents:
    """Evaluate one tenant's rules on its events; add the decisions, and the groups for evaluate_stateful_rules, to the results.

    An event that exceeds its step budget matches nothing; after the budget of the batch the remaining events are left.
    """
    decisions, steps, costly = _Decisions(part, results), 0, list[Event]()
    for number, event in enumerate(part.events):
        if steps > MAX_STEPS:
            return DecidedEvents(number, costly)
        budget = Budget()
        try:
            _decide(compiled, decisions, event, budget)
        except TooCostly:
            costly.append(event)
        steps += PATTERN_STEPS - budget.left
    return DecidedEvents(len(part.events), costly)


def _decide(compiled: CompiledRules, decisions: "_Decisions", event: Event, budget: Budget) -> None:
    seen = flattened(event, event["attributes"])
    rules = compiled.rules.match(seen, budget)
    if event["causation_depth"] or event.get("replay"):
        rules = _narrowed(event, rules)
        if event["type"] == NOTICE and event["causation_depth"]:
            decisions.announce(compiled, event, seen)
    if rules:
        decisions.add(event, seen, rules, compiled.is_silenced(seen, decisions.now, budget))


def _narrowed(event: Event, rules: Sequence[ActiveRule]) -> list[ActiveRule]:
    """Leave out what must not match: a rule the notices of itself, a replay other rules than it asks for."""
    if event["causation_depth"] > MAX_CAUSATION_DEPTH:
        return []
    about_rule = event["payload"].get("rule", {}).get("id") if event["causation_depth"] else None
    only = event.get("replay_rules")
    return [rule for rule in rules if str(rule.id) != about_rule and (only is None or str(rule.id) in only)]


class _Decisions:
    """The decisions about one tenant's part of a batch."""

    def __init__(self, part: Part, results: Results) -> None:
        self._tenant = part.tenant
        self._results = results
        self._groups: dict[tuple[UUID, str, str], GroupRow] = {}

    @cached_property
    def now(self) -> datetime:
        """The time of the first match: for most parts there is none."""
        return clock.now()

    def add(self, event: Event, seen: Event, rules: Sequence[ActiveRule], is_silenced: bool) -> None:
        """Decide about the rules that an event matches."""
        for rule in rules:
            match, plan = _Match(event, rule, is_silenced), rule.plan
            if plan is None:
                self._record_match(match)
            elif plan.kind in ("each", "absent"):
                self._follow(match, plan, plan.kind, plan.grouping.of(seen))
            else:
                self._count(match, plan, seen)

    def announce(self, compiled: CompiledRules, event: Event, seen: Event) -> None:
        """Handle an operational event that reports an absence: match the rule that emitted it, in its group."""
        about, replay_rules = event["payload"], event.get("replay_rules")
        rule = compiled.by_id.get(RuleId(UUID(about["rule"]["id"])))
        if rule and rule.plan and rule.plan.kind == "absent" and (replay_rules is None or str(rule.id) in replay_rules):
            group = Group(rule.plan.grouping.key(about["group"]), about["group"])
            self._follow(_Match(event, rule, compiled.is_silenced(seen, self.now, Budget())), rule.plan, "each", group)

    def _count(self, match: _Match, plan: RuleConditions, seen: Event) -> None:
        """Hand on what an event adds to a window, unless it comes too late or adds nothing."""
        measure = plan.measure(seen)
        if clock.uuid7_time(UUID(match.event["id"])) - _event_time(match.event) > plan.lateness:
            self._record_match(match, "late")
        elif measure is None:
            self._record_match(match, "ignored")
        else:
            self._follow(match, plan, plan.kind, plan.grouping.of(seen), measure)

    def _follow(self, match: _Match, plan: RuleConditions, kind: Kind, group: Group, measure: Measure = _NOTHING) -> None:
        opening = plan.hours.opening(self.now) if plan.hours else self.now
        is_outside_hours = plan.hours is not None and plan.hours.drops and opening > self.now
        verdict = "silenced" if match.is_silenced else "outside_hours" if is_outside_hours else None
        not_before = opening if opening > self.now and not is_outside_hours else None
        if not plan.has_state:
            self._record_match(match, verdict, not_before)
            return
        event = match.event
        member: GroupEvent = {
            "event": event["id"],
            "at": _event_time(event),
            "value": str(measure.value),
            "distinct_value": measure.distinct_value,
            "verdict": verdict,
            "not_before": not_before,
            "delivery": clock.new_id_in_order(),
            "replay": event.get("replay"),
            "causation_depth": event["causation_depth"],
        }
        self._members(match.rule, plan, kind, group).append(member)

    def _record_match(self, match: _Match, outcome: str | None = None, not_before: datetime | None = None) -> None:
        event, rule = match.event, match.rule
        noted: MatchRow = {
            "tenant": self._tenant,
            "event": event["id"],
            "rule": rule.id,
            "version": rule.version,
            "channel": rule.channel,
            "delivery": clock.new_id_in_order(),
        }
        if outcome or match.is_silenced:
            noted["outcome"] = outcome or "silenced"
        if not_before:
            noted["not_before"] = not_before
        if event.get("replay"):
            noted["replay"] = event["replay"]
        self._results.matches.append(noted)
        self._results.rows += 1

    def _members(self, rule: ActiveRule, plan: RuleConditions, kind: Kind, group: Group) -> list[GroupEvent]:
        """Return the events of a group, for one more of them; it is made when it is new."""
        known = self._groups.get((rule.id, group.key, kind))
        if known is None:
            known = self._groups[rule.id, group.key, kind] = {
                "tenant": self._tenant,
                "rule": rule.id,
                "version": rule.version,
                "state_version": plan.state_version,
                "channel": rule.channel,
                "group": group.key,
                "labels": group.labels,
                "kind": kind,
                "threshold": str(plan.threshold),
                "span": _interval(plan.span),
                "lateness": _interval(plan.lateness),
                "cooldown": _interval(plan.cooldown) if plan.cooldown else None,
                "digest_due": plan.digest_due(self.now),
                "events": [],
            }
            self._results.groups.append(known)
        self._results.rows += 1
        return known["events"]


def _event_time(event: Event) -> datetime:
    return clock.event_time(UUID(event["id"]), datetime.fromisoformat(event["occurredAt"]))


def _interval(span: timedelta) -> str:
    return f"{span.total_seconds()} seconds"
