"""The requests that look at dead letters, retry and discard them."""

from typing import Annotated
from uuid import UUID

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.clock import Moment
from signalops.http import Page, answer, id_of, read_model
from signalops.send.letters import manage, store
from signalops.send.letters.model import (
    LetterDiscarded,
    LetterKind,
    LetterList,
    LettersDiscarded,
    LetterShown,
    LettersRetried,
    Part,
)
from signalops.terms import Caller

MOST_BYTES = 1024 * 1024
"""Ten thousand ids."""


class LettersPage(Page):
    """Query of a list of dead letters."""

    kind: LetterKind | None = Field(None, description="Only events, or only deliveries.")
    channel: UUID | None = Field(None, description="Only deliveries through this channel.")
    rule: UUID | None = Field(None, description="Only deliveries that this rule asked for.")
    error: Part | None = Field(None, description="Only with this in their error, in any case.")
    since: Annotated[Moment | None, Field(alias="from", description="Died at or after this time (RFC 3339).")] = None
    until: Annotated[Moment | None, Field(alias="to", description="Died before this time (RFC 3339).")] = None


class Letters:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def list(self, request: Request, caller: Caller) -> Response:
        """List the dead letters that wait for somebody to look, the last to die first."""
        query = LettersPage.of(request)
        wanted = query.model_dump(include={"kind", "channel", "rule", "error", "since", "until"})
        page = {"upwards": query.upwards, "limit": query.limit + 1}
        beyond = query.ending_before or query.starting_after
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            wanted["until"] = (await db.settled(connection)).before(query.until)
            picked = await store.pick_letters(connection, caller.tenant, **wanted, **page, beyond=beyond)
            ids, has_more = query.cut(picked)
            rows = await store.read_letters(connection, caller.tenant, ids)
        return answer(LetterList(data=[LetterShown.model_validate(row) for row in rows], has_more=has_more))

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show a dead letter, also one that was retried or discarded."""
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await manage.show(connection, caller.tenant, id_of(request, "dead letter")))

    async def retry_many(self, request: Request, caller: Caller) -> Response:
        """Give dead letters another chance, at most 10,000 at once.

        Deliveries are tried again, with a schedule of their own; events are processed again, and counted then.
        """
        asked = await read_model(request, LettersRetried, MOST_BYTES)
        work = manage.count if asked.dryRun else manage.retry_many
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await work(connection, caller.tenant, asked))

    async def discard_many(self, request: Request, caller: Caller) -> Response:
        """Give dead letters up for good, at most 10,000 at once; they stay on record with the reason."""
        asked = await read_model(request, LettersDiscarded, MOST_BYTES)
        work = manage.count if asked.dryRun else manage.discard_many
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await work(connection, caller.tenant, asked))

    async def retry(self, request: Request, caller: Caller) -> Response:
        """Give one dead letter another chance."""
        letter = id_of(request, "dead letter")
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await manage.retry(connection, caller.tenant, letter))

    async def discard(self, request: Request, caller: Caller) -> Response:
        """Give one dead letter up for good; it stays on record with the reason."""
        letter, asked = id_of(request, "dead letter"), await read_model(request, LetterDiscarded)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await manage.discard(connection, caller.tenant, letter, asked.reason))
