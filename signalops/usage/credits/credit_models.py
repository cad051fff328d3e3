"""The request and response models of credits."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, ValidationInfo, field_validator

from signalops.clock import Moment
from signalops.models import ApiModel, PageOf, RequestModel
from signalops.usage.plans.money import Currency, Exact, PositiveNumber, rounded

Text = Annotated[str, Field(min_length=1)]


class CreditTerms(RequestModel):
    """Credit that is to be granted."""

    currency: Currency
    amount: PositiveNumber
    priority: int = Field(50, ge=0, le=100, description="The least is burned first.")
    expires_at: Moment | None = Field(None, description="An invoice issued from then on can't use it; null: never.")
    reason: Annotated[Text, Field(max_length=500, description="What it is given for.")]

    @field_validator("amount")
    @classmethod
    def _payable(cls, amount: Decimal, info: ValidationInfo) -> Decimal:
        currency = info.data.get("currency")
        if currency and amount != rounded(amount, currency):
            raise ValueError(f"can't be paid in {currency}; write {rounded(amount, currency)}")
        return amount


class CreditIn(CreditTerms):
    """Credit that the operator grants."""

    author: Annotated[Text, Field(max_length=200)]


class CreditShown(ApiModel):
    """A grant of credit, and what remains of it."""

    id: UUID
    amount: Exact = Field(description="How much was granted.", examples=["100.00"])
    remaining: Exact = Field(description="How much of it invoices can still use.", examples=["62.50"])
    currency: str = Field(description="ISO 4217: it pays invoices in no other.", examples=["USD"])
    priority: int = Field(description="The least is burned first.")
    expires_at: datetime | None = Field(description="An invoice issued from then on can't use it; null: never.")
    reason: str = Field(description="What it was given for.")
    created_at: datetime


class Balance(ApiModel):
    """What remains of all grants in a currency."""

    currency: str = Field(examples=["USD"])
    amount: Exact = Field(examples=["62.50"])


class Credits(ApiModel):
    """The credit that a tenant can use now."""

    balances: list[Balance] = Field(description="By currency; none without credit.")
    grants: list[CreditShown] = Field(description="By currency, in the order in which invoices burn them.")

    @classmethod
    def of(cls, grants: Iterable[CreditShown]) -> Self:
        """Return grants, which come by currency, with the balances."""
        listed = list(grants)
        by_currency = groupby(listed, lambda grant: grant.currency)
        return cls(balances=[_balance(currency, of_it) for currency, of_it in by_currency], grants=listed)


def _balance(currency: str, grants: Iterable[CreditShown]) -> Balance:
    return Balance(currency=currency, amount=sum((grant.remaining for grant in grants), Decimal(0)))


class CreditEntry(ApiModel):
    """A movement of a grant."""

    id: UUID
    kind: Literal["granted", "burned", "returned", "expired"]
    amount: Exact = Field(description="What it added to the grant; negative: took off.", examples=["-37.50"])
    currency: str
    grant: UUID
    reason: str = Field(description="What the grant was given for.")
    invoice: UUID | None = Field(description="The invoice that burned it, or whose voiding returned it.")
    created_at: datetime


class CreditHistory(PageOf[CreditEntry]):
    """A page of movements of credit, newest first."""
