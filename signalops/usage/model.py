"""Usage as it is asked for and shown."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from signalops import clock


def _first_day(value: object) -> object:
    return f"{value}-01" if isinstance(value, str) else value


class UsageQuery(BaseModel):
    """Which usage is asked for."""

    model_config = ConfigDict(extra="forbid")

    period: Annotated[
        date,
        BeforeValidator(_first_day, json_schema_input_type=str),
        Field(
            default_factory=lambda: clock.now().date().replace(day=1),
            description="Calendar month (UTC), such as 2026-11.",
        ),
    ]


class Usage(BaseModel):
    """A month's usage of a tenant, in events."""

    period: str = Field(description="Calendar month (UTC).", examples=["2026-11"])
    accepted: int = Field(description="Stored in the month; what the limits are held against.")
    processed: int = Field(description="Processed of what came in in the month; what is billed.")
    softLimit: int | None = Field(description="At which a notice is emitted.")  # noqa: N815
    hardLimit: int | None = Field(description="Beyond which events are refused.")  # noqa: N815
    days: dict[date, int] = Field(description="Processed events by the day (UTC) on which they came in.")
