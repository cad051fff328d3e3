"""The request and response models of keys."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from signalops import clock
from signalops.access.addresses import MAX_NETWORKS, Cidr
from signalops.access.key_format import KeyKind
from signalops.access.request_limiter import RateLimit
from signalops.clock import Moment
from signalops.http import Query
from signalops.models import ApiModel, PageOf, RequestModel, WritableModel
from signalops.types import Scope

DAY = 86_400


def _coming(moment: datetime) -> datetime:
    if moment <= clock.now():
        raise ValueError("must be in the future")
    return moment


Expiry = Annotated[Moment, AfterValidator(_coming)]


class NewKey(RequestModel):
    """A key to be made."""

    label: str = Field(min_length=1, max_length=200, description="What it is for.", examples=["producer"])
    scopes: list[Scope] = Field(
        min_length=1, max_length=50, description="What it may do: nothing that the key lacks by which it is made."
    )
    kind: KeyKind = Field("live", description="What the key begins with, so_live_ or so_test_; both work alike.")
    expires_at: Expiry | None = Field(None, description="From when it is refused; null: never.")
    allowed_cidrs: list[Cidr] = Field(
        [], max_length=MAX_NETWORKS, description="Networks from which it is accepted; none: from everywhere."
    )
    rate_limit: RateLimit | None = Field(
        None, description="How many events may come in with it, besides what its tenant may; null: as many as come."
    )


class KeyRotation(RequestModel):
    """How a key is rotated."""

    overlap_seconds: int = Field(
        DAY, ge=0, le=30 * DAY, description="How long the old key is still accepted, if it does not expire before."
    )
    expires_at: Expiry | None = Field(
        None, description="From when the new key is refused; without it, it lives as long as the old one was meant to."
    )


class KeyPatch(WritableModel):
    """What is changed of a key; what is left out stays."""

    READ_ONLY = frozenset({"id", "kind", "prefix", "scopes", "replaces", "madeBy", "createdAt", "revokedAt", "lastUsedAt"})
    label: str = Field(default_factory=str, min_length=1, max_length=200, description="What it is for.")
    expires_at: Expiry | None = Field(None, description="From when it is refused; null: never.")
    allowed_cidrs: list[Cidr] = Field(
        [], max_length=MAX_NETWORKS, description="Networks from which it is accepted; none: from everywhere."
    )
    rate_limit: RateLimit | None = Field(None, description="Of its events; null: as many as come.")


class Revocation(Query):
    """Query of a revocation."""

    with_children: bool = Field(
        False, description="Also the keys that were made by it, or in its place, and those made by these, and so on."
    )


class KeyShown(ApiModel):
    """A key, without the key itself, which is not stored."""

    id: UUID
    kind: Literal["live", "test", "legacy"] = Field(description="What it begins with; legacy: neither.")
    prefix: str = Field(description="Its first 16 characters.", examples=["so_live_3kT9mZq1"])
    label: str
    scopes: list[Scope]
    allowed_cidrs: list[str]
    rate_limit: RateLimit | None = Field(description="How many events may come in with it; null: as many as come.")
    replaces: UUID | None = Field(description="The key that was rotated to this one.")
    made_by: UUID | None = Field(description="The key that it was made by; null: it was made by a person.")
    created_at: datetime
    expires_at: datetime | None = Field(description="From when it is refused; null: never.")
    revoked_at: datetime | None = Field(description="When it was revoked; null: it is not.")
    last_used_at: datetime | None = Field(
        description="When it was last let in, to the minute: perhaps also up to a minute later. Null: it was not used."
    )


class CreatedKey(KeyShown):
    """A new key; this is the only time that it is shown."""

    key: str = Field(description="The key itself: keep it as a secret.")


class KeyList(PageOf[KeyShown]):
    """A page of keys, newest first, also those that are revoked or have expired."""
