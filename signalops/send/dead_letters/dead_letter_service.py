"""Lists, retries and discards dead letters, in a transaction of the tenant."""

from uuid import UUID

from signalops import db
from signalops.errors import Conflict, NotFound
from signalops.send.dead_letters import dead_letter_queries
from signalops.send.dead_letters.dead_letter_models import (
    MAX_DEAD_LETTERS,
    DeadLetterCounts,
    DeadLetterDiscard,
    DeadLetterRetry,
    DeadLetterShown,
)
from signalops.types import JsonObject, TenantId


async def show(connection: db.Connection, tenant: TenantId, dead_letter: UUID) -> DeadLetterShown:
    """Return a dead letter, also a resolved one; NotFound."""
    rows = await dead_letter_queries.read_dead_letters(connection, tenant, [dead_letter])
    if not rows:
        raise NotFound("There is no such dead letter: check the id.")
    return DeadLetterShown.model_validate(rows[0])


async def count(connection: db.Connection, tenant: TenantId, request: DeadLetterRetry | DeadLetterDiscard) -> DeadLetterCounts:
    """Return how many dead letters would be affected."""
    chosen = await dead_letter_queries.count_dead_letters(connection, tenant, **_chosen(request))
    return DeadLetterCounts(dead_letters=min(chosen, MAX_DEAD_LETTERS), remaining=max(0, chosen - MAX_DEAD_LETTERS))


async def retry_many(connection: db.Connection, tenant: TenantId, request: DeadLetterRetry) -> DeadLetterCounts:
    """Retry the newest of the matching dead letters."""
    done = await dead_letter_queries.retry_dead_letters(connection, tenant, MAX_DEAD_LETTERS, **_chosen(request))
    return DeadLetterCounts(
        dead_letters=done, remaining=await dead_letter_queries.count_dead_letters(connection, tenant, **_chosen(request))
    )


async def discard_many(connection: db.Connection, tenant: TenantId, request: DeadLetterDiscard) -> DeadLetterCounts:
    """Discard the newest of the matching dead letters for good."""
    done = await dead_letter_queries.discard_dead_letters(
        connection, tenant, MAX_DEAD_LETTERS, request.reason, **_chosen(request)
    )
    return DeadLetterCounts(
        dead_letters=done, remaining=await dead_letter_queries.count_dead_letters(connection, tenant, **_chosen(request))
    )


async def retry(connection: db.Connection, tenant: TenantId, dead_letter: UUID) -> DeadLetterShown:
    """Retry a dead letter; NotFound, or Conflict if it is resolved."""
    return await _ended(
        connection, tenant, dead_letter, await dead_letter_queries.retry_dead_letters(connection, tenant, 1, ids=[dead_letter])
    )


async def discard(connection: db.Connection, tenant: TenantId, dead_letter: UUID, reason: str) -> DeadLetterShown:
    """Discard a dead letter for good; NotFound, or Conflict if it is resolved."""
    done = await dead_letter_queries.discard_dead_letters(connection, tenant, 1, reason, ids=[dead_letter])
    return await _ended(connection, tenant, dead_letter, done)


async def _ended(connection: db.Connection, tenant: TenantId, dead_letter: UUID, done: int) -> DeadLetterShown:
    shown = await show(connection, tenant, dead_letter)
    if not done:
        raise Conflict(f"The dead letter was {shown.resolution} already: see what became of it.", resolution=shown.resolution)
    return shown


def _chosen(request: DeadLetterRetry | DeadLetterDiscard) -> JsonObject:
    return {"ids": request.ids} if request.filter is None else request.filter.model_dump(by_alias=False)
