"""The request and response models of replays."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from signalops.clock import Moment
from signalops.ingest.event_models import EVENT_TYPE, Printable
from signalops.models import ApiModel, PageOf, RequestModel


class ReplayRequest(RequestModel):
    """Which past events are run through the rules again, and why."""

    events: Annotated[list[UUID], Field(min_length=1, max_length=1000)] | None = Field(None, description="These events.")
    from_: Moment | None = Field(None, alias="from", description="Or: those that came in at or after this time.")
    to: Moment | None = Field(None, description="And before this time.")
    type: str | None = Field(None, max_length=200, pattern=EVENT_TYPE, description="Only of this type.")
    rules: Annotated[list[UUID], Field(min_length=1, max_length=100)] | None = Field(
        None, description="Only these rules decide; default: all."
    )
    reason: Printable = Field(min_length=1, max_length=500, description="For those who wonder about the notifications.")
    dry_run: bool = Field(False, description="Only count.")

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        is_span = self.from_ is not None and self.to is not None
        if is_span == (self.events is not None) or (self.events is not None and (self.from_ or self.to or self.type)):
            raise ValueError("name either events, or from and to (and type)")
        if self.from_ is not None and self.to is not None and self.to <= self.from_:
            raise ValueError("to must be later than from")
        return self


class SkippedEvents(ApiModel):
    """How many of the chosen events can't be replayed."""

    waiting: int = Field(0, description="Still waiting in the inbox, or just replayed by another.")
    operational: int = Field(0, description="Emitted by SignalOps itself.")
    dead: int = Field(0, description="Could not be processed: dead letters.")
    unknown: int = Field(0, description="There is no such event.")


class ReplayDryRun(ApiModel):
    """What a replay would do: the answer to a dry run."""

    events: int = Field(description="Events that would be replayed.")
    skipped: SkippedEvents


class ReplayStarted(ReplayDryRun):
    """A replay that has begun."""

    id: UUID = Field(description="Its deliveries name it.")
    events: int = Field(description="Events that are replayed.")


class ReplayShown(ApiModel):
    """A replay, and how far it is."""

    id: UUID
    reason: str
    rules: list[UUID] | None = Field(description="null: all rules decide.")
    events: int = Field(description="Events that are replayed.")
    waiting: int = Field(description="Of these, still in the inbox.")
    deliveries: int = Field(description="Notifications that it has brought about so far.")
    requested_at: datetime


class ReplayList(PageOf[ReplayShown]):
    """A page of replays, newest first."""
