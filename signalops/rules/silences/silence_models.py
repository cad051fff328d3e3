"""The request and response models of silences."""

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from signalops import clock
from signalops.clock import Moment
from signalops.durations import duration
from signalops.models import ApiModel, PageOf, RequestModel
from signalops.patterns import CURRENT_GRAMMAR
from signalops.rules.rule_models import Duration
from signalops.types import JsonObject

State = Literal["scheduled", "active", "ended"]


class NewSilence(RequestModel):
    """A silence to be made: from startsAt until endsAt, or for a duration."""

    grammar: int = Field(CURRENT_GRAMMAR, description="1: field path to value; 2: event patterns.")
    pattern: JsonObject = Field(
        description='Which events; {"type": [{"exists": true}]}: all.', examples=[{"payload": {"host": ["db-3"]}}]
    )
    starts_at: Moment = Field(default_factory=clock.now, description="Default: now.")
    ends_at: Moment | None = None
    duration: Duration | None = Field(None, description="Instead of endsAt.", examples=["2h"])
    reason: str = Field(min_length=1, max_length=500, description="For those who wonder where their notification is.")

    @model_validator(mode="after")
    def _has_one_end(self) -> Self:
        if (self.ends_at is None) == (self.duration is None):
            raise ValueError("name either endsAt or duration")
        if self.until <= max(self.starts_at, clock.now()):
            raise ValueError("it must end after it starts, and not in the past")
        return self

    @property
    def until(self) -> datetime:
        """When it ends."""
        if self.ends_at is not None:
            return self.ends_at
        assert self.duration is not None
        try:
            return self.starts_at + duration(self.duration)
        except OverflowError:
            raise ValueError("it ends beyond the calendar") from None


class SilenceShown(ApiModel):
    """A silence."""

    id: UUID
    grammar: int
    pattern: JsonObject
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_at: datetime
    state: State


class SilenceList(PageOf[SilenceShown]):
    """A page of silences, newest first."""
