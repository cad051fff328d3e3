"""Workers that die or are stopped in the middle of a batch."""

import signal

import pytest

from signalops.config import Settings
from tests.chaos.conftest import World
from tests.chaos.processes import eventually, worker


async def test_a_killed_workers_batches_are_processed_by_another_within_15_seconds(
    world: World, settings: Settings
) -> None:
    await world.accept(batches=3)
    world.close_gate()
    async with worker(settings) as victim:
        await eventually(lambda: world.held() == 3)
        async with worker(settings):
            await eventually(lambda: world.workers() == 2)
            victim.send(signal.SIGKILL)
            assert await victim.ended() == -signal.SIGKILL
            world.open_gate()
            assert not world.is_done()
            await eventually(world.is_done, seconds=15)
    world.check()


async def test_a_frozen_workers_batch_is_processed_by_another_and_not_again_when_it_thaws(
    world: World, settings: Settings
) -> None:
    await world.accept(batches=1)
    world.close_gate()
    async with worker(settings) as frozen:
        await eventually(lambda: world.held() == 1)
        async with worker(settings):
            await eventually(lambda: world.workers() == 2)
            frozen.send(signal.SIGSTOP)
            world.open_gate()
            await eventually(world.is_done, seconds=20)
            frozen.send(signal.SIGCONT)
            await world.accept(batches=3)
            await eventually(lambda: world.is_done() and not world.jobs("doing"))
    world.check()


async def test_a_stopped_worker_finishes_what_it_has_and_leaves_the_rest(world: World, settings: Settings) -> None:
    await world.accept(batches=6)
    world.close_gate()
    async with worker(settings, "--concurrency=4") as first:
        await eventually(lambda: world.held() == 4)
        first.send(signal.SIGTERM)
        world.open_gate()
        assert await first.ended() == 0
    assert (world.jobs("doing"), world.jobs("todo")) == (0, 2)
    async with worker(settings):
        await eventually(world.is_done)
    world.check()


@pytest.mark.parametrize("seconds", [0, 1])
async def test_a_stopped_worker_gives_back_what_it_cannot_finish(
    world: World, settings: Settings, seconds: int
) -> None:
    await world.accept(batches=6)
    world.close_gate()
    async with worker(settings, "--concurrency=4", f"--shutdown-graceful-timeout={seconds}") as first:
        await eventually(lambda: world.held() == 4)
        first.send(signal.SIGTERM)
        assert await first.ended() == 0
    assert (world.jobs("doing"), world.jobs("todo")) == (0, 6)
    world.open_gate()
    async with worker(settings):
        await eventually(world.is_done)
    world.check()
