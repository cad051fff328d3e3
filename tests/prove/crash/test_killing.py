"""Workers that are killed again and again while work goes on: while all is posted twice, and on one hot tenant."""

import asyncio
import signal
from itertools import count
from pathlib import Path
from random import Random

from signalops.config import Settings
from tests.prove.crash.conftest import Shop
from tests.prove.crash.relay import Relay
from tests.prove.crash.spare_worker import finish
from tests.support.processes import Process, api, eventually, worker
from tests.support.producers import producers

STEP = 10
"""Batches that are processed between two kills."""
LIVES = 5
"""How often each of two workers is killed."""
MAX_SECONDS_ALIVE = 60
"""Boundaries that a worker may live to pass, of all the batches that it runs at once."""


async def processed(batches: int, shop: Shop) -> None:
    """Return when so many more batches are processed."""
    query = "select from signalops.batch_results"
    before = shop.number_of(query)
    await eventually(lambda: shop.number_of(query) >= before + batches)


async def kill_after(batches: int, shop: Shop, victim: Process) -> None:
    """Kill a worker in the middle of the work."""
    deaths = len(victim.codes)
    await processed(batches, shop)
    victim.send(signal.SIGKILL)
    await eventually(lambda: len(victim.codes) > deaths)


async def test_what_is_posted_twice_at_once_counts_once_while_workers_are_killed(
    shop: Shop, settings: Settings, tmp_path: Path
) -> None:
    socket = tmp_path / "api"
    async with api(settings, socket), producers(socket, shop.tenants) as load, producers(socket, shop.tenants) as twin:
        await load.ready()
        async with worker(settings, restarts=True) as first, worker(settings, restarts=True) as second:
            running = asyncio.gather(load.run(), twin.run())
            for victim in (first, second, first):
                await kill_after(STEP, shop, victim)
            await processed(STEP, shop)
            load.stop()
            twin.stop()
            await running
    assert first.codes + second.codes == [-signal.SIGKILL] * 5, "three in the middle, and both at the end"
    both = load.acknowledged.keys() & twin.acknowledged.keys()
    assert len(both) > 100
    assert all(load.acknowledged[key] == twin.acknowledged[key] for key in both)
    await finish(settings)
    shop.acknowledged = [(t.id, event) for (t, _), event in (load.acknowledged | twin.acknowledged).items()]
    shop.check()


async def live(settings: Settings, folder: Path, port: int, boundaries: int) -> None:
    """Be a worker that is killed when it has passed some boundaries."""
    passed = count(1)
    async with Relay(settings, folder, lambda _: next(passed) == boundaries, port) as relay, worker(relay.settings) as victim:
        async with asyncio.timeout(20):
            await relay.stopped.wait()
        victim.send(signal.SIGKILL)
        await victim.ended()
        await relay.cut()


async def live_on(settings: Settings, folder: Path, port: int) -> None:
    """Start a worker again whenever it is killed; the port is also the seed of chance."""
    chance = Random(port)
    for _ in range(LIVES):
        await live(settings, folder, port, chance.randint(1, MAX_SECONDS_ALIVE))


async def test_a_hot_tenant_counts_once_while_its_workers_are_killed_anywhere(
    hot_shop: Shop, settings: Settings, tmp_path: Path
) -> None:
    await hot_shop.accept(batches=250)
    async with asyncio.TaskGroup() as workers:
        for port in (1, 2):
            workers.create_task(live_on(settings, tmp_path, port))
    assert not hot_shop.is_done(), "there was work to the last kill"
    await finish(settings)
    hot_shop.check()
    assert hot_shop.notified(hot_shop.rules) == 250
