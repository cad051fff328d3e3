"""The requests that read the audit log: a tenant its own, an operator that of the whole installation."""

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.errors import NotFound
from signalops.http import answer, id_of
from signalops.terms import Caller, Operator
from signalops.watch.actions import store
from signalops.watch.actions.model import ActionShown, ActionsPage, PlatformAction


class Actions:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def list(self, request: Request, caller: Caller) -> Response:
        """List what was done to what a tenant manages, newest first, by whomever."""
        page = ActionsPage.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_actions(
                connection, tenant=caller.tenant, **page.wanted(await db.settled(connection))
            )
        return page.listed(rows, ActionShown.of)

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show one action."""
        action = id_of(request, "action")
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_actions(connection, 1, tenant=caller.tenant, id=action)
        if not rows:
            raise NotFound("There is no such action: check the id.")
        return answer(ActionShown.of(rows[0]))

    async def all(self, request: Request, _: Operator) -> Response:
        """List what was done in the whole installation, newest first; on connections of operators."""
        page = ActionsPage.of(request)
        async with db.as_platform(self._connections) as connection:
            rows = await store.list_actions(connection, **page.wanted(await db.settled(connection)))
        return page.listed(rows, PlatformAction.of)
