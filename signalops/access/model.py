"""A key as it is asked for and as it is shown."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from signalops import clock
from signalops.access.addresses import MOST_NETWORKS, Cidr
from signalops.access.keys import KeyKind
from signalops.access.rates import RateLimit
from signalops.clock import Moment
from signalops.http import Query
from signalops.terms import Scope

DAY = 86_400


def _coming(moment: datetime) -> datetime:
    if moment <= clock.now():
        raise ValueError("must be in the future")
    return moment


Expiry = Annotated[Moment, AfterValidator(_coming)]


class NewKey(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(min_length=1, max_length=200, description="What it is for.", examples=["producer"])
    scopes: list[Scope] = Field(
        min_length=1, max_length=50, description="What it may do: nothing that the key lacks by which it is made."
    )
    kind: KeyKind = Field("live", description="What the key begins with, so_live_ or so_test_; both work alike.")
    expiresAt: Expiry | None = Field(None, description="From when it is refused; null: never.")  # noqa: N815
    allowedCidrs: list[Cidr] = Field(  # noqa: N815
        [], max_length=MOST_NETWORKS, description="Networks from which it is accepted; none: from everywhere."
    )
    rateLimit: RateLimit | None = Field(  # noqa: N815
        None, description="How many events may come in with it, besides what its tenant may; null: as many as come."
    )


class KeyRotation(BaseModel):
    """How a key is rotated."""

    model_config = ConfigDict(extra="forbid")

    overlapSeconds: int = Field(  # noqa: N815
        DAY, ge=0, le=30 * DAY, description="How long the old key is still accepted, if it does not expire before."
    )
    expiresAt: Expiry | None = Field(  # noqa: N815
        None, description="From when the new key is refused; without it, it lives as long as the old one was meant to."
    )


class Revocation(Query):
    """Query of a revocation."""

    withChildren: bool = Field(  # noqa: N815
        False, description="Also the keys that were made by it, or in its place, and those made by these, and so on."
    )


class KeyShown(BaseModel):
    """A key, without the key itself, which is not stored."""

    id: UUID
    kind: Literal["live", "test", "legacy"] = Field(description="What it begins with; legacy: neither.")
    prefix: str = Field(description="Its first 16 characters.", examples=["so_live_3kT9mZq1"])
    label: str
    scopes: list[Scope]
    allowedCidrs: list[str]  # noqa: N815
    rateLimit: RateLimit | None = Field(description="How many events may come in with it; null: as many as come.")  # noqa: N815
    replaces: UUID | None = Field(description="The key that was rotated to this one.")
    madeBy: UUID | None = Field(description="The key that it was made by; null: it was made by a person.")  # noqa: N815
    createdAt: datetime  # noqa: N815
    expiresAt: datetime | None = Field(description="From when it is refused; null: never.")  # noqa: N815
    revokedAt: datetime | None = Field(description="When it was revoked; null: it is not.")  # noqa: N815
    lastUsedAt: datetime | None = Field(  # noqa: N815
        description="When it was last let in, to the minute: perhaps also up to a minute later. Null: it was not used."
    )


class KeyMade(KeyShown):
    """A new key; this is the only time that it is shown."""

    key: str = Field(description="The key itself: keep it as a secret.")


class KeyList(BaseModel):
    """A page of keys, newest first, also those that are revoked or have expired."""

    data: list[KeyShown]
    has_more: bool = Field(description="Whether there are more beyond this page.")
