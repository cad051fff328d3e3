"""The response models of deliveries."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from signalops.models import ApiModel, PageOf
from signalops.send.message_models import OutcomeKind
from signalops.types import ChannelKind, DeliveryStatus, JsonObject


class EventRef(ApiModel):
    """The event that a notification is about."""

    id: UUID
    type: str | None = Field(description="null: the event is gone.")


class RuleRef(ApiModel):
    """The rule that asked for a notification."""

    id: UUID
    name: str | None
    version: int | None = None


class ChannelRef(ApiModel):
    """The channel of a notification."""

    id: UUID
    name: str | None
    kind: ChannelKind | None


class AttemptShown(ApiModel):
    """One attempt at a delivery. A number that is missing was cut off: its worker died."""

    attempt: int
    started_at: datetime
    duration_ms: int
    outcome: OutcomeKind
    status_code: int | None = Field(description="HTTP status or SMTP code.")
    answer: str | None = Field(description="The first 2 KiB of the answer.")
    request_id: str | None = Field(description="The receiver's own id of the request, if it named one.")
    error: str | None


WaitsFor = Literal["worker", "turn", "retry", "circuit", "resumption"]


class DeliveryShown(ApiModel):
    """One notification of one event by one rule through one channel."""

    id: UUID = Field(description="The receiver sees it in each attempt: webhook-id, Message-ID, Idempotency-Key.")
    status: DeliveryStatus
    event: EventRef
    rule: RuleRef
    channel: ChannelRef
    attempts: int = Field(description="Attempts begun.")
    next_attempt_at: datetime | None = Field(description="Only while it waits.")
    paused_until: datetime | None = Field(
        description="Until when its channel sends nothing (open circuit); null: it sends. A retry ends the pause."
    )
    waits_for: WaitsFor | None = Field(
        description="worker: a free worker; turn: its turn, the channel's rate limit or active hours; retry: its next attempt; "
        "circuit: the end of its channel's pause; resumption: its tenant is suspended. null: it does not wait."
    )
    last_error: str | None = Field(description="What its last attempt came to, until one succeeds.")
    created_at: datetime
    updated_at: datetime = Field(description="When the status changed last.")
    replay: UUID | None = Field(description="The replay that asked for it.")
    error: str | None = Field(description="Why it is dead.")


class DeliveryDetail(DeliveryShown):
    """A delivery with its attempts."""

    window: JsonObject | None = Field(description="What a condition over time saw: value, group, since, until.")
    provider_id: str | None = Field(description="The provider's own id of the message.")
    attempt_log: list[AttemptShown]


class DeliveryList(PageOf[DeliveryShown]):
    """A page of deliveries, newest first."""
