"""The endpoints that create, list and end silences."""

from uuid import UUID

from pydantic import Field

from signalops import db, errors
from signalops.endpoint import endpoint
from signalops.http import Page, Response, answer
from signalops.rules import rule_queries
from signalops.rules.silences import silence_service
from signalops.rules.silences.silence_models import NewSilence, SilenceList, SilenceShown, State
from signalops.types import Caller


class SilencesPage(Page):
    """Query of a list of silences."""

    state: State | None = Field(None, description="Only silences in this state.")


@endpoint("GET /api/silences", "listSilences", "List silences, newest first", "rules:*", answers={200: SilenceList})
async def list_silences(connection: db.Connection, caller: Caller, query: SilencesPage) -> Response:
    """List a tenant's silences, newest first, including past ones."""
    filters = {"state": query.state, "upwards": query.upwards, **query.window(await db.settled(connection))}
    return query.listed(await rule_queries.list_silences(connection, caller.tenant, **filters), SilenceShown.model_validate)


@endpoint(
    "POST /api/silences",
    "addSilence",
    "Silence the events of a pattern for a time",
    "rules:*",
    answers={201: SilenceShown},
    problems=(errors.Conflict,),
)
async def add_silence(connection: db.Connection, caller: Caller, body: NewSilence) -> Response:
    """Suppress the notifications of matching events for a time range; the events are evaluated and counted as usual."""
    silence = await silence_service.add(connection, caller.tenant, body)
    shown = await silence_service.show(connection, caller.tenant, silence)
    return answer(shown, 201, {"location": f"/api/silences/{silence}"})


@endpoint("GET /api/silences/{id}", "getSilence", "Show a silence", "rules:*")
async def get_silence(connection: db.Connection, caller: Caller, silence: UUID) -> SilenceShown:
    """Show a silence."""
    return await silence_service.show(connection, caller.tenant, silence)


@endpoint("DELETE /api/silences/{id}", "endSilence", "End a silence now", "rules:*")
async def end_silence(connection: db.Connection, caller: Caller, silence: UUID) -> SilenceShown:
    """End a silence now; it stays on record."""
    return await silence_service.end(connection, caller.tenant, silence)
