"""The requests for backtests."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.http import Page, answer, id_of, read_model
from signalops.rules.backtest import store
from signalops.rules.backtest.ask import OVER, Desk, Limits, find, shown
from signalops.rules.backtest.model import BacktestRequest
from signalops.rules.check import Templates
from signalops.terms import Caller, TenantId

MOST_BYTES = 256 * 1024
_POLL = 0.05


class Backtests:
    """The handlers, with what they need."""

    def __init__(self, connections: db.Pool, templates: Templates, limits: Limits) -> None:
        self._connections = connections
        self._desk = Desk(templates, limits)

    async def start(self, request: Request, caller: Caller) -> Response:
        """Hold a rule against past events: 200 with the result, or 202 and where to ask for it. Sends and counts nothing."""
        asked = await read_model(request, BacktestRequest, MOST_BYTES)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            backtest = await self._desk.ask(connection, caller.tenant, asked)
        row = await self._wait(caller.tenant, backtest, asked.wait)
        status = 200 if row["status"] in OVER else 202
        return answer(shown(row), status, {"location": f"/api/rules/backtests/{backtest}"})

    async def list(self, request: Request, caller: Caller) -> Response:
        """List a tenant's backtests without their results, newest first; the newest 50 are kept."""
        page = Page.of(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_(connection, caller.tenant, page.upwards, page.window(await db.settled(connection)))
        return page.listed(rows, shown)

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show a backtest: how far it is, and what it has found."""
        backtest = id_of(request, "backtest")
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return answer(shown(await find(connection, caller.tenant, backtest)))

    async def cancel(self, request: Request, caller: Caller) -> Response:
        """Cancel a backtest and show it; one that is over stays as it is."""
        backtest = id_of(request, "backtest")
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            await store.cancel(connection, caller.tenant, backtest)
            return answer(shown(await find(connection, caller.tenant, backtest)))

    async def _wait(self, tenant: TenantId, backtest: UUID, seconds: float) -> Mapping[str, Any]:
        """Return a backtest as soon as it is over, or as it is after some seconds."""
        end = time.monotonic() + seconds
        while True:
            async with db.as_tenant(self._connections, tenant) as connection:
                row = await find(connection, tenant, backtest)
            if row["status"] in OVER or time.monotonic() >= end:
                return row
            await asyncio.sleep(_POLL)
