"""The request model of a rule: pattern, conditions, channel, noise control."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, field_serializer, field_validator, model_validator

from signalops.durations import duration
from signalops.models import RequestModel, WritableModel
from signalops.patterns import CURRENT_GRAMMAR, FieldPath, GroupBy
from signalops.types import JsonObject, Severity

MAX_COUNT = 10_000
"""The largest threshold of a count or of distinct values: what one evaluation of a window may have to read."""
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Sequence[Day] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _between(least: str, most: str) -> AfterValidator:
    def check(text: str) -> str:
        if not duration(least) <= duration(text) <= duration(most):
            raise ValueError(f"must be from {least} to {most}")
        return text

    return AfterValidator(check)


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("is no time zone; write a name such as Europe/Berlin or UTC")
    return name


def _clock_time(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError("must be a time of day such as 08:30")
    return text


def _plain(value: object) -> object:
    return {"for": value} if isinstance(value, str) else value


ZoneName = Annotated[str, AfterValidator(_zone), Field(examples=["Europe/Berlin"])]
ClockTime = Annotated[str, AfterValidator(_clock_time), Field(examples=["08:30"])]
Lateness = Annotated[str, _between("0s", "1d")]
Duration = Annotated[str, _between("1s", "366d")]


class _Part(RequestModel):
    """A part of a rule."""


class Threshold(_Part):
    """A field, and what is to be reached."""

    field: FieldPath
    at_least: Annotated[Decimal, Field(gt=0, max_digits=30, decimal_places=12)]

    @field_serializer("at_least", when_used="json")
    def _as_number(self, value: Decimal) -> int | float | str:
        """Write the number as it was sent: as a number if a double represents it exactly, else as text."""
        number = int(value) if value == int(value) and abs(value) < 2**53 else float(value)
        return number if Decimal(repr(number)) == value else str(value)


class Window(_Part):
    """Fires once when enough happens within a time, and again only after it was less for a while."""

    within: Annotated[str, _between("1s", "7d")] = Field(description="The length of the sliding window of event time.")
    count: int | None = Field(None, ge=1, le=MAX_COUNT, description="At least so many events.")
    sum: Threshold | None = Field(None, description="At least so much, all values of a field together.")
    distinct: Threshold | None = Field(None, description="At least so many different values of a field.")
    group_by: GroupBy = []
    allowed_lateness: Lateness = Field("10m", description="An event that comes in later than this after it occurred is left out.")

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if sum(measure is not None for measure in (self.count, self.sum, self.distinct)) != 1:
            raise ValueError("name one of count, sum and distinct")
        if self.distinct and not (self.distinct.at_least == int(self.distinct.at_least) <= MAX_COUNT):
            raise ValueError(f"distinct.atLeast must be a whole number up to {MAX_COUNT}")
        return self


class Absence(_Part):
    """Fires once when nothing matches for a time (a dead man's switch), and again only after something has."""

    after: Annotated[str, _between("1s", "31d")] = Field(description="How long nothing must match, by event time.")
    group_by: GroupBy = []
    allowed_lateness: Lateness = Field("0s", description="How much longer to wait for events that come in late.")


class Cooldown(_Part):
    """After a notification none for a time, per group."""

    for_: Annotated[str, _between("1s", "31d")] = Field(alias="for")
    group_by: GroupBy = Field([], description="Without a window or absence, which bring their own groups.")


class Digest(_Part):
    """Matches are collected and sent together: some time after the first, or daily at a time."""

    every: Annotated[str, _between("1s", "31d")] | None = None
    at: ClockTime | None = None
    time_zone: ZoneName | None = None

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        if (self.every is None) == (self.at is None) or (self.at is None) != (self.time_zone is None):
            raise ValueError("name either every, or at and timeZone")
        return self


class ActiveHours(_Part):
    """When notifications go out; from later than to passes midnight, and belongs to the day it begins on."""

    time_zone: ZoneName
    days: Annotated[list[Day], Field(min_length=1, max_length=7)] = list(DAYS)
    from_: ClockTime = Field("00:00", alias="from")
    to: ClockTime = Field("00:00", description="Equal to from: all day.")
    outside_hours: Literal["wait", "drop"] = Field("wait", description="Outside of them: send when they begin, or not at all.")


class Conditions(_Part):
    """The conditions before a rule fires, and how often and when it may notify."""

    window: Window | None = None
    absent: Absence | None = None
    cooldown: Annotated[Cooldown | None, BeforeValidator(_plain)] = None
    digest: Digest | None = None
    active_hours: ActiveHours | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.window and self.absent:
            raise ValueError("a rule has a window or an absence, not both: make two rules")
        if self.cooldown and self.cooldown.group_by and (self.window or self.absent):
            raise ValueError("the groups of the cooldown are those of the window or absence: leave cooldown.groupBy out")
        return self


READ_ONLY = frozenset({"id", "version", "stateVersion", "createdAt", "updatedAt", "warnings"})
"""Fields of a rule that is shown, which a request can't set."""


class RuleDraft(WritableModel, Conditions):
    """The content of one version of a rule."""

    READ_ONLY = READ_ONLY

    grammar: int = Field(CURRENT_GRAMMAR, description="1: field path to value; 2: event patterns.")
    pattern: JsonObject = Field(description="Which events.", examples=[{"type": ["user.signup"]}])
    channel: str = Field(min_length=1, max_length=200, description="The channel to notify: its id or its name.")
    template: dict[str, str] = Field(default_factory=dict, description="{subject, body, html} in Liquid.")
    severity: Severity = "info"

    @field_validator("channel", mode="before")
    @classmethod
    def _by_id(cls, value: Any) -> Any:
        """Read a channel as a rule shows it: an object with its id."""
        return value["id"] if isinstance(value, Mapping) and "id" in value else value


class NewRule(RuleDraft):
    """A rule to be stored."""

    name: str = Field(min_length=1, max_length=200)
    enabled: bool = True


class RulePatch(WritableModel, Conditions):
    """What is changed of a rule; what is left out stays."""

    READ_ONLY = READ_ONLY
    grammar: int | None = None
    pattern: JsonObject | None = None
    channel: JsonObject | str | None = Field(None, description="The channel to notify: its id or its name.")
    template: dict[str, str] | None = None
    severity: Severity | None = None
    name: str | None = Field(None, min_length=1, max_length=200)
    enabled: bool | None = None
