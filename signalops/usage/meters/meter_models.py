"""The request and response models of meters."""

import re
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from signalops.models import ApiModel, RequestModel
from signalops.patterns import FieldPath, GroupBy, PatternError, compile_pattern
from signalops.types import JsonObject

DEFAULT = "events"
"""The meter that every tenant has: it counts every event that is billed."""
MAX_CONDITIONS = 400
"""What a pattern may have: fifty meters then have no more together than all rules of a tenant may."""
Aggregation = Literal["count", "sum", "max", "min", "avg", "latest", "unique_count"]


_KEY = r"[a-z][a-z0-9_]{0,62}"


def is_key(text: str) -> bool:
    """Whether a meter may be called so."""
    return re.fullmatch(_KEY, text) is not None


def _key(text: str) -> str:
    if not is_key(text):
        raise ValueError("must be up to 63 lower-case letters, digits and _, a letter first, such as api_calls")
    if text == DEFAULT:
        raise ValueError(f"{DEFAULT} is the meter of all events; choose another key")
    return text


def _pattern(pattern: JsonObject) -> JsonObject:
    try:
        conditions = compile_pattern(pattern).conditions
    except PatternError as error:
        raise _fault(error.path, f"{error.reason}; {error.remedy}") from error
    if conditions > MAX_CONDITIONS:
        raise _fault("", f"has {conditions} conditions, {MAX_CONDITIONS} are possible; shorten it, as with prefixes")
    return pattern


def _fault(path: str, message: str) -> ValidationError:
    """Return a fault at a path below what is validated."""
    fault = InitErrorDetails(type=PydanticCustomError("meter", message), loc=(path,) if path else (), input=None)
    return ValidationError.from_exception_data("meter", [fault])


MeterKey = Annotated[str, AfterValidator(_key), Field(examples=["api_calls"], json_schema_extra={"pattern": f"^{_KEY}$"})]


class MeterIn(RequestModel):
    """What a meter counts: which events, which value, and by which groups."""

    key: MeterKey = Field(description="Its name in usage, prices and limits.")
    name: str = Field(min_length=1, max_length=200, description="The name for people.", examples=["API calls"])
    aggregation: Aggregation = Field(
        "count",
        description="How many events; or of a field the sum, max, min, average by event, latest value or number of "
        "different values.",
    )
    field: FieldPath | None = Field(
        None, description="The field that is measured: a number, or for unique_count any value. Leave it out for count."
    )
    pattern: Annotated[JsonObject, AfterValidator(_pattern)] = Field(
        description="Which events, as an event pattern.", examples=[{"type": ["api.call"]}]
    )
    group_by: GroupBy = []
    unit: str | None = Field(None, min_length=1, max_length=63, description="What it counts in.", examples=["GB"])

    allow_negative: bool | None = Field(
        None, description="Whether values below 0 count. Default: yes; of a plan's meter no, since they lower the bill."
    )

    @model_validator(mode="after")
    def _measures(self) -> Self:
        if self.aggregation == "count" and self.field is not None:
            raise _fault("field", "count has no field: leave it out, or choose an aggregation of it such as sum")
        if self.aggregation != "count" and self.field is None:
            raise _fault("field", f"{self.aggregation} needs the field that it is made of, such as payload.bytes")
        return self


class MeterShown(ApiModel):
    """A meter."""

    key: MeterKey
    name: str
    aggregation: Aggregation
    field: FieldPath | None
    pattern: JsonObject
    group_by: GroupBy
    unit: str | None
    allow_negative: bool = Field(description="Whether values below 0 count.")
    origin: Literal["tenant", "plan"] = Field(description="Its own, or brought by its plan.")
    created_at: datetime = Field(description="What was processed before is not counted.")
    ended_at: datetime | None = Field(description="When it ended; null: it counts.")


class MeterList(ApiModel):
    """A page of meters, by key."""

    data: list[MeterShown]
    has_more: bool
