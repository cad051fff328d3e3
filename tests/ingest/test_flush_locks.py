"""Somebody has locked one tenant's counters: that tenant waits, and nobody else."""

import asyncio
import time
from collections.abc import Iterator

import psycopg
import pytest

from signalops import db
from signalops.config import Settings
from tests.support.api import SIGNUP, Answer, Client, assert_problem, rows
from tests.support.tenants import Tenant, make_tenant


@pytest.fixture
def locker(settings: Settings) -> Iterator[psycopg.Connection]:
    """A session of somebody else's, who locks and then does nothing."""
    with psycopg.connect(db.admin_url(settings)) as connection:
        yield connection


async def timed(api: Client, tenant: Tenant) -> tuple[Answer, float]:
    began = time.monotonic()
    answer = await api.post(SIGNUP, tenant)
    return answer, time.monotonic() - began


@pytest.mark.parametrize("table", ["accepted_counters", "rate_buckets"])
async def test_a_locked_tenant_waits_and_nobody_else(
    api: Client, owner: psycopg.Connection, acme: Tenant, locker: psycopg.Connection, table: str
) -> None:
    others = [make_tenant(owner, f"other-{number}") for number in range(8)]
    if table == "rate_buckets":
        owner.execute("update signalops.tenants set rate_per_second = 1000, rate_burst = 1000")
    for tenant in (acme, *others):
        assert (await api.post(SIGNUP, tenant)).status == 202
    stored = rows(owner)["events"]
    locker.execute(f"select from signalops.{table} where tenant_id = %s for update".encode(), [acme.id])
    seconds = []
    for _ in range(4):
        requests = [timed(api, tenant) for tenant in (acme, *others)]
        (mine, _), *theirs = await asyncio.gather(*requests)
        assert_problem(mine, 503, "unavailable")
        assert {answer.status for answer, _ in theirs} == {202}
        seconds += [taken for _, taken in theirs]
    assert max(seconds) < 1.0
    assert sorted(seconds)[len(seconds) // 2] < 0.2
    locker.rollback()
    assert (await api.post(SIGNUP, acme)).status == 202
    assert rows(owner)["events"] == stored + 4 * len(others) + 1


async def test_events_sent_while_it_waits_are_stored_once_it_is_free(
    api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant, locker: psycopg.Connection
) -> None:
    for tenant in (acme, globex):
        await api.post(SIGNUP, tenant)
    locker.execute("select from signalops.accepted_counters where tenant_id = %s for update", [acme.id])
    first = asyncio.create_task(api.post(SIGNUP, acme))
    assert (await api.post(SIGNUP, globex)).status == 202
    await asyncio.wait([first], timeout=0.05)
    locker.rollback()
    answers = await asyncio.gather(first, *(api.post(SIGNUP, acme) for _ in range(5)))
    assert {answer.status for answer in answers} <= {202, 503}
    assert answers[-1].status == 202
