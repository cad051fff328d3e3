"""CloudEvents 1.0, HTTP binding: structured, batched and binary. Source and id are the idempotency key.

Source: CloudEvents 1.0.2 specification and its HTTP protocol binding.
"""

import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from signalops import strict_json
from signalops.clock import Moment
from signalops.errors import Invalid, UnsupportedMedia
from signalops.ingest.event_models import EVENT_TYPE, EventIn, Printable
from signalops.types import JsonObject
from signalops.validation import shape

PREFIX = "application/cloudevents"
"""How the media type of an event begins that is not in binary mode, whatever its headers (HTTP binding, section 3)."""
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_JSON_TYPE = shape(
    r"(?i)^[a-z0-9!#$&^_.-]+/([a-z0-9!#$&^_.+-]+\+)?json[ \t]*(;.*)?$",
    "must be a media type of JSON, such as application/json: other data is not taken",
)
"""The subtype json, or one with the suffix +json (JSON format, section 3.1)."""
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_MAX_KEY_BYTES = 2048  # an entry of a PostgreSQL index has at most 2,704 bytes
_OWN = ("type", "source", "time", "data", "specversion", "datacontenttype")


class CloudEvent(BaseModel):
    """A CloudEvent whose data is an object; further attributes are stored beside the payload."""

    model_config = ConfigDict(extra="allow", title="CloudEvent")
    __pydantic_extra__: dict[str, Printable | int | bool | None]

    specversion: Literal["1.0"]
    id: Printable = Field(min_length=1, max_length=255)
    source: Printable = Field(min_length=1, max_length=500)
    type: str = Field(min_length=1, max_length=200, pattern=EVENT_TYPE)
    time: Moment | None = None
    subject: Printable | None = Field(None, max_length=1000)
    dataschema: Printable | None = Field(None, max_length=1000)
    datacontenttype: str | None = Field(None, pattern=_JSON_TYPE)
    data: JsonObject | None = Field(None, description="An object, or nothing.")
    data_base64: None = Field(None, description="Binary data is not taken: send an object as data.")


def from_structured(value: object) -> tuple[EventIn, JsonObject]:
    """Translate a CloudEvent in JSON format into an event and its further attributes; raise Invalid."""
    try:
        event = CloudEvent.model_validate(value)
    except ValidationError as error:
        raise Invalid.of(error, value) from error
    attributes = event.model_dump(exclude=set(_OWN), exclude_none=True)
    key = f"{event.source}\n{event.id}"
    if len(key.encode()) > _MAX_KEY_BYTES:
        raise Invalid(f"source: must not exceed {_MAX_KEY_BYTES} bytes together with id.")
    return (
        EventIn.model_construct(
            type=event.type, payload=event.data or {}, source=event.source, occurred_at=event.time, idempotency_key=key
        ),
        attributes,
    )


def is_binary(headers: Mapping[str, str]) -> bool:
    """Return whether a request's headers carry a CloudEvent in binary mode."""
    return "ce-specversion" in headers


def from_binary(headers: Mapping[str, str], content_type: str, body: bytes) -> tuple[EventIn, JsonObject]:
    """Translate headers `ce-*` and a JSON body, if any, into an event and its further attributes.

    Raise UnsupportedMedia, Malformed or Invalid.
    """
    if body and content_type and not re.fullmatch(_JSON_TYPE, content_type):
        raise UnsupportedMedia("The data of a CloudEvent must be JSON: send Content-Type: application/json.")
    data = strict_json.parse(body) if body else None
    attributes: dict[str, object] = {
        name[3:]: _unescaped(name, value) for name, value in headers.items() if name.startswith("ce-")
    }
    return from_structured({**attributes, "data": data})


def _unescaped(name: str, value: str) -> str:
    """Read the value of a header: out of double quotes, and percent-decoded once (HTTP binding, section 3.1.3.2); Invalid."""
    if quoted := _QUOTED.fullmatch(value):
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    try:
        # UTF-8 that was sent as it is, against the binding, comes as the characters of its bytes.
        return unquote_to_bytes(value.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise Invalid.at(name, "must be UTF-8, percent-encoded, such as %E2%82%AC") from None
