"""The request and response models of channels."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, SecretStr

from signalops.http import Page
from signalops.models import ApiModel, PageOf, RequestModel, WritableModel
from signalops.send.message_models import OutcomeKind
from signalops.types import ChannelKind, JsonObject

Name = Annotated[str, Field(min_length=1, max_length=200)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=8192)]
Step = Annotated[int, Field(ge=1, le=30 * 86400)]

DAY = 86400


CHANNEL_READ_ONLY = frozenset({"id", "kind", "hasSecret", "disabledBecause", "pausedUntil", "health", "createdAt", "updatedAt"})
"""Fields of a channel that is shown, which a request can't set."""


class _Content(WritableModel):
    config: JsonObject = Field(description="What the kind needs and may be read.", examples=[{"to": "ops@example.com"}])
    secret: Secret | None = Field(None, description="What may not be read again: a token, a password, a signing secret.")
    retry_schedule: Annotated[list[Step], Field(min_length=1, max_length=20)] | None = Field(
        None, description="Seconds before each further attempt; default: the installation's."
    )
    max_per_minute: int | None = Field(
        None, ge=1, le=1_000_000, description="How many messages it may send in a minute; default: as many as there are."
    )


class NewChannel(_Content):
    """A channel to be added. A webhook's secret is made when it is left out."""

    name: Name
    kind: ChannelKind
    enabled: bool = True


class ChannelChange(_Content):
    """What a channel is from now on; secret, name and whether it is enabled stay when they are left out."""

    READ_ONLY = CHANNEL_READ_ONLY

    name: Name | None = None
    enabled: bool | None = None


class ChannelPatch(WritableModel):
    """What is changed of a channel; what is left out stays."""

    READ_ONLY = CHANNEL_READ_ONLY
    config: JsonObject | None = Field(None, description="The whole configuration of its kind.")
    secret: Secret | None = Field(None, description="A new token, password or signing secret.")
    retry_schedule: Annotated[list[Step], Field(min_length=1, max_length=20)] | None = Field(
        None, description="Seconds before each further attempt; null: the installation's."
    )
    max_per_minute: int | None = Field(None, ge=1, le=1_000_000, description="Messages a minute; null: as many as there are.")
    name: Name | None = Field(None, description="What it is called from now on.")
    enabled: bool | None = Field(None, description="Whether it is used.")


class ChannelHealth(ApiModel):
    """How sending goes. A retry by a person, or a test that succeeds, ends a pause."""

    state: Literal["healthy", "failing", "paused"] = Field(
        description="failing: the last attempts failed; paused: nothing is sent until then (open circuit)."
    )
    since: datetime | None = Field(description="When the first attempt failed after the last one that succeeded.")
    until: datetime | None = Field(description="End of the pause, after which one delivery tries.")
    last_error: str | None = Field(description="What the last attempt that failed came to.")


class StoredChannel(ApiModel):
    """A channel, without its secret."""

    id: UUID
    name: str
    kind: ChannelKind
    config: JsonObject
    has_secret: bool
    enabled: bool
    disabled_because: str | None = Field(description="Why SignalOps itself disabled it.")
    paused_until: datetime | None = Field(
        description="Until when nothing is sent: its receiver asked for a pause, or failed (open circuit). A test that "
        "succeeds, or the retry of a delivery, ends it. null: it sends."
    )
    health: ChannelHealth
    retry_schedule: list[int] | None = Field(description="null: the installation's.")
    max_per_minute: int | None = Field(description="null: as many as there are.")
    created_at: datetime
    updated_at: datetime

    @property
    def tag(self) -> str:
        """What names this state of the channel (ETag)."""
        return tag_of(self.updated_at)


class ChangedChannel(StoredChannel):
    """A channel that was just added or changed."""

    secret: str | None = Field(
        description="What was made here: a webhook's signing secret, WhatsApp's verify token. Shown this once."
    )


class ChannelsPage(Page):
    """Query of a list of channels."""

    kind: ChannelKind | None = Field(None, description="Only channels of this kind.")
    enabled: bool | None = Field(None, description="Only channels that are enabled, or that are not.")
    name: str | None = Field(None, max_length=200, description="Only channels with this in their name, in any case.")


class ChannelList(PageOf[StoredChannel]):
    """A page of channels, newest first."""


class SecretRotation(RequestModel):
    """The rotation of a webhook's signing secret. Until the overlap ends both secrets sign."""

    secret: Secret | None = Field(None, description="The new secret; default: one is made.")
    overlap_seconds: int = Field(DAY, ge=0, le=30 * DAY, description="How long the old secret signs as well; 0: it ends at once.")


class RotatedSecret(ApiModel):
    """The new secret of a webhook."""

    secret: str | None = Field(description="The secret that was made here, shown this once; null: it was given.")
    old_secret_until: datetime = Field(description="Until then the old secret signs as well.")


class ChannelTestResult(ApiModel):
    """The result of a test notification."""

    outcome: OutcomeKind
    status_code: int | None = Field(description="HTTP status or SMTP code.")
    answer: str | None = Field(description="The first 2 KiB of the answer.")
    error: str | None = Field(description="What went wrong, in a sentence.")
    duration_ms: int


def tag_of(updated_at: datetime) -> str:
    """Return what names a state of a channel: the moment of its last change."""
    return f"{updated_at:%Y%m%d%H%M%S%f}"
