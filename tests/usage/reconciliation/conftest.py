"""A history in which everything has happened to usage that can, through the API and a worker: and nothing is wrong with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from signalops import clock, db
from signalops.config import Settings
from signalops.job_handlers import JobHandlers
from signalops.send import SecretBox, Sender
from signalops.usage.invoices import corrections
from signalops.usage.invoices.close import Closer
from signalops.usage.invoices.corrections import ReasonAndAuthor
from signalops.usage.plans import plan_queries as plans
from signalops.usage.plans import plan_service
from signalops.usage.plans.plan_models import PlanDocument
from tests.support.api import Client, running
from tests.support.databases import Databases
from tests.support.tenants import EVERYTHING, Tenant, make_tenant, set_limit

AGGREGATIONS = ("count", "sum", "max", "min", "avg", "latest", "unique_count")
OPERATOR = ReasonAndAuthor(reason="the audit's tests", author="ann")
POISON = """
  create function signalops.die() returns trigger language plpgsql as $$
  begin
    if (select e.payload ? 'poison' from signalops.events e where e.tenant_id = new.tenant_id and e.id = any (new.event_ids)
        order by e.payload ? 'poison' desc limit 1) then
      raise 'this event is poisonous' using errcode = '22023';
    end if;
    return new;
  end $$;
  create trigger die before insert on signalops.usage_entries for each row execute function signalops.die()
