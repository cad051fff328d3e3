"""The SQL queries of sending. All except claim and settle run in a transaction of the tenant (`db.as_tenant`)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from signalops import db
from signalops.contracts import DeliveryRef, SettledAttempt
from signalops.send.message_models import (
    ANSWER_LIMIT,
    ERROR_LIMIT,
    PROVIDER_ID_LIMIT,
    REQUEST_ID_LIMIT,
    NotificationKind,
    Outcome,
    storable,
)
from signalops.types import ChannelId, ChannelKind, DeliveryId, DeliveryStatus, TenantId

SQL = db.queries("send/send")
DeliveryToSend = tuple[TenantId, DeliveryId]


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed delivery: its channel and send target, the number of its attempt (1, 2, ...), and its content.

    None: deleted since. `attempts_at_reset`: attempts made before a manual retry. `about`: whether the event is the tenant's,
    or reports a digest or an absence of the rule itself. `suppressed`: the address bounced or complained before.
    """

    tenant: TenantId
    delivery: DeliveryId
    send_target: UUID
    channel: ChannelId
    attempt: int
    attempts_at_reset: int
    about: NotificationKind
    window_context: db.Row | None
    replay: bool
    event: db.Row | None
    rule: db.Row | None
    template: dict[str, str] | None
    kind: ChannelKind | None
    config: db.Row | None
    secret: bytes | None
    enabled: bool | None
    retry_schedule: list[int] | None
    suppressed: bool | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished attempt and its effect; `delay` in seconds, only for retrying.

    A channel that failed for `patience` seconds without a success is disabled.
    """

    tenant: TenantId
    delivery: DeliveryId
    send_target: UUID
    channel: ChannelId
    number: int
    started_at: datetime
    duration_ms: int
    outcome: Outcome
    status: DeliveryStatus
    delay: float | None
    patience: float


async def claim(connection: db.Connection, deliveries: Iterable[DeliveryToSend], busy: list[ChannelId]) -> list[Claim]:
    """Begin an attempt at each of some deliveries, whatever their tenants. One round trip.

    What has ended, waits for its time or does not exist is left out; so is what belongs to a busy channel: it waits a second.
    """
    requested: list[DeliveryRef] = [{"tenant": str(tenant), "delivery": str(delivery)} for tenant, delivery in deliveries]
    return await db.records(
        connection, Claim, SQL["claim-deliveries"], {"requested": db.Jsonb(requested), "busy": busy}, prepare=True
    )


async def listed_events(connection: db.Connection, tenant: TenantId, ids: list[str]) -> list[db.Row]:
    """Return the events that a digest lists, in its order, without those that were deleted, until they exceed 1 MiB."""
    return [*await db.values(connection, SQL["read-listed-events"], {"tenant": tenant, "ids": ids})]


async def settle(connection: db.Connection, attempts: Iterable[Attempt]) -> list[DeliveryId]:
    """Record attempts and move their deliveries on, unless newer attempts or successes have done so. One round trip.

    Returns the deliveries that died.
    """
    parameters = {"attempts": db.Jsonb([_settled_attempt(attempt) for attempt in attempts])}
    return [died for (died,) in await db.tuples(connection, SQL["settle-deliveries"], parameters, prepare=True)]


def _settled_attempt(attempt: Attempt) -> SettledAttempt:
    outcome = attempt.outcome
    return {
        "tenant": str(attempt.tenant),
        "delivery": str(attempt.delivery),
        "attempt": attempt.number,
        "started_at": attempt.started_at.isoformat(),
        "duration_ms": attempt.duration_ms,
        "outcome": outcome.kind,
        "status_code": outcome.status_code,
        "answer": storable(outcome.answer, ANSWER_LIMIT),
        "error": storable(outcome.error, ERROR_LIMIT),
        "request_id": storable(outcome.request_id, REQUEST_ID_LIMIT),
        "provider_id": storable(outcome.provider_id, PROVIDER_ID_LIMIT),
        "status": attempt.status,
        "delay": attempt.delay,
        "pause": outcome.retry_after if outcome.kind == "throttled" else None,
        "patience": attempt.patience,
    }
