"""The words of the product as types: what an id identifies, and which states a thing can be in."""

from dataclasses import dataclass
from typing import Literal, NewType
from uuid import UUID

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
]
EventStatus = Literal["pending", "processed", "dead"]
ChannelKind = Literal["email", "telegram", "whatsapp", "webhook", "slack", "http"]
Severity = Literal["info", "warning", "error", "critical"]
DeliveryStatus = Literal[
    "pending", "sending", "sent", "delivered", "read", "retrying", "dead", "cancelled", "suppressed"
]


@dataclass(slots=True, frozen=True)
class Caller:
    """Who makes a request: the tenant, the key, and what the key may do."""

    tenant: TenantId
    key: KeyId
    scopes: frozenset[str]
