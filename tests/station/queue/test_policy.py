"""When a job that raised runs again: always, and never at once in a circle."""

import asyncio

import psycopg
import pytest
from procrastinate.jobs import Job
from procrastinate.utils import utcnow

from signalops.queue.policy import RetryAlways


def wait(attempts: int, error: BaseException) -> float:
    """Return the seconds that the policy makes a job wait."""
    job = Job(id=1, queue="events", lock=None, queueing_lock=None, task_name="process_batch", attempts=attempts)
    decision = RetryAlways().get_retry_decision(exception=error, job=job)
    assert decision.retry_at is not None
    return (decision.retry_at - utcnow()).total_seconds()


@pytest.mark.parametrize(("attempts", "least", "most"), [(0, 0.25, 0.5), (3, 2, 4), (7, 30, 60), (1_000_000, 30, 60)])
def test_the_wait_doubles_to_a_minute_with_jitter(attempts: int, least: float, most: float) -> None:
    waits = [wait(attempts, psycopg.OperationalError()) for _ in range(50)]
    assert all(least - 0.1 <= seconds <= most for seconds in waits)
    assert max(waits) - min(waits) > (most - least) / 4


@pytest.mark.parametrize("attempts", [0, 1_000_000])
def test_a_job_that_a_shutdown_cuts_off_runs_at_once(attempts: int) -> None:
    assert wait(attempts, asyncio.CancelledError()) <= 0
