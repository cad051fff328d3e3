"""The models of reconciliation: findings, and the events behind a figure."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from signalops.http import Query
from signalops.models import ApiModel, PageOf
from signalops.types import JsonObject
from signalops.usage.plans.money import Exact
from signalops.validation import shape

_CURSOR = shape(r"^[0-9a-f]{32}:[0-9]{1,9}$", "must be the next of the page before, as it was given")


class Difference(ApiModel):
    """A figure that differs from the records that it is made of."""

    tenant: str | None = Field(description="Whose, by slug; null: the operator's.")
    period: str | None = Field(description="The billing period; null: it belongs to none.")
    check: str = Field(
        description="Which check found it: see the functions signalops.reconcile_...; recount, items and price: the command's."
    )
    subject: str = Field(description="What is wrong.")
    expected: str = Field(description="What it should be.")
    found: str = Field(description="What it is.")

    @classmethod
    def of(cls, tenant: str | None, row: JsonObject) -> "Difference":
        """Return a difference that SQL found."""
        period = row["period"] and f"{row['period']:%Y-%m}"
        return cls(tenant=tenant, **{**row, "period": period})


class Checked(ApiModel):
    """How many records were compared."""

    tenants: int = 0
    events: int = Field(0, description="Counted events, each compared with its entries.")
    recounted: int = Field(0, description="Of these, checked against the meters' patterns again.")
    entries: int = 0
    counters: int = 0
    sealed: int = Field(0, description="Daily totals of closed periods.")
    lines: int = Field(0, description="Of invoices and credit notes.")
    credits: int = Field(0, description="Grants.")

    def add(self, counts: dict[str, int]) -> None:
        """Add the counts of one tenant."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)


class Report(ApiModel):
    """What an audit found."""

    checked: Checked
    differences: list[Difference]


class TraceQuery(Query):
    """Which page of the events behind a figure."""

    limit: int = Field(20, ge=1, le=100, description="Most events of a page.")
    starting_after: str | None = Field(None, pattern=_CURSOR, description="The next of the page before.")


class TracedEvent(ApiModel):
    """An event behind a figure, and what it added to it."""

    id: UUID
    type: str
    occurred_at: datetime
    value: Exact | None = Field(description="What the meter read off it, 1 where it counts; null: see values.")
    values: list[str] = Field(description="Which values a meter of unique_count met, as JSON; long ones by their hash.")


class TracedEvents(PageOf[TracedEvent]):
    """A page of the events behind a figure, in the order in which they were counted."""

    next: str | None = Field(description="The cursor of the next page, for after; null: this is the last.")
