"""The endpoints that look at dead letters, retry and discard them."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from signalops import db
from signalops.clock import Moment
from signalops.endpoint import endpoint
from signalops.errors import Conflict
from signalops.http import Page
from signalops.send.dead_letters import dead_letter_queries, dead_letter_service
from signalops.send.dead_letters.dead_letter_models import (
    DeadLetterCounts,
    DeadLetterDiscard,
    DeadLetterKind,
    DeadLetterList,
    DeadLetterRetry,
    DeadLetterShown,
    DiscardReason,
    Part,
)
from signalops.types import Caller

_MANY_BYTES = 1024 * 1024
"""Ten thousand ids."""


class DeadLettersPage(Page):
    """Query of a list of dead letters."""

    kind: DeadLetterKind | None = Field(None, description="Only events, or only deliveries.")
    channel: UUID | None = Field(None, description="Only deliveries through this channel.")
    rule: UUID | None = Field(None, description="Only deliveries that this rule asked for.")
    error: Part | None = Field(None, description="Only with this in their error, in any case.")
    since: Annotated[Moment | None, Field(alias="from", description="Died at or after this time (RFC 3339).")] = None
    until: Annotated[Moment | None, Field(alias="to", description="Died before this time (RFC 3339).")] = None


@endpoint("GET /api/dead-letters", "listDeadLetters", "List the dead letters that wait, newest first", "deliveries:*")
async def list_dead_letters(connection: db.Connection, caller: Caller, query: DeadLettersPage) -> DeadLetterList:
    """List the unresolved dead letters, newest first."""
    filters = query.model_dump(include={"kind", "channel", "rule", "error", "since"}, by_alias=False)
    filters |= {"upwards": query.upwards, "limit": query.limit + 1, "beyond": query.ending_before or query.starting_after}
    filters["until"] = (await db.settled(connection)).before(query.until)
    ids, has_more = query.cut(await dead_letter_queries.pick_dead_letters(connection, caller.tenant, **filters))
    rows = await dead_letter_queries.read_dead_letters(connection, caller.tenant, ids)
    return DeadLetterList(data=[DeadLetterShown.model_validate(row) for row in rows], has_more=has_more)


@endpoint(
    "POST /api/dead-letters/retry",
    "retryDeadLetters",
    "Retry dead letters, or count them",
    "deliveries:*",
    most_bytes=_MANY_BYTES,
)
async def retry_dead_letters(connection: db.Connection, caller: Caller, body: DeadLetterRetry) -> DeadLetterCounts:
    """Retry dead letters, at most 10,000 at once.

    Deliveries are sent again, with their whole schedule; events are processed again, and counted then.
    """
    return await (dead_letter_service.count if body.dry_run else dead_letter_service.retry_many)(connection, caller.tenant, body)


@endpoint(
    "POST /api/dead-letters/discard",
    "discardDeadLetters",
    "Discard dead letters, or count them",
    "deliveries:*",
    most_bytes=_MANY_BYTES,
)
async def discard_dead_letters(connection: db.Connection, caller: Caller, body: DeadLetterDiscard) -> DeadLetterCounts:
    """Discard dead letters for good, at most 10,000 at once; they stay on record with the reason."""
    return await (dead_letter_service.count if body.dry_run else dead_letter_service.discard_many)(
        connection, caller.tenant, body
    )


@endpoint("GET /api/dead-letters/{id}", "getDeadLetter", "Show a dead letter", "deliveries:*")
async def get_dead_letter(connection: db.Connection, caller: Caller, dead_letter: UUID) -> DeadLetterShown:
    """Show a dead letter, also a resolved one."""
    return await dead_letter_service.show(connection, caller.tenant, dead_letter)


@endpoint("POST /api/dead-letters/{id}/retry", "retryDeadLetter", "Retry a dead letter", "deliveries:*", problems=(Conflict,))
async def retry_dead_letter(connection: db.Connection, caller: Caller, dead_letter: UUID) -> DeadLetterShown:
    """Retry one dead letter."""
    return await dead_letter_service.retry(connection, caller.tenant, dead_letter)


@endpoint(
    "POST /api/dead-letters/{id}/discard", "discardDeadLetter", "Discard a dead letter", "deliveries:*", problems=(Conflict,)
)
async def discard_dead_letter(
    connection: db.Connection, caller: Caller, dead_letter: UUID, body: DiscardReason
) -> DeadLetterShown:
    """Discard one dead letter for good; it stays on record with the reason."""
    return await dead_letter_service.discard(connection, caller.tenant, dead_letter, body.reason)
