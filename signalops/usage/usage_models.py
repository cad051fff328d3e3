"""The request and response models of usage."""

import re
from datetime import date, datetime
from typing import Annotated, Literal

import orjson
from pydantic import BeforeValidator, Field, PlainSerializer, TypeAdapter

from signalops.clock import Moment
from signalops.http import Query
from signalops.models import ApiModel
from signalops.types import JsonObject
from signalops.usage.meters.meter_models import DEFAULT, Aggregation
from signalops.usage.plans.money import Exact

Window = Literal["hour", "day", "month", "none"]
Group = JsonObject

# Far from the ends of the calendar, where a month has no next one.
_MONTH = re.compile(r"[12]\d{3}-(0[1-9]|1[0-2])", re.ASCII)
_DAY = re.compile(r"[12]\d{3}-\d\d-\d\d", re.ASCII)
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


def _first_day(value: object) -> object:
    if isinstance(value, str) and _MONTH.fullmatch(value):
        return date.fromisoformat(f"{value}-01")
    if type(value) is date and value.day == 1:
        return value
    raise ValueError("must be a month, such as 2026-11")


def _start(value: object) -> object:
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            return date.fromisoformat(value)
        if isinstance(value, str) and _DAY.match(value):
            return _MOMENT.validate_python(value)
    except ValueError:
        pass
    raise ValueError("must be a day, such as 2026-11-01, or an RFC 3339 time, such as 2026-11-01T12:00:00Z")


def _object(value: object) -> object:
    try:
        value = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ValueError('must be a JSON object of a value by field, such as {"payload.region":"eu"}')
    return value


Month = Annotated[
    date,
    BeforeValidator(_first_day, json_schema_input_type=str),
    PlainSerializer(lambda first: f"{first:%Y-%m}", return_type=str, when_used="json"),
    Field(examples=["2026-11"]),
]
"""A calendar month by its first day; in JSON such as 2026-11."""
Start = Annotated[date | datetime, BeforeValidator(_start, json_schema_input_type=str)]
"""Where a time begins or ends: a day in the tenant's time zone, or a moment."""


class UsageQuery(Query):
    """Which usage is asked for."""

    meter: str = Field(DEFAULT, max_length=63, description="The meter's key; events: the number of events.")
    period: Month | None = Field(
        None, description="Calendar month in the tenant's time zone, such as 2026-11; default: this one."
    )
    since: Annotated[
        Start | None, Field(alias="from", description="Instead: from this day (2026-11-01) or full hour (RFC 3339) on.")
    ] = None
    until: Annotated[
        Start | None, Field(alias="to", description="Before this day or full hour: at most 366 days, by hour 31.")
    ] = None
    window: Window = Field("day", description="By what the usage is split; none: not at all.")
    group_by: bool = Field(False, description="Whether it is split by the groups of the meter as well.")
    group: Annotated[Group, BeforeValidator(_object, json_schema_input_type=str)] | None = Field(
        None, description='Only this group: a JSON object such as {"payload.region":"eu"}; a missing field is null.'
    )


class UsageWindow(ApiModel):
    """What was counted in a window; there is none of those in which nothing was."""

    start: datetime = Field(description="In the tenant's time zone.")
    end: datetime
    quantity: Exact
    events: int
    group: Group | str | None = Field(
        description="With groupBy: the values by field, or where they are long a hash of them; none in an adjustment of all."
    )


class Usage(ApiModel):
    """What a meter counted by the time at which events happened, adjustments included."""

    meter: str = Field(examples=["events"])
    name: str
    aggregation: Aggregation
    unit: str | None
    time_zone: str = Field(examples=["Europe/Berlin"])
    period: Month | None = Field(description="Calendar month; null when from and to were named.")
    since: datetime = Field(alias="from")
    until: datetime = Field(alias="to")
    quantity: Exact | None = Field(
        description="Of the whole time, as a decimal; null: no value. What is billed.", examples=["42"]
    )
    events: int = Field(description="How many events it was made of.")
    accepted: int | None = Field(description="Stored in the month; what limits apply to. These four: of a month's events alone.")
    processed: int | None = Field(description="Of what happened in the month.")
    soft_limit: int | None = Field(description="At which a notice is emitted.")
    hard_limit: int | None = Field(description="Beyond which events are refused.")
    is_limited: bool = Field(
        description="Whether a month in it has more groups and distinct values than are kept: the rest is one group without "
        "values, and quantities of distinct values are too low."
    )
    windows: list[UsageWindow] = Field(description="In order; by group in each.")
