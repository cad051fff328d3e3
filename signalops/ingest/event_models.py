"""The request and response models of events."""

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import orjson
from pydantic import AfterValidator, ConfigDict, Field

from signalops import clock, correlation
from signalops.clock import Moment
from signalops.contracts import EventRow
from signalops.errors import Problem
from signalops.ingest.types.validator import Fault
from signalops.models import ApiModel, PageOf
from signalops.types import EventId, EventStatus, JsonObject, TenantId
from signalops.validation import shape

EVENT_TYPE = shape(
    r"^[A-Za-z0-9_:/@+~-]+(\.[A-Za-z0-9_:/@+~-]+)*$",
    "must be dot-separated words of letters, digits and _ - : / @ + ~, such as user.signup or aws.s3.ObjectCreated:Put",
)
_FRACTION = re.compile(rb"[0-9](?:\.0(?![0-9])|[eE])")
"""Of a number that may be written otherwise; sometimes of a text."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _printable(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must contain no control characters")
    return value


Printable = Annotated[str, AfterValidator(_printable)]


class EventIn(ApiModel):
    """An event as its producer sends it."""

    model_config = ConfigDict(extra="forbid", title="Event to store")

    type: str = Field(
        min_length=1, max_length=200, pattern=EVENT_TYPE, description="Dot-separated words.", examples=["user.signup"]
    )
    payload: JsonObject = Field(default_factory=dict, description="Any object.", examples=[{"email": "user@example.com"}])
    source: Printable | None = Field(None, min_length=1, max_length=500, description="Where it comes from.")
    occurred_at: Moment | None = Field(None, description="When it happened (RFC 3339); default: now.")
    idempotency_key: Printable | None = Field(
        None, min_length=1, max_length=255, description="A second request with this key and body stores nothing new."
    )


class Accepted(ApiModel):
    """An event that is stored: now (accepted), or earlier under the same idempotency key (duplicate)."""

    id: UUID = Field(description="The event's id, a UUIDv7.")
    status: Literal["accepted", "duplicate"]
    warnings: list[Fault] | None = Field(None, description="Where the payload breaks the schema of its type, which only warns.")
    over_limit: bool | None = Field(None, description="true: beyond a hard limit whose overage is accept.")


class Rejected(ApiModel):
    """An item of a batch that was not stored, and why."""

    status: Literal["rejected"]
    problem: JsonObject = Field(description="A problem document (RFC 9457).")


class BatchResult(ApiModel):
    """The result of a batch, with a result per item, in order."""

    accepted: int
    duplicates: int
    rejected: int
    results: list[Accepted | Rejected]


class EventShown(ApiModel):
    """An event as it is shown."""

    id: UUID
    type: str
    source: str | None
    status: EventStatus = Field(description="pending: not yet processed; processed; dead: could not be processed.")
    occurred_at: datetime
    received_at: datetime
    payload: JsonObject
    attributes: JsonObject | None = Field(None, description="CloudEvents attributes beyond type, source and time.")
    over_limit: bool | None = Field(None, description="true: accepted beyond a hard limit.")
    request_id: str | None = Field(
        None, description="The X-Request-Id, or the trace-id of the traceparent, that its request came with."
    )


class EventList(PageOf[EventShown]):
    """A page of events, newest first."""


class Incoming(NamedTuple):
    """A validated event on its way into a flush: whose it is, its id, its row as JSON for signalops.accept, and warnings.

    id: until it is stored; the transaction that stores it gives it the time of its own (`Stored`).

    quantities: what it adds to its tenant's limited meters, in their version `limited_meters_version`; 0: it has none. buckets:
    the rate limits that it pays, a token each. correlation: the id that its producer gave the request.
    """

    tenant: TenantId
    id: EventId
    row: bytes
    warnings: Sequence[Fault] = ()
    limited_meters_version: int = 0
    quantities: Mapping[str, Decimal] = {}
    buckets: tuple[str, ...] = ()
    correlation: str | None = None


class Stored(NamedTuple):
    """The event that is stored: now (accepted), or earlier under the same idempotency key (duplicate)."""

    id: EventId
    status: Literal["accepted", "duplicate"]
    is_over: bool = False
    """Whether it is beyond a hard limit."""


Outcomes = Mapping[EventId, Stored | Problem]
"""By the id that an event came with: what is stored under which id, or why nothing is."""


class Request(NamedTuple):
    """Events of one tenant that wait to be flushed together, and who is to be answered. size: their rows in bytes."""

    tenant: TenantId
    events: Sequence[Incoming]
    size: int
    answer: asyncio.Future[Outcomes]


def incoming(tenant: TenantId, event: EventIn, attributes: JsonObject | None = None) -> Incoming:
    """Give a validated event its id and write its row."""
    event_id, key = clock.new_id_in_order(), event.idempotency_key
    row: EventRow = {
        "tenant": tenant,
        "id": event_id,
        "type": event.type,
        "source": event.source,
        "occurred_at": event.occurred_at,
        "payload": event.payload,
        "attributes": attributes,
    }
    if key is not None:
        row["key"], row["hash"] = key, _body_hash(event, attributes)
    request_id = correlation.current.get()
    if request_id is None or not request_id.is_sent:
        return Incoming(tenant, EventId(event_id), orjson.dumps(row))
    row["correlation"], row["trace"] = request_id.id, request_id.trace
    return Incoming(tenant, EventId(event_id), orjson.dumps(row), correlation=request_id.id)


def _body_hash(event: EventIn, attributes: JsonObject | None) -> str:
    """SHA-256 of what was sent, blind to white space, the order of keys and the way that numbers and a time are written.

    A CloudEvent's is of type and data alone: source and id are its key, and what brings it again (a broker, a retry, another
    mode) may change any other attribute.
    """
    is_plain = attributes is None
    sent = [event.type, event.payload, *((event.source, event.occurred_at) if is_plain else ())]
    text = orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)
    if _FRACTION.search(text):
        text = orjson.dumps(_in_one_form(sent), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()


def _in_one_form(value: Any) -> Any:
    """Return JSON in which 1.0 is 1, -0.0 is 0 and 1e3 is 1000: JavaScript writes them so, and patterns take them for equal."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**63 else value
    if isinstance(value, list):
        return [_in_one_form(each) for each in value]
    return {name: _in_one_form(each) for name, each in value.items()} if isinstance(value, dict) else value
