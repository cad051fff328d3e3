"""Suggests the field that was meant by an unknown one: by another spelling, by what others call it, or by a typing error."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

_SIMILARITY = 0.7
_MAX_LISTED = 12
_CALLED = {
    "data": "payload",
    "body": "payload",
    "properties": "payload",
    "event": "type",
    "eventType": "type",
    "name": "type",
    "timestamp": "occurredAt",
    "time": "occurredAt",
    "idempotency": "idempotencyKey",
    "key": "idempotencyKey",
    "filter": "pattern",
    "match": "pattern",
    "endpoint": "channel",
    "url": "config",
    "to": "config",
}
"""What other products call a field."""


def suggestion(model: type[BaseModel], location: Sequence[int | str], name: str) -> str:
    """Return the message for an unknown field at a location of a value that the model describes."""
    names = [known for inner in _models_at(model, location) for known in _names(inner)]
    if name in names:  # of another member of a union
        return "does not belong to this kind; leave it out"
    near = _nearest(name, names)
    if near:
        return f"unknown field (did you mean {near}?)"
    if not names:
        return "unknown field; there are none here"
    listed = ", ".join(dict.fromkeys(names[:_MAX_LISTED]))
    return f"unknown field; the fields are {listed}{' ...' if len(names) > _MAX_LISTED else ''}"


def _nearest(name: str, names: Sequence[str]) -> str | None:
    camel = to_camel(name)
    if camel in names:
        return camel
    called = _CALLED.get(camel)
    if called in names:
        return called
    lower = {known.lower(): known for known in names}
    close = get_close_matches(camel.lower(), lower, n=1, cutoff=_SIMILARITY)
    return lower[close[0]] if close else None


def _names(model: type[BaseModel]) -> Iterator[str]:
    return (field.validation_alias or field.alias or name for name, field in model.model_fields.items())  # type: ignore[misc]


def _models_at(model: type[BaseModel], location: Sequence[int | str]) -> list[type[BaseModel]]:
    """Return the models that may describe what is at a location; steps that are no field name a member of a union, or an item."""
    found = [model]
    for step in location:
        fields = [field for one in found for name, field in one.model_fields.items() if step in (name, field.alias)]
        if fields:
            found = [inner for field in fields for inner in _models_in(field.annotation)]
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
