"""The request and response models of dead letters."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from signalops.clock import Moment
from signalops.models import ApiModel, PageOf, RequestModel
from signalops.send.deliveries.delivery_models import ChannelRef, EventRef, RuleRef

DeadLetterKind = Literal["event", "delivery"]

MAX_DEAD_LETTERS = 10_000
"""Maximum dead letters that one request retries or discards."""

Reason = Annotated[str, Field(min_length=1, max_length=500, description="For those who look for it later.")]
Part = Annotated[str, Field(min_length=1, max_length=500)]


class DeadLetterShown(ApiModel):
    """An event that could not be processed, or a delivery that failed after its last attempt."""

    id: UUID = Field(description="The id of what died: the event's or the delivery's.")
    kind: DeadLetterKind
    event: EventRef
    rule: RuleRef | None = Field(description="Of a delivery.")
    channel: ChannelRef | None = Field(description="Of a delivery.")
    error: str
    died_at: datetime
    resolved_at: datetime | None = Field(description="When it was retried or discarded; null: it waits.")
    resolution: Literal["retried", "discarded"] | None
    reason: str | None = Field(description="Why it was discarded.")


class DeadLetterList(PageOf[DeadLetterShown]):
    """A page of the unresolved dead letters, newest first."""


class DeadLetterFilter(RequestModel):
    """A filter of dead letters; without any of these all unresolved ones."""

    kind: DeadLetterKind | None = None
    channel: UUID | None = None
    rule: UUID | None = None
    error: Part | None = Field(None, description="With this in their error, in any case.")
    since: Annotated[Moment | None, Field(alias="from", description="Died at or after this time.")] = None
    until: Annotated[Moment | None, Field(alias="to", description="Died before this time.")] = None


class _Choice(RequestModel):
    ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_DEAD_LETTERS)] | None = Field(
        None, description="These dead letters."
    )
    filter: DeadLetterFilter | None = Field(None, description="Or: those that it lets through, the newest first; {}: all.")
    dry_run: bool = Field(False, description="Only count.")

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("name either ids or a filter; {} lets all through")
        return self


class DeadLetterRetry(_Choice):
    """The dead letters to retry; at most 10,000 at once."""


class DeadLetterDiscard(_Choice):
    """The dead letters to discard, and why; at most 10,000 at once."""

    reason: Reason


class DiscardReason(RequestModel):
    """Why a dead letter is discarded."""

    reason: Reason


class DeadLetterCounts(ApiModel):
    """How many dead letters were, or would be, affected."""

    dead_letters: int = Field(description="Retried or discarded; in a dry run, that would be.")
    remaining: int = Field(description="Selected as well, and left to further requests.")
