"""The requests for credits."""

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.http import Page, answer
from signalops.terms import Caller
from signalops.usage.credits import store
from signalops.usage.credits.model import CreditEntry, Credits, CreditShown


class CreditsHttp:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool) -> None:
        self._connections = connections

    async def get(self, _: Request, caller: Caller) -> Response:
        """Show the credit that can be used now: the balance by currency, and the grants in the order of burning."""
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_credits(connection, caller.tenant)
        return answer(Credits.of(CreditShown.model_validate(row) for row in rows))

    async def history(self, request: Request, caller: Caller) -> Response:
        """List what was granted, burned, returned and expired, newest first."""
        page = Page.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_credit_entries(
                connection, caller.tenant, upwards=page.upwards, **page.window(await db.settled(connection))
            )
        return page.listed(rows, CreditEntry.model_validate)
