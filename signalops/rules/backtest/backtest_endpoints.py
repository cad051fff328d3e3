"""The endpoints of backtests."""

import asyncio
import time
from uuid import UUID

from signalops import db, errors
from signalops.endpoint import endpoint
from signalops.http import Page, Response, answer
from signalops.rules.backtest import backtest_queries
from signalops.rules.backtest.backtest_models import Backtest, BacktestList, BacktestRequest
from signalops.rules.backtest.create import OVER, BacktestCreator, Limits, find, shown
from signalops.rules.validate import Templates
from signalops.types import Caller

_POLL = 0.05


class Backtests:
    """The endpoints of backtests."""

    def __init__(self, templates: Templates, limits: Limits) -> None:
        self._desk = BacktestCreator(templates, limits)

    @endpoint(
        "POST /api/rules/backtest",
        "startBacktest",
        "Evaluate a rule on past events; sends nothing",
        "rules:*",
        answers={200: Backtest, 202: Backtest},
        problems=(errors.NotFound, errors.Conflict),
    )
    async def start_backtest(self, caller: Caller, transaction: db.Transaction, body: BacktestRequest) -> Response:
        """Backtest a rule on past events: 200 with the result, or 202 with the location of the result.

        Sends and counts nothing.
        """
        async with transaction() as connection:
            backtest = await self._desk.ask(connection, caller.tenant, body)
        end = time.monotonic() + body.wait
        while True:
            async with transaction() as connection:
                row = await find(connection, caller.tenant, backtest)
            if row["status"] in OVER or time.monotonic() >= end:
                break
            await asyncio.sleep(_POLL)
        status = 200 if row["status"] in OVER else 202
        return answer(shown(row), status, {"location": f"/api/rules/backtests/{backtest}"})

    @endpoint("GET /api/rules/backtests", "listBacktests", "List backtests, newest first", "rules:*", answers={200: BacktestList})
    async def list_backtests(self, connection: db.Connection, caller: Caller, query: Page) -> Response:
        """List a tenant's backtests without their results, newest first; the newest 50 are stored."""
        window = query.window(await db.settled(connection))
        return query.listed(await backtest_queries.list_(connection, caller.tenant, query.upwards, window), shown)

    @endpoint(
        "GET /api/rules/backtests/{id}", "getBacktest", "Show a backtest and its result", "rules:*", answers={200: Backtest}
    )
    async def get_backtest(self, connection: db.Connection, caller: Caller, backtest: UUID) -> Response:
        """Show a backtest: how far it is, and what it has found."""
        return answer(shown(await find(connection, caller.tenant, backtest)))

    @endpoint("DELETE /api/rules/backtests/{id}", "cancelBacktest", "Cancel a backtest", "rules:*", answers={200: Backtest})
    async def cancel_backtest(self, connection: db.Connection, caller: Caller, backtest: UUID) -> Response:
        """Cancel a backtest and show it; a finished one does not change."""
        await backtest_queries.cancel(connection, caller.tenant, backtest)
        return answer(shown(await find(connection, caller.tenant, backtest)))
