"""The request and response models of plans: prices, meters and limits."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from signalops.models import ApiModel
from signalops.types import RetentionDays
from signalops.usage.meters.meter_models import DEFAULT, MeterIn
from signalops.usage.plans.money import Currency, Number, PositiveNumber

PricedMeter = Annotated[str, Field(min_length=1, max_length=100, description="A meter of the plan, or events.")]
UnitAmount = Annotated[Number, Field(description="For each unit.")]


class _Terms(ApiModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(_Terms):
    """Units up to and including a bound, and what they cost."""

    up_to: PositiveNumber | None = Field(description="Inclusive; null: the last tier, without a bound.")
    unit_amount: UnitAmount = Decimal(0)
    flat_amount: Number = Field(Decimal(0), description="Once, when the tier has any units.")


def _ascending(tiers: Sequence[Tier]) -> Sequence[Tier]:
    *bounded, last = (tier.up_to for tier in tiers)
    if last is not None or None in bounded:
        raise ValueError("the last tier and no other must have upTo null: add one for all that is beyond")
    if any(lower >= upper for lower, upper in pairwise(bound for bound in bounded if bound is not None)):
        raise ValueError("upTo must be larger from tier to tier: put them in order")
    return tiers


Tiers = Annotated[tuple[Tier, ...], Field(min_length=1, max_length=100), AfterValidator(_ascending)]


class FlatPrice(_Terms):
    """A fixed amount a period, whatever is used."""

    model: Literal["flat"]
    meter: PricedMeter
    amount: Number


class _UsagePrice(_Terms):
    meter: PricedMeter
    included: Number = Field(Decimal(0), description="So much of a period costs nothing.")


class PerUnitPrice(_UsagePrice):
    """An amount for each unit."""

    model: Literal["per_unit"]
    unit_amount: UnitAmount


class PackagePrice(_UsagePrice):
    """An amount for each started package of a number of units."""

    model: Literal["package"]
    size: PositiveNumber
    amount: Number


class GraduatedPrice(_UsagePrice):
    """Each tier's units at the amount of that tier."""

    model: Literal["graduated"]
    tiers: Tiers


class VolumePrice(_UsagePrice):
    """All units at the amount of the tier that the last of them falls in."""

    model: Literal["volume"]
    tiers: Tiers


def _model_of(price: object) -> str:
    # In brackets, as an alternative that is no part of the path to a fault.
    return f"({price.get('model') if isinstance(price, dict) else getattr(price, 'model', None)})"


Price = Annotated[
    Annotated[FlatPrice, Tag("(flat)")]
    | Annotated[PerUnitPrice, Tag("(per_unit)")]
    | Annotated[PackagePrice, Tag("(package)")]
    | Annotated[GraduatedPrice, Tag("(graduated)")]
    | Annotated[VolumePrice, Tag("(volume)")],
    Discriminator(
        _model_of,
        custom_error_type="price_model",
        custom_error_message="model must be flat, per_unit, package, graduated or volume",
    ),
]


class LimitAmounts(_Terms):
    """How much of a meter may be accepted in a period."""

    soft: Number | None = Field(None, description="At which a notice is emitted.")
    hard: Number | None = Field(None, description="Beyond which the overage is refused, or accepted and marked.")
    thresholds: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = Field(
        (),
        max_length=20,
        description="Percentages of the hard limit (without one: of the soft limit) at which the tenant is notified.",
    )
    overage: Literal["refuse", "accept"] = "refuse"

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.soft is not None and self.hard is not None and self.hard < self.soft:
            raise ValueError("hard must not be less than soft: raise it, or lower soft")
        if self.soft is None and self.hard is None:
            raise ValueError("name soft, hard or both, or leave the limit out")
        return self


class LimitPatch(_Terms):
    """What is changed of a limit; what is left out stays."""

    soft: Number | None = None
    hard: Number | None = None
    thresholds: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = Field((), max_length=20)
    overage: Literal["refuse", "accept"] = "refuse"


class LimitTerms(LimitAmounts):
    """The limits of a meter that counts or sums, in a period."""

    meter: PricedMeter


