"""The path of one event, at every point of its handlers."""

from typing import Any
from uuid import UUID

from signalops import clock, db
from signalops.ingest.event_models import EventIn, incoming
from signalops.types import EventId
from signalops.watch.event_trace import follow
from tests.support.rules import make_rule
from tests.support.tenants import Tenant, set_limit
from tests.support.worlds.base import accept_placed
from tests.support.worlds.pipeline import Pipeline


async def path(pipeline: Pipeline, tenant: Tenant, event: UUID | None = None) -> dict[str, Any]:
    """Return the path of an event, or of the only one."""
    if event is None:
        ((event,),) = pipeline.rows("select id from signalops.events")
    async with db.as_tenant(pipeline.api, tenant.id) as connection:
        shown = await follow(connection, tenant.id, EventId(event))
    assert shown is not None
    return shown


async def test_an_event_that_waits_has_no_processing(pipeline: Pipeline, acme: Tenant) -> None:
    batch = await pipeline.accept((acme, {"plan": "pro"}))
    shown = await path(pipeline, acme)
    assert (shown["status"], shown["batch"], shown["processing"]) == ("pending", batch, None)
    assert (shown["matches"], shown["deliveries"]) == ([], [])
    assert (shown["type"], shown["source"], shown["payload"]) == ("user.signup", None, {"plan": "pro"})
    assert abs((shown["receivedAt"] - clock.now()).total_seconds()) < 60
    assert "attributes" not in shown


async def test_a_processed_event_names_its_job_its_rules_and_its_deliveries(pipeline: Pipeline, acme: Tenant) -> None:
    rules = [make_rule(pipeline.owner, acme, {"type": [kind]}) for kind in ("user.signup", "user.gone")]
    await pipeline.handlers.process_batch(await pipeline.accept((acme, {})), 77)
    shown = await path(pipeline, acme)
    assert shown["status"] == "processed"
    processing = shown["processing"]
    assert (processing["job"], processing["rulesetVersion"], processing["rulesEvaluated"]) == (77, 2, 2)
    assert processing["processedAt"] >= shown["receivedAt"]
    assert shown["matches"] == [{"id": rules[0], "name": f"rule {rules[0]}", "version": 1, "outcome": "notified"}]
    (delivery,) = shown["deliveries"]
    assert delivery["rule"] == {"id": rules[0], "version": 1}
    assert (delivery["status"], delivery["attempts"], delivery["attemptLog"], delivery["error"]) == ("pending", 0, [], None)


async def test_a_delivery_shows_its_attempts_and_why_it_died(pipeline: Pipeline, acme: Tenant) -> None:
    make_rule(pipeline.owner, acme, {"type": ["user.signup"]})
    await pipeline.handlers.process_batch(await pipeline.accept((acme, {})), 1)
    ((delivery,),) = pipeline.rows("select id from signalops.deliveries")
    pipeline.owner.execute("update signalops.channels set enabled = false")
    await pipeline.handlers.send_delivery(acme.id, delivery)
    (shown,) = (await path(pipeline, acme))["deliveries"]
    assert (shown["id"], shown["status"], shown["nextAttemptAt"]) == (delivery, "dead", None)
    assert shown["error"] == "The channel is disabled: enable it."
    (attempt,) = shown["attemptLog"]
    assert (attempt["attempt"], attempt["outcome"], attempt["error"]) == (1, "misconfigured", shown["error"])


async def test_a_dead_event_says_why(pipeline: Pipeline, acme: Tenant) -> None:
    make_rule(pipeline.owner, acme, {"type": ["user.signup"]})
    # A value that the row can't hold: the event's own fault.
    pipeline.owner.execute("alter table signalops.matches alter rule_version type smallint")
    pipeline.owner.execute("update signalops.rules set active_version = 70000")
    pipeline.owner.execute("update signalops.rule_versions set version = 70000")
    await pipeline.handlers.process_batch(await pipeline.accept((acme, {})), 1)
    shown = await path(pipeline, acme)
    assert shown["status"] == "dead"
    assert "smallint out of range" in shown["processing"]["error"]
    assert shown["processing"]["diedAt"] is not None
    assert shown["matches"] == []


async def test_a_rule_that_was_deleted_since_is_named_so(pipeline: Pipeline, acme: Tenant) -> None:
    rule = make_rule(pipeline.owner, acme, {"type": ["user.signup"]})
    await pipeline.handlers.process_batch(await pipeline.accept((acme, {})), 1)
    pipeline.owner.execute("delete from signalops.rules")
    assert (await path(pipeline, acme))["matches"] == [{"id": rule, "name": "(deleted)", "version": 1, "outcome": "notified"}]


async def test_an_operational_event_is_marked(pipeline: Pipeline, acme: Tenant) -> None:
    set_limit(pipeline.owner, acme.id, soft=1)
    await pipeline.accept((acme, {}))
    ((notice,),) = pipeline.rows("select id from signalops.events where causation_depth = 1")
    shown = await path(pipeline, acme, notice)
    assert (shown["operational"], shown["source"]) == (True, "signalops")


async def test_attributes_of_a_cloud_event_are_shown(pipeline: Pipeline, acme: Tenant) -> None:
    event = incoming(acme.id, EventIn(type="a.b"), {"subject": "cart"})
    _, (stored,) = await accept_placed(pipeline.api, [event])
    assert (await path(pipeline, acme, stored))["attributes"] == {"subject": "cart"}


async def test_nobody_follows_another_tenants_event(pipeline: Pipeline, acme: Tenant, globex: Tenant) -> None:
    await pipeline.accept((acme, {}))
    ((event,),) = pipeline.rows("select id from signalops.events")
    async with db.as_tenant(pipeline.api, globex.id) as connection:
        assert await follow(connection, globex.id, event) is None
        assert await follow(connection, acme.id, event) is None, "not even under the owner's name"
