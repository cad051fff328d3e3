"""Events of the past, an API, and a worker's Journey whose slices the tests run one by one."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from signalops import clock
from signalops.job_handlers import JobHandlers
from tests.support.api import Answer, Client
from tests.support.rows import add_channel, add_early_partition
from tests.support.tenants import Tenant
from tests.support.worlds.base import World

START = (clock.now() - timedelta(minutes=10)).replace(microsecond=0)
"""When the past of these tests began."""


class Backtesting(World):
    """Events of the past, and backtests of rules over them."""

    def __init__(self, api: Client, handlers: JobHandlers, owner: psycopg.Connection, tenant: Tenant) -> None:
        super().__init__(owner)
        self.api = api
        self.handlers = handlers
        self.tenant = tenant
        self._stored = 0
        add_early_partition(owner, "events")
        owner.execute("set search_path = signalops, procrastinate")  # for the triggers of the job table

    def store(self, payloads: Iterable[dict[str, Any]], kind: str = "order.paid", tenant: Tenant | None = None) -> list[str]:
        """Store events, received a millisecond apart, as if they had been processed; return their ids."""
        batch, rows = clock.new_id(), []
        for payload in payloads:
            self._stored += 1
            received = START + timedelta(milliseconds=self._stored)
            identity = UUID(int=clock.uuid7_floor(received).int + self._stored)
            rows.append(((tenant or self.tenant).id, identity, batch, kind, received, received, Jsonb(payload)))
        with self.owner.cursor() as cursor:
            cursor.executemany(
                "insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload) "
                "values (%s, %s, %s, %s, %s, %s, %s)",
                rows,
            )
        return [str(row[1]) for row in rows]

    async def ask(self, rule: dict[str, Any], **options: Any) -> Answer:
        """Ask for a backtest from START on; do not wait."""
        body = {"rule": rule, "from": START.isoformat(), "wait": 0, **options}
        return await self.api.post(body, self.tenant, "/api/rules/backtest")

    async def run(self, slices: int | None = None) -> int:
        """Run the slices that are enqueued until there are none; return how many there were."""
        done = 0
        while (slices is None or done < slices) and (args := self.take_job()) is not None:
            await self.handlers.run_backtest(args["tenant"], args["backtest"])
            done += 1
            assert done < 1000, "it never ends"
        return done

    def take_job(self) -> dict[str, Any] | None:
        """Take the next job of a backtest out of the queue."""
        row = self.owner.execute(
            "delete from procrastinate.procrastinate_jobs where id = (select min(id) from procrastinate.procrastinate_jobs "
            "where task_name = 'run_backtest') returning args"
        ).fetchone()
        return None if row is None else {name: UUID(value) for name, value in row[0].items()}

    async def result(self, rule: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Run a whole backtest; return its result."""
        answer = await self.ask(rule, **options)
        assert answer.status == 202, answer
        await self.run()
        shown = await self.shown(answer)
        assert shown["status"] == "done", shown
        result: dict[str, Any] = shown["result"]
        return result

    async def shown(self, answer: Answer) -> dict[str, Any]:
        """Return a backtest as it is now."""
        shown: dict[str, Any] = (await self.api.get(answer.headers["location"], self.tenant)).json
        return shown

    def draft(self, pattern: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Return a draft for orders, which tells a channel of the tenant."""
        channel = f"channel {clock.new_id()}"
        add_channel(self.owner, self.tenant.id, name=channel)
        return {"pattern": pattern or {"type": ["order.paid"]}, "channel": channel, **more}


def seconds_after(moment: datetime, seconds: float) -> str:
    return (moment + timedelta(seconds=seconds)).isoformat()


@pytest.fixture
def backtesting(api: Client, handlers: JobHandlers, owner: psycopg.Connection, acme: Tenant) -> Backtesting:
    return Backtesting(api, handlers, owner, acme)
