"""A dead man's switch: a rule fires once when nothing matches for a time."""

import asyncio

import psycopg
import pytest

from signalops import clock, db
from signalops.config import Settings
from signalops.inbox.inbox_queries import Part, Results
from signalops.rules import rule_service
from signalops.rules.compiled import compile_rules
from signalops.rules.evaluate import decide
from signalops.types import RuleId
from tests.support.worlds.orders import Orders

ABSENT = "signalops.rule.absent"


def expire(orders: Orders) -> None:
    """Let the time of every absence be up."""
    orders.owner.execute("update signalops.rule_states set due_at = now() - interval '2 seconds' where due_at is not null")


async def look(orders: Orders) -> int:
    """Run the absence sweep by several workers at once; process the emitted events; return the number of deliveries."""
    await asyncio.gather(*(orders.handlers.fire_due() for _ in range(4)))
    for (batch,) in orders.rows("select distinct batch from signalops.inbox"):
        await orders.handlers.process_batch(batch, 1)
    return orders.deliveries()


async def test_it_fires_once_when_nothing_ever_matches(orders: Orders) -> None:
    rule = orders.rule(absent={"after": "15m"})
    assert await look(orders) == 0
    expire(orders)
    assert [await look(orders), await look(orders)] == [1, 1]
    ((payload,),) = orders.rows("select payload from signalops.events where type = %s", ABSENT)
    assert payload == {"rule": {"id": str(rule), "version": 1}, "group": {}, "lastSeenAt": None, "after": "15m"}
    assert orders.rows("select outcome from signalops.matches") == [("notified",)]


async def test_a_match_puts_it_off_and_rearms_it(orders: Orders) -> None:
    orders.rule(absent={"after": "15m"})
    expire(orders)
    assert await orders.see((6 * 60 - 5, {})) == ["counted"]
    assert await look(orders) == 0
    expire(orders)
    assert await look(orders) == 1
    await orders.see((6 * 60 - 4, {}))
    assert await look(orders) == 1
    expire(orders)
    assert await look(orders) == 2


async def test_what_waits_in_the_inbox_is_not_absent(orders: Orders) -> None:
    orders.rule(absent={"after": "15m"})
    batch = await orders.store((6 * 60, {}))
    orders.owner.execute("update signalops.rule_states set due_at = now() + interval '1 millisecond'")
    orders.owner.execute("select pg_sleep(1.1)")
    await orders.handlers.fire_due()
    await orders.handlers.process_batch(batch, 1)
    assert await look(orders) == 0


async def test_groups_are_known_from_their_first_event_and_fire_apart(orders: Orders) -> None:
    orders.rule(absent={"after": "15m", "groupBy": ["payload.host"]})
    await orders.see((6 * 60, {"host": "a"}), (6 * 60, {"host": "b"}))
    expire(orders)
    assert await look(orders) == 2
    groups = orders.rows("select payload -> 'group' ->> 'payload.host' from signalops.events where type = %s", ABSENT)
    assert sorted(groups) == [("a",), ("b",)]


async def test_a_disabled_rule_is_silent_and_starts_anew_when_enabled(orders: Orders) -> None:
    rule = orders.rule(absent={"after": "15m"})
    expire(orders)
    orders.owner.execute("update signalops.rules set enabled = false where id = %s", [rule])
    assert await look(orders) == 0
    orders.owner.execute("update signalops.rules set enabled = true where id = %s", [rule])
    assert await look(orders) == 0
    expire(orders)
    assert await look(orders) == 1


async def test_groups_that_were_not_seen_since_it_was_enabled_again_are_not_missed(orders: Orders, api_pool: db.Pool) -> None:
    rule = RuleId(orders.rule(absent={"after": "15m", "groupBy": ["payload.host"]}))
    await orders.see((6 * 60 - 5, {"host": "a"}), (6 * 60 - 5, {"host": "b"}))
    async with db.as_tenant(api_pool, orders.tenant.id) as connection:
        await rule_service.disable(connection, orders.tenant.id, rule)
    async with db.as_tenant(api_pool, orders.tenant.id) as connection:
        await rule_service.enable(connection, orders.tenant.id, rule)
    await orders.see((7 * 60, {"host": "b"}))
    expire(orders)
    assert await look(orders) == 1
    assert orders.rows("select payload -> 'group' from signalops.events where type = %s", ABSENT) == [({"payload.host": "b"},)]
    assert orders.rows("select due_at from signalops.rule_states") == [(None,), (None,)]


