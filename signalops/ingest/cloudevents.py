"""CloudEvents 1.0, HTTP binding: structured, batched and binary. Source and id are the idempotency key.

Source: CloudEvents 1.0.2 specification and its HTTP protocol binding.
"""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from signalops import strict_json
from signalops.clock import Moment
from signalops.errors import Invalid, UnsupportedMedia
from signalops.ingest.model import EVENT_TYPE, EventIn, Printable

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_MOST_KEY_BYTES = 2048  # an entry of a PostgreSQL index holds 2,704 bytes
_OWN = ("type", "source", "time", "data", "specversion", "datacontenttype")


class CloudEvent(BaseModel):
    """A CloudEvent whose data is an object; other attributes of it are kept beside the payload."""

    model_config = ConfigDict(extra="allow", title="CloudEvent")
    __pydantic_extra__: dict[str, Printable | int | bool | None]

    specversion: Literal["1.0"]
    id: Printable = Field(min_length=1, max_length=255)
    source: Printable = Field(min_length=1, max_length=500)
    type: str = Field(min_length=1, max_length=200, pattern=EVENT_TYPE)
    time: Moment | None = None
    subject: Printable | None = Field(None, max_length=1000)
    dataschema: Printable | None = Field(None, max_length=1000)
    datacontenttype: str | None = Field(None, pattern=r"(?i)^application/([a-z0-9.+-]+\+)?json\b")
    data: dict[str, Any] = Field(default_factory=dict)
    data_base64: None = Field(None, description="Binary data is not taken: send an object as data.")


def from_structured(value: object) -> tuple[EventIn, dict[str, Any]]:
    """Translate a CloudEvent in JSON format into an event and its further attributes; raise Invalid."""
    try:
        event = CloudEvent.model_validate(value)
    except ValidationError as error:
        raise Invalid.of(error) from error
    attributes = event.model_dump(exclude=set(_OWN), exclude_none=True)
    key = f"{event.source}\n{event.id}"
    if len(key.encode()) > _MOST_KEY_BYTES:
        raise Invalid(f"source: must not exceed {_MOST_KEY_BYTES} bytes together with id.")
    return (
        EventIn.model_construct(
            type=event.type, payload=event.data, source=event.source, occurredAt=event.time, idempotencyKey=key
        ),
        attributes,
    )


def is_binary(headers: Mapping[str, str]) -> bool:
    """Tell whether a request's headers carry a CloudEvent in binary mode."""
    return "ce-specversion" in headers


def from_binary(headers: Mapping[str, str], content_type: str, body: bytes) -> tuple[EventIn, dict[str, Any]]:
    """Translate headers `ce-*` (percent-encoded) and a JSON body, if any, into an event and its further attributes.

    Raise UnsupportedMedia, Malformed or Invalid.
    """
    if body and content_type not in ("", "application/json") and not content_type.endswith("+json"):
        raise UnsupportedMedia("The data of a CloudEvent must be JSON: send Content-Type: application/json.")
    data = strict_json.parse(body) if body else {}
    attributes: dict[str, object] = {
        name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")
    }
    return from_structured({**attributes, "data": data})
