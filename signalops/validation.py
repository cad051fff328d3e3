"""Converts pydantic's errors to ours: a path into the value as it was sent, and a sentence about that field."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from signalops.suggestions import suggestion

MAX_FAULTS = 100
UNKNOWN = object()
_NOTHING = object()
_TAG = re.compile(r"str|int|bool|float|none|[A-Z]\w*|\(.*\)|(dict|list|tuple|set|literal)\[.*|[a-z]+(-[a-z]+)+(\[.*)?")
"""What pydantic calls the members of unions."""
_SHAPES: dict[str, str] = {}
_MESSAGES: Mapping[str, str] = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "decimal_parsing": "must be a number",
    "dict_type": "must be an object",
    "extra_forbidden": "unknown field",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be an integer",
    "int_parsing": "must be an integer",
    "int_parsing_size": "is too large a number",
    "int_type": "must be an integer",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "is required",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "none_required": "is not supported; leave it out",
    "string_sub_type": "must be a string",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
    "tuple_type": "must be a list",
    "uuid_parsing": "must be a UUID",
    "uuid_type": "must be a UUID",
}
"""By the type of pydantic's error; {names} are of its context."""


def shape(pattern: str, sentence: str) -> str:
    """Return the regular expression of a field, and register the sentence for values that it does not match."""
    _SHAPES[pattern] = sentence
    return pattern


def has_sentence(pattern: str) -> bool:
    """Return whether a field's regular expression comes with a sentence."""
    return pattern in _SHAPES


class Fault(NamedTuple):
    """One field that is wrong: its path, joined by dots, and what it must be."""

    path: str
    message: str


def faults_of(error: ValidationError, value: object = UNKNOWN, model: type[BaseModel] | None = None) -> list[Fault]:
    """Return what is wrong with a value, one fault for each field; without the value, paths are read off the error alone.

    With the model, an unknown field names the one that was meant.

    Of a union pydantic has an error for each of its members; the field is one all the same, and must be any of them.
    """
    messages: dict[str, list[str]] = {}
    for one in error.errors(include_url=False, include_input=False):
        path = ".".join(_steps(one["loc"], value, one["type"]))
        message = _message(one["type"], one["msg"], one.get("ctx", {}))
        if one["type"] == "extra_forbidden" and model:
            message = suggestion(model, one["loc"][:-1], str(one["loc"][-1]))
        messages.setdefault(path, []).append(message)
    return [Fault(path, _joined(list(dict.fromkeys(some)))) for path, some in messages.items()][:MAX_FAULTS]


def _steps(location: tuple[int | str, ...], value: object, kind: str) -> Iterator[str]:
    """Yield the steps that lead into the value; the others name which member of a union, or which validator, refused it."""
    for place, step in enumerate(location):
        inner = _inner(value, step)
        is_absent = kind in ("missing", "extra_forbidden") and place == len(location) - 1
        if inner is _NOTHING and not is_absent and isinstance(step, str) and _TAG.fullmatch(step):
            continue
        value = inner
        yield str(step)


def _inner(value: object, step: int | str) -> object:
    """Return what a step leads to, or _NOTHING."""
    if value is UNKNOWN:
        return _NOTHING if isinstance(step, str) and _TAG.fullmatch(step) else UNKNOWN
    if isinstance(value, Mapping):
        return value.get(step, _NOTHING)
    if isinstance(value, list | tuple) and isinstance(step, int) and step < len(value):
        return value[step]
    return _NOTHING


def _message(kind: str, message: str, context: Mapping[str, Any]) -> str:
    if kind == "string_pattern_mismatch":
        return _SHAPES.get(context["pattern"]) or f"must match {context['pattern']}"
    if kind == "string_too_short" and context["min_length"] == 1:
        return "must have at least 1 character"
    if kind == "too_short" and context["min_length"] == 1:
        return "must have at least 1 item"
    if template := _MESSAGES.get(kind):
        return template.format_map(context)
    text = message.removeprefix("Value error, ")
    return re.sub(r"^Input should (be|have)", r"must \1", text)


def _joined(messages: list[str]) -> str:
    """Join what each member of a union asks for: must be a string, an integer or true or false."""
    asking = [message for message in messages if message.startswith("must be ")]
    if len(messages) == 1 or len(asking) < len(messages):
        return messages[0]
    alternatives = [message.removeprefix("must be ") for message in messages]
    return f"must be {', '.join(alternatives[:-1])} or {alternatives[-1]}"
