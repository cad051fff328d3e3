"""A tenant as operators ask for it and see it, with what the stations know of it."""

from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from signalops.access.rates import RateLimit
from signalops.access.tenants.model import Name, Slug, TenantChange, TenantSummary, TimeZone
from signalops.terms import RetentionDays
from signalops.usage.limits.model import LimitShown
from signalops.usage.model import Month
from signalops.usage.plans.model import LimitTerms

_RATE = Field(None, description="How many events may come in with all its keys; null: as many as come.")

_RETENTION = Field(None, description="For how many days its events are kept; null: as its plan says.")


class TenantIn(BaseModel):
    """A tenant to be made."""

    model_config = ConfigDict(extra="forbid")

    slug: Slug
    name: Name
    timeZone: TimeZone = "UTC"  # noqa: N815
    plan: str = Field(
        "free", max_length=63, description="The plan it is billed by from today on, in its newest version."
    )
    limits: list[LimitTerms] = Field([], max_length=100, description="Its own, which go before its plan's.")
    rateLimit: RateLimit | None = _RATE  # noqa: N815
    retentionDays: RetentionDays | None = _RETENTION  # noqa: N815


class TenantPatch(TenantChange):
    """What is changed of a tenant; what is left out stays."""

    rateLimit: RateLimit | None = _RATE  # noqa: N815
    retentionDays: RetentionDays | None = _RETENTION  # noqa: N815


class NextPlan(BaseModel):
    """The plan that a tenant is to have."""

    plan: str = Field(examples=["pro"])
    version: int
    startsOn: date = Field(description="Its first day, in the tenant's time zone.")  # noqa: N815


class AcceptedEvents(BaseModel):
    """What was accepted in a month."""

    period: Month = Field(description="This calendar month in the tenant's time zone.")
    events: int


class TenantShown(TenantSummary):
    """A tenant."""

    nextPlan: NextPlan | None = Field(description="null: no change is scheduled.")  # noqa: N815
    limits: list[LimitShown]
    usage: AcceptedEvents
    rateLimit: RateLimit | None = Field(  # noqa: N815
        description="How many events may come in with all its keys; null: as many as come."
    )
    retentionDays: int | None = Field(  # noqa: N815
        description="For how many days its events are kept; null: as its plan says."
    )


class PlanWanted(BaseModel):
    """Which plan a tenant is to have."""

    model_config = ConfigDict(extra="forbid")

    plan: str = Field(max_length=63, examples=["pro"])
    version: int | None = Field(None, ge=1, le=2**31 - 1, description="One of its versions; default: the newest.")
    atOnce: bool = Field(  # noqa: N815
        False, description="From today, by the day, instead of from the next month."
    )
