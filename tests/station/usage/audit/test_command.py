"""signalops audit: what it says and exits with; and months whose events have outlived their retention."""

import asyncio
import json
import os
import sys
from typing import Any, NamedTuple

import pytest

from tests.station.usage.audit.conftest import World

FORGED = "update signalops.usage_days set quantity = quantity + 1 where meter = 'm_sum'"


class Done(NamedTuple):
    """How the command ended, and what it said."""

    code: int | None
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def run(world: World, *arguments: str) -> Done:
    """Run the command on a world's database."""
    assert world.settings.database_url
    environment = {**os.environ, "DATABASE_URL": world.settings.database_url.get_secret_value()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "signalops", "audit", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Done(process.returncode, out.decode(), err.decode())


async def test_it_says_what_was_checked_and_that_all_is_proven(proven: World) -> None:
    done = await run(proven)
    assert (done.code, done.err) == (0, "")
    assert "2 tenants" in done.out
    assert "Every figure is proven." in done.out
    of_one = (await run(proven, "--tenant", "acme", "--json")).json
    assert of_one["differences"] == []
    assert of_one["checked"]["tenants"] == 1
    assert min(of_one["checked"].values()) > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--tenant", "nobody"), "There is no tenant 'nobody'"), (("--period", "2026-13"), "is no billing period")],
)
async def test_what_there_is_not_is_refused(proven: World, arguments: tuple[str, str], said: str) -> None:
    done = await run(proven, *arguments)
    assert done.code == 1
    assert said in done.err


async def test_a_difference_is_told_in_its_period_and_exits_with_one(world: World) -> None:
    await world.live()
    query = "update signalops.usage_counters set value = value + 1 where meter = 'm_sum' and period = "
    query += "(select max(period) from signalops.usage_counters) returning to_char(period, 'YYYY-MM')"
    raised = [period for (period,) in world.owner.execute(query.encode())]
    done = await run(world)
    assert done.code == 1
    assert f"{len(raised)} differences" in done.out
    told = (await run(world, "--json")).json["differences"]
    assert {(d["tenant"], d["check"], d["period"]) for d in told} == {("acme", "counter", raised[0])}
    assert (await run(world, "--period", raised[0])).code == 1
    for other in (
        "2026-01",
        *{p for (p,) in world.owner.execute("select to_char(period, 'YYYY-MM') from signalops.usage_seals")},
    ):
        assert (await run(world, "--period", other)).code == 0


@pytest.mark.parametrize("tables", [("events",), ("events", "usage_entries", "batches")], ids=["events", "all"])
async def test_seals_prove_what_has_outlived_its_events(world: World, tables: tuple[str, ...]) -> None:
    await world.live()
    world.outlive(*tables)
    assert world.owner.execute("select from signalops.events").fetchall() == []
    done = await run(world, "--json")
    assert (done.code, done.json["differences"]) == (0, [])
    with world.owner.transaction():
        world.owner.execute("set local session_replication_role = replica")
        world.owner.execute(FORGED)
    done = await run(world, "--json")
    assert done.code == 1
    assert {d["check"] for d in done.json["differences"]} == {"sealed", "chain"}
