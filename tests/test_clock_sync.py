"""A machine whose clock is off goes by PostgreSQL's, and says so."""

import time
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from procrastinate.jobs import Job

from signalops import clock, clock_sync, db
from signalops.queue.retry import RetryAlways
from tests.support.api import capture_log

HOUR = 3600.0
JOB = Job(id=1, queue="events", lock=None, queueing_lock=None, task_name="process_batch")


@pytest.fixture(autouse=True)
def uncorrected() -> Iterator[None]:
    yield
    clock.correct(0)


def wrong_by(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set this machine's clock wrong, as far as Python sees it."""
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + seconds)


@pytest.mark.parametrize("seconds", [2 * HOUR, -2 * HOUR, 5.0])
async def test_a_clock_that_is_off_is_corrected_and_told_of(
    worker_pool: db.Pool, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    wrong_by(seconds, monkeypatch)
    with capture_log("clock.corrected") as emitted:
        await clock_sync.measure(worker_pool)
        await clock_sync.measure(worker_pool)
    row = owner.execute("select clock_timestamp()").fetchone()
    assert row
    assert abs(clock.now() - row[0]) < timedelta(seconds=1)
    assert abs(clock.unix() - row[0].timestamp()) < 2
    assert emitted.qsize() == 1
    assert emitted.get_nowait()["seconds"] == pytest.approx(-seconds, abs=0.5)
    monkeypatch.undo()
    await clock_sync.measure(worker_pool)
    assert clock.corrected() == 0.0


async def test_clocks_that_agree_are_left_alone(worker_pool: db.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_by(0.5, monkeypatch)
    await clock_sync.measure(worker_pool)
    assert clock.corrected() == 0.0


def test_ids_and_retries_go_by_the_corrected_clock() -> None:
    before = clock.new_id()
    clock.correct(-2 * HOUR)
    shifted = clock.uuid7_time(clock.new_id()) - clock.uuid7_time(before)
    assert abs(shifted + timedelta(hours=2)) < timedelta(seconds=1)
    decision = RetryAlways().get_retry_decision(exception=ValueError(), job=JOB)
    assert decision.retry_at
    assert timedelta(0) < decision.retry_at - clock.now() <= timedelta(seconds=0.5)
    ids = [clock.new_id() for _ in range(1000)]
    assert ids == sorted(ids)
