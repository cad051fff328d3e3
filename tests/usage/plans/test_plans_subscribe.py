"""A tenant gets a plan: at once or with the next month, with its meters and limits; the last word wins."""

import asyncio
from datetime import date
from decimal import Decimal

import psycopg
import pytest
from psycopg.rows import dict_row

from signalops import db
from signalops.errors import Conflict, NotFound
from signalops.usage.meters import meter_service as meters
from signalops.usage.meters.compiled_meters import compile_meters
from signalops.usage.meters.meter_models import MeterIn
from tests.support.api import Blocked
from tests.support.tenants import Tenant, make_tenant
from tests.usage.plans.conftest import CALLS, LIMITED, PER_CALL, Office, Subscription


async def test_a_tenant_has_the_free_plan_from_the_first_day_of_its_period_on(office: Office, acme: Tenant) -> None:
    """Even of the day before: its time zone may still change, and events may be older than their tenant."""
    today, _ = office.days(acme)
    row = office.owner.execute(
        "select plan, version, starts_on, signalops.has_any_price(terms) from signalops.subscriptions where tenant_id = %s",
        [acme.id],
    ).fetchone()
    assert row
    assert (*row[:2], row[3]) == ("free", 1, False)
    assert row[2].day == 1
    assert 1 <= (today - row[2]).days <= 31


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
async def test_a_plan_begins_today_or_with_the_next_month_where_the_tenant_is(office: Office, acme: Tenant, zone: str) -> None:
    """The two islands never have the same date."""
    office.owner.execute("update signalops.tenants set time_zone = %s where id = %s", [zone, acme.id])
    await office.define("pro")
    today, next_month = office.days(acme)
    assert await office.subscribe(acme, "pro", at_once=False) == ("pro", 1, next_month)
    assert await office.subscribe(acme, "pro", at_once=True) == ("pro", 1, today)
    assert office.subscriptions(acme) == [Subscription("pro", today)]


async def test_the_last_word_wins(office: Office, acme: Tenant) -> None:
    for plan in ("pro", "team", "solo"):
        await office.define(plan)
    today, next_month = office.days(acme)
    await office.subscribe(acme, "pro")
    await office.subscribe(acme, "team", at_once=False)
    await office.subscribe(acme, "solo", at_once=False)
    assert office.subscriptions(acme) == [Subscription("pro", today), Subscription("solo", next_month)]
    await office.subscribe(acme, "pro", at_once=False)  # back to what it has
    assert office.subscriptions(acme) == [Subscription("pro", today)]
    await office.subscribe(acme, "solo", at_once=False)
    await office.subscribe(acme, "team")
    assert office.subscriptions(acme) == [Subscription("team", today)], "a change at once withdraws what was scheduled"


async def test_the_version_that_a_tenant_has_is_not_begun_anew(office: Office, old: Tenant) -> None:
    """Otherwise its tiers would start again in the middle of the month."""
    await office.define("pro")
    office.had(old, "pro", date(2023, 2, 1))
    assert await office.subscribe(old, "pro") == ("pro", 1, date(2023, 2, 1))
    assert office.subscriptions(old) == [Subscription("pro", date(2023, 2, 1))]
    await office.define("pro", baseFee="11")
    today, _ = office.days(old)
    assert await office.subscribe(old, "pro") == ("pro", 2, today)


async def test_what_was_agreed_upon_stays_when_the_plan_has_a_new_version(office: Office, acme: Tenant) -> None:
    await office.define("pro", baseFee="10")
    await office.subscribe(acme, "pro")
    await office.define("pro", baseFee="99")
    fees = "select terms ->> 'baseFee' from signalops.subscriptions where tenant_id = %s and plan = 'pro'"
    assert office.owner.execute(fees, [acme.id]).fetchall() == [("10",)]


async def test_meters_count_at_once_even_for_a_plan_that_begins_later(office: Office, acme: Tenant) -> None:
    await office.define("pro", meters=[CALLS, {**CALLS, "key": "more"}])
    await office.subscribe(acme, "pro", at_once=False)
    assert office.meters(acme) == {"api_calls": "plan", "more": "plan"}
    await office.define("pro", meters=[CALLS], baseFee="11")
    await office.subscribe(acme, "pro")
    assert office.meters(acme) == {"api_calls": "plan", "more": "plan"}, "the same meter goes on; others end at closing"
    assert office.owner.execute("select count(*) from signalops.meters").fetchone() == (2,)


async def test_a_meter_that_counts_something_else_stands_in_the_way_and_nothing_changes(
    office: Office, acme: Tenant, globex: Tenant
) -> None:
    await office.define("pro", meters=[CALLS], limits=[LIMITED])
    await office.define("odd", meters=[{**CALLS, "aggregation": "sum", "field": "payload.n"}])
    await office.subscribe(acme, "pro", at_once=False)
    subscriptions = office.subscriptions(acme)
    with pytest.raises(Conflict, match=r"the meter api_calls counted something else before: choose another key"):
        await office.subscribe(acme, "odd")
    assert office.subscriptions(acme) == subscriptions
    assert office.owner.execute("select count(*) from signalops.limits where origin = 'plan'").fetchone() == (1,)
    await office.subscribe(globex, "odd")


