"""Templates of rules: {subject, body} in Liquid (https://shopify.github.io/liquid), bounded in what they can cost."""

import json
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, wraps
from typing import Any

from liquid import BoundTemplate, Environment, FalsyStrictUndefined
from liquid.exceptions import LiquidError, OutputStreamLimitError, UndefinedError
from liquid.extra.filters import JSON

from signalops.errors import Invalid
from signalops.send.model import Message

PARTS = ("subject", "body")
SOURCE_LIMIT = 16 * 1024
TEXT_LIMIT = 512 * 1024
GROWTH_LIMIT = 16 * TEXT_LIMIT


class _Bounded(Environment):
    loop_iteration_limit = 10_000
    output_stream_limit = TEXT_LIMIT
    local_namespace_limit = TEXT_LIMIT


@cache
def _environment() -> Environment:
    environment = _Bounded(undefined=FalsyStrictUndefined)
    environment.add_filter("json", JSON())
    for name, function in environment.filters.items():
        environment.filters[name] = _bounded(name, function)
    for tag in ("include", "render"):  # there is nothing to include: refused when the rule is saved
        del environment.tags[tag]
    return environment


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Bound what a filter makes: Liquid's own limits look only at what is written out or assigned.

    `(1..999999999) | reverse`, or a `replace` of each letter by the whole text, would take the process's memory first.
    """
    multiplies = name in ("replace", "join")

    @wraps(function)
    def call(value: object, *args: object, **options: object) -> object:
        factor = max(1, *map(_size, args)) if multiplies and args else 1
        if _size(value) * factor > GROWTH_LIMIT:
            raise OutputStreamLimitError(f"the filter {name} is given too much", token=None)
        result = function(value, *args, **options)
        if _size(result) > TEXT_LIMIT:
            raise OutputStreamLimitError(f"the filter {name} makes too much", token=None)
        return result

    return call


def _size(value: object) -> int:
    """Return the length of a text, of a range, of an object's text, or of a list with all that is in it; else 1."""
    if isinstance(value, list | tuple):
        return len(value) + sum(map(_size, value))
    if isinstance(value, dict):
        return len(str(value))
    return len(value) if isinstance(value, str | range) else 1


@lru_cache(maxsize=1024)
def _parsed(source: str) -> BoundTemplate:
    return _environment().from_string(source)


def check(template: Mapping[str, object]) -> None:
    """Refuse (Invalid) a template that could never be rendered; to be called before a rule is saved."""
    if unknown := sorted(template.keys() - set(PARTS)):
        raise Invalid(f"A template has the parts subject and body: remove {unknown[0]!r}.")
    for part, source in template.items():
        if not isinstance(source, str) or len(source) > SOURCE_LIMIT:
            raise Invalid(f"The template's {part} must be a text of at most {SOURCE_LIMIT} characters.")
        try:
            _parsed(source)
        except LiquidError as error:
            raise Invalid(f"The template's {part} is not valid Liquid: {error.message}.") from error


def render(template: Mapping[str, str], event: Mapping[str, Any], rule: Mapping[str, Any]) -> Message:
    """Return the message of an event {id, type, source, occurredAt, payload}; Invalid, with the remedy, if that fails.

    A template reads `type`, `source`, `occurredAt`, `payload`, `event_id` and `rule` {id, name, version}.
    """
    names = {name: event[name] for name in ("type", "source", "occurredAt", "payload")}
    names |= {"event_id": event["id"], "rule": rule}
    subject = _rendered("subject", template["subject"], names) if "subject" in template else event["type"]
    body = _rendered("body", template["body"], names) if "body" in template else _listing(event)
    return Message(subject.strip(), body)


def _rendered(part: str, source: str, names: Mapping[str, Any]) -> str:
    try:
        return _parsed(source).render(names)
    except UndefinedError as error:
        raise Invalid(
            f"The template's {part} failed: {error.message}; for what may be missing write `| default: ''`."
        ) from error
    except LiquidError as error:
        raise Invalid(f"The template's {part} failed: {error.message}; correct the rule's template.") from error
    except Exception as error:  # filters let ValueError, OverflowError, RecursionError ... of their arguments through
        raise Invalid(f"The template's {part} failed: {error}; correct the rule's template.") from error


def _listing(event: Mapping[str, Any]) -> str:
    """Return the default body: what happened and when, and a line per field of the payload."""
    lines = [f"{event['type']} at {event['occurredAt']}", ""]
    for name, value in event["payload"].items():
        lines.append(f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
