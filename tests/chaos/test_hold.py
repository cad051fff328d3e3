"""A tenant that is suspended and resumed again and again under load: nothing is lost, counted twice or stuck."""

import asyncio
import random
from pathlib import Path

import psycopg

from signalops.config import Settings
from tests.chaos.conftest import World
from tests.chaos.processes import eventually, worker

STUCK = """
    select 'resuming' from signalops.tenants where is_resuming
    union all select 'digest' from signalops.digests where due_at = 'infinity'
    union all select 'group' from signalops.rule_groups where due_at = 'infinity'
    union all select 'queue' from signalops.channel_queues where next_due_at = 'infinity'
    union all select 'delivery' from signalops.deliveries d where status in ('pending', 'sending')
      and not exists (select from procrastinate.procrastinate_jobs j where j.args::text like '%' || d.id || '%')
      and next_attempt_at is null
"""
TOGGLES = 50


def become(owner: psycopg.Connection, world: World, status: str) -> None:
    """Move the first tenant to a status."""
    owner.execute("update signalops.tenants set status = %s where id = %s", [status, world.tenants[0].id])


async def test_a_tenant_that_comes_and_goes_under_load(world: World, settings: Settings, tmp_path: Path) -> None:
    world.owner.execute("update signalops.channels set enabled = true")
    for t in world.tenants:
        from tests.people import make_rule

        make_rule(world.owner, t, {"payload": {"rare": [True]}}, digest={"every": "1s"})
    dice = random.Random(6)
    async with worker(settings, "--concurrency=4", kept=True) as one, worker(settings, "--concurrency=4", kept=True):
        await eventually(lambda: world.workers() == 2)
        import signal

        for n in range(TOGGLES):
            await world.accept(6)
            become(world.owner, world, "suspended")
            await world.accept(3)
            await asyncio.sleep(dice.random() / 5)
            become(world.owner, world, "active")
            await asyncio.sleep(dice.random() / 5)
            if n % 10 == 9:
                one.send(signal.SIGKILL)
        import time

        t0 = time.time()
        try:
            await eventually(lambda: world.is_done() and not world.count(STUCK), 60)
        finally:
            print("drained in", time.time() - t0)
            print(
                world.owner.execute(STUCK).fetchall()[:5],
                world.owner.execute("select status, count(*) from signalops.deliveries group by 1").fetchall(),
                world.owner.execute("select tenant_id, is_held, count(*) from signalops.inbox group by 1,2").fetchall(),
                world.owner.execute(
                    "select task_name, status, count(*) from procrastinate.procrastinate_jobs group by 1,2"
                ).fetchall(),
            )
    world.check()
