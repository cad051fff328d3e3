"""Cooldowns, digests, active hours and silences: who is notified, how often, and when."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from signalops import clock
from tests.support.worlds.orders import Orders

NOTIFIED, COOLDOWN = "notified", "cooldown"


def closed_now(otherwise: str) -> dict[str, Any]:
    """Return active hours that begin in two hours, for one hour."""
    opens = clock.now() + timedelta(hours=2)
    hours = {"from": f"{opens:%H:%M}", "to": f"{opens + timedelta(hours=1):%H:%M}"}
    return {"timeZone": "UTC", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "outsideHours": otherwise, **hours}


def silence(orders: Orders, pattern: dict[str, object], starts: timedelta, ends: timedelta) -> UUID:
    """Silence some events between two times from now."""
    silence = clock.new_id()
    orders.owner.execute(
        "insert into signalops.silences (tenant_id, id, grammar, pattern, starts_at, ends_at, reason) "
        "values (%s, %s, 2, %s, now() + %s, now() + %s, 'maintenance')",
        [orders.tenant.id, silence, Jsonb(pattern), starts, ends],
    )
    return silence


HOUR = timedelta(hours=1)
AT_ONCE = {"count": 1, "within": "1m", "allowedLateness": "1d"}


async def test_a_cooldown_tells_once_per_group_until_it_is_over(orders: Orders) -> None:
    orders.rule(cooldown={"for": "10m", "groupBy": ["payload.user"]})
    assert await orders.see((0, {"user": "a"}), (1, {"user": "b"}), (2, {"user": "a"})) == [NOTIFIED, NOTIFIED, COOLDOWN]
    assert await orders.see((3, {"user": "a"}), (4, {"user": "c"})) == [COOLDOWN, NOTIFIED]
    orders.owner.execute("update signalops.rule_states set cooldown_until = now()")
    assert await orders.see((5, {"user": "a"}), (6, {"user": "a"})) == [NOTIFIED, COOLDOWN]


async def test_many_workers_share_one_cooldown(orders: Orders) -> None:
    orders.rule(cooldown={"for": "10m"})
    batches = [await orders.store((n, {}), (n + 1, {})) for n in range(8)]
    await asyncio.gather(*(orders.handlers.process_batch(batch, 1) for batch in batches))
    assert orders.deliveries() == 1
    assert orders.rows("select count(*) from signalops.matches where outcome = 'cooldown'") == [(15,)]


async def test_a_windows_cooldown_goes_by_its_groups(orders: Orders) -> None:
    orders.rule(
        time_window={"count": 2, "within": "1m", "allowedLateness": "1d", "groupBy": ["payload.user"]}, cooldown={"for": "1h"}
    )
    pair = [(0.0, {"user": "a"}), (0.5, {"user": "a"})]
    assert await orders.see(*pair) == ["counted", NOTIFIED]
    assert await orders.see(*[(m + 30, payload) for m, payload in pair]) == ["counted", COOLDOWN]
    assert await orders.see(*[(m + 30, {"user": "b"}) for m, _ in pair]) == ["counted", NOTIFIED]


async def test_a_digest_tells_all_its_matches_in_one_delivery(orders: Orders) -> None:
    rule = orders.rule(digest={"every": "1h"})
    first = await orders.store((0, {"n": 0}), (1, {"n": 1}))
    second = await orders.store((2, {"n": 2}))
    for batch in (first, second):
        await orders.handlers.process_batch(batch, 1)
        assert set(orders.outcomes(batch)) == {"digested"}
    await orders.handlers.fire_due()
    assert orders.deliveries() == 0

    orders.owner.execute("update signalops.digests set due_at = now()")
    await asyncio.gather(*(orders.handlers.fire_due() for _ in range(4)))
    ((kind, payload),) = orders.rows(
        "select e.type, e.payload from signalops.deliveries d join signalops.events e on e.id = d.event_id"
    )
    events = [str(id) for (id,) in orders.rows("select id from signalops.events where causation_depth = 0 order by id")]
    assert (kind, payload["count"], payload["events"]) == ("signalops.rule.digest", 3, events)
    assert payload["rule"] == {"id": str(rule), "version": 1}
    assert orders.rows("select from signalops.digests") == []


async def test_what_comes_after_a_digest_was_told_opens_the_next(orders: Orders) -> None:
    orders.rule(digest={"every": "1h"})
    for n in range(2):
        await orders.see((n, {}))
        orders.owner.execute("update signalops.digests set due_at = now()")
        await orders.handlers.fire_due()
    counts = orders.rows("select payload -> 'count' from signalops.events where type = 'signalops.rule.digest'")
    assert counts == [(1,), (1,)]


async def test_a_digest_lists_a_hundred_events_and_counts_all(orders: Orders) -> None:
    orders.rule(digest={"every": "1h"})
    await orders.see(*[(n / 100, {}) for n in range(150)])
    await orders.see(*[(n / 100, {}) for n in range(70)])
    ((matched, listed),) = orders.rows("select matched, cardinality(events) from signalops.digests")
    assert (matched, listed) == (220, 100)


async def test_a_digest_of_operational_events_does_not_feed_itself_for_ever(orders: Orders) -> None:
    orders.rule({"type": [{"prefix": "signalops."}, "order.paid"]}, digest={"every": "1h"})
    orders.rule({"type": [{"prefix": "signalops."}, "order.paid"]}, digest={"every": "1h"})
    await orders.see((0, {}))
    for _ in range(10):
        orders.owner.execute("update signalops.digests set due_at = now()")
        await orders.handlers.fire_due()
        for (batch,) in orders.rows("select distinct batch from signalops.inbox"):
            await orders.handlers.process_batch(batch, 1)
    assert orders.rows("select max(causation_depth) from signalops.events") == [(4,)]
    assert orders.rows("select from signalops.digests") == []


async def test_outside_active_hours_a_delivery_waits_for_them_without_a_job(orders: Orders) -> None:
    orders.rule(active_hours=closed_now("wait"))
    assert await orders.see((0, {})) == [NOTIFIED]
    ((status, next_attempt),) = orders.rows("select status, next_attempt_at from signalops.deliveries")
    assert status == "pending"
    assert HOUR < next_attempt - clock.now() < 3 * HOUR
    assert _jobs(orders) == 0
    orders.owner.execute("update signalops.deliveries set updated_at = now() - interval '1 day'")
    await orders.handlers.enqueue_lost()
    assert _jobs(orders) == 0

    orders.owner.execute("update signalops.deliveries set next_attempt_at = now()")
    await orders.handlers.tidy()
    await orders.handlers.enqueue_due()
    assert (_jobs(orders), orders.rows("select next_attempt_at from signalops.deliveries")) == (1, [(None,)])


async def test_outside_active_hours_nobody_is_told_if_the_rule_says_so(orders: Orders) -> None:
    orders.rule(active_hours=closed_now("drop"))
    orders.rule(active_hours=closed_now("drop"), cooldown={"for": "1h"})
    batch = await orders.store((0, {}))
    await orders.handlers.process_batch(batch, 1)
    assert orders.outcomes(batch) == ["outside_hours", "outside_hours"]
    assert orders.deliveries() == 0
    assert orders.rows("select cooldown_until from signalops.rule_states") == [(None,)]


async def test_a_digest_waits_for_active_hours(orders: Orders) -> None:
    orders.rule(digest={"every": "1s"}, active_hours=closed_now("wait"))
    await orders.see((0, {}))
    ((due,),) = orders.rows("select due_at from signalops.digests")
    assert due - clock.now() > HOUR


@pytest.mark.parametrize("conditions", [{}, {"cooldown": {"for": "1h"}}, {"time_window": AT_ONCE}])
async def test_a_silence_keeps_what_it_matches_from_being_told(orders: Orders, conditions: dict[str, Any]) -> None:
    orders.rule(**conditions)
    silence(orders, {"payload": {"host": ["db1"]}}, -HOUR, HOUR)
    assert await orders.see((0, {"host": "db1"})) == ["silenced"]
    assert await orders.see((9, {"host": "db2"})) == [NOTIFIED]


async def test_a_silence_holds_between_its_times_only(orders: Orders) -> None:
    orders.rule()
    silence(orders, {"type": ["order.paid"]}, -2 * HOUR, -HOUR)
    silence(orders, {"type": ["order.paid"]}, HOUR, 2 * HOUR)
    assert await orders.see((0, {})) == [NOTIFIED]


async def test_a_silence_holds_and_ends_from_the_next_batch_on(orders: Orders) -> None:
    orders.rule()
    assert await orders.see((0, {})) == [NOTIFIED]
    begun = silence(orders, {"type": ["order.paid"]}, -HOUR, HOUR)
    assert await orders.see((1, {})) == ["silenced"]
    orders.owner.execute("update signalops.silences set ends_at = %s where id = %s", [datetime.now(UTC), begun])
    assert await orders.see((2, {})) == [NOTIFIED]


def _jobs(orders: Orders) -> int:
    return len(orders.rows("select from procrastinate.procrastinate_jobs where task_name = 'send_delivery'"))
