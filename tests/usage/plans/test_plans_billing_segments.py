"""The billing_segments of a period under one plan each, by day; and which meters end with a period."""

from datetime import date, timedelta
from itertools import pairwise

import pytest

from signalops import db
from signalops.usage.plans import plan_queries
from tests.support.rows import add_meter
from tests.support.tenants import Tenant
from tests.usage.plans.conftest import CALLS, Office


async def billing_segments(pool: db.Pool, tenant: Tenant, month: date) -> list[tuple[str, int, int, int]]:
    """The plans of a month, each with its first day, how many days, and of how many; they must meet without a gap."""
    async with db.as_tenant(pool, tenant.id) as connection:
        found = await plan_queries.billing_segments(connection, tenant.id, month)
    for before, after in pairwise(found):
        assert before.ends_on == after.starts_on
    for one in found:
        assert one.ends_on - one.starts_on == timedelta(days=one.days)
    return [(s.plan, s.starts_on.day, s.days, s.of_days) for s in found]


@pytest.mark.parametrize(
    ("month", "days"),
    [
        (date(2024, 2, 1), 29),
        (date(2023, 2, 1), 28),
        (date(2100, 2, 1), 28),
        (date(2026, 3, 1), 31),
        (date(2026, 10, 1), 31),
        (date(2026, 4, 1), 30),
        (date(2026, 12, 1), 31),
    ],
)
async def test_a_period_has_the_days_of_its_month_even_when_hours_are_shifted(
    api_pool: db.Pool, office: Office, old: Tenant, month: date, days: int
) -> None:
    """Leap days, and in Berlin March 2026 with 743 hours and October 2026 with 745."""
    office.owner.execute("update signalops.tenants set time_zone = 'Europe/Berlin' where id = %s", [old.id])
    assert await billing_segments(api_pool, old, month) == [("free", 1, days, days)]
    office.had(old, "pro", month.replace(day=10))
    assert await billing_segments(api_pool, old, month) == [("free", 1, 9, days), ("pro", 10, days - 9, days)]


async def test_each_change_of_a_period_begins_a_billing_segment(api_pool: db.Pool, office: Office, old: Tenant) -> None:
    for plan, day in (("a", 1), ("b", 2), ("c", 29)):
        office.had(old, plan, date(2024, 2, day))
    assert await billing_segments(api_pool, old, date(2024, 1, 1)) == [("free", 1, 31, 31)]
    assert await billing_segments(api_pool, old, date(2024, 2, 1)) == [("a", 1, 1, 29), ("b", 2, 27, 29), ("c", 29, 1, 29)]
    assert await billing_segments(api_pool, old, date(2024, 3, 1)) == [("c", 1, 31, 31)]


async def test_days_before_the_first_plan_belong_to_none(api_pool: db.Pool, old: Tenant) -> None:
    assert await billing_segments(api_pool, old, date(2022, 12, 1)) == []
    assert await billing_segments(api_pool, old, date(2023, 1, 1)) == [("free", 1, 31, 31)]


async def test_billing_segments_of_another_tenant_are_not_seen(api_pool: db.Pool, old: Tenant, globex: Tenant) -> None:
    async with db.as_tenant(api_pool, globex.id) as connection:
        assert await plan_queries.billing_segments(connection, old.id, date(2024, 2, 1)) == []


async def _end(pool: db.Pool, tenant: Tenant) -> int:
    async with db.as_tenant(pool, tenant.id) as connection:
        row = await (await connection.execute("select signalops.end_unneeded_meters(%s)", [tenant.id])).fetchone()
    assert row
    return int(row[0])


async def test_meters_end_when_the_last_period_of_their_plan_is_closed(
    worker_pool: db.Pool, office: Office, acme: Tenant
) -> None:
    """As the worker does it; what the tenant made itself goes on, and so does what a scheduled plan has."""
    await office.define("pro", meters=[CALLS, {**CALLS, "key": "peak"}, {**CALLS, "key": "later"}])
    await office.define("team", meters=[{**CALLS, "key": "later"}])
    add_meter(office.owner, acme.id, "own", first_version=0)
    await office.subscribe(acme, "pro")
    await office.subscribe(acme, "team", at_once=False)
    _, next_month = office.days(acme)
    all_of_them = {"api_calls": "plan", "peak": "plan", "later": "plan", "own": "tenant"}
    close = "update signalops.tenants set closed_until = %s where id = %s"

    assert await _end(worker_pool, acme) == 0
    assert office.meters(acme) == all_of_them, "nothing is closed"
    office.owner.execute(close, [next_month - timedelta(days=1), acme.id])
    assert await _end(worker_pool, acme) == 0
    assert office.meters(acme) == all_of_them, "pro has a day that is open"
    office.owner.execute(close, [next_month, acme.id])
    assert await _end(worker_pool, acme) == 2
    assert await _end(worker_pool, acme) == 0
    assert office.meters(acme) == {"later": "plan", "own": "tenant"}
