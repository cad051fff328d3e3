"""A dead man's switch: a rule fires once when nothing matches for a time."""

import asyncio

from tests.station.weigh.conftest import World

ABSENT = "signalops.rule.absent"


def expire(world: World) -> None:
    """Let the time of every absence be up."""
    world.owner.execute(
        "update signalops.rule_groups set due_at = now() - interval '2 seconds' where due_at is not null"
    )


async def look(world: World) -> int:
    """Sweep for absences, several workers at once; process what they told; return how many deliveries there are."""
    await asyncio.gather(*(world.journey.tell_due() for _ in range(4)))
    for (batch,) in world.rows("select distinct batch from signalops.inbox"):
        await world.journey.process_batch(batch, 1)
    return world.deliveries()


async def test_it_fires_once_when_nothing_ever_matches(world: World) -> None:
    rule = world.rule(absent={"after": "15m"})
    assert await look(world) == 0
    expire(world)
    assert [await look(world), await look(world)] == [1, 1]
    ((payload,),) = world.rows("select payload from signalops.events where type = %s", ABSENT)
    assert payload == {"rule": {"id": str(rule), "version": 1}, "group": {}, "lastSeenAt": None, "after": "15m"}
    assert world.rows("select outcome from signalops.matches") == [("notified",)]


async def test_a_match_puts_it_off_and_rearms_it(world: World) -> None:
    world.rule(absent={"after": "15m"})
    expire(world)
    assert await world.see((6 * 60 - 5, {})) == ["counted"]
    assert await look(world) == 0
    expire(world)
    assert await look(world) == 1
    await world.see((6 * 60 - 4, {}))
    assert await look(world) == 1
    expire(world)
    assert await look(world) == 2


async def test_what_waits_in_the_inbox_is_not_absent(world: World) -> None:
    world.rule(absent={"after": "15m"})
    batch = await world.store((6 * 60, {}))
    world.owner.execute("update signalops.rule_groups set due_at = now() + interval '1 millisecond'")
    world.owner.execute("select pg_sleep(1.1)")
    await world.journey.tell_due()
    await world.journey.process_batch(batch, 1)
    assert await look(world) == 0


async def test_groups_are_known_from_their_first_event_and_fire_apart(world: World) -> None:
    world.rule(absent={"after": "15m", "groupBy": ["payload.host"]})
    await world.see((6 * 60, {"host": "a"}), (6 * 60, {"host": "b"}))
    expire(world)
    assert await look(world) == 2
    groups = world.rows("select payload -> 'group' ->> 'payload.host' from signalops.events where type = %s", ABSENT)
    assert sorted(groups) == [("a",), ("b",)]


async def test_a_disabled_rule_is_silent_and_starts_anew_when_enabled(world: World) -> None:
    rule = world.rule(absent={"after": "15m"})
    expire(world)
    world.owner.execute("update signalops.rules set enabled = false where id = %s", [rule])
    assert await look(world) == 0
    world.owner.execute("update signalops.rules set enabled = true where id = %s", [rule])
    assert await look(world) == 0
    expire(world)
    assert await look(world) == 1


async def test_another_rule_may_listen_to_the_notice_and_the_rule_itself_does_not(world: World) -> None:
    world.rule({"source": ["nowhere", "signalops"]}, absent={"after": "15m"})
    world.rule({"type": [ABSENT]})
    expire(world)
    assert await look(world) == 2
    assert world.rows("select due_at from signalops.rule_groups") == [(None,)]


async def test_a_tenant_can_not_forge_the_notice(world: World) -> None:
    rule = world.rule({"type": ["never"]}, absent={"after": "15m"})
    assert await world.see((0, {"rule": {"id": str(rule), "version": 1}, "group": {}})) == []
    world.owner.execute("update signalops.events set type = %s", [ABSENT])
    assert world.deliveries() == 0


async def test_a_cooldown_holds_for_absences_too(world: World) -> None:
    world.rule(absent={"after": "15m"}, cooldown={"for": "1h"})
    for minute in (6 * 60 - 3, 6 * 60 - 2):
        await world.see((minute, {}))
        expire(world)
        assert await look(world) == 1
    assert world.rows(
        "select outcome, count(*) from signalops.matches where outcome <> 'counted' group by 1 order by 1"
    ) == [
        ("cooldown", 1),
        ("notified", 1),
    ]