async def test_disabling_a_rule_waits_for_none_of_its_groups(orders: Orders, settings: Settings) -> None:
    rule = orders.rule(absent={"after": "15m", "groupBy": ["payload.host"]})
    await orders.see((6 * 60, {"host": "a"}))
    with psycopg.connect(db.admin_url(settings)) as worker:
        worker.execute("select from signalops.rule_states for update")
        orders.owner.execute("set lock_timeout = '2s'")
        orders.owner.execute("update signalops.rules set enabled = false where id = %s", [rule])
    expire(orders)
    assert await look(orders) == 0


async def test_two_rules_that_miss_one_anothers_notices_come_to_rest(orders: Orders) -> None:
    for source in ("order", "user"):
        orders.rule({"type": [ABSENT, f"{source}.paid"]}, absent={"after": "15m"})
    expire(orders)
    for _ in range(10):
        await look(orders)
        expire(orders)
    assert orders.rows("select max(causation_depth), count(*) from signalops.events") == [(4, 8)]
    assert orders.rows("select due_at from signalops.rule_states") == [(None,), (None,)]


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
    orders: Orders, conditions: dict[str, object], replays: str | None, announced: int
) -> None:
    rule = RuleId(clock.new_id())
    row = dict.fromkeys(("time_window", "absent", "cooldown", "digest", "active_hours"))
    row |= {"id": rule, "version": 2, "state_version": 1, "channel_id": rule, "grammar": 2, "pattern": {"type": ["never"]}}
    compiled = compile_rules(1, [row | {"cooldown": {"for": "1h"}} | conditions], [], lambda rule, error: pytest.fail(error))
    payload = {"rule": {"id": str(rule), "version": 1}, "group": {}}
    event = {"id": str(clock.new_id()), "causation_depth": 1, "type": ABSENT, "source": "signalops", "payload": payload}
    event |= {"occurredAt": clock.now().isoformat(), "attributes": None}
    if replays:
        replayed = rule if replays == "itself" else clock.new_id()
        event |= {"replay": str(clock.new_id()), "replay_rules": [str(replayed)]}
    results = Results()
    decide(compiled, Part(orders.tenant.id, 1, [event]), results)
    assert len(results.groups) == announced


async def test_another_rule_may_listen_to_the_notice_and_the_rule_itself_does_not(orders: Orders) -> None:
    orders.rule({"source": ["nowhere", "signalops"]}, absent={"after": "15m"})
    orders.rule({"type": [ABSENT]})
    expire(orders)
    assert await look(orders) == 2
    assert orders.rows("select due_at from signalops.rule_states") == [(None,)]


async def test_a_tenant_can_not_forge_the_notice(orders: Orders) -> None:
    rule = orders.rule({"type": ["never"]}, absent={"after": "15m"})
    assert await orders.see((0, {"rule": {"id": str(rule), "version": 1}, "group": {}})) == []
    orders.owner.execute("update signalops.events set type = %s", [ABSENT])
    assert orders.deliveries() == 0


async def test_a_cooldown_holds_for_absences_too(orders: Orders) -> None:
    orders.rule(absent={"after": "15m"}, cooldown={"for": "1h"})
    for minute in (6 * 60 - 3, 6 * 60 - 2):
        await orders.see((minute, {}))
        expire(orders)
        assert await look(orders) == 1
    assert orders.rows("select outcome, count(*) from signalops.matches where outcome <> 'counted' group by 1 order by 1") == [
        ("cooldown", 1),
        ("notified", 1),
    ]
