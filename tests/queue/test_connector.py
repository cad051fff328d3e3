"""A worker outlives what befalls its connections, and its maintenance what befalls its other jobs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import psycopg
import pytest
from procrastinate import App

from signalops import clock, db
from signalops.config import Settings
from signalops.queue.app import make_app
from signalops.queue.jobs import MAINTENANCE
from tests.support.processes import eventually
from tests.support.tenants import Tenant

HANG_UP = """
  select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and application_name = 'signalops worker'
"""
WAITING_FETCHES = """
  select from pg_locks join pg_stat_activity using (pid)
  where not granted and application_name = 'signalops worker' and query like '%procrastinate_fetch_job%'
"""


def _waiting_fetches(owner: psycopg.Connection) -> list[tuple[()]]:
    owner.execute("select pg_stat_clear_snapshot()")  # kept for a whole transaction otherwise
    return owner.execute(WAITING_FETCHES).fetchall()


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def working(app: App) -> AsyncIterator[asyncio.Task[None]]:
    """Run a worker with one slot, and end it."""
    async with app.open_async():
        worker = asyncio.create_task(app.run_worker_async(install_signal_handlers=False))
        try:
            yield worker
        finally:
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker


@pytest.fixture(autouse=True)
def search_path(owner: psycopg.Connection) -> None:
    owner.execute("set search_path = signalops, procrastinate")  # for the triggers of the job table


@pytest.fixture
def app(settings: Settings) -> App:
    return make_app(db.pool(settings, "worker", 4), 1, nothing, db.listening(settings, "worker"))


async def test_maintenance_runs_while_all_other_slots_hang(app: App) -> None:
    ran: asyncio.Queue[str] = asyncio.Queue()
    hanging, end = asyncio.Event(), asyncio.Event()

    @app.task(name="hang", queue="events")
    async def hang() -> None:
        hanging.set()
        await end.wait()

    @app.task(name="sweep", queue=MAINTENANCE)
    async def sweep() -> None:
        ran.put_nowait("swept")

    async with working(app):
        await hang.defer_async()
        await asyncio.wait_for(hanging.wait(), 10)
        await sweep.defer_async()
        assert await asyncio.wait_for(ran.get(), 10) == "swept"
        assert not end.is_set()
        end.set()


async def test_a_job_whose_fetch_was_not_heard_of_is_run_all_the_same(app: App, owner: psycopg.Connection) -> None:
    ran: asyncio.Queue[int] = asyncio.Queue()

    @app.task(name="note", queue="events")
    async def note(number: int) -> None:
        ran.put_nowait(number)

    async with working(app) as worker:
        await note.defer_async(number=1)
        assert await asyncio.wait_for(ran.get(), 10) == 1
        with owner.transaction():
            owner.execute("lock table procrastinate.procrastinate_jobs in access exclusive mode")
            await eventually(lambda: _waiting_fetches(owner))
            # What a fetch leaves whose answer was lost: a job of a worker that lives on and does not know of it.
            owner.execute(
                "insert into procrastinate.procrastinate_jobs (queue_name, task_name, args, status, worker_id) "
                "select 'events', 'note', '{\"number\": 2}', 'doing', id from procrastinate.procrastinate_workers"
            )
            owner.execute(HANG_UP)
        assert await asyncio.wait_for(ran.get(), 10) == 2
        assert not worker.done()


@pytest.mark.parametrize(("due", "given"), [("2 hours", 1), ("1 minute", 0), (None, 0)])
async def test_a_batch_whose_job_is_due_in_hours_has_none(
    owner: psycopg.Connection, worker_pool: db.Pool, acme: Tenant, due: str | None, given: int
) -> None:
    batch = clock.uuid7_floor(clock.now() - timedelta(minutes=1))
    owner.execute(
        "insert into signalops.inbox (tenant_id, event_id, batch) values (%s, %s, %s)", [acme.id, clock.new_id(), batch]
    )
    owner.execute(
        "insert into procrastinate.procrastinate_jobs (queue_name, task_name, args, scheduled_at) "
        "values ('events', 'process_batch', jsonb_build_object('batch', %s::text), now() + %s::interval)",
        [str(batch), due],
    )
    async with worker_pool.connection() as connection:
        found = await (await connection.execute("select signalops.enqueue_lost_batches('10 seconds', 10)")).fetchone()
    assert found == (given,)