"""
CURED = "drop trigger die on signalops.usage_entries; drop function signalops.die()"
PRICED = {
    "name": "Pro",
    "currency": "EUR",
    "baseFee": "9.00",
    "meters": [{"key": "volume", "name": "Volume", "aggregation": "sum", "field": "payload.v", "pattern": {"type": ["order"]}}],
    "prices": [
        {"meter": "events", "model": "per_unit", "unitAmount": "0.50"},
        {"meter": "volume", "model": "per_unit", "unitAmount": "0.01"},
    ],
}


class UsageHistory:
    """An installation, and its two tenants."""

    def __init__(
        self, settings: Settings, api: Client, worker: db.Pool, handlers: JobHandlers, owner: psycopg.Connection
    ) -> None:
        self.settings = settings
        self.api = api
        self.owner = owner
        self.acme = make_tenant(owner, "acme", scopes=[*EVERYTHING, "usage:adjust"])
        self.globex = make_tenant(owner, "globex")
        self._worker = worker
        self.handlers = handlers

    async def post(self, tenant: Tenant, *payloads: dict[str, Any], **fields: Any) -> list[str]:
        """Post orders to the API, one by one; return their ids."""
        answers = [await self.api.post({"type": "order", "payload": p, **fields}, tenant) for p in payloads]
        return [answer.json["id"] for answer in answers if answer.status in (200, 202)]

    async def process(self) -> None:
        """Process all that waits, in the order in which it came."""
        while waiting := self.owner.execute("select distinct batch from signalops.inbox order by batch").fetchall():
            for (batch,) in waiting:
                await self.handlers.process_batch(batch, 1)

    async def close(self) -> None:
        """Close the next period of every tenant, as if it had ended: what comes from then on is late."""
        ends = "select max(signalops.period_start((signalops.period_of(greatest(created_at, closed_until), time_zone)"
        ends += " + interval '1 month')::date, time_zone)) from signalops.tenants"
        row = self.owner.execute(ends.encode()).fetchone()
        assert row is not None
        await Closer(self._worker, clock.now() - row[0] - timedelta(hours=12)).run()

    async def equip(self) -> None:
        """Give acme a time zone, a meter of each aggregation, a plan with prices, and credit; and both a limit."""
        self.owner.execute("update signalops.tenants set time_zone = 'Asia/Kolkata' where id = %s", [self.acme.id])
        for aggregation in AGGREGATIONS:
            field = None if aggregation == "count" else "payload.v"
            meter: dict[str, Any] = {"key": f"m_{aggregation}", "name": "M", "aggregation": aggregation, "field": field}
            meter |= {"pattern": {"payload": {"v": [{"exists": True}]}}, "groupBy": ["payload.k"]}
            assert (await self.api.post(meter, self.acme, "/api/meters")).status == 201
        async with db.as_owner(self.settings) as connection:
            await plan_service.define(connection, "pro", PlanDocument.model_validate(PRICED))
            await db.set_tenant(connection, self.acme.id)
            await plans.subscribe(connection, self.acme.id, plans.SubscriptionChoice("pro", at_once=True), "ann")
        grant = (
            "select signalops.grant_credit(t, %s, 'EUR', 'prepaid', 'ann', %s::smallint) "
            "from (select %s::uuid as t) x, signalops.set_tenant(t)"
        )
        for amount, priority in ((2, 1), (3, 2)):
            self.owner.execute(grant, [amount, priority, self.acme.id])
        for tenant in (self.acme, self.globex):
            set_limit(self.owner, tenant.id, soft=5, hard=1000)

    async def trade(self) -> None:
        """Have events come in all ways, and processed; one waits in the end."""
        values: list[Any] = [1, 2.5, "3.75", -4, 0, "none", None, [1, 2], True, 10**30]
        for tenant in (self.acme, self.globex):
            await self.post(tenant, *({"v": value, "k": str(n % 2)} for n, value in enumerate(values)))
            await self.post(tenant, {"v": 7}, occurredAt=(clock.now() - timedelta(hours=3)).isoformat())
            for _ in range(2):
                await self.post(tenant, {"v": 8}, idempotencyKey=f"once {self.api.url}")
            batch = [{"type": "order", "payload": {"v": n, "k": "0"}} for n in range(20)]
            assert (await self.api.post_batch(batch, tenant)).status == 202
            await self.process()

    async def suffer(self) -> None:
        """Have events of a batch die, of which one is retried and one discarded; and replay one."""
        with self.owner.transaction():
            self.owner.execute(POISON.encode())
        payloads = [{"v": n, **({"poison": True} if n < 3 else {})} for n in range(8)]
        await self.api.post_batch([{"type": "order", "payload": payload} for payload in payloads], self.acme)
        await self.process()
        self.owner.execute(CURED.encode())
        dead = [str(event) for (event,) in self.owner.execute("select id from signalops.dead_letters order by id")]
        retry, discard = {"ids": dead[:1]}, {"ids": dead[1:2], "reason": "no use"}
        assert (await self.api.post(retry, self.acme, "/api/dead-letters/retry")).json["deadLetters"] == 1
        assert (await self.api.post(discard, self.acme, "/api/dead-letters/discard")).json["deadLetters"] == 1
        await self.process()
        replay = {"events": dead[:1], "reason": "again"}
        assert (await self.api.post(replay, self.acme, "/api/replays")).status == 202
        await self.process()

    async def adjust(self) -> None:
        """Correct usage."""
        body = {"meter": "events", "quantity": "2", "reason": "a test run", "author": "ann"}
        assert (await self.api.post(body, self.acme, "/api/usage/adjustments")).status == 201

    async def correct(self) -> None:
        """Void acme's first invoice, reissue it, and credit a part of the new one."""
        async with db.as_owner(self.settings) as connection:
            await db.set_tenant(connection, self.acme.id)
            query = "select id from signalops.invoices where tenant_id = %s order by number limit 1"
            row = await (await connection.execute(query, [self.acme.id])).fetchone()
            assert row is not None
            await corrections.void(connection, self.acme.id, row[0], OPERATOR)
            issued = await corrections.reissue(connection, self.acme.id, row[0], OPERATOR)
            note = corrections.CreditNoteRequest(amount="0.10", **OPERATOR.model_dump())
            await corrections.credit(connection, self.acme.id, issued.id, note)

    def outlive(self, *tables: str) -> None:
        """Drop the oldest partition of tables, as retention does."""
        oldest = "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass order by 1 limit 1"
        for table in tables:
            row = self.owner.execute(oldest, [f"signalops.{table}"]).fetchone()
            assert row is not None
            self.owner.execute(f"drop table {row[0]}".encode())

    async def live(self) -> None:
        """Let everything happen, in two periods that are closed and in one that is open."""
        await self.equip()
        await self.trade()
        await self.suffer()
        await self.adjust()
        await self.close()
        await self.correct()
        await self.trade()
        await self.adjust()
        await self.close()
        await self.trade()
        await self.post(self.acme, {"v": 1})


@asynccontextmanager
async def inhabited(settings: Settings, owner: psycopg.Connection) -> AsyncIterator[UsageHistory]:
    """Run an API and a worker's bodies on a database."""
    SecretBox(Settings(data=settings.data, database_url=None))
    async with running(settings) as api, db.pool(settings, "worker", 4) as worker:
        sender = Sender(worker, settings)
        yield UsageHistory(settings, api, worker, JobHandlers(worker, sender), owner)
        await sender.close()


@pytest.fixture
async def history(settings: Settings, owner: psycopg.Connection) -> AsyncIterator[UsageHistory]:
    """A history of the test's own, in which nothing has happened yet."""
    async with inhabited(settings, owner) as made:
        yield made


@pytest.fixture(scope="module")
async def proven(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[UsageHistory]:
    """A history in which everything has happened, for tests that undo what they do to it."""
    with databases.acquired() as on_server, psycopg.connect(db.admin_url(on_server), autocommit=True) as owner:
        settings = on_server.model_copy(update={"data": tmp_path_factory.mktemp("audit")})
        async with inhabited(settings, owner) as made:
            await made.live()
            yield made
