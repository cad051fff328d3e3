"""A worker is killed at every boundary of every statement that processing a batch takes; each time all is done once."""

import asyncio
import signal
from pathlib import Path

import pytest

from signalops.config import Settings
from tests.prove.crash.conftest import Shop
from tests.prove.crash.relay import Relay
from tests.prove.crash.spare_worker import finish
from tests.support.processes import Process, eventually, worker

# For each tenant its meters, its rules and its silences.
LOADED = ("set_tenant", "tenants", "set_tenant 2", "ruleset_versions", "silences")
LOADED_NEXT = ("set_tenant 3", "tenants 2", "set_tenant 4", "ruleset_versions 2", "silences 2")
READ = ("prepare read_batch", "read_batch")
RECORDED = ("prepare record_batch", "record_batch")
STATEMENTS = ("fetch_job", "BEGIN", *READ, *LOADED, *LOADED_NEXT, *RECORDED, "COMMIT")
BOUNDARIES = [f"{when} {statement}" for statement in STATEMENTS for when in ("before", "after")]
COMMITTED = BOUNDARIES[BOUNDARIES.index("after COMMIT") :]
REPLAYED = ("after read_batch", "before COMMIT", "after COMMIT")


def lone(settings: Settings) -> Process:
    """A worker that processes one batch after the other, and does nothing else."""
    return worker(settings, "--queues=events", "--concurrency=1")


async def kill_at(boundary: str, settings: Settings, folder: Path) -> None:
    """Kill a worker at a boundary of its first batch; return when PostgreSQL has noticed."""
    async with Relay(settings, folder, lambda passed: passed == boundary) as relay, lone(relay.settings) as victim:
        async with asyncio.timeout(15):
            await relay.stopped.wait()
        victim.send(signal.SIGKILL)
        assert await victim.ended() == -signal.SIGKILL
        await relay.cut()


async def test_the_matrix_has_every_boundary(shop: Shop, settings: Settings, tmp_path: Path) -> None:
    await shop.accept(batches=1)
    async with Relay(settings, tmp_path) as relay, lone(relay.settings):
        await eventually(lambda: BOUNDARIES[-1] in relay.trail)
    assert relay.trail[: len(BOUNDARIES)] == BOUNDARIES


@pytest.mark.parametrize("boundary", BOUNDARIES)
async def test_a_batch_counts_once_whenever_its_worker_is_killed(
    shop: Shop, settings: Settings, tmp_path: Path, boundary: str
) -> None:
    await shop.accept(batches=1)
    await kill_at(boundary, settings, tmp_path)
    assert shop.is_done() == (boundary in COMMITTED)
    await finish(settings)
    shop.check()
    assert shop.notified(shop.windows) == 2, "one window is full in each shop"
    assert shop.jobs("doing") == 0


@pytest.mark.parametrize("boundary", REPLAYED)
async def test_a_replay_is_told_once_and_never_billed_whenever_its_worker_is_killed(
    shop: Shop, settings: Settings, tmp_path: Path, boundary: str
) -> None:
    await shop.accept(batches=2)
    await finish(settings)
    await shop.replay()
    assert not shop.is_done()
    await kill_at(boundary, settings, tmp_path)
    await finish(settings)
    shop.check()
    assert shop.notified(shop.rules) == 2 * 4, "each rare order once, and once more by its replay"
