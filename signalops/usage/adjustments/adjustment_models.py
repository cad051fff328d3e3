"""The request and response models of adjustments."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field

from signalops.clock import Moment
from signalops.http import Page
from signalops.models import ApiModel, PageOf, RequestModel
from signalops.usage.plans.money import Exact
from signalops.usage.usage_models import Group, Month

_SIGNED = re.compile(r"-?\d{1,15}(\.\d{1,12})?", re.ASCII)


def _signed(value: object) -> object:
    """Read a decimal from a text or a whole number; a float of JSON is refused, since 0.1 is none of its values."""
    text = value if isinstance(value, str) else repr(value)
    if isinstance(value, float) or not _SIGNED.fullmatch(text) or not Decimal(text):
        raise ValueError('must be a decimal other than 0 as a string, such as "-3": at most 15 digits, and 12 behind the point')
    return Decimal(text)


class AdjustmentIn(RequestModel):
    """A correction of usage."""

    meter: str = Field(max_length=63, description="A meter that counts or sums, or events.", examples=["events"])
    quantity: Annotated[Exact, BeforeValidator(_signed, json_schema_input_type=str | int)] = Field(
        description="What is added, in the meter's unit; negative: taken off.", examples=["-3"]
    )
    at: Moment | None = Field(None, description="The hour that it corrects (RFC 3339); default: this one.")
    group: Group | None = Field(
        None, description="The group that it corrects, by field; a missing field is null. Default: none in particular."
    )
    reason: str = Field(min_length=1, max_length=500, description="Why; it stays on record.")
    author: str = Field(min_length=1, max_length=200, description="Who answers for it.", examples=["ann@example.com"])


class AdjustmentShown(ApiModel):
    """A correction of usage."""

    id: UUID
    meter: str
    quantity: Exact = Field(examples=["-3"])
    hour: datetime = Field(description="Start of the hour that it corrects.")
    group: Group | str | None = Field(description="null: none in particular.")
    period: Month = Field(description="The billing period that bills it.")
    late: bool = Field(description="Whether the period of the hour was closed already.")
    reason: str
    author: str
    created_at: datetime


class AdjustmentList(PageOf[AdjustmentShown]):
    """A page of adjustments, newest first."""


class AdjustmentsPage(Page):
    """Query of a list of adjustments."""

    meter: str | None = Field(None, max_length=63, description="Only of this meter.")
