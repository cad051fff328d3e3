"""The path of one event, at every point of its journey."""

from typing import Any
from uuid import UUID

from signalops import clock, db
from signalops.ingest import store
from signalops.ingest.model import EventIn, incoming
from signalops.terms import BatchId, EventId
from signalops.watch.follow import follow
from tests.people import Tenant, make_rule, set_limit
from tests.station.queue.conftest import World


async def path(world: World, tenant: Tenant, event: UUID | None = None) -> dict[str, Any]:
    """Return the path of an event, or of the only one."""
    if event is None:
        ((event,),) = world.rows("select id from signalops.events")
    async with db.as_tenant(world.api, tenant.id) as connection:
        shown = await follow(connection, tenant.id, EventId(event))
    assert shown is not None
    return shown


async def test_an_event_that_waits_has_no_processing(world: World, acme: Tenant) -> None:
    batch = await world.accept((acme, {"plan": "pro"}))
    shown = await path(world, acme)
    assert (shown["status"], shown["batch"], shown["processing"]) == ("pending", batch, None)
    assert (shown["matches"], shown["deliveries"]) == ([], [])
    assert (shown["type"], shown["source"], shown["payload"]) == ("user.signup", None, {"plan": "pro"})
    assert abs((shown["receivedAt"] - clock.now()).total_seconds()) < 60
    assert "attributes" not in shown


async def test_a_processed_event_names_its_job_its_rules_and_its_deliveries(world: World, acme: Tenant) -> None:
    rules = [make_rule(world.owner, acme, {"type": [kind]}) for kind in ("user.signup", "user.gone")]
    await world.journey.process_batch(await world.accept((acme, {})), 77)
    shown = await path(world, acme)
    assert shown["status"] == "processed"
    processing = shown["processing"]
    assert (processing["job"], processing["ruleset"], processing["rulesEvaluated"]) == (77, 2, 2)
    assert processing["processedAt"] >= shown["receivedAt"]
    assert shown["matches"] == [{"id": rules[0], "name": f"rule {rules[0]}", "version": 1, "outcome": "notified"}]
    (delivery,) = shown["deliveries"]
    assert delivery["rule"] == {"id": rules[0], "version": 1}
    assert (delivery["status"], delivery["attempts"], delivery["error"]) == ("pending", [], None)


async def test_a_delivery_shows_its_attempts_and_why_it_died(world: World, acme: Tenant) -> None:
    make_rule(world.owner, acme, {"type": ["user.signup"]})
    await world.journey.process_batch(await world.accept((acme, {})), 1)
    ((delivery,),) = world.rows("select id from signalops.deliveries")
    world.owner.execute("update signalops.channels set enabled = false")
    await world.journey.send_delivery(acme.id, delivery)
    (shown,) = (await path(world, acme))["deliveries"]
    assert (shown["id"], shown["status"], shown["nextAttemptAt"]) == (delivery, "dead", None)
    assert shown["error"] == "The channel is disabled: enable it."
    (attempt,) = shown["attempts"]
    assert (attempt["attempt"], attempt["outcome"], attempt["error"]) == (1, "broken", shown["error"])


async def test_a_dead_event_says_why(world: World, acme: Tenant) -> None:
    make_rule(world.owner, acme, {"type": ["user.signup"]})
    # A value that the row can't hold: the event's own fault.
    world.owner.execute("alter table signalops.matches alter rule_version type smallint")
    world.owner.execute("update signalops.rules set active_version = 70000")
    world.owner.execute("update signalops.rule_versions set version = 70000")
    await world.journey.process_batch(await world.accept((acme, {})), 1)
    shown = await path(world, acme)
    assert shown["status"] == "dead"
    assert "smallint out of range" in shown["processing"]["error"]
    assert shown["processing"]["diedAt"] is not None
    assert shown["matches"] == []


async def test_a_rule_that_was_deleted_since_is_named_so(world: World, acme: Tenant) -> None:
    rule = make_rule(world.owner, acme, {"type": ["user.signup"]})
    await world.journey.process_batch(await world.accept((acme, {})), 1)
    world.owner.execute("delete from signalops.rules")
    assert (await path(world, acme))["matches"] == [
        {"id": rule, "name": "(deleted)", "version": 1, "outcome": "notified"}
    ]


async def test_an_operational_event_is_marked(world: World, acme: Tenant) -> None:
    set_limit(world.owner, acme.id, soft=1)
    await world.accept((acme, {}))
    ((notice,),) = world.rows("select id from signalops.events where depth = 1")
    shown = await path(world, acme, notice)
    assert (shown["operational"], shown["source"]) == (True, "signalops")


async def test_attributes_of_a_cloud_event_are_shown(world: World, acme: Tenant) -> None:
    event = incoming(acme.id, EventIn(type="a.b"), {"subject": "cart"})
    async with world.api.connection() as connection:
        await store.accept(connection, [event], BatchId(clock.new_id()), 0)
    assert (await path(world, acme, event.id))["attributes"] == {"subject": "cart"}


async def test_nobody_follows_another_tenants_event(world: World, acme: Tenant, globex: Tenant) -> None:
    await world.accept((acme, {}))
    ((event,),) = world.rows("select id from signalops.events")
    async with db.as_tenant(world.api, globex.id) as connection:
        assert await follow(connection, globex.id, event) is None
        assert await follow(connection, acme.id, event) is None, "not even under the owner's name"
