"""The models of invoices: their lines, and their responses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache, reduce
from typing import Literal, NamedTuple
from uuid import UUID

from pydantic import Field

from signalops.models import ApiModel, PageOf
from signalops.types import JsonObject
from signalops.usage.plans.money import EXACT, Exact
from signalops.usage.plans.plan_models import Price
from signalops.usage.usage_models import Month

LineKind = Literal["base", "usage", "late", "credit", "correction"]
InvoiceKind = Literal["invoice", "credit_note"]


class MeterTerms(ApiModel):
    """What invoices show of a meter."""

    key: str
    name: str
    aggregation: str = "count"
    unit: str | None = None


class Terms(ApiModel):
    """What invoices need of the plan document that a subscription has a copy of; the patterns in it were checked long ago."""

    name: str
    currency: str
    base_fee: Decimal
    prices: tuple[Price, ...]
    meters: tuple[MeterTerms, ...]

    def meter(self, key: str) -> MeterTerms:
        """Return the terms of a meter; the default meter has no entry in the document."""
        return next((meter for meter in self.meters if meter.key == key), MeterTerms(key=key, name="Events"))

    def price(self, meter: str) -> Price | None:
        """Return the price of a meter; None: it costs nothing."""
        return next((price for price in self.prices if price.meter == meter), None)


@lru_cache(256)
def terms_of(document: str) -> Terms:
    """Return the terms of a plan document in JSON; many tenants have the same."""
    return Terms.model_validate_json(document)


class MeterUsage(NamedTuple):
    """What a meter counted."""

    events: int
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class BillingSegment:
    """Days of a period under one plan."""

    plan: str
    version: int
    terms: Terms
    days: int
    of_days: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class LateUsage:
    """What a period bills of a segment of an earlier one: the meter's figure there without and with it."""

    segment: BillingSegment
    month: date
    meter: str
    events: int
    before: Decimal
    after: Decimal


@dataclass(frozen=True, slots=True)
class Line:
    """A line before it is issued; the amount is rounded to the minor unit."""

    kind: LineKind
    description: str
    amount: Decimal
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    plan: str | None = None
    version: int | None = None
    meter: str | None = None
    late_period: date | None = None
    aggregation: str | None = None
    events: int | None = None
    quantity: Decimal | None = None
    included: Decimal | None = None
    unit: str | None = None
    details: JsonObject = field(default_factory=dict)


class IssuedBy(NamedTuple):
    """Who issues a document, and why."""

    author: str = "signalops"
    reason: str | None = None


CLOSING = IssuedBy()
"""An invoice that is issued since its period ended."""


class Draft(NamedTuple):
    """What a period is to be invoiced with in a currency, before credit."""

    month: date
    currency: str
    lines: Sequence[Line]

    @property
    def subtotal(self) -> Decimal:
        return reduce(EXACT.add, (line.amount for line in self.lines), Decimal(0))


class Period(NamedTuple):
    """A billing period, by its first day."""

    month: date
    starts_at: datetime
    ends_at: datetime


class _Shown(ApiModel):
    """A part of an invoice."""


class LineShown(_Shown):
    """A line of an invoice."""

    id: UUID | None = Field(description="For GET /api/usage/lines/{id}/events; null in a preview.")
    position: int
    kind: LineKind = Field(
        description="base: the plan's fee; usage: of a meter; late: of an earlier month, which was closed; credit: what was used "
        "of it; correction: what a credit note takes off."
    )
    description: str = Field(description="For people.")
    plan: str | None
    version: int | None
    meter: str | None
    starts_at: datetime
    ends_at: datetime
    late_period: Month | None = Field(description="The closed month that it belongs to.")
    aggregation: str | None
    events: int | None = Field(description="How many events are behind it.")
    quantity: Exact | None = Field(description="What was used; late: by how much the closed month's figure changes.")
    included: Exact | None = Field(description="How much of it the plan includes.")
    unit: str | None
    amount: Exact = Field(description="Rounded to the currency's minor unit.", examples=["49.00"])
    details: JsonObject = Field(description="The arithmetic: days, price, steps.")


class InvoiceSummary(_Shown):
    """An invoice or a credit note without its lines."""

    id: UUID
    kind: InvoiceKind
    number: int = Field(description="Without gaps, in the series of its kind.")
    customer: str = Field(description="The name when it was issued.")
    period: Month
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    currency: str = Field(description="ISO 4217.", examples=["USD"])
    subtotal: Exact = Field(description="Before credit.")
    credited: Exact = Field(description="Credit that was used.")
    total: Exact = Field(description="What is due; below zero: in the customer's favour.")
    issued_at: datetime
    corrects: UUID | None = Field(description="The invoice that a credit note takes off.")
    reason: str | None = Field(description="Of a credit note, or of a reissued invoice.")
    author: str
    voided_at: datetime | None = Field(description="null: it is valid.")
    void_reason: str | None
    voided_by: str | None


class InvoiceShown(InvoiceSummary):
    """An invoice or a credit note."""

    lines: list[LineShown]


class InvoiceList(PageOf[InvoiceSummary]):
    """A page of invoices and credit notes, newest first."""


class DraftShown(_Shown):
    """What would be invoiced in a currency."""

    currency: str = Field(description="ISO 4217.", examples=["USD"])
    subtotal: Exact = Field(description="Before credit.")
    credited: Exact = Field(description="Credit that would be used.")
    total: Exact
    lines: list[LineShown]


class Preview(_Shown):
    """What an open period would be invoiced with if it ended as it stands."""

    period: Month
    starts_at: datetime
    ends_at: datetime
    invoices: list[DraftShown] = Field(description="One for each currency; none when nothing is to be billed.")
