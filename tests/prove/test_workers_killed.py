"""Workers that die or are stopped in the middle of a batch."""

import asyncio
import signal

import pytest

from signalops import db
from signalops.config import Settings
from tests.support.processes import eventually, worker
from tests.support.worlds.traffic import Traffic


async def test_a_killed_workers_batches_are_processed_by_another_within_15_seconds(traffic: Traffic, settings: Settings) -> None:
    await traffic.accept_apart(batches=3)
    traffic.close_gate()
    async with worker(settings) as victim:
        await eventually(lambda: traffic.waiting_batches() == 3)
        async with worker(settings):
            await eventually(lambda: traffic.workers() == 2)
            victim.send(signal.SIGKILL)
            assert await victim.ended() == -signal.SIGKILL
            traffic.open_gate()
            assert not traffic.is_done()
            await eventually(traffic.is_done, seconds=15)
    traffic.check()


async def test_a_frozen_workers_batch_is_processed_by_another_and_not_again_when_it_thaws(
    traffic: Traffic, settings: Settings
) -> None:
    await traffic.accept(batches=1)
    traffic.close_gate()
    async with worker(settings) as frozen:
        await eventually(lambda: traffic.waiting_batches() == 1)
        async with worker(settings):
            await eventually(lambda: traffic.workers() == 2)
            frozen.send(signal.SIGSTOP)
            traffic.open_gate()
            await eventually(traffic.is_done, seconds=20)
            frozen.send(signal.SIGCONT)
            await traffic.accept(batches=3)
            await eventually(lambda: traffic.is_done() and not traffic.jobs("doing"))
    traffic.check()


async def test_a_stopped_worker_finishes_what_it_has_and_leaves_the_rest(traffic: Traffic, settings: Settings) -> None:
    await traffic.accept_apart(batches=6)
    traffic.close_gate()
    async with worker(settings, "--concurrency=4") as first:
        await eventually(lambda: traffic.waiting_batches() == 4)
        first.send(signal.SIGTERM)
        traffic.open_gate()
        assert await first.ended() == 0
    assert (traffic.jobs("doing"), traffic.jobs("todo")) == (0, 2)
    async with worker(settings):
        await eventually(traffic.is_done)
    traffic.check()


@pytest.mark.parametrize("seconds", [0, 1])
async def test_a_stopped_worker_gives_back_what_it_cannot_finish(traffic: Traffic, settings: Settings, seconds: int) -> None:
    await traffic.accept_apart(batches=6)
    traffic.close_gate()
    async with worker(settings, "--concurrency=4", f"--shutdown-graceful-timeout={seconds}") as first:
        await eventually(lambda: traffic.waiting_batches() == 4)
        first.send(signal.SIGTERM)
        assert await first.ended() == 0
    assert (traffic.jobs("doing"), traffic.jobs("todo")) == (0, 6)
    traffic.open_gate()
    async with worker(settings):
        await eventually(traffic.is_done)
    traffic.check()


NOTIFY = """select pg_notify('procrastinate_any_queue_v1', '{"type": "job_inserted", "job_id": 1}')"""


async def test_a_worker_that_is_stopped_under_load_ends_at_once(traffic: Traffic, settings: Settings) -> None:
    """Notifications that arrive all the time must not keep its listener from being cancelled."""
    is_over = asyncio.Event()

    async def notify() -> None:
        async with db.dedicated(db.dsn(settings, "worker")) as connection:
            while not is_over.is_set():
                await connection.execute(NOTIFY)

    notifying = asyncio.create_task(notify())
    try:
        for _ in range(5):
            async with worker(settings) as stopped:
                await eventually(lambda: traffic.workers() >= 1)
                await traffic.accept(batches=1)
                await eventually(traffic.is_done)
                stopped.send(signal.SIGTERM)
                assert await stopped.ended(seconds=2) == 0
    finally:
        is_over.set()
        await notifying
    traffic.check()
