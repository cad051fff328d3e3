"""The requests that make, show and end silences."""

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.http import Page, answer, id_of, read_model
from signalops.rules import store
from signalops.rules.silences import manage
from signalops.rules.silences.model import NewSilence, SilenceShown, State
from signalops.terms import Caller


class SilencesPage(Page):
    """Query of a list of silences."""

    state: State | None = Field(None, description="Only silences in this state.")


class Silences:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def list(self, request: Request, caller: Caller) -> Response:
        """List a tenant's silences, newest first, also those that are over."""
        query = SilencesPage.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_silences(
                connection,
                caller.tenant,
                state=query.state,
                upwards=query.upwards,
                **query.window(await db.settled(connection)),
            )
        return query.listed(rows, SilenceShown.model_validate)

    async def create(self, request: Request, caller: Caller) -> Response:
        """Notify nobody of the events of a pattern for a time; they are evaluated and counted all the same."""
        new = await read_model(request, NewSilence)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            silence = await manage.add(connection, caller.tenant, new)
            shown = await manage.show(connection, caller.tenant, silence)
        return answer(shown, 201, {"location": f"/api/silences/{silence}"})

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show a silence."""
        silence = id_of(request, "silence")
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await manage.show(connection, caller.tenant, silence))

    async def end(self, request: Request, caller: Caller) -> Response:
        """End a silence now; it stays on record."""
        silence = id_of(request, "silence")
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(await manage.end(connection, caller.tenant, silence))
