"""The request and response models of tenants."""

import re
from datetime import date, datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from signalops.access.request_limiter import RateLimit
from signalops.http import Page
from signalops.models import ApiModel, PageOf, RequestModel, WritableModel
from signalops.types import RetentionDays, TenantStatus
from signalops.usage.limits.limit_models import LimitShown
from signalops.usage.plans.plan_models import LimitTerms
from signalops.usage.usage_models import Month

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


def id_in(text: str) -> UUID | None:
    """Return the id that a text is, in whatever notation."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _slug(text: str) -> str:
    if not _SLUG.fullmatch(text):
        raise ValueError("must be at most 63 lower-case letters, digits and dashes, the first no dash, such as acme-2")
    if id_in(text):
        raise ValueError("must not look like an id, which names a tenant as a slug does: choose a name such as acme-2")
    return text


def _known(time_zone: str) -> str:
    # Those without a slash are links and abbreviations, which PostgreSQL reads otherwise.
    if time_zone not in available_timezones() or ("/" not in time_zone and time_zone != "UTC"):
        raise ValueError(f"there is no time zone {time_zone[:100]!r}: write a name such as Europe/Berlin or UTC")
    return time_zone


Slug = Annotated[str, AfterValidator(_slug), Field(description="Its name in commands and addresses.", examples=["acme"])]
Name = Annotated[str, Field(min_length=1, max_length=200, description="The name for people, and on invoices.")]
TimeZone = Annotated[
    str,
    AfterValidator(_known),
    Field(description="In which its days and months begin; fixed once something was counted.", examples=["Europe/Berlin"]),
]


class SuspensionReason(RequestModel):
    """Why a tenant's requests are refused from now on."""

    reason: str = Field(min_length=1, max_length=500, description="Shown to the tenant in every refusal.")


class TenantSummary(ApiModel):
    """A tenant in a list."""

    id: UUID
    slug: str
    name: str
    time_zone: str
    status: TenantStatus = Field(
        description="suspended: requests are refused, accepted events wait; closed: refused permanently; deleting: its data goes."
    )
    status_reason: str | None = Field(description="Why; null: active, or nobody said.")
    status_since: datetime
    plan: str = Field(description="The plan that it has today.", examples=["free"])
    created_at: datetime


class TenantList(PageOf[TenantSummary]):
    """A page of tenants, newest first."""


class TenantsPage(Page):
    """Query of a list of tenants."""

    status: TenantStatus | None = Field(None, description="Only those of this status.")


class Settings(RequestModel):
    """The optional fields of a tenant; null resets a field."""

    rate_limit: RateLimit | None = Field(
        None, description="How many events may come in with all its keys; null: as many as come."
    )
    retention_days: RetentionDays | None = Field(
        None, description="For how many days its events are kept; null: as its plan says."
    )


class TenantIn(Settings):
    """A tenant to be made."""

    slug: Slug
    name: Name
    time_zone: TimeZone = "UTC"
    plan: str = Field("free", max_length=63, description="The plan it is billed by from today on, in its newest version.")
    limits: list[LimitTerms] = Field([], max_length=100, description="Its own, which go before its plan's.")


class TenantPatch(WritableModel, Settings):
    """What is changed of a tenant; what is left out stays."""

    READ_ONLY = frozenset(
        {*("id", "slug", "status", "statusReason", "statusSince", "createdAt"), *("plan", "nextPlan", "limits", "usage")}
    )

    name: Name = Field(default_factory=str)
    time_zone: TimeZone = Field(default_factory=str)


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
    rate_limit: RateLimit | None = Field(description="How many events may come in with all its keys; null: as many as come.")
    retention_days: int | None = Field(description="For how many days its events are kept; null: as its plan says.")


class PlanSubscription(RequestModel):
    """Which plan a tenant is to have."""

    plan: str = Field(max_length=63, examples=["pro"])
    version: int | None = Field(None, ge=1, le=2**31 - 1, description="One of its versions; default: the newest.")
    at_once: bool = Field(False, description="From today, by the day, instead of from the next month.")
