"""The station's statements, one function each. All but claim and settle run in a transaction of the tenant (`db.as_tenant`)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from signalops.db import Connection, queries
from signalops.send.model import ANSWER_LIMIT, ERROR_LIMIT, PROVIDER_ID_LIMIT, NewChannel, NotificationKind, Outcome
from signalops.terms import ChannelId, ChannelKind, DeliveryId, DeliveryStatus, TenantId


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery in hand: its attempt (1, 2, ...) and what it needs; None where something was deleted meanwhile.

    `attempts_before` were made before a person had it retried. `about` says whether the event is one of the tenant's, or
    tells of a digest or an absence of the rule itself.
    """

    attempt: int
    attempts_before: int
    about: NotificationKind
    context: dict[str, Any] | None
    replay: bool
    event: dict[str, Any] | None
    rule: dict[str, Any] | None
    template: dict[str, str] | None
    kind: ChannelKind | None
    config: dict[str, Any] | None
    secret: bytes | None
    enabled: bool | None
    retry_schedule: list[int] | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was made and what follows from it; `delay` in seconds, only for retrying."""

    delivery: DeliveryId
    number: int
    started_at: datetime
    duration_ms: int
    outcome: Outcome
    status: DeliveryStatus
    delay: float | None


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A channel as it may be shown."""

    id: ChannelId
    name: str
    kind: ChannelKind
    config: dict[str, Any]
    has_secret: bool
    enabled: bool
    created_at: datetime


async def claim(connection: Connection, tenant: TenantId, delivery: DeliveryId) -> Claim | None:
    """Begin an attempt at a delivery; None if it has ended, waits for its time, or does not exist. One round trip."""
    async with connection.cursor(row_factory=class_row(Claim)) as cursor:
        given = {"tenant": tenant, "delivery": delivery}
        await cursor.execute(queries("send")["claim-delivery"], given, prepare=True)
        return await cursor.fetchone()


async def listed_events(connection: Connection, tenant: TenantId, ids: list[str]) -> list[dict[str, Any]]:
    """Return the events that a digest lists, in its order, without those that were deleted, until they exceed 1 MiB."""
    cursor = await connection.execute(queries("send")["read-listed-events"], {"tenant": tenant, "ids": ids})
    return [event for (event,) in await cursor.fetchall()]


async def settle(connection: Connection, tenant: TenantId, attempt: Attempt, patience: float) -> bool:
    """Record an attempt and move its delivery on, unless a newer attempt or a success has done so; return if it died.

    A channel that has only failed for as long as `patience` (seconds) is disabled. One round trip.
    """
    outcome = attempt.outcome
    said = {
        "started_at": attempt.started_at.isoformat(),
        "duration_ms": attempt.duration_ms,
        "outcome": outcome.kind,
        "status_code": outcome.status_code,
        "answer": _storable(outcome.answer, ANSWER_LIMIT),
        "error": _storable(outcome.error, ERROR_LIMIT),
        "provider_id": _storable(outcome.provider_id, PROVIDER_ID_LIMIT),
        "status": attempt.status,
        "delay": attempt.delay,
        "pause": outcome.retry_after if outcome.kind == "throttled" else None,
        "patience": patience,
    }
    given = {"tenant": tenant, "delivery": attempt.delivery, "attempt": attempt.number, "said": Jsonb(said)}
    cursor = await connection.execute(queries("send")["settle-delivery"], given, prepare=True)
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def add_channel(
    connection: Connection, tenant: TenantId, channel_id: ChannelId, new: NewChannel, sealed: bytes | None
) -> bool:
    """Store a channel with its sealed secret; False if the tenant has one of that name."""
    values = {"tenant": tenant, "id": channel_id, "name": new.name, "kind": new.kind}
    cursor = await connection.execute(
        queries("send")["add-channel"], {**values, "config": Jsonb(new.config), "secret": sealed}
    )
    return cursor.rowcount == 1


async def list_channels(connection: Connection, tenant: TenantId) -> list[ChannelRow]:
    """Return the tenant's channels by name."""
    async with connection.cursor(row_factory=class_row(ChannelRow)) as cursor:
        await cursor.execute(queries("send")["list-channels"], {"tenant": tenant})
        return await cursor.fetchall()


def _storable(text: str | None, most: int) -> str | None:
    """Return what a text column takes: providers answer with anything, PostgreSQL refuses NUL and lone surrogates."""
    return text and text.replace("\0", "\ufffd").encode(errors="replace").decode()[:most]
