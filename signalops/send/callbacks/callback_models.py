"""The models of delivery status reports and suppressions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field, RootModel

from signalops.models import ApiModel, PageOf

SuppressionReason = Literal["bounce", "complaint"]


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """A provider's status of a message: the provider's id, and the reason of a failure.

    `delivery` is the id that we sent along.
    """

    provider_id: str
    status: Literal["delivered", "read", "dead"]
    delivery: UUID | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class AddressToSuppress:
    """An address to suppress, and what its server answered."""

    address: str
    reason: SuppressionReason
    detail: str | None = None


class CallbackAccepted(ApiModel):
    """A callback was taken."""

    taken: Literal[True] = True


class Challenge(RootModel[int]):
    """The number with which Meta asks whether the address is ours."""


class Suppression(ApiModel):
    """An address that mail is not sent to any more."""

    id: UUID
    address: str
    reason: SuppressionReason = Field(description="bounce: no such mailbox; complaint: reported as spam.")
    detail: str | None = Field(description="What the recipient's server said.")
    delivery: UUID = Field(description="The delivery that it came of.")
    created_at: datetime


class SuppressionList(PageOf[Suppression]):
    """A page of suppressed addresses, newest first."""
