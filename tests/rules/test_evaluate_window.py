"""A window fires once per stretch of event time in which it is reached, however the events come in."""

import asyncio
from typing import Any

import pytest

from signalops import clock
from tests.support.worlds.orders import Orders

COUNTED, NOTIFIED = "counted", "notified"
DAY = {"allowedLateness": "1d"}


async def test_the_event_that_completes_the_count_fires_and_the_next_ones_do_not(orders: Orders) -> None:
    orders.rule(time_window={"count": 3, "within": "10m", **DAY})
    assert await orders.see((0, {}), (1, {})) == [COUNTED, COUNTED]
    assert await orders.see((2, {}), (3, {}), (4, {})) == [NOTIFIED, COUNTED, COUNTED]
    assert orders.deliveries() == 1


async def test_it_fires_again_after_it_was_less_for_a_while(orders: Orders) -> None:
    orders.rule(time_window={"count": 2, "within": "10m", **DAY})
    assert await orders.see((0, {}), (5, {})) == [COUNTED, NOTIFIED]
    assert await orders.see((9, {}), (14, {})) == [COUNTED, COUNTED]
    assert await orders.see((24, {}), (33, {})) == [COUNTED, NOTIFIED]


async def test_an_event_as_old_as_the_window_is_long_has_left_it(orders: Orders) -> None:
    orders.rule(time_window={"count": 2, "within": "10m", **DAY})
    assert await orders.see((0, {}), (10, {})) == [COUNTED, COUNTED]
    assert await orders.see((19.999, {})) == [NOTIFIED]


@pytest.mark.parametrize("batches", [[(0, 1), (2,)], [(2,), (0, 1)], [(1,), (2,), (0,)]])
async def test_the_order_of_processing_makes_no_difference(orders: Orders, batches: list[tuple[float, ...]]) -> None:
    orders.rule(time_window={"count": 3, "within": "10m", **DAY})
    for minutes in batches:
        await orders.see(*[(m, {}) for m in minutes])
    assert orders.deliveries() == 1


async def test_a_late_event_starts_a_stretch_and_joins_two_without_telling_again(orders: Orders) -> None:
    orders.rule(time_window={"count": 2, "within": "10m", **DAY})
    assert await orders.see((0, {}), (30, {})) == [COUNTED, COUNTED]
    assert await orders.see((5, {})) == [NOTIFIED]
    assert await orders.see((25, {})) == [NOTIFIED]
    assert await orders.see((9, {}), (14, {}), (18, {}), (23, {})) == [COUNTED] * 4


async def test_a_late_event_hides_nothing_of_the_present_however_much_lies_between(orders: Orders) -> None:
    rule = orders.rule(time_window={"count": 2, "within": "1m", **DAY})
    await orders.see((60, {}))
    orders.owner.execute(
        """insert into signalops.window_events select tenant_id, rule_id, state_version, group_key, at + n * interval '0.1 s',
            gen_random_uuid(), 1 from signalops.window_events, generate_series(1, 20000) n"""
    )
    assert orders.rows("select count(*) from signalops.window_events where rule_id = %s", rule) == [(20001,)]
    assert await orders.see((0, {}), (120, {}), (120.5, {})) == [COUNTED, COUNTED, NOTIFIED]


async def test_an_event_that_brings_two_stretches_about_tells_once(orders: Orders) -> None:
    orders.rule(time_window={"count": 2, "within": "15m", **DAY})
    assert await orders.see((0, {}), (20, {})) == [COUNTED, COUNTED]
    assert await orders.see((10, {})) == [NOTIFIED]
    assert orders.deliveries() == 1


async def test_groups_are_counted_apart_and_missing_values_are_a_group(orders: Orders) -> None:
    orders.rule(time_window={"count": 2, "within": "10m", "groupBy": ["payload.user", "type"], **DAY})
    users: list[dict[str, Any]] = [{"user": "a"}, {"user": 1}, {"user": 1.0}, {"user": "1"}, {}, {"user": None}, {"user": ["a"]}]
    assert await orders.see(*[(n, user) for n, user in enumerate(users)]) == [
        *[COUNTED, COUNTED, NOTIFIED, COUNTED, COUNTED, NOTIFIED, NOTIFIED]
    ]
    labels = orders.rows("select window_context -> 'group' ->> 'payload.user' from signalops.deliveries order by id")
    assert labels == [("1",), (None,), ("a",)]


async def test_a_sum_counts_numbers_in_decimals_and_leaves_out_what_has_none(orders: Orders) -> None:
    orders.rule(time_window={"sum": {"field": "payload.amount", "atLeast": 0.3}, "within": "10m", **DAY})
    amounts = [0.1, "0.1", None, True, 0.1, 0.1]
    assert await orders.see(*[(n, {"amount": amount}) for n, amount in enumerate(amounts)]) == [
        *[COUNTED, "ignored", "ignored", "ignored", COUNTED, NOTIFIED]
    ]
    assert orders.rows("select window_context ->> 'value' from signalops.deliveries") == [("0.3",)]


async def test_refunds_are_taken_off_a_sum(orders: Orders) -> None:
    orders.rule(time_window={"sum": {"field": "payload.amount", "atLeast": 100}, "within": "10m", **DAY})
    amounts = [60, -30, 60, 10]
    assert await orders.see(*[(n, {"amount": amount}) for n, amount in enumerate(amounts)]) == [
        *[COUNTED, COUNTED, COUNTED, NOTIFIED]
    ]


