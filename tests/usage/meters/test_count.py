"""Usage is counted in the transaction that processes the events: each once, by the hour in which it happened, with its entry."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from signalops import clock
from signalops.types import BatchId
from tests.support.rows import add
from tests.support.rules import make_rule
from tests.support.tenants import Tenant
from tests.support.worlds.base import Row
from tests.support.worlds.metering import Metering
from tests.test_job_handlers import POISON

AUGUST = datetime(2026, 8, 14, 10, 20, 30, tzinfo=UTC)
UNPROVEN = """
  select tenant_id, meter, hour, group_key, period, count(*) from signalops.usage_counters c
  full join (
    select tenant_id, meter, hour, group_key, period, bool_or(is_late) as is_late, sum(events) as events,
      sum(cardinality(event_ids)) as named,
      case (select min(aggregation) from signalops.usage_counters a where a.tenant_id = e.tenant_id and a.meter = e.meter)
        when 'max' then max(value) when 'min' then min(value)
        when 'latest' then (array_agg(value order by latest_at desc, latest_event desc))[1]
        else sum(value) end as value,
      max(latest_at) as latest_at, (array_agg(latest_event order by latest_at desc, latest_event desc))[1] as latest_event
    from signalops.usage_entries e group by tenant_id, meter, hour, group_key, period
  ) e using (tenant_id, meter, hour, group_key, period)
  where (c.is_late, c.events, c.events, c.value, c.latest_at, c.latest_event)
    is distinct from (e.is_late, e.events, e.named, e.value, e.latest_at, e.latest_event)
  group by 1, 2, 3, 4, 5"""
REPEATED = """
  select tenant_id, meter, event from signalops.usage_entries, unnest(event_ids) as event group by 1, 2, 3 having count(*) > 1"""
UNCOUNTED = """
  select e.id from signalops.event_status e where e.causation_depth = 0 and e.status = 'processed' and not exists (
    select from signalops.usage_entries u where u.tenant_id = e.tenant_id and u.meter = 'events' and e.id = any (u.event_ids))"""


def prove(metering: Metering) -> None:
    """Each counter is what its entries say; no event is in two entries of a meter, and none is in no entry."""
    assert metering.dicts("select from signalops.usage_entries")
    assert [metering.dicts(query) for query in (UNPROVEN, REPEATED, UNCOUNTED)] == [[], [], []]


async def test_every_event_is_counted_in_its_hour(metering: Metering, acme: Tenant, globex: Tenant) -> None:
    await metering.count(*[(acme, {})] * 3, (globex, {}), at=AUGUST)
    await metering.count(*[(acme, {})] * 2, at=AUGUST.replace(minute=59))
    await metering.count((acme, {}), at=AUGUST + timedelta(hours=1))
    counted = [(c["hour"], c["period"], c["events"], c["value"], c["is_late"]) for c in metering.counters(acme, "events")]
    hour, august = datetime(2026, 8, 14, 10, tzinfo=UTC), date(2026, 8, 1)
    assert counted == [(hour, august, 5, 5, False), (hour + timedelta(hours=1), august, 1, 1, False)]
    assert metering.value(globex, "events") == 1
    prove(metering)


async def test_a_time_in_the_future_counts_as_it_came_in(metering: Metering, acme: Tenant) -> None:
    await metering.count((acme, {}), at=clock.now() + timedelta(days=400))
    assert metering.counters(acme, "events")[0]["hour"] <= clock.now()


async def test_hours_and_periods_are_those_of_the_tenants_time_zone(metering: Metering, acme: Tenant) -> None:
    metering.owner.execute("update signalops.tenants set time_zone = 'Asia/Kolkata'")
    await metering.count((acme, {}), at=datetime(2026, 8, 31, 18, 45, tzinfo=UTC))
    (counter,) = metering.counters(acme, "events")
    assert (counter["hour"], counter["period"]) == (datetime(2026, 8, 31, 18, 30, tzinfo=UTC), date(2026, 9, 1))


async def test_what_comes_after_its_period_was_closed_is_billed_in_the_open_one(metering: Metering, acme: Tenant) -> None:
    await metering.count((acme, {}), at=AUGUST)
    metering.owner.execute("update signalops.tenants set closed_until = '2026-09-01Z'")
    await metering.count((acme, {}), (acme, {}), at=AUGUST)
    await metering.count((acme, {}), at=AUGUST.replace(month=9))
    counted = [(c["hour"].month, c["period"].month, c["is_late"], c["events"]) for c in metering.counters(acme, "events")]
    assert counted == [(8, 8, False, 1), (8, 9, True, 2), (9, 9, False, 1)]
    prove(metering)


async def test_operational_events_and_replays_are_not_counted(metering: Metering, acme: Tenant) -> None:
    await metering.meter(acme)
    await metering.count((acme, {}), causation_depth=1)
    assert metering.counters(acme, "events") == metering.counters(acme, "m_count") == []
    await metering.count((acme, {}))
    batch = BatchId(clock.new_id())
    replay = add(metering.owner, "replays", acme.id, events=2, batches=[batch])
    metering.owner.execute(
        "insert into signalops.inbox (tenant_id, event_id, batch, replay_id) select tenant_id, id, %s, %s from signalops.events",
        [batch, replay],
    )
    await metering.handlers.process_batch(batch, 1)
    assert metering.value(acme, "events") == metering.value(acme, "m_count") == 1
    assert [row["billed"] for row in metering.dicts("select billed from signalops.batch_results order by batch")] == [0, 1, 0]
    prove(metering)


async def test_a_dead_event_counts_nothing_and_its_neighbours_once(metering: Metering, acme: Tenant, globex: Tenant) -> None:
    await metering.meter(acme, "sum")
    make_rule(metering.owner, acme, {"type": ["api.call"]})
    metering.owner.execute(POISON)
    payloads = [{"v": n, "poison": 1} if n in (3, 4) else {"v": n} for n in range(9)]
    await metering.count(*[(tenant, payload) for tenant in (acme, globex) for payload in payloads], at=AUGUST)
    assert (metering.value(acme, "events"), metering.value(globex, "events")) == (7, 9)
    assert metering.value(acme, "m_sum") == sum(range(9)) - 7
    prove(metering)


async def test_a_change_of_meters_counts_from_the_next_batch_on_and_is_on_record(
    metering: Metering, acme: Tenant, globex: Tenant
) -> None:
    await metering.count((acme, {}), (globex, {}), at=AUGUST)
    await metering.meter(acme)
    await metering.count((acme, {}), (globex, {}), at=AUGUST)
    await metering.meter(acme, "sum")
    await metering.count((acme, {"v": 5}), at=AUGUST)
    metering.owner.execute("update signalops.meters set ended_at = now() where key = 'm_count'")
    await metering.count((acme, {"v": 7}), at=AUGUST)
    assert [metering.value(acme, meter) for meter in ("events", "m_count", "m_sum")] == [4, 2, 12]
    assert [metering.value(globex, "events"), metering.counters(globex, "m_count")] == [2, []]
    used = metering.dicts("select meters_version from signalops.batch_results where tenant_id = %s order by batch", acme.id)
    assert [row["meters_version"] for row in used] == [0, 1, 2, 3]
    assert metering.dicts("select first_version, end_version from signalops.meters order by first_version") == [
        {"first_version": 1, "end_version": 3},
        {"first_version": 2, "end_version": None},
    ]


async def test_a_meter_that_was_written_by_hand_and_is_broken_stops_no_other(metering: Metering, acme: Tenant) -> None:
    await metering.meter(acme)
    await metering.meter(acme, "sum", key="broken")
    metering.owner.execute("set session_replication_role = replica")
    metering.owner.execute("update signalops.meters set pattern = '{\"type\": []}' where key = 'broken'")
    await metering.count((acme, {"v": 1}))
    assert (metering.value(acme, "m_count"), metering.counters(acme, "broken")) == (1, [])


async def test_two_workers_on_one_tenant_count_all_and_lock_nobody_out(metering: Metering, acme: Tenant) -> None:
    for aggregation in ("count", "sum", "unique_count", "latest"):
        await metering.meter(acme, aggregation, groupBy=["payload.g"])
    hours = [AUGUST + timedelta(hours=h) for h in range(3)]
    batches = []
    for n in range(24):
        payloads = [{"v": v, "g": (v + n) % 3} for v in range(6)]
        batches.append(metering.store(*[(acme, p) for p in payloads], at=hours[n // 8]))
    await asyncio.gather(*(metering.handlers.process_batch(batch, 1) for batch in batches))
    total = {meter: sum(c["value"] or 0 for c in metering.counters(acme, meter)) for meter in ("events", "m_count", "m_sum")}
    assert total == {"events": 144, "m_count": 144, "m_sum": 24 * 15}
    assert len(metering.dicts("select from signalops.usage_distinct_values")) == 3 * 3 * 6
    prove(metering)


@pytest.mark.parametrize(
    ("aggregation", "value"),
    [("sum", "10.75"), ("avg", "10.75"), ("max", "7.5"), ("min", "-1.25"), ("latest", "4.5"), ("unique_count", None)],
)
async def test_an_event_without_a_value_is_not_counted_and_one_with_several_gives_all(
    metering: Metering, acme: Tenant, aggregation: str, value: str | None
) -> None:
    await metering.meter(acme, aggregation)
    no_numbers: list[Row] = [{"v": True}, {"v": "many"}] if value else []
    without: list[Row] = [{}, {"v": None}, {"v": {}}, {"v": []}, *no_numbers]
    await metering.count(*[(acme, payload) for payload in without], at=AUGUST)
    assert metering.counters(acme, f"m_{aggregation}") == []
    await metering.count((acme, {"v": [7.5, "-1.25"]}), (acme, {"v": [[], [None, 4.5]]}), at=AUGUST)
    (counter,) = metering.counters(acme, f"m_{aggregation}")
    assert (counter["events"], counter["value"]) == (2, None if value is None else Decimal(value))
    items = [
        row["distinct_value"]
        for row in metering.dicts("select distinct_value from signalops.usage_distinct_values order by distinct_value")
    ]
    assert items == ([] if value else ['"-1.25"', "4.5", "7.5"])
    prove(metering)
