"""A tenant as operators ask for it and see it, with what the stations know of it."""

from datetime import date

from pydantic import Field

from signalops.access.rates import RateLimit
from signalops.access.tenants.model import Name, Slug, TenantChange, TenantSummary, TimeZone
from signalops.models import ApiModel, RequestModel
from signalops.terms import RetentionDays
from signalops.usage.limits.model import LimitShown
from signalops.usage.model import Month
from signalops.usage.plans.model import LimitTerms

_RATE = Field(None, description="How many events may come in with all its keys; null: as many as come.")

_RETENTION = Field(None, description="For how many days its events are kept; null: as its plan says.")


class TenantIn(RequestModel):
    """A tenant to be made."""

    slug: Slug
    name: Name
    time_zone: TimeZone = "UTC"
    plan: str = Field(
        "free", max_length=63, description="The plan it is billed by from today on, in its newest version."
    )
    limits: list[LimitTerms] = Field([], max_length=100, description="Its own, which go before its plan's.")
    rate_limit: RateLimit | None = _RATE
    retention_days: RetentionDays | None = _RETENTION


class TenantPatch(TenantChange):
    """What is changed of a tenant; what is left out stays."""

    rate_limit: RateLimit | None = _RATE
    retention_days: RetentionDays | None = _RETENTION


class NextPlan(ApiModel):
    """The plan that a tenant is to have."""

    plan: str = Field(examples=["pro"])
    version: int
    starts_on: date = Field(description="Its first day, in the tenant's time zone.")


class AcceptedEvents(ApiModel):
    """What was accepted in a month."""

    period: Month = Field(description="This calendar month in the tenant's time zone.")
    events: int


class TenantShown(TenantSummary):
    """A tenant."""

    next_plan: NextPlan | None = Field(description="null: no change is scheduled.")
    limits: list[LimitShown]
    usage: AcceptedEvents
    rate_limit: RateLimit | None = Field(
        description="How many events may come in with all its keys; null: as many as come."
    )
    retention_days: int | None = Field(description="For how many days its events are kept; null: as its plan says.")


class PlanWanted(RequestModel):
    """Which plan a tenant is to have."""

    plan: str = Field(max_length=63, examples=["pro"])
    version: int | None = Field(None, ge=1, le=2**31 - 1, description="One of its versions; default: the newest.")
    at_once: bool = Field(False, description="From today, by the day, instead of from the next month.")