@pytest.mark.parametrize("batches", [[(0,), (1,), (5,)], [(0,), (1, 5)], [(0, 1, 5)]])
async def test_a_sum_that_a_refund_took_away_may_be_reached_again(orders: Orders, batches: list[tuple[int, ...]]) -> None:
    orders.rule(time_window={"sum": {"field": "payload.amount", "atLeast": 100}, "within": "10m", **DAY})
    amounts = {0: 100, 1: -50, 5: 50}
    for minutes in batches:
        await orders.see(*[(minute, {"amount": amounts[minute]}) for minute in minutes])
    assert orders.deliveries() == 2


async def test_the_sum_of_the_greatest_numbers_can_still_be_read(orders: Orders) -> None:
    orders.rule(time_window={"sum": {"field": "payload.amount", "atLeast": 1}, "within": "10m", **DAY})
    assert await orders.see((0, {"amount": [1e308, 1e308]}), (1, {"amount": 5e-324})) == [NOTIFIED, COUNTED]
    ((context,),) = orders.rows("select window_context from signalops.deliveries")
    assert context["value"] == 1.7e308


async def test_distinct_values_are_counted_once_each(orders: Orders) -> None:
    orders.rule(time_window={"distinct": {"field": "payload.ip", "atLeast": 3}, "within": "10m", **DAY})
    ips = ["a", "a", "b", "b", None, "a"]
    assert (await orders.see(*[(n, {"ip": ip}) for n, ip in enumerate(ips)]))[4] == NOTIFIED
    assert orders.deliveries() == 1


async def test_what_comes_in_later_than_the_lateness_is_left_out_and_said_so(orders: Orders) -> None:
    orders.rule(time_window={"count": 1, "within": "10m"})
    assert await orders.see((0, {})) == ["late"]
    assert orders.deliveries() == 0


async def test_a_time_in_the_future_counts_as_now(orders: Orders) -> None:
    orders.rule(time_window={"count": 2, "within": "10m"})
    ahead = (clock.now().timestamp() - clock.uuid7_time(clock.new_id()).timestamp()) / 60 + 6 * 60 + 60 * 24 * 365
    assert await orders.see((ahead, {})) == [COUNTED]
    assert await orders.see((6 * 60, {})) == [NOTIFIED]


async def test_the_delivery_says_what_the_window_saw(orders: Orders) -> None:
    orders.rule(time_window={"count": 2, "within": "10m", "groupBy": ["payload.user"], **DAY})
    await orders.see((0, {"user": "a"}), (5, {"user": "a"}))
    ((context,),) = orders.rows("select window_context from signalops.deliveries")
    assert (context["value"], context["group"]) == (2, {"payload.user": "a"})
    assert context["since"] < context["until"]


async def test_many_workers_fire_once_per_group(orders: Orders) -> None:
    orders.rule(time_window={"count": 25, "within": "10m", "groupBy": ["payload.user"], **DAY})
    batches = await asyncio.gather(
        *(orders.store(*[(n / 10, {"user": n % 4}) for n in range(turn, 60, 6)]) for turn in range(6) for _ in range(2))
    )
    await asyncio.gather(*(orders.handlers.process_batch(batch, 1) for batch in batches))
    per_group = orders.rows("select window_context -> 'group' ->> 'payload.user', count(*) from signalops.deliveries group by 1")
    assert sorted(per_group) == [("0", 1), ("1", 1), ("2", 1), ("3", 1)]


async def test_a_new_version_of_the_condition_counts_afresh(orders: Orders) -> None:
    rule = orders.rule(time_window={"count": 2, "within": "10m", **DAY})
    await orders.see((0, {}))
    orders.owner.execute(
        """insert into signalops.rule_versions select (v).* from
            (select jsonb_populate_record(v, '{"version": 2, "state_version": 2}') as v from signalops.rule_versions v) v"""
    )
    orders.owner.execute("update signalops.rules set active_version = 2 where id = %s", [rule])
    assert await orders.see((1, {})) == [COUNTED]
    assert await orders.see((2, {})) == [NOTIFIED]


async def test_an_event_changes_no_index_of_its_group(orders: Orders) -> None:
    orders.rule(time_window={"count": 3, "within": "1m"}, cooldown={"for": "1h"})
    now = 6 * 60
    await orders.see((now, {}))
    before = orders.rows("select expires_at, due_at from signalops.rule_states")
    await orders.see((now, {}), (now, {}))
    assert orders.rows("select expires_at, due_at from signalops.rule_states") == before
    orders.owner.execute("update signalops.rule_states set expires_at = now()")
    await orders.see((now, {}))
    assert orders.rows("select expires_at > now() + interval '1 hour' from signalops.rule_states") == [(True,)]


async def test_what_can_not_matter_any_more_is_forgotten(orders: Orders) -> None:
    orders.rule(time_window={"count": 2, "within": "1m", "allowedLateness": "6h"})
    await orders.see((60, {}))
    await orders.handlers.tidy()
    assert len(orders.rows("select from signalops.window_events")) == 1
    orders.owner.execute("update signalops.rule_states set expires_at = now()")
    await orders.handlers.tidy()
    assert orders.rows("select from signalops.window_events union all select from signalops.rule_states") == []
