"""Shared types: ids, statuses and JSON objects."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NewType
from uuid import UUID

from pydantic import Field

JsonObject = dict[str, Any]
"""An object as JSON has it: names to values."""

TenantId = NewType("TenantId", UUID)
EventId = NewType("EventId", UUID)
BatchId = NewType("BatchId", UUID)
RuleId = NewType("RuleId", UUID)
ChannelId = NewType("ChannelId", UUID)
DeliveryId = NewType("DeliveryId", UUID)
KeyId = NewType("KeyId", UUID)

Scope = Literal[
    "events:write",
    "events:read",
    "rules:*",
    "channels:*",
    "deliveries:*",
    "meters:*",
    "usage:read",
    "usage:adjust",
    "keys:*",
    "audit:read",
]
PlatformScope = Literal["tenants:read", "tenants:*"]
"""What only an operator of the installation may do: no key gives it, and no token of a tenant's user."""
RetentionDays = Annotated[int, Field(ge=1, le=36500, examples=[90])]
"""Days for which events are stored."""
TenantStatus = Literal["active", "suspended", "closed", "deleting"]
EventStatus = Literal["pending", "processed", "dead"]
ChannelKind = Literal["email", "telegram", "whatsapp", "webhook", "slack", "http"]
Severity = Literal["info", "warning", "error", "critical"]
DeliveryStatus = Literal["pending", "sending", "sent", "delivered", "read", "retrying", "dead", "cancelled", "suppressed"]


ActorKind = Literal["key", "user", "operator", "command_line"]


@dataclass(slots=True, frozen=True)
class Actor:
    """Who acts: a key by its id, a tenant's user or an operator by the subject of a token, a login at the command line."""

    kind: ActorKind
    name: str


@dataclass(slots=True, frozen=True)
class Caller:
    """Who makes a request for a tenant, and what it may do there; the key, when it comes with one."""

    tenant: TenantId
    actor: Actor
    scopes: frozenset[str]
    key: KeyId | None = None
    buckets: tuple[str, ...] = ()
    """The rate limits that its events pay: "tenant", the key's id, both, or nearly always none."""


@dataclass(slots=True, frozen=True)
class Operator:
    """Who makes a request for the installation, and what they may do."""

    actor: Actor
    scopes: frozenset[str]

    @property
    def author(self) -> str:
        """Who answers for what the operator does, as ledgers store it."""
        return self.actor.name[:200]


class FoundTenant(NamedTuple):
    """The tenant that a path or a command names."""

    id: TenantId
    slug: str
    status: TenantStatus
