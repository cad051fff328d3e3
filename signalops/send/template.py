"""Templates of rules: {subject, body, html} in Liquid, each with its markup. README.md documents their variables."""

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, assert_never

from liquid.exceptions import LiquidError, UndefinedError

from signalops import sandbox
from signalops.errors import Invalid
from signalops.send import engine
from signalops.send.markup import NEUTRALISERS, Markup
from signalops.send.message_models import Message, Notification
from signalops.send.output import TIME_LIMIT
from signalops.types import JsonObject, TenantId

PARTS: Mapping[str, int] = {"subject": 16 * 1024, "body": 16 * 1024, "html": 64 * 1024}
"""The parts of a template, and how many characters each may have."""
_STOPPED = f"The template takes more than {TIME_LIMIT} s of processor time, or too much memory: correct the rule's template."
NAMES = ("type", "source", "occurredAt", "payload", "event_id", "rule", "window", "events", "count", "timeZone")
"""What a template may read."""
MAX_SUBJECT = 1000
"""Characters of a subject; a longer one is cut."""


def check(template: Mapping[str, object]) -> None:
    """Refuse (Invalid) a template that could never be rendered; to be called before a rule is saved."""
    if unknown := sorted(template.keys() - PARTS.keys()):
        raise Invalid(f"A template has the parts subject, body and html: remove {unknown[0]!r}.")
    for part, source in template.items():
        if not isinstance(source, str) or len(source) > PARTS[part]:
            raise Invalid(f"The template's {part} must be a text of at most {PARTS[part]} characters.")
        try:
            unknown = engine.unknown_filters(source)
            strange = [] if unknown else engine.unknown_names(source, NAMES)
            if not unknown:
                engine.check_arguments(source)
        except LiquidError as error:
            raise Invalid(f"The template's {part} is not valid Liquid: {error.message}.") from error
        if unknown:
            near = engine.near_filter(unknown[0])
            remedy = f"did you mean {near!r}?" if near else "remove it"
            raise Invalid(f"The template's {part} uses the filter {unknown[0]!r}, which does not exist ({remedy}).")
        if strange:
            raise Invalid(
                f"The template's {part} reads {strange[0]!r}, which does not exist: write one of {', '.join(NAMES)}; a field "
                f"of the event is payload.{strange[0]}."
            )


def render(template: Mapping[str, str], notification: Notification, markup: Markup = "text") -> Message:
    """Return the message of a notification, its body for a markup; Invalid, with the remedy, if that fails.

    What comes from the event is neutralised: in the subject as one line of plain text, in the html part as HTML. What a tenant
    wrote may do what nobody foresaw: to be called by `rendered` alone, except for templates of our own.
    """
    part = partial(_part, template, notification, time.thread_time() + TIME_LIMIT)
    return Message(
        _cut(part("subject", "line").strip()), part("body", markup), part("html", "html") if "html" in template else None
    )


async def rendered(
    tenant: TenantId | None, template: Mapping[str, str], notification: Notification, markup: Markup = "text"
) -> Message:
    """Return the message of a notification, as `render` does, in a process that is ended at its limits."""
    try:
        return await sandbox.run(tenant, render, dict(template), notification, markup)
    except sandbox.Stopped:
        raise Invalid(_STOPPED) from None


async def lines(tenant: TenantId | None, sources: Sequence[str], notification: Notification) -> list[str]:
    """Return several lines of Liquid filled in, each as a template's subject is; Invalid."""
    try:
        return await sandbox.run(tenant, _lines, tuple(sources), notification)
    except sandbox.Stopped:
        raise Invalid(_STOPPED) from None


def _lines(sources: Sequence[str], notification: Notification) -> list[str]:
    return [render({"subject": source}, notification).subject for source in sources]


def _cut(subject: str) -> str:
    return subject if len(subject) <= MAX_SUBJECT else subject[: MAX_SUBJECT - 1] + "…"


def _names(notification: Notification) -> JsonObject:
    """Return what a template may read, by name."""
    event = notification.event
    names = {name: event[name] for name in ("type", "source", "occurredAt", "payload")}
    names |= {"event_id": event["id"], "rule": notification.rule, "window": notification.window}
    return names | {"events": notification.events, "count": notification.count, "timeZone": notification.time_zone}


def _part(template: Mapping[str, str], notification: Notification, deadline: float, part: str, markup: Markup) -> str:
    try:
        if part in template:
            return engine.write(template[part], _names(notification), markup, deadline)
        if part == "body" and markup == "json":
            return _default_document(notification)
        return NEUTRALISERS[markup]((_default_subject if part == "subject" else _default_body)(notification))
    except UndefinedError as error:
        raise Invalid(f"The template's {part} failed: {error.message}; for what may be missing write `| default: ''`.") from error
    except LiquidError as error:
        raise Invalid(f"The template's {part} failed: {error.message}; correct the rule's template.") from error
    except Exception as error:  # filters let ValueError, OverflowError, RecursionError ... of their arguments through
        raise Invalid(f"The template's {part} failed: {error}; correct the rule's template.") from error


def _default_subject(notification: Notification) -> str:
    """Return the subject of a rule whose template has none; plain text."""
    event, name = notification.event, notification.rule["name"]
    match notification.kind:
        case "event":
            return str(event["type"])
        case "digest":
            return f"{name}: {notification.count} event{'' if notification.count == 1 else 's'}"
        case "absence":
            return f"{name}: no event for {event['payload']['after']}"
    assert_never(notification.kind)


def _default_body(notification: Notification) -> str:
    """Return the body of a rule whose template has none; plain text."""
    match notification.kind:
        case "event":
            lines = _facts(notification.event)
        case "digest":
            lines = _listing(notification)
        case "absence":
            lines = _absence(notification)
    return "\n".join(lines) + "\n"


def _default_document(notification: Notification) -> str:
    """Return the body of a rule whose template has none, where it must be JSON: {text, rule, events, count}."""
    context = {"rule": notification.rule, "events": notification.events, "count": notification.count}
    return json.dumps({"text": _default_body(notification), **context}, ensure_ascii=False)


def _facts(event: Mapping[str, Any]) -> list[str]:
    """What happened and when, and a line per field of the payload."""
    return [f"{event['type']} at {event['occurredAt']}", "", *_fields(event["payload"])]


def _listing(digest: Notification) -> list[str]:
    """A line per event, and how many more there are."""
    lines = [f"{event['occurredAt']} {event['type']}" for event in digest.events]
    more = digest.count - len(lines)
    return [*lines, f"and {more} more"] if more > 0 else lines


def _absence(alarm: Notification) -> list[str]:
    """When the last event was received, and in which group."""
    payload = alarm.event["payload"]
    last = payload.get("lastSeenAt")
    seen = f"the last one was seen at {last}" if last else "none was ever seen"
    first = f"No event matched the rule {alarm.rule['name']} for {payload['after']}; {seen}."
    return [first, "", *_fields(payload["group"])] if payload.get("group") else [first]


def _fields(values: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}" for name, value in values.items()
    ]
