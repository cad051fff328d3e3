"""What a producer may send, and what becomes of it."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from signalops import clock, correlation
from signalops.clock import Moment
from signalops.ingest.types.schema import Fault
from signalops.terms import EventId, EventStatus, TenantId

EVENT_TYPE = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _printable(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must hold no control characters")
    return value


Printable = Annotated[str, AfterValidator(_printable)]


class EventIn(BaseModel):
    """An event as its producer sends it."""

    model_config = ConfigDict(extra="forbid", title="Event to store")

    type: str = Field(
        min_length=1, max_length=200, pattern=EVENT_TYPE, description="Dot-separated words.", examples=["user.signup"]
    )
    payload: dict[str, Any] = Field(
        default_factory=dict, description="Any object.", examples=[{"email": "user@example.com"}]
    )
    source: Printable | None = Field(None, min_length=1, max_length=500, description="Where it comes from.")
    occurredAt: Moment | None = Field(None, description="When it happened (RFC 3339); default: now.")  # noqa: N815
    idempotencyKey: Printable | None = Field(  # noqa: N815
        None, min_length=1, max_length=255, description="A second request with this key and body stores nothing new."
    )


class Accepted(BaseModel):
    """An event that is stored: now (accepted), or earlier under the same idempotency key (duplicate)."""

    id: UUID = Field(description="The event's id, a UUIDv7.")
    status: Literal["accepted", "duplicate"]
    warnings: list[Fault] | None = Field(
        None, description="Where the payload breaks the schema of its type, which only warns."
    )
    overLimit: bool | None = Field(  # noqa: N815
        None, description="true: beyond a hard limit whose overage is accept."
    )


class Rejected(BaseModel):
    """An item of a batch that was not stored, and why."""

    status: Literal["rejected"]
    problem: dict[str, Any] = Field(description="A problem document (RFC 9457).")


class BatchResult(BaseModel):
    """What became of a batch: a result per item, in the order of the items."""

    accepted: int
    duplicates: int
    rejected: int
    results: list[Accepted | Rejected]


class EventShown(BaseModel):
    """An event as it is shown."""

    id: UUID
    type: str
    source: str | None
    status: EventStatus = Field(description="pending: not yet processed; processed; dead: could not be processed.")
    occurredAt: datetime  # noqa: N815
    receivedAt: datetime  # noqa: N815
    payload: dict[str, Any]
    attributes: dict[str, Any] | None = Field(None, description="CloudEvents attributes beyond type, source and time.")
    overLimit: bool | None = Field(  # noqa: N815
        None, description="true: accepted beyond a hard limit."
    )
    requestId: str | None = Field(  # noqa: N815
        None, description="The X-Request-Id, or the trace-id of the traceparent, that its request came with."
    )


class EventList(BaseModel):
    """A page of events, newest first."""

    data: list[EventShown]
    has_more: bool = Field(description="Whether there are more beyond this page.")


class Incoming(NamedTuple):
    """A validated event on its way into a flush: whose it is, its id, its row as JSON for signalops.accept, and warnings.

    weights: what it adds to its tenant's limited meters, weighed in the version `scales` of them; 0: it has none. buckets: the
    rate limits that it pays, a token each. correlation: the id that its producer gave the request.
    """

    tenant: TenantId
    id: EventId
    row: bytes
    warnings: Sequence[Fault] = ()
    scales: int = 0
    weights: Mapping[str, Decimal] = {}
    buckets: tuple[str, ...] = ()
    correlation: str | None = None


def incoming(tenant: TenantId, event: EventIn, attributes: dict[str, Any] | None = None) -> Incoming:
    """Give a validated event its id and write its row."""
    event_id, now, key = clock.new_id(), clock.now(), event.idempotencyKey
    row = {
        "tenant": tenant,
        "id": event_id,
        "type": event.type,
        "source": event.source,
        "occurred_at": event.occurredAt or now,
        "received_at": now,
        "payload": event.payload,
        "attributes": attributes,
    }
    if key is not None:
        row |= {"key": key, "hash": _body_hash(event, attributes)}
    asked = correlation.current.get()
    if asked is None or not asked.is_sent:
        return Incoming(tenant, EventId(event_id), orjson.dumps(row))
    row |= {"correlation": asked.id, "trace": asked.trace}
    return Incoming(tenant, EventId(event_id), orjson.dumps(row), correlation=asked.id)


def _body_hash(event: EventIn, attributes: dict[str, Any] | None) -> str:
    """SHA-256 of what was sent, blind to white space, the order of keys and the way a time is written."""
    sent = [event.type, event.source, event.occurredAt, event.payload, attributes]
    return hashlib.sha256(orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)).hexdigest()
