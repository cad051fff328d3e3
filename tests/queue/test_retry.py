"""When a job that raised runs again: always, and never at once in a circle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from procrastinate import BaseRetryStrategy
from procrastinate.jobs import Job
from procrastinate.utils import utcnow

from signalops import db
from signalops.config import Settings
from signalops.jobs import jobs_of
from signalops.queue.app import make_app, register
from signalops.queue.retry import RetryAlways, RetryCutOff
from tests.support.worlds.pipeline import Pipeline


def wait(policy: BaseRetryStrategy, attempts: int, error: BaseException) -> float:
    """Return the seconds that the policy makes a job wait."""
    job = Job(id=1, queue="events", lock=None, queueing_lock=None, task_name="process_batch", attempts=attempts)
    decision = policy.get_retry_decision(exception=error, job=job)
    assert decision is not None
    assert decision.retry_at is not None
    return (decision.retry_at - utcnow()).total_seconds()


@pytest.mark.parametrize(("attempts", "least", "most"), [(0, 0.25, 0.5), (3, 2, 4), (7, 30, 60), (1_000_000, 30, 60)])
def test_the_wait_doubles_to_a_minute_with_jitter(attempts: int, least: float, most: float) -> None:
    waits = [wait(RetryAlways(), attempts, psycopg.OperationalError()) for _ in range(50)]
    assert all(least - 0.1 <= seconds <= most for seconds in waits)
    assert max(waits) - min(waits) > (most - least) / 4


async def test_whatever_a_shutdown_cuts_off_runs_at_once(pipeline: Pipeline, settings: Settings) -> None:
    @asynccontextmanager
    async def nothing() -> AsyncIterator[None]:
        yield

    app = make_app(db.pool(settings, "worker", 1), 1, nothing)
    register(app, jobs_of(pipeline.handlers), pipeline.handlers.record_maintenance_run)
    ours = {name: task for name, task in app.tasks.items() if "builtin" not in name}
    assert {"process_batch", "send_delivery", "enqueue_due", "rescue_stalled"} <= ours.keys()
    for name, task in ours.items():
        assert task.retry_strategy is not None, f"{name} would end as aborted"
        for attempts in (0, 1_000_000):
            assert wait(task.retry_strategy, attempts, asyncio.CancelledError()) <= 0


def test_what_a_maintenance_job_failed_to_do_the_next_tick_does() -> None:
    job = Job(id=1, queue="maintenance", lock=None, queueing_lock=None, task_name="enqueue_due")
    assert RetryCutOff().get_retry_decision(exception=RuntimeError(), job=job) is None
