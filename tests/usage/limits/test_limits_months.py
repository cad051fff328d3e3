"""Limits restart with the month of the tenant's time zone; flushes that insert a month's first rows do not deadlock."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from signalops import db
from signalops.config import Settings
from signalops.types import TenantId
from tests.support.api import SIGNUP
from tests.support.tenants import Tenant, make_tenant, set_limit
from tests.usage.limits.conftest import Ingest, make_meter, quotas, sent

TURNS = {
    "UTC": datetime(2026, 6, 1, tzinfo=UTC),
    "Europe/Berlin": datetime(2026, 5, 31, 22, tzinfo=UTC),
    "America/New_York": datetime(2026, 6, 1, 4, tzinfo=UTC),
    "Asia/Kolkata": datetime(2026, 5, 31, 18, 30, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 5, 31, 13, 30, tzinfo=UTC),
}
MILLISECOND = timedelta(milliseconds=1)


@pytest.mark.parametrize("zone", TURNS)
async def test_the_month_turns_where_the_tenant_is(ingest: Ingest, owner: psycopg.Connection, acme: Tenant, zone: str) -> None:
    owner.execute("update signalops.tenants set time_zone = %s where id = %s", [zone, acme.id])
    make_meter(owner, acme)
    set_limit(owner, acme.id, hard=1)
    set_limit(owner, acme.id, "traffic", hard=5)
    await ingest.limited_meters.refresh([acme.id])
    turn, out = TURNS[zone], {}
    for moment in (turn - 2 * MILLISECOND, turn - MILLISECOND, turn, turn + MILLISECOND):
        rows = await ingest.accept([acme], [sent(4)], moment)
        out[moment - turn] = [(meter, end) for _, verdict, _, meter, end, _ in rows if verdict == "refused"]
    following = TURNS["UTC"] + timedelta(days=30) + (turn - TURNS["UTC"])
    assert list(out.values()) == [[], [("events", turn)], [], [("events", following)]]
    assert quotas(owner, acme) == {
        (month, meter): amount for month in ("2026-05", "2026-06") for meter, amount in (("events", 1), ("traffic", 4))
    }


async def test_what_was_told_of_last_month_is_told_of_again(ingest: Ingest, owner: psycopg.Connection, acme: Tenant) -> None:
    set_limit(owner, acme.id, soft=2, thresholds=[100])
    for month in (5, 6):
        for _ in range(3):
            await ingest.accept([acme], [SIGNUP], datetime(2026, month, 2, tzinfo=UTC))
    notices = owner.execute(
        "select payload ->> 'period', count(*) from signalops.events where causation_depth = 1 group by 1 order by 1"
    )
    assert notices.fetchall() == [("2026-05", 2), ("2026-06", 2)]


async def test_first_rows_of_a_month_and_changes_of_limits_lock_nobody_out(
    ingest: Ingest, settings: Settings, owner: psycopg.Connection
) -> None:
    tenants = [make_tenant(owner, f"t{number}", soft=3) for number in range(8)]
    for tenant in tenants[::2]:
        make_meter(owner, tenant)
    expected = {tenant.id: 0 for tenant in tenants}
    dice = random.Random(5)

    async def accept(group: list[Tenant], month: int) -> set[TenantId]:
        """Accept an event of each; return the tenants whose event is still to come in."""
        moment = datetime(2020 + month // 12, month % 12 + 1, 2, tzinfo=UTC)
        try:
            rows = await ingest.accept(group, [sent(1)], moment)
        except psycopg.errors.LockNotAvailable:  # a change was in the way
            return {tenant.id for tenant in group}
        return {first for _, verdict, first, *_ in rows if verdict == "stale"}

    async def flush(month: int) -> None:
        group = dice.sample(tenants, dice.randint(2, 8))
        for tenant in group:
            expected[tenant.id] += 1
        while stale := await accept(group, month):
            await ingest.limited_meters.refresh(stale)
            group = [tenant for tenant in group if tenant.id in stale]

    async def change() -> None:
        async with await psycopg.AsyncConnection.connect(db.admin_url(settings), autocommit=True) as connection:
            for tenant in tenants[::2]:
                await connection.execute(
                    "insert into signalops.limits (tenant_id, meter, origin, starts_on, soft) "
                    "values (%s, 'traffic', 'tenant', '2000-01-01', 5) "
                    "on conflict (tenant_id, meter, origin, starts_on) do update set soft = limits.soft + 1",
                    [tenant.id],
                )

    async with asyncio.timeout(60):
        for month in range(12):
            await asyncio.gather(change(), *(flush(month) for _ in range(6)))
    stored = owner.execute("select tenant_id, count(*) from signalops.events where causation_depth = 0 group by 1").fetchall()
    counted = owner.execute("select tenant_id, sum(accepted) from signalops.accepted_counters where meter = 'events' group by 1")
    assert dict(stored) == dict(counted.fetchall()) == expected
