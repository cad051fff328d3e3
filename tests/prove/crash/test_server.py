"""PostgreSQL ends a worker's session at each table that processing a batch writes to; the same worker does it all again."""

import asyncio
from pathlib import Path

import pytest

from signalops.config import Settings
from tests.prove.crash.conftest import Shop
from tests.prove.crash.relay import Relay
from tests.prove.crash.spare_worker import processing
from tests.prove.crash.test_crash_matrix import lone
from tests.support.processes import eventually

TABLES = (
    "inbox",
    "digests",
    "rule_states",
    "window_events",
    "matches",
    "deliveries",
    "channel_schedules",
    "batch_results",
    "usage_entries",
    "usage_distinct_values",
    "usage_counters",
    "usage_row_counts",
)
WRITTEN = """
  select distinct c.relname from pg_locks l join pg_class c on c.oid = l.relation
  where l.mode = 'RowExclusiveLock' and c.relnamespace = 'signalops'::regnamespace
    and c.relkind in ('r', 'p') and not c.relispartition
    and l.pid = (select pid from pg_stat_activity where datname = current_database() and state = 'idle in transaction')
"""
END_SESSIONS = """
  select pg_terminate_backend(pid, 10000) from pg_locks
  where locktype = 'advisory' and objid = 1 and not granted
    and database = (select oid from pg_database where datname = current_database())
"""


async def test_the_gates_stand_at_every_table_that_a_batch_is_written_to(shop: Shop, settings: Settings, tmp_path: Path) -> None:
    await shop.accept(batches=1)
    async with (
        Relay(settings, tmp_path, lambda boundary: boundary == "before COMMIT") as relay,
        lone(relay.settings),
        asyncio.timeout(15),
    ):
        await relay.stopped.wait()
        written = {table for (table,) in shop.owner.execute(WRITTEN)}
    assert written == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
async def test_a_batch_counts_once_whenever_its_session_is_ended(shop: Shop, settings: Settings, table: str) -> None:
    await shop.accept(batches=1)
    shop.close_gate(table)
    async with processing(settings):
        await eventually(lambda: shop.waiting_batches() == 1)
        assert shop.owner.execute(END_SESSIONS).fetchall() == [(True,)]
        shop.open_gate()
        shop.remove_gate()
        await eventually(shop.is_done)
    shop.check()
    assert shop.notified(shop.windows) == 2, "one window is full in each shop"
