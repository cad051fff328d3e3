"""A silence as it is asked for and shown."""

from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from signalops import clock
from signalops.clock import Moment
from signalops.patterns import CURRENT_GRAMMAR
from signalops.rules.model import Duration, duration

State = Literal["scheduled", "active", "ended"]


class NewSilence(BaseModel):
    """A silence to be made: from startsAt until endsAt, or for a duration."""

    model_config = ConfigDict(extra="forbid")

    grammar: int = Field(CURRENT_GRAMMAR, description="1: field path to value; 2: event patterns.")
    pattern: dict[str, Any] = Field(
        description='Which events; {"type": [{"exists": true}]}: all.', examples=[{"payload": {"host": ["db-3"]}}]
    )
    startsAt: Moment = Field(default_factory=clock.now, description="Default: now.")  # noqa: N815
    endsAt: Moment | None = None  # noqa: N815
    duration: Duration | None = Field(None, description="Instead of endsAt.", examples=["2h"])
    reason: str = Field(min_length=1, max_length=500, description="For those who wonder where their notification is.")

    @model_validator(mode="after")
    def _has_one_end(self) -> Self:
        if (self.endsAt is None) == (self.duration is None):
            raise ValueError("name either endsAt or duration")
        if self.until <= max(self.startsAt, clock.now()):
            raise ValueError("it must end after it starts, and not in the past")
        return self

    @property
    def until(self) -> datetime:
        """When it ends."""
        if self.endsAt is not None:
            return self.endsAt
        assert self.duration is not None
        try:
            return self.startsAt + duration(self.duration)
        except OverflowError:
            raise ValueError("it ends beyond the calendar") from None


class SilenceShown(BaseModel):
    """A silence."""

    id: UUID
    grammar: int
    pattern: dict[str, Any]
    startsAt: datetime  # noqa: N815
    endsAt: datetime  # noqa: N815
    reason: str
    createdAt: datetime  # noqa: N815
    state: State


class SilenceList(BaseModel):
    """A page of silences, newest first."""

    data: list[SilenceShown]
    has_more: bool = Field(description="Whether there are more beyond this page.")
