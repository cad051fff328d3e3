"""Evaluates one rule on one event without sending or counting anything."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import Discriminator, Field, Tag

from signalops import clock, db, sandbox
from signalops.clock import Moment
from signalops.durations import duration
from signalops.errors import Invalid, NotFound
from signalops.models import ApiModel, RequestModel
from signalops.patterns import Explanation, Grouping, LeafShown, TooCostly, explain, flattened
from signalops.rules import rule_queries
from signalops.rules.explanations import explain_match, silences_of, threshold
from signalops.rules.rule_models import Window
from signalops.rules.rule_responses import RuleWarning
from signalops.rules.rule_service import warnings_of
from signalops.rules.rule_source import ChosenRule, ResolvedRule, choose
from signalops.rules.validate import RenderContext, Templates, compiled
from signalops.types import EventId, JsonObject, TenantId


class SampleEvent(RequestModel):
    """An event made up for the test."""

    type: str = Field(min_length=1, max_length=200, examples=["user.signup"])
    payload: JsonObject = {}
    source: str | None = Field(None, max_length=500)
    occurred_at: Moment | None = Field(None, description="Default: now.")
    attributes: JsonObject | None = Field(None, description="CloudEvents attributes beyond type, source and time.")


class StoredEvent(RequestModel):
    """A received event."""

    id: UUID


def _which(value: object) -> str:
    stored = isinstance(value, StoredEvent) or (isinstance(value, Mapping) and "id" in value)
    return "(stored)" if stored else "(sample)"


class DryRunRequest(RequestModel):
    """A rule, and the event to evaluate it on."""

    rule: ChosenRule
    event: Annotated[
        Annotated[StoredEvent, Tag("(stored)")] | Annotated[SampleEvent, Tag("(sample)")],
        Discriminator(_which),
        Field(description="An event, or the id of a stored one."),
    ]


class MessageShown(ApiModel):
    """A message as its receiver would read it."""

    subject: str
    body: str
    html: str | None = None


class DryRunResult(ApiModel):
    """What would happen."""

    matches: bool
    reason: str = Field(description="Why, in a sentence.")
    explanation: list[LeafShown] = Field(description="Each condition, in the order written.")
    message: MessageShown | None = Field(description="What would be sent; null: nothing, or the template fails.")
    fault: str | None = Field(description="Why the template fails for this event.")
    warnings: list[RuleWarning]
    notes: list[str] = Field(description="What window, absence, cooldown, digest, active hours and silences add.")


class PreparedDryRun(NamedTuple):
    """What a trial needs of the database."""

    chosen: ResolvedRule
    event: JsonObject
    seen: Mapping[str, Any]
    silences: Sequence[db.Row]
    warnings: list[RuleWarning]


async def prepare(connection: db.Connection, tenant: TenantId, templates: Templates, trial: DryRunRequest) -> PreparedDryRun:
    """Look up what a trial names, in a transaction of the tenant; NotFound or Invalid when it can't be had."""
    chosen = await choose(connection, tenant, templates, trial.rule)
    event, seen = await _event(connection, tenant, trial.event)
    silences = await rule_queries.active_silences(connection, tenant)
    return PreparedDryRun(chosen, event, seen, silences, await warnings_of(connection, tenant, templates, chosen.draft))


async def preview(tenant: TenantId, templates: Templates, prepared: PreparedDryRun) -> DryRunResult:
    """Evaluate the rule on the event, outside of a transaction, since rendering a template may take long. Invalid."""
    chosen, event, seen, silences, warnings = prepared
    try:
        explanation = await sandbox.run(tenant, _explained, chosen.draft.grammar, dict(chosen.draft.pattern), dict(seen))
        noted = await asyncio.to_thread(silences_of, silences, seen, clock.now())
    except TooCostly as error:
        raise Invalid(str(error)) from error
    shown = DryRunResult(
        matches=explanation.matches,
        reason=explanation.reason,
        explanation=explanation.leaves,
        message=None,
        fault=None,
        warnings=warnings,
        notes=[],
    )
    if explanation.matches:
        now = clock.now()
        shown.notes = [*explain_match(chosen, seen, now), *noted]
        shown.message, shown.fault = await _rendered(tenant, templates, chosen, _render_context(chosen, event, seen))
    return shown


def _explained(grammar: int, pattern: JsonObject, seen: JsonObject) -> Explanation:
    return explain(compiled(grammar, pattern), seen)


async def _event(
    connection: db.Connection, tenant: TenantId, event: StoredEvent | SampleEvent
) -> tuple[JsonObject, Mapping[str, Any]]:
    """Return an event as templates see it, and as patterns do: with the attributes of CloudEvents."""
    if isinstance(event, StoredEvent):
        row = await rule_queries.find_event(connection, tenant, EventId(event.id))
        if row is None:
            raise NotFound("There is no such event: check the id.")
        return row["event"], flattened(row["event"], row["attributes"])
    sample = event.model_dump(include={"type", "source", "payload"}) | {"id": str(clock.new_id())}
    sample["occurredAt"] = (event.occurred_at or clock.now()).isoformat()
    return sample, flattened(sample, event.attributes)


async def _rendered(
    tenant: TenantId, templates: Templates, chosen: ResolvedRule, context: RenderContext
) -> tuple[MessageShown | None, str | None]:
    try:
        message = await templates.render(tenant, chosen.channel.kind, chosen.draft.template, context)
    except Invalid as error:
        return None, error.detail
    return MessageShown(subject=message.subject, body=message.body, html=message.html), None


def _render_context(chosen: ResolvedRule, event: JsonObject, seen: Mapping[str, object]) -> RenderContext:
    """The context of the message: the event, or the operational event of a digest or an absence."""
    draft, rule = chosen.draft, {"id": chosen.rule["id"], "version": chosen.rule["version"]}
    notice = {"id": str(clock.new_id()), "source": "signalops", "occurredAt": event["occurredAt"]}
    if draft.absent:
        _, group = Grouping(draft.absent.group_by).of(seen)
        payload = {"rule": rule, "group": group, "lastSeenAt": event["occurredAt"], "after": draft.absent.after}
        return RenderContext(
            notice | {"type": "signalops.rule.absent", "payload": payload}, chosen.rule, "absence", None, [], chosen.time_zone
        )
    if draft.digest:
        payload = {"rule": rule, "since": event["occurredAt"], "until": event["occurredAt"], "count": 1}
        payload["events"] = [event["id"]]
        event_of_digest = notice | {"type": "signalops.rule.digest", "payload": payload}
        return RenderContext(event_of_digest, chosen.rule, "digest", None, [event], chosen.time_zone)
    window = _reached(draft.window, event, seen) if draft.window else None
    return RenderContext(event, chosen.rule, "event", window, [], chosen.time_zone)


def _reached(window: Window, event: Mapping[str, Any], seen: Mapping[str, object]) -> JsonObject:
    """Return the context of a window that this event fills as its last."""
    until = datetime.fromisoformat(event["occurredAt"])
    _, group = Grouping(window.group_by).of(seen)
    since = (until - duration(window.within)).isoformat()
    return {"value": threshold(window)[1], "group": group, "since": since, "until": event["occurredAt"]}
