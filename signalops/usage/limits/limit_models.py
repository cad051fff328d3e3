"""The response models of limits."""

from datetime import date
from typing import Literal

from pydantic import Field

from signalops.models import ApiModel
from signalops.usage.plans.money import Exact
from signalops.usage.usage_models import Month


class LimitShown(ApiModel):
    """The limit of a meter, and how much of it is used."""

    meter: str = Field(examples=["events"])
    origin: Literal["tenant", "plan"] = Field(description="The tenant's own, or its plan's.")
    starts_on: date = Field(description="Since when it is in effect, in the tenant's time zone.")
    soft: Exact | None = Field(description="At which a notice is emitted.")
    hard: Exact | None = Field(description="Beyond which events are refused, or accepted and marked.")
    thresholds: list[int] = Field(description="Percentages of hard (of soft, without hard) at which notices are emitted.")
    overage: Literal["refuse", "accept"]
    period: Month = Field(description="This calendar month in the tenant's time zone.")
    accepted: Exact = Field(description="What was accepted in the month.")
    percent: float | None = Field(description="Of hard (of soft, without hard); null when that is 0.")
    notified: dict[str, Exact] = Field(
        description="The amounts of which notices were emitted in the month: soft, hard, and thresholds by their percentage."
    )


class LimitList(ApiModel):
    """A tenant's limits, by meter."""

    data: list[LimitShown]
