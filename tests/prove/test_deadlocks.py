"""One lock order: whatever is done at once, of the same few tenants, no transaction waits for one that waits for it.

PostgreSQL counts the deadlocks of a database, also those that a retry hides; here it looks for them after 10 ms and not after a
second, since several functions give up on a lock before that. `sql/README.md` has the order.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from signalops import clock, db
from signalops.config import Settings
from signalops.errors import Problem
from signalops.ingest import event_queries
from signalops.ingest.event_models import Incoming
from signalops.ingest.limited_meters import with_quantities
from signalops.job_handlers import JobHandlers
from signalops.send import Sender
from signalops.send.dead_letters import dead_letter_queries as dead_letter_sql
from signalops.types import BatchId, DeliveryId, TenantId
from signalops.usage.invoices.close import Closer
from signalops.usage.limits import limit_queries as limits
from signalops.usage.limits.limited_meters import LimitedMeters
from tests.support.databases import Databases
from tests.support.rates import set_rate
from tests.support.receivers import Receiver
from tests.support.rows import add_meter
from tests.support.rules import make_rule
from tests.support.tenants import Tenant, make_tenant
from tests.support.worlds.base import event_of

SECONDS = 10.0
AT_ONCE = 16
TENANTS = 4
KEYS = 6
HARMLESS = (*db.BUSY, db.OUTDATED, Problem)
"""Errors that the callers of these statements handle: lock timeout, a batch that must be processed again, nothing to do."""
METERS = {"m_sum": "sum", "m_unique": "unique_count", "m_group": "count"}
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


@dataclass
class Operations:
    """The operations of an installation, each with random values."""

    api: db.Pool
    worker: db.Pool
    operator: db.Pool
    handlers: JobHandlers
    tenants: list[Tenant]
    random: Random
    limited_meters: LimitedMeters

    def anyone(self) -> TenantId:
        return self.random.choice(self.tenants).id

    async def accept(self) -> None:
        """A flush of several tenants, in any order, with idempotency keys that others use now."""
        chosen = [self.random.choice(self.tenants) for _ in range(self.random.randint(1, 8))]
        flush = [self._event(tenant) for tenant in chosen]
        batch = BatchId(clock.new_id())
        async with self.api.connection() as connection:
            rows = await event_queries.accept(connection, with_quantities(self.limited_meters, flush), batch, 0)
        if stale := {tenant for _, verdict, tenant, *_ in rows if verdict == "stale"}:
            await self.limited_meters.refresh(stale)

    def _event(self, tenant: Tenant) -> Incoming:
        payload = {"v": self.random.randint(1, 3), "g": str(self.random.randint(1, 3))}
        key = {"idempotencyKey": f"key {self.random.randint(1, KEYS)}"} if self.random.random() < 0.3 else {}
        return event_of(tenant, payload, self.random.choice(["a", "b", "c"]), **key)._replace(buckets=("tenant",))

    async def process(self) -> None:
        """The batches that wait, of which some are taken by others, too."""
        async with self.worker.connection() as connection:
            query = "select distinct args ->> 'batch' from procrastinate.procrastinate_jobs where task_name = 'process_batch'"
            batches = await (await connection.execute(query)).fetchall()
        for (batch,) in self.random.sample(batches, min(3, len(batches))):
            await self.handlers.process_batch(BatchId(UUID(batch)), 1)

    async def send(self) -> None:
        """Deliveries, several in a job."""
        await self.handlers.enqueue_due()
        async with self.operator.connection() as connection:
            query = "select tenant_id, id from signalops.deliveries where status in ('pending', 'sending') order by random()"
            query += " limit 6"
            targets = await (await connection.execute(query)).fetchall()
        await self.handlers.send_deliveries([(TenantId(tenant), DeliveryId(delivery)) for tenant, delivery in targets])

    async def sweep(self) -> None:
        """What workers do from time to time."""
        sweeps: list[Callable[[], Awaitable[object]]] = [self.handlers.fire_due, self.handlers.tidy, self.handlers.enqueue_lost]
        sweeps += [self.handlers.make_partitions, self.handlers.retain, self.handlers.watch]
        sweeps += [Closer(self.worker, timedelta(days=-40)).run]
        await self.random.choice(sweeps)()

    async def manage(self) -> None:
        """What a tenant and an operator change."""
        tenant = self.anyone()
        meter = self.random.choice(["events", "m_sum", "m_group"])
        changes: list[tuple[str, list[Any]]] = [
            ("delete from signalops.limits where tenant_id = %s and meter = %s", [tenant, meter]),
            (
                "update signalops.tenants set rate_per_second = %s, rate_burst = 1000000 where id = %s",
                [self.random.randint(1, 9999), tenant],
            ),
            ("update signalops.rules set enabled = not enabled where tenant_id = %s", [tenant]),
            ("update signalops.channels set enabled = true where tenant_id = %s", [tenant]),
            (
                "update signalops.tenants set status = 'suspended', status_reason = 'a test' where id = %s and status = 'active'",
                [tenant],
            ),
            (
                "update signalops.tenants set status = 'active', status_reason = null where id = %s and status = 'suspended'",
                [tenant],
            ),
            ("select signalops.subscribe(%s, 'free', true, 'ann')", [tenant]),
            ("select signalops.grant_credit(%s, 30, 'USD', 'prepaid', 'ann')", [tenant]),
            ("select signalops.resume_tenants(100)", []),
            (
                "select signalops.retry_deliveries(%s, array(select id from signalops.deliveries where tenant_id = %s "
                "and status = 'retrying' order by random() limit 5))",
                [tenant, tenant],
            ),
            (
                "select signalops.cancel_deliveries(%s, array(select id from signalops.deliveries where tenant_id = %s "
                "and status in ('pending', 'retrying') order by random() limit 2))",
                [tenant, tenant],
            ),
        ]
        async with self.operator.connection() as connection, connection.transaction():
            await db.set_tenant(connection, tenant)
            query, values = self.random.choice(changes)
            await connection.execute(query.encode(), values)

    async def begin_month(self) -> None:
        """Rows that a month lacks: the next flushes make them."""
        async with self.operator.connection() as connection:
            chosen = "select ctid from signalops.accepted_counters order by random() limit 1"
            await connection.execute(f"delete from signalops.accepted_counters where ctid = ({chosen})".encode())

    async def limit(self) -> None:
        """Limits of a tenant that change, and with them the versions by which quantities are computed."""
        async with self.operator.connection() as connection:
            await limits.set_limit(
                connection,
                tenant=self.anyone(),
                meter=self.random.choice(["events", "m_sum", "m_group"]),
                soft=self.random.randint(5, 500),
                hard=10**9,
                thresholds=[],
                overage="refuse",
            )

    async def retry_or_discard(self) -> None:
        """Dead letters, retried and discarded."""
        tenant = self.anyone()
        async with db.as_tenant(self.api, tenant) as connection:
            chosen = {"ids": None, "kind": None, "channel": None, "rule": None, "error": None, "since": None, "until": None}
            if self.random.random() < 0.7:
                await dead_letter_sql.retry_dead_letters(connection, tenant, 10, **chosen)
            else:
                await dead_letter_sql.discard_dead_letters(connection, tenant, 2, "no use", **chosen)


@pytest.fixture
async def operations(
    settings: Settings, databases: Databases, database: str, owner: psycopg.Connection, receiver: Receiver
) -> AsyncIterator[Operations]:
    databases.admin.execute(sql.SQL("alter database {} set deadlock_timeout = '10ms'").format(sql.Identifier(database)))
    tenants = [make_tenant(owner, f"tenant-{n}") for n in range(TENANTS)]
    for tenant in tenants:
        set_rate(owner, tenant, 5000, 1_000_000)
        for key, aggregation in METERS.items():
            field = None if aggregation == "count" else "payload.v"
            add_meter(owner, tenant.id, key, aggregation, field=field, group_by=["payload.g"] if key == "m_group" else [])
        for columns in (
            {},
            {"time_window": {"count": 3, "within": "1h", "groupBy": ["payload.g"]}},
            {"digest": {"every": "1m"}},
            {"absent": {"for": "1m"}},
        ):
            make_rule(owner, tenant, {"type": ["a", "b"]}, url=receiver.url, **columns)
    async with (
        db.pool(settings, "api", AT_ONCE) as api,
        db.pool(settings, "worker", AT_ONCE) as worker,
        db.pool(settings, "owner", AT_ONCE) as operator,
    ):
        sender = Sender(worker, settings)
        yield Operations(api, worker, operator, JobHandlers(worker, sender), tenants, Random(), LimitedMeters(api))
        await sender.close()


EVERYTHING = (
    ["accept"] * 6 + ["process"] * 4 + ["send"] * 3 + ["manage"] * 3 + ["sweep", "retry_or_discard", "begin_month", "limit"]
)
MONTH = ["accept"] * 8 + ["begin_month"] * 8 + ["limit"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("names", [EVERYTHING, MONTH], ids=["everything", "the beginning of a month"])
async def test_nothing_that_happens_at_once_deadlocks(
    operations: Operations, owner: psycopg.Connection, names: list[str]
) -> None:
    done: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    deadlocked: list[str] = []
    until = time.monotonic() + SECONDS
    chosen_from = [getattr(operations, name) for name in names]

    async def work() -> None:
        while time.monotonic() < until:
            operation = operations.random.choice(chosen_from)
            done[operation.__name__] += 1
            try:
                await operation()
            except HARMLESS as error:
                refused[f"{operation.__name__}: {type(error).__name__}"] += 1
                if isinstance(error, psycopg.errors.DeadlockDetected):
                    deadlocked.append(f"{operation.__name__}: {error.diag.message_detail} {error.diag.context}")

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    print(dict(done), dict(refused), *deadlocked, sep="\n")
    assert all(done[operation.__name__] > 10 for operation in chosen_from)
    assert deadlocked == []
    for pool in (operations.api, operations.worker, operations.operator):
        await pool.close()
    assert owner.execute(DEADLOCKS).fetchone() == (0,)
