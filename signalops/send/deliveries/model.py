"""A delivery as it is shown."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from signalops.send.model import OutcomeKind
from signalops.terms import ChannelKind, DeliveryStatus


class EventTold(BaseModel):
    """The event that a notification tells of."""

    id: UUID
    type: str | None = Field(description="null: the event is gone.")


class RuleTold(BaseModel):
    """The rule that asked for a notification."""

    id: UUID
    name: str | None
    version: int | None = None


class ChannelTold(BaseModel):
    """The channel of a notification."""

    id: UUID
    name: str | None
    kind: ChannelKind | None


class AttemptShown(BaseModel):
    """One attempt at a delivery. A number that is missing was cut off: its worker died."""

    attempt: int
    startedAt: datetime  # noqa: N815
    durationMs: int  # noqa: N815
    outcome: OutcomeKind
    statusCode: int | None = Field(description="HTTP status or SMTP code.")  # noqa: N815
    answer: str | None = Field(description="The first 2 KiB of the answer.")
    requestId: str | None = Field(description="The receiver's own id of the request, if it named one.")  # noqa: N815
    error: str | None


WaitsFor = Literal["worker", "turn", "retry", "circuit", "resumption"]


class DeliveryShown(BaseModel):
    """One notification of one event by one rule through one channel."""

    id: UUID = Field(description="The receiver sees it in each attempt: webhook-id, Message-ID, Idempotency-Key.")
    status: DeliveryStatus
    event: EventTold
    rule: RuleTold
    channel: ChannelTold
    attempts: int = Field(description="Attempts begun.")
    nextAttemptAt: datetime | None = Field(description="Only while it waits.")  # noqa: N815
    pausedUntil: datetime | None = Field(  # noqa: N815
        description="Until when its channel sends nothing (open circuit); null: it sends. A retry ends the pause."
    )
    waitsFor: WaitsFor | None = Field(  # noqa: N815
        description="worker: a free worker; turn: its turn, the channel's rate limit or active hours; retry: its next attempt; "
        "circuit: the end of its channel's pause; resumption: its tenant is suspended. null: it does not wait."
    )
    lastError: str | None = Field(description="What its last attempt came to, until one succeeds.")  # noqa: N815
    createdAt: datetime  # noqa: N815
    updatedAt: datetime = Field(description="When the status changed last.")  # noqa: N815
    replay: UUID | None = Field(description="The replay that asked for it.")
    error: str | None = Field(description="Why it is dead.")


class DeliveryDetail(DeliveryShown):
    """A delivery with its attempts."""

    window: dict[str, Any] | None = Field(description="What a condition over time saw: value, group, since, until.")
    providerId: str | None = Field(description="The provider's own id of the message.")  # noqa: N815
    attemptLog: list[AttemptShown]  # noqa: N815


class DeliveryList(BaseModel):
    """A page of deliveries, newest first."""

    data: list[DeliveryShown]
    has_more: bool = Field(description="Whether there are more beyond this page.")
