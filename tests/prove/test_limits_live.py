"""Limits are exact across processes: sixteen posters, three API processes, and limits that change in mid-traffic."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest

from signalops.config import Settings
from tests.support.api import SIGNUP, Client, running_process
from tests.support.processes import eventually
from tests.support.rows import add_meter
from tests.support.tenants import Tenant, set_limit

POSTERS = 16
GIGABYTES = 7
_REACHED = "select from signalops.events where type = 'signalops.usage.hard_limit_reached'"
SENT = {"type": "file.sent", "payload": {"gb": GIGABYTES}}


@pytest.fixture
async def apis(settings: Settings) -> AsyncIterator[list[Client]]:
    """Three API processes on one database, each ready."""
    async with AsyncExitStack() as stack:
        clients = await asyncio.gather(*(stack.enter_async_context(running_process(settings)) for _ in range(3)))
        await asyncio.gather(*(client.get("/readyz") for client in clients))
        yield clients


async def _post(apis: list[Client], tenant: Tenant, bodies: Iterable[object], until: Callable[[], bool]) -> Counter[str]:
    """Post bodies, a list of them as a batch, by sixteen posters to the processes in turn; count what became of the events.

    Ends when there are no more bodies, or when it is time.
    """
    counts: Counter[str] = Counter()
    waiting = iter(bodies)

    async def poster(number: int) -> None:
        for turn, body in enumerate(waiting):
            if until():
                return
            client = apis[(number + turn) % len(apis)]
            if isinstance(body, list):
                answer = await client.post_batch(body, tenant)
                counts.update(result["status"] for result in answer.json["results"])
            else:
                answer = await client.post(body, tenant)
                counts[{202: "accepted", 429: "rejected"}[answer.status]] += 1

    await asyncio.gather(*(poster(number) for number in range(POSTERS)))
    return counts


def _never() -> bool:
    return False


def _quota(owner: psycopg.Connection, meter: str) -> int:
    ((accepted,),) = owner.execute("select accepted from signalops.accepted_counters where meter = %s", [meter]).fetchall()
    return int(accepted)


def _make_traffic(owner: psycopg.Connection, tenant: Tenant, hard: int) -> None:
    add_meter(owner, tenant.id, "traffic", "sum", field="payload.gb", pattern={"type": ["file.sent"]})
    set_limit(owner, tenant.id, "traffic", hard=hard)


async def test_the_limit_of_events_is_exact_told_of_once_and_raised_at_once(
    apis: list[Client], owner: psycopg.Connection, acme: Tenant
) -> None:
    set_limit(owner, acme.id, soft=150, hard=200, thresholds=[25, 50, 100])
    bodies: list[Any] = [SIGNUP] * 200 + [[SIGNUP] * 7] * 20
    assert await _post(apis, acme, bodies, _never) == {"accepted": 200, "rejected": 140}
    assert _quota(owner, "events") == 200
    set_limit(owner, acme.id, soft=150, hard=203, thresholds=[25, 50, 100])
    assert [(await client.post(SIGNUP, acme)).status for client in (*apis, *apis)] == [202] * 3 + [429] * 3
    notices = owner.execute(
        "select split_part(type, '.', 3), payload ->> 'percent', (payload ->> 'limit')::int, count(*) "
        "from signalops.events where causation_depth = 1 group by 1, 2, 3 order by 3, 1, 2"
    ).fetchall()
    assert notices == [
        ("soft_limit_reached", None, 150, 1),
        *[("hard_limit_reached", None, 200, 1)],
        *[("threshold_reached", percent, 200, 1) for percent in ("100", "25", "50")],
        ("hard_limit_reached", None, 203, 1),
        *[("threshold_reached", percent, 203, 1) for percent in ("100", "25", "50")],
    ]


async def test_a_meter_limited_in_mid_traffic_is_exact_from_the_commit_on(
    apis: list[Client], owner: psycopg.Connection, settings: Settings, acme: Tenant
) -> None:
    refused = asyncio.Event()

    async def limit() -> int:
        """Limit the traffic once some events are in; return how many were when the limit was set."""
        await eventually(lambda: bool(owner.execute("select from signalops.accepted_counters where accepted > 100").rowcount))
        with owner.transaction():
            _make_traffic(owner, acme, hard=100)
            # Nothing of the tenant comes in between this and the commit.
            return _quota(owner, "events")

    bodies: list[Any] = [SENT, SENT, [SENT] * 3] * 1000
    limiting = asyncio.create_task(limit())
    posting = asyncio.create_task(_post(apis, acme, bodies, refused.is_set))
    before = await limiting
    await eventually(lambda: bool(owner.execute(_REACHED).rowcount))
    refused.set()
    counts = await posting
    assert counts["accepted"] - before == 100 // GIGABYTES
    assert (_quota(owner, "traffic"), _quota(owner, "events")) == (100 // GIGABYTES * GIGABYTES, counts["accepted"])
    ((stored,),) = owner.execute("select count(*) from signalops.events where causation_depth = 0").fetchall()
    assert stored == counts["accepted"]
    assert before > 100
    assert counts["rejected"]
