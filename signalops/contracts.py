"""The JSON that Python hands to SQL functions: a type for each shape, whose keys a test compares with what SQL reads.

Times are datetimes or RFC 3339, ids UUIDs or their texts, exact numbers texts. What SQL takes for missing may be left out.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NotRequired, TypedDict
from uuid import UUID


class EventRow(TypedDict):
    """An event of a flush, for accept. `quantities` and `buckets` are added where its tenant or key has limits."""

    tenant: UUID
    id: UUID
    type: str
    source: str | None
    occurred_at: datetime | None
    payload: Mapping[str, Any]
    attributes: Mapping[str, Any] | None
    key: NotRequired[str]
    hash: NotRequired[str]
    correlation: NotRequired[str]
    trace: NotRequired[str | None]
    quantities: NotRequired[Mapping[str, str]]
    buckets: NotRequired[Sequence[int]]


class MeterAmount(TypedDict):
    """What the events of a flush add to a meter of a tenant, by the version `limited_meters_version` of its limited meters."""

    tenant: UUID
    meter: str
    amount: object
    limited_meters_version: int


class BucketAmount(TypedDict):
    """How many tokens the events of a flush take from a rate limit."""

    tenant: UUID
    bucket: str
    amount: int


class PartRow(TypedDict):
    """What was done with one tenant's events of a batch, for record_batch."""

    tenant: UUID
    batch: str
    counted_in: str
    ruleset_version: int
    rules: int
    meters_version: int
    events: int
    billed: int
    dead: int


class MatchRow(TypedDict):
    """An event that a rule matched. Without an outcome a notification follows."""

    tenant: UUID
    event: str
    rule: UUID
    version: int
    channel: UUID
    delivery: UUID
    outcome: NotRequired[str]
    not_before: NotRequired[datetime]
    replay: NotRequired[str]


class GroupEvent(TypedDict):
    """An event of a group, for evaluate: its value or distinct item in a window, and what was decided of it before."""

    event: str
    at: datetime
    value: str
    distinct_value: str | None
    verdict: str | None
    not_before: datetime | None
    delivery: UUID
    replay: str | None
    causation_depth: int


class GroupRow(TypedDict):
    """The events of one group of a rule that remembers: of a window, an absence, a cooldown or a digest."""

    tenant: UUID
    rule: UUID
    version: int
    state_version: int
    channel: UUID
    group: str
    labels: Mapping[str, Any]
    kind: str
    threshold: str
    span: str
    lateness: str
    cooldown: str | None
    digest_due: datetime | None
    events: list[GroupEvent]


class DeadEvent(TypedDict):
    """An event that could not be processed."""

    tenant: UUID
    event: str
    error: str


class MeteredRow(TypedDict):
    """What a batch adds to a counter; `value` of sums and the like, `items` of distinct values."""

    tenant: UUID
    id: UUID
    batch: str
    meter: str
    aggregation: str
    period: date
    hour: datetime
    group_key: str
    is_late: bool
    events: int
    event_ids: Sequence[str]
    value: NotRequired[str]
    items: NotRequired[Sequence[str]]
    latest_at: NotRequired[datetime]
    latest_event: NotRequired[str]


class BatchEvent(TypedDict):
    """An event that stays in the inbox, for requeue_events."""

    id: str
    batch: str
    replay: str | None


class SeenType(TypedDict):
    """What was seen of an event type, for record_event_types; first and last are ids of events."""

    tenant: UUID
    type: str
    first: str
    last: str
    count: int
    fields: Mapping[str, Any]
    cut: bool
    example: Mapping[str, Any] | None


class DeliveryRef(TypedDict):
    """A delivery to be attempted, for claim_deliveries."""

    tenant: str
    delivery: str


class SettledAttempt(TypedDict):
    """An attempt and what follows from it, for settle_deliveries; delay, pause and patience in seconds."""

    tenant: str
    delivery: str
    attempt: int
    started_at: str
    duration_ms: int
    outcome: str
    status_code: int | None
    answer: str | None
    error: str | None
    request_id: str | None
    provider_id: str | None
    status: str
    delay: float | None
    pause: float | None
    patience: float