async def test_values_below_zero_count_in_a_plans_meter_only_if_the_plan_says_so(office: Office, acme: Tenant) -> None:
    """Who is billed sends them, and would lower the bill."""
    columns = "first_version, end_version, aggregation, field, grammar, pattern, group_by, allows_negative, key"
    query = f"select {columns} from signalops.meters"
    event = {"type": "api.call", "payload": {"n": [5, -7]}}

    async def counted(**terms: object) -> list[Decimal | None]:
        await office.define("pro", meters=[{**CALLS, "aggregation": "sum", "field": "payload.n", **terms}])
        await office.subscribe(acme, "pro")
        with office.owner.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(f"{query} where end_version is null".encode()).fetchall()
        return [reading.value for _, reading, _ in compile_meters(1, rows, lambda key, error: pytest.fail(error)).read(event)]

    assert await counted() == [5]
    assert await counted(allowNegative=True) == [-2]
    assert await counted(allowNegative=False) == [5]


async def test_a_meter_of_the_tenants_own_that_counts_the_same_becomes_the_plans(
    office: Office, acme: Tenant, api_pool: db.Pool
) -> None:
    async with db.as_tenant(api_pool, acme.id) as connection:
        await meters.add(connection, acme.id, MeterIn.model_validate(CALLS), 10)
    await office.define("pro", meters=[CALLS])
    await office.subscribe(acme, "pro")
    assert office.meters(acme) == {"api_calls": "plan"}, "else the tenant could end it, and would not be billed any more"


async def test_limits_come_and_go_with_the_plan_on_its_first_day(office: Office, acme: Tenant) -> None:
    await office.define("pro", meters=[CALLS], limits=[LIMITED, {"meter": "events", "hard": "5"}])
    await office.define("team", meters=[CALLS], limits=[{"meter": "events", "hard": "50"}])
    today, next_month = office.days(acme)
    await office.subscribe(acme, "pro")
    await office.subscribe(acme, "team", at_once=False)
    limit = "select soft, hard, thresholds, overage from signalops.limit_of(%s, %s, %s)"

    def on(day: object, meter: str) -> object:
        return office.owner.execute(limit, [acme.id, meter, day]).fetchone()

    assert on(today, "api_calls") == (800, 1000, [50], "accept")
    assert on(next_month, "api_calls") == (None, None, [], "refuse")
    assert on(today, "events") == (None, 5, [], "refuse")
    assert on(next_month, "events") == (None, 50, [], "refuse")
    await office.subscribe(acme, "pro", at_once=False)
    assert on(next_month, "api_calls") == (800, 1000, [50], "accept"), "withdrawn with the plan"
    await office.subscribe(acme, "free")
    assert on(today, "events") is None, "the day is free's as a whole"


async def test_the_currency_changes_with_a_period_and_not_within(office: Office, old: Tenant) -> None:
    await office.define("pro", currency="EUR")
    await office.define("yen", currency="JPY", baseFee=0, meters=[CALLS], prices=[PER_CALL])
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):  # in one of them it is not the first of a month
        office.owner.execute("update signalops.tenants set time_zone = %s where id = %s", [zone, old.id])
        today, next_month = office.days(old)
        if today.day > 1:
            break
    assert await office.subscribe(old, "yen") == ("yen", 1, today), "free is in USD, and costs nothing"
    office.owner.execute("delete from signalops.subscriptions where plan = 'yen'")
    office.had(old, "pro", today.replace(day=1), baseFee="10", prices=[])
    with pytest.raises(Conflict, match=r"billed in another currency than JPY: change the plan at the end of the period"):
        await office.subscribe(old, "yen")
    assert (await office.subscribe(old, "free")).starts_on == today
    assert (await office.subscribe(old, "yen", at_once=False)).starts_on == next_month


async def test_an_unknown_plan_is_refused(office: Office, acme: Tenant) -> None:
    with pytest.raises(NotFound, match=r"There is no plan 'gold': see `signalops plan list`\."):
        await office.subscribe(acme, "gold")


async def test_two_changes_at_the_same_time_come_one_after_the_other(
    office: Office, acme: Tenant, blocked_backend: Blocked
) -> None:
    for plan in ("pro", "team"):
        await office.define(plan)
    today, next_month = office.days(acme)
    with office.owner.transaction():
        office.owner.execute(
            "select signalops.subscribe(t.id, 'pro', false, 'bob') "
            "from signalops.tenants t, signalops.set_tenant(t.id) where t.id = %s",
            [acme.id],
        )
        second = asyncio.create_task(office.subscribe(acme, "team"))
        await blocked_backend()
    assert await second == ("team", 1, today)
    assert office.subscriptions(acme) == [Subscription("team", today)]
    assert next_month > today


@pytest.mark.parametrize(
    "change",
    [
        "update signalops.plans set document = '{}'",
        "update signalops.plans set version = version + 1",
        "delete from signalops.plans",
        "update signalops.subscriptions set terms = '{}'",
        "update signalops.subscriptions set starts_on = starts_on + 1",
    ],
)
async def test_what_was_agreed_upon_is_changed_by_nobody(office: Office, acme: Tenant, change: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="never changed"):
        office.owner.execute(change.encode())
    for role in ("api", "worker"):
        with office.owner.transaction(force_rollback=True):
            office.owner.execute(f"set local role signalops_{role}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                office.owner.execute(change.encode())


async def test_a_tenant_goes_with_its_plans(office: Office, acme: Tenant) -> None:
    office.owner.execute("delete from signalops.tenants where id = %s", [acme.id])
    assert office.owner.execute("select from signalops.subscriptions").rowcount == 0
    assert make_tenant(office.owner, "acme")
