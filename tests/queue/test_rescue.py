"""The jobs of workers that died are given back; those of living workers are left alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from procrastinate import App

from signalops import db
from signalops.config import Settings
from signalops.constants import WORKER_SILENCE
from signalops.queue.app import make_app
from signalops.queue.rescue import MAX_ATTEMPTS, rescue_stalled


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    """The App as a worker has it, without a worker."""

    @asynccontextmanager
    async def nothing() -> AsyncIterator[None]:
        yield

    async with make_app(db.pool(settings, "worker", 2), 1, nothing).open_async() as app:
        yield app


def held_job(owner: psycopg.Connection, silent_for: float, attempts: int = 0) -> int:
    """Make a job that a worker holds which was last heard of some seconds ago; return its id."""
    row = owner.execute(
        """
        with w as (
          insert into procrastinate.procrastinate_workers (last_heartbeat) values (now() - %s * interval '1 s') returning id
        )
        insert into procrastinate.procrastinate_jobs (queue_name, task_name, status, worker_id, attempts)
        select 'events', 'process_batch', 'doing', id, %s from w returning id
        """,
        [silent_for, attempts],
    ).fetchone()
    assert row is not None
    return int(row[0])


def status(owner: psycopg.Connection, job: int) -> str:
    row = owner.execute("select status from procrastinate.procrastinate_jobs where id = %s", [job]).fetchone()
    assert row is not None
    return str(row[0])


async def test_a_silent_workers_job_is_given_back_and_no_other(app: App, owner: psycopg.Connection) -> None:
    stalled, alive = held_job(owner, silent_for=WORKER_SILENCE + 1), held_job(owner, silent_for=WORKER_SILENCE - 2)
    await rescue_stalled(app.job_manager, WORKER_SILENCE)
    assert (status(owner, stalled), status(owner, alive)) == ("todo", "doing")


async def test_a_worker_that_was_struck_off_leaves_no_job_behind(app: App, owner: psycopg.Connection) -> None:
    job = held_job(owner, silent_for=0)
    owner.execute("delete from procrastinate.procrastinate_workers")
    await rescue_stalled(app.job_manager, WORKER_SILENCE)
    assert status(owner, job) == "todo"


async def test_a_job_that_kills_its_workers_ends_as_failed(app: App, owner: psycopg.Connection) -> None:
    last, beyond = (held_job(owner, 60, attempts) for attempts in (MAX_ATTEMPTS - 1, MAX_ATTEMPTS))
    await rescue_stalled(app.job_manager, WORKER_SILENCE)
    assert (status(owner, last), status(owner, beyond)) == ("todo", "failed")
