"""A dead man's switch: a rule fires once when nothing matches for a time."""

import asyncio

import psycopg
import pytest

from signalops import clock, db
from signalops.config import Settings
from signalops.queue.store import Part, Results
from signalops.rules import manage
from signalops.rules.compiled import compile_rules
from signalops.rules.decide import decide
from signalops.terms import RuleId
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


async def test_groups_that_were_not_seen_since_it_was_enabled_again_are_not_missed(
    world: World, api_pool: db.Pool
) -> None:
    rule = RuleId(world.rule(absent={"after": "15m", "groupBy": ["payload.host"]}))
    await world.see((6 * 60 - 5, {"host": "a"}), (6 * 60 - 5, {"host": "b"}))
    async with db.as_tenant(api_pool, world.tenant.id) as connection:
        await manage.disable(connection, world.tenant.id, rule)
    async with db.as_tenant(api_pool, world.tenant.id) as connection:
        await manage.enable(connection, world.tenant.id, rule)
    await world.see((7 * 60, {"host": "b"}))
    expire(world)
    assert await look(world) == 1
    assert world.rows("select payload -> 'group' from signalops.events where type = %s", ABSENT) == [
        ({"payload.host": "b"},)
    ]
    assert world.rows("select due_at from signalops.rule_groups") == [(None,), (None,)]


async def test_disabling_a_rule_waits_for_none_of_its_groups(world: World, settings: Settings) -> None:
    rule = world.rule(absent={"after": "15m", "groupBy": ["payload.host"]})
    await world.see((6 * 60, {"host": "a"}))
    with psycopg.connect(db.admin_url(settings)) as worker:
        worker.execute("select from signalops.rule_groups for update")
        world.owner.execute("set lock_timeout = '2s'")
        world.owner.execute("update signalops.rules set enabled = false where id = %s", [rule])
    expire(world)
    assert await look(world) == 0


async def test_two_rules_that_miss_one_anothers_notices_come_to_rest(world: World) -> None:
    for source in ("order", "user"):
        world.rule({"type": [ABSENT, f"{source}.paid"]}, absent={"after": "15m"})
    expire(world)
    for _ in range(10):
        await look(world)
        expire(world)
    assert world.rows("select max(depth), count(*) from signalops.events") == [(4, 8)]
    assert world.rows("select due_at from signalops.rule_groups") == [(None,), (None,)]


@pytest.mark.parametrize(
    ("conditions", "replays", "announced"),
    [
        ({"absent": {"after": "15m"}}, None, 1),
        ({"absent": {"after": "15m"}}, "itself", 1),
        ({"absent": {"after": "15m"}}, "another", 0),
        ({"time_window": {"count": 1, "within": "1m"}}, None, 0),
    ],
)
def test_a_notice_is_the_absent_rules_alone(
    world: World, conditions: dict[str, object], replays: str | None, announced: int
) -> None:
    rule = RuleId(clock.new_id())
    row = dict.fromkeys(("time_window", "absent", "cooldown", "digest", "active_hours"))
    row |= {"id": rule, "version": 2, "since": 1, "channel_id": rule, "grammar": 2, "pattern": {"type": ["never"]}}
    compiled = compile_rules(
        1, [row | {"cooldown": {"for": "1h"}} | conditions], [], lambda rule, error: pytest.fail(error)
    )
    payload = {"rule": {"id": str(rule), "version": 1}, "group": {}}
    event = {"id": str(clock.new_id()), "depth": 1, "type": ABSENT, "source": "signalops", "payload": payload}
    event |= {"occurredAt": clock.now().isoformat(), "attributes": None}
    if replays:
        wanted = rule if replays == "itself" else clock.new_id()
        event |= {"replay": str(clock.new_id()), "replay_rules": [str(wanted)]}
    results = Results()
    decide(compiled, Part(world.tenant.id, 1, [event]), results)
    assert len(results.groups) == announced


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