class PlanDocument(_Terms):
    """The content of a version of a plan; it is copied to each subscription."""

    name: str = Field(min_length=1, max_length=200)
    currency: Currency
    base_fee: Number = Field(Decimal(0), description="A period, in advance of any usage.")
    meters: tuple[MeterIn, ...] = Field((), max_length=100)
    prices: tuple[Price, ...] = Field((), max_length=100, description="One a meter at most; without one it costs nothing.")
    limits: tuple[LimitTerms, ...] = Field((), max_length=100, description="One a meter at most.")
    retention_days: RetentionDays | None = Field(
        None, description="For how many days events are kept; null: as long as the installation keeps them."
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        faults = [*self._repeated(), *self._unknown(), *self._unlimited()]
        if faults:
            raise ValidationError.from_exception_data("plan", faults)
        return self

    def _repeated(self) -> Iterator[InitErrorDetails]:
        for part, keys in (("meters", [m.key for m in self.meters]), *self._used()):
            for index, key in enumerate(keys):
                if key in keys[:index]:
                    where = (part, index, "key" if part == "meters" else "meter")
                    yield _fault(where, f"{key} stands here twice: keep one")

    def _unknown(self) -> Iterator[InitErrorDetails]:
        known = {DEFAULT, *(meter.key for meter in self.meters)}
        for part, keys in self._used():
            for index, key in enumerate(keys):
                if key not in known:
                    yield _fault((part, index, "meter"), f"{key} is no meter of the plan: add it to meters, or name events")

    def _unlimited(self) -> Iterator[InitErrorDetails]:
        additive = {DEFAULT, *(meter.key for meter in self.meters if meter.aggregation in ("count", "sum"))}
        defined = {meter.key for meter in self.meters}
        for index, limit in enumerate(self.limits):
            if limit.meter in defined - additive:
                yield _fault(("limits", index, "meter"), f"{limit.meter} neither counts nor sums: limit another meter")

    def _used(self) -> tuple[tuple[str, list[str]], tuple[str, list[str]]]:
        return ("prices", [price.meter for price in self.prices]), ("limits", [limit.meter for limit in self.limits])


def _fault(where: tuple[str | int, ...], message: str) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError("plan", "{message}", {"message": message}), loc=where, input=None)


class PlanShown(ApiModel):
    """A plan as a tenant has it."""

    plan: str = Field(examples=["pro"])
    version: int
    starts_on: date = Field(description="Its first day, in the tenant's time zone.")
    terms: PlanDocument = Field(description="What it said when it was agreed upon.")


class BillingSegmentShown(ApiModel):
    """Days of a period under one plan: they are billed by themselves."""

    plan: str
    version: int
    starts_on: date = Field(description="The first of the days.")
    days: int


class PeriodShown(ApiModel):
    """The present billing period: a calendar month in the tenant's time zone."""

    period: str = Field(examples=["2026-11"])
    days: int
    billing_segments: list[BillingSegmentShown] = Field(description="More than one when the plan was, or will be, changed in it.")


class TenantPlan(ApiModel):
    """The plan that a tenant has, and the one that comes next."""

    current: PlanShown
    next: PlanShown | None = Field(description="null: no change is scheduled.")
    period: PeriodShown
    retention_days: int | None = Field(
        description="For how many days the tenant's events are kept; null: as long as the installation keeps them."
    )
    kept_since: datetime | None = Field(
        description="Since when all events are kept: of older ones some expired; null: none did before those of others."
    )


class PlanVersion(ApiModel):
    """A version of a plan as the operator offers it."""

    plan: str = Field(examples=["pro"])
    version: int
    terms: PlanDocument


class PlanSummary(ApiModel):
    """A plan in a list, in its newest version."""

    plan: str = Field(examples=["pro"])
    version: int
    name: str
    currency: str
    base_fee: Number = Field(description="A period.")
    tenants: int = Field(description="How many have it today, in whichever version.")
    created_at: datetime = Field(description="When this version was made.")


class PlanList(ApiModel):
    """Every plan, by its name."""

    data: list[PlanSummary]
