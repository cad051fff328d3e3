"""The requests that correct usage."""

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.http import answer, idempotency_key, read_model
from signalops.terms import Caller
from signalops.usage.adjustments import store
from signalops.usage.adjustments.adjust import Sent, adjust, shown
from signalops.usage.adjustments.model import AdjustmentIn, AdjustmentList, AdjustmentsPage


class Adjustments:
    """The handlers, with what they need; `backfill_days` is how far back usage can be corrected."""

    def __init__(self, connections: db.Pool, backfill_days: int) -> None:
        self._connections = connections
        self._backfill_days = backfill_days

    async def add(self, request: Request, caller: Caller) -> Response:
        """Correct the usage of an hour. A period that is closed stays as it is: the open one bills the correction, late."""
        asked = await read_model(request, AdjustmentIn)
        sent = Sent(caller.key, idempotency_key(request))
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            adjustment, is_new = await adjust(connection, caller.tenant, asked, sent, self._backfill_days)
        return answer(adjustment, 201 if is_new else 200)

    async def list(self, request: Request, caller: Caller) -> Response:
        """List the corrections of usage, newest first."""
        page = AdjustmentsPage.of(request)
        wanted = {"meter": page.meter, "upwards": page.upwards, **page.window()}
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_adjustments(connection, caller.tenant, **wanted)
        cut, has_more = page.cut(rows)
        return answer(AdjustmentList(data=[shown(row, row["group_by"]) for row in cut], has_more=has_more))
