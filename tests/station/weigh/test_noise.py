"""Cooldowns, digests, active hours and silences: who is told of what fires, how often, and when."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from signalops import clock
from tests.station.weigh.conftest import World

NOTIFIED, COOLDOWN = "notified", "cooldown"


def closed_now(otherwise: str) -> dict[str, Any]:
    """Return active hours that begin in two hours, for one hour."""
    opens = clock.now() + timedelta(hours=2)
    hours = {"from": f"{opens:%H:%M}", "to": f"{opens + timedelta(hours=1):%H:%M}"}
    return {
        "timeZone": "UTC",
        "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
        "otherwise": otherwise,
        **hours,
    }


def silence(world: World, pattern: dict[str, object], starts: timedelta, ends: timedelta) -> UUID:
    """Silence some events between two times from now."""
    silence = clock.new_id()
    world.owner.execute(
        "insert into signalops.silences (tenant_id, id, grammar, pattern, starts_at, ends_at, reason) "
        "values (%s, %s, 2, %s, now() + %s, now() + %s, 'maintenance')",
        [world.tenant.id, silence, Jsonb(pattern), starts, ends],
    )
    return silence


HOUR = timedelta(hours=1)
AT_ONCE = {"count": 1, "within": "1m", "lateness": "1d"}


async def test_a_cooldown_tells_once_per_group_until_it_is_over(world: World) -> None:
    world.rule(cooldown={"for": "10m", "groupBy": ["payload.user"]})
    assert await world.see((0, {"user": "a"}), (1, {"user": "b"}), (2, {"user": "a"})) == [NOTIFIED, NOTIFIED, COOLDOWN]
    assert await world.see((3, {"user": "a"}), (4, {"user": "c"})) == [COOLDOWN, NOTIFIED]
    world.owner.execute("update signalops.rule_groups set quiet_until = now()")
    assert await world.see((5, {"user": "a"}), (6, {"user": "a"})) == [NOTIFIED, COOLDOWN]


async def test_many_workers_share_one_cooldown(world: World) -> None:
    world.rule(cooldown={"for": "10m"})
    batches = [await world.store((n, {}), (n + 1, {})) for n in range(8)]
    await asyncio.gather(*(world.journey.process_batch(batch, 1) for batch in batches))
    assert world.deliveries() == 1
    assert world.rows("select count(*) from signalops.matches where outcome = 'cooldown'") == [(15,)]


async def test_a_windows_cooldown_goes_by_its_groups(world: World) -> None:
    world.rule(
        time_window={"count": 2, "within": "1m", "lateness": "1d", "groupBy": ["payload.user"]}, cooldown={"for": "1h"}
    )
    pair = [(0.0, {"user": "a"}), (0.5, {"user": "a"})]
    assert await world.see(*pair) == ["counted", NOTIFIED]
    assert await world.see(*[(m + 30, payload) for m, payload in pair]) == ["counted", COOLDOWN]
    assert await world.see(*[(m + 30, {"user": "b"}) for m, _ in pair]) == ["counted", NOTIFIED]


async def test_a_digest_tells_all_its_matches_in_one_delivery(world: World) -> None:
    rule = world.rule(digest={"every": "1h"})
    first = await world.store((0, {"n": 0}), (1, {"n": 1}))
    second = await world.store((2, {"n": 2}))
    for batch in (first, second):
        await world.journey.process_batch(batch, 1)
        assert set(world.outcomes(batch)) == {"digested"}
    await world.journey.tell_due()
    assert world.deliveries() == 0

    world.owner.execute("update signalops.digests set due_at = now()")
    await asyncio.gather(*(world.journey.tell_due() for _ in range(4)))
    ((kind, payload),) = world.rows(
        "select e.type, e.payload from signalops.deliveries d join signalops.events e on e.id = d.event_id"
    )
    events = [str(id) for (id,) in world.rows("select id from signalops.events where depth = 0 order by id")]
    assert (kind, payload["count"], payload["events"]) == ("signalops.rule.digest", 3, events)
    assert payload["rule"] == {"id": str(rule), "version": 1}
    assert world.rows("select from signalops.digests") == []


async def test_what_comes_after_a_digest_was_told_opens_the_next(world: World) -> None:
    world.rule(digest={"every": "1h"})
    for n in range(2):
        await world.see((n, {}))
        world.owner.execute("update signalops.digests set due_at = now()")
        await world.journey.tell_due()
    counts = world.rows("select payload -> 'count' from signalops.events where type = 'signalops.rule.digest'")
    assert counts == [(1,), (1,)]


async def test_a_digest_lists_a_hundred_events_and_counts_all(world: World) -> None:
    world.rule(digest={"every": "1h"})
    await world.see(*[(n / 100, {}) for n in range(150)])
    await world.see(*[(n / 100, {}) for n in range(70)])
    ((matched, listed),) = world.rows("select matched, cardinality(events) from signalops.digests")
    assert (matched, listed) == (220, 100)


async def test_a_digest_of_operational_events_does_not_feed_itself_for_ever(world: World) -> None:
    world.rule({"type": [{"prefix": "signalops."}, "order.paid"]}, digest={"every": "1h"})
    world.rule({"type": [{"prefix": "signalops."}, "order.paid"]}, digest={"every": "1h"})
    await world.see((0, {}))
    for _ in range(10):
        world.owner.execute("update signalops.digests set due_at = now()")
        await world.journey.tell_due()
        for (batch,) in world.rows("select distinct batch from signalops.inbox"):
            await world.journey.process_batch(batch, 1)
    assert world.rows("select max(depth) from signalops.events") == [(4,)]
    assert world.rows("select from signalops.digests") == []


async def test_outside_active_hours_a_delivery_waits_for_them_without_a_job(world: World) -> None:
    world.rule(active_hours=closed_now("wait"))
    assert await world.see((0, {})) == [NOTIFIED]
    ((status, next_attempt),) = world.rows("select status, next_attempt_at from signalops.deliveries")
    assert status == "pending"
    assert HOUR < next_attempt - clock.now() < 3 * HOUR
    assert _jobs(world) == 0
    world.owner.execute("update signalops.deliveries set updated_at = now() - interval '1 day'")
    await world.journey.enqueue_lost()
    assert _jobs(world) == 0

    world.owner.execute("update signalops.deliveries set next_attempt_at = now()")
    await world.journey.tidy()
    await world.journey.enqueue_due()
    assert (_jobs(world), world.rows("select next_attempt_at from signalops.deliveries")) == (1, [(None,)])


async def test_outside_active_hours_nobody_is_told_if_the_rule_says_so(world: World) -> None:
    world.rule(active_hours=closed_now("drop"))
    world.rule(active_hours=closed_now("drop"), cooldown={"for": "1h"})
    batch = await world.store((0, {}))
    await world.journey.process_batch(batch, 1)
    assert world.outcomes(batch) == ["quiet", "quiet"]
    assert world.deliveries() == 0
    assert world.rows("select quiet_until from signalops.rule_groups") == [(None,)]


async def test_a_digest_waits_for_active_hours(world: World) -> None:
    world.rule(digest={"every": "1s"}, active_hours=closed_now("wait"))
    await world.see((0, {}))
    ((due,),) = world.rows("select due_at from signalops.digests")
    assert due - clock.now() > HOUR


@pytest.mark.parametrize("conditions", [{}, {"cooldown": {"for": "1h"}}, {"time_window": AT_ONCE}])
async def test_a_silence_keeps_what_it_matches_from_being_told(world: World, conditions: dict[str, Any]) -> None:
    world.rule(**conditions)
    silence(world, {"payload": {"host": ["db1"]}}, -HOUR, HOUR)
    assert await world.see((0, {"host": "db1"})) == ["silenced"]
    assert await world.see((9, {"host": "db2"})) == [NOTIFIED]


async def test_a_silence_holds_between_its_times_only(world: World) -> None:
    world.rule()
    silence(world, {"type": ["order.paid"]}, -2 * HOUR, -HOUR)
    silence(world, {"type": ["order.paid"]}, HOUR, 2 * HOUR)
    assert await world.see((0, {})) == [NOTIFIED]


async def test_a_silence_holds_and_ends_from_the_next_batch_on(world: World) -> None:
    world.rule()
    assert await world.see((0, {})) == [NOTIFIED]
    begun = silence(world, {"type": ["order.paid"]}, -HOUR, HOUR)
    assert await world.see((1, {})) == ["silenced"]
    world.owner.execute("update signalops.silences set ends_at = %s where id = %s", [datetime.now(UTC), begun])
    assert await world.see((2, {})) == [NOTIFIED]


def _jobs(world: World) -> int:
    return len(world.rows("select from procrastinate.procrastinate_jobs where task_name = 'send_delivery'"))
