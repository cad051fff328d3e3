"""The requests that correct usage."""

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.errors import Forbidden
from signalops.http import answer, idempotency_key, read_model
from signalops.terms import Caller
from signalops.usage.adjustments import store
from signalops.usage.adjustments.adjust import Sent, adjust, shown
from signalops.usage.adjustments.model import AdjustmentIn, AdjustmentsPage


class Adjustments:
    """The handlers, with what they need; `backfill_days` is how far back usage can be corrected."""

    def __init__(self, connections: db.Pool, backfill_days: int) -> None:
        self._connections = connections
        self._backfill_days = backfill_days

    async def add(self, request: Request, caller: Caller) -> Response:
        """Correct the usage of an hour. A period that is closed stays as it is: the open one bills the correction, late.

        To take usage off is the operator's: it lowers what is billed.
        """
        asked = await read_model(request, AdjustmentIn)
        if caller.actor.kind == "operator":
            asked = asked.model_copy(update={"author": caller.actor.name[:200]})
        elif asked.quantity < 0:
            raise Forbidden("Usage is taken off by the operator of this installation alone: ask for it.")
        sent = Sent(caller.key, idempotency_key(request))
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            adjustment, is_new = await adjust(connection, caller.tenant, asked, sent, self._backfill_days)
        return answer(adjustment, 201 if is_new else 200)

    async def list(self, request: Request, caller: Caller) -> Response:
        """List the corrections of usage, newest first."""
        page = AdjustmentsPage.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            window = page.window(await db.settled(connection))
            wanted = {"meter": page.meter, "upwards": page.upwards, **window}
            rows = await store.list_adjustments(connection, caller.tenant, **wanted)
        return page.listed(rows, lambda row: shown(row, row["group_by"]))
