"""Events that take long to decide about end neither their transaction nor the worker's other jobs."""

import asyncio
import time

import psycopg
import pytest

from signalops import db
from tests.support.rules import make_rule
from tests.support.tenants import Tenant
from tests.support.worlds.pipeline import Pipeline

_AGE = "select extract(epoch from state_change - xact_start) from pg_stat_activity where pid = %s"


async def _hasty(connection: db.Connection) -> int:
    """Have the transaction ended when it is idle for a second and a half; return the process id of its backend."""
    await connection.execute("set local idle_in_transaction_session_timeout = '1500ms'")
    return connection.info.backend_pid


def _await_use(owner: psycopg.Connection, pid: int, seconds: float) -> bool:
    """Wait until a transaction was used so many seconds after its begin (True), or has been ended (False)."""
    until = time.monotonic() + 15
    while row := owner.execute(_AGE, [pid]).fetchone():
        assert time.monotonic() < until, "it was neither used nor ended"
        if row[0] is not None and row[0] > seconds:
            return True
        time.sleep(0.02)
    return False


async def test_a_transaction_is_used_while_work_goes_on_beside_it(worker_pool: db.Pool, owner: psycopg.Connection) -> None:
    async with worker_pool.connection() as connection, connection.transaction():
        pid = await _hasty(connection)
        assert await db.run_in_thread(connection, lambda: _await_use(owner, pid, 3))
        await connection.execute("select 1")


async def test_it_would_be_ended_otherwise(worker_pool: db.Pool, owner: psycopg.Connection) -> None:
    async def idle() -> None:
        async with worker_pool.connection() as connection, connection.transaction():
            pid = await _hasty(connection)
            assert not await asyncio.to_thread(_await_use, owner, pid, 3)
            await connection.execute("select 1")

    with pytest.raises(db.REFUSAL, match="idle-in-transaction"):
        await idle()


async def test_large_events_are_processed_as_others_are(pipeline: Pipeline, acme: Tenant, globex: Tenant) -> None:
    make_rule(pipeline.owner, acme, {"payload": {"n": [{"numeric": [">=", 3]}]}})
    note = "n" * 300_000
    batch = await pipeline.accept(*[(acme, {"n": n, "note": note}) for n in range(5)], (globex, {"n": 3}))
    await pipeline.handlers.process_batch(batch, 1)

    assert (pipeline.used(acme), pipeline.used(globex)) == (5, 1)
    assert len(pipeline.jobs("send_delivery")) == 2
