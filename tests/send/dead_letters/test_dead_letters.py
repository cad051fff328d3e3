"""Dead letters over HTTP: listed, retried and discarded, one or ten thousand; and events among them."""

import json
from typing import Any
from uuid import UUID

import psycopg
import pytest
from aiohttp import web

from signalops import clock
from signalops.job_handlers import JobHandlers
from signalops.types import BatchId, ChannelId, DeliveryId
from tests.support.api import SIGNUP, Client, assert_problem
from tests.support.deliveries import DEAD_LETTERS, DELIVERIES, die, do, ids, statuses
from tests.support.receivers import Receiver
from tests.support.rows import add_rule
from tests.support.tenants import Tenant
from tests.support.worlds.outbox import Outbox

POISON = """
  create function signalops.refuse_poison() returns trigger language plpgsql as $$
  begin
    raise 'this event is poisonous' using errcode = '22023';
  end $$;
  create trigger refuse_poison before insert on signalops.matches for each row execute function signalops.refuse_poison();
"""


@pytest.fixture
async def dead(acmes: Outbox) -> list[DeliveryId]:
    """Two dead letters of one channel and rule, one of another; the last one died last."""
    made = []
    for name, errors in (("first", ["The receiver answered 500.", "TLS failed."]), ("second", ["No such user."])):
        channel, _ = await acmes.channel("email", name=name, to="ops@example.com")
        rule = acmes.rule(channel, {})
        for error in errors:
            made.append(acmes.add_delivery(channel, acmes.event({}), rule))
            die(acmes.owner, acmes.tenant, made[-1], error)
    return made


def crowd(outbox: Outbox, channel: ChannelId, count: int) -> None:
    """Let as many deliveries of a channel have died, all at the same moment."""
    rule = outbox.rule(channel, {})
    outbox.owner.execute(
        "with d as (insert into signalops.deliveries"
        " (tenant_id, id, event_id, rule_id, rule_version, channel_id, status, attempts)"
        " select %s, signalops.new_id(), signalops.new_id(), %s, 1, %s, 'dead', 8 from generate_series(1, %s)"
        " returning tenant_id, id, event_id)"
        " insert into signalops.dead_letters (tenant_id, id, kind, event_id, delivery_id, error)"
        " select tenant_id, id, 'delivery', event_id, id, 'The receiver answered 500.' from d",
        [outbox.tenant, rule, channel, count],
    )
    # A trigger reads what its own statement has not yet shown to others.
    outbox.owner.execute("update signalops.dead_letters set rule_id = %s, channel_id = %s", [rule, channel])


async def test_dead_letters_are_listed_and_found(api: Client, acmes: Outbox, acme: Tenant, dead: list[DeliveryId]) -> None:
    newest = [str(one) for one in reversed(dead)]
    assert await ids(api, acme, DEAD_LETTERS) == newest
    assert await ids(api, acme, DEAD_LETTERS, limit=1, startingAfter=newest[0]) == newest[1:2]
    assert await ids(api, acme, DEAD_LETTERS, limit=1, endingBefore=newest[2]) == newest[1:2]
    row = acmes.row(dead[0])
    for name in ("rule", "channel"):
        assert await ids(api, acme, DEAD_LETTERS, **{name: row[f"{name}_id"]}) == newest[1:]
    assert await ids(api, acme, DEAD_LETTERS, error="ANSWERED 5") == newest[2:]
    assert await ids(api, acme, DEAD_LETTERS, kind="delivery") == newest
    assert await ids(api, acme, DEAD_LETTERS, kind="event") == []
    later = (clock.now()).isoformat()
    assert await ids(api, acme, DEAD_LETTERS, **{"from": later}) == []
    assert await ids(api, acme, DEAD_LETTERS, to=later) == newest
    for name, value in (("kind", "x"), ("channel", "x"), ("error", ""), ("to", "now"), ("reason", "x")):
        problem = assert_problem(await api.get(DEAD_LETTERS, acme, **{name: value}), 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == [name]


async def test_pages_lose_no_letter_that_died_at_the_same_moment(api: Client, acmes: Outbox, acme: Tenant) -> None:
    channel, _ = await acmes.channel("email", to="ops@example.com")
    crowd(acmes, channel, 7)
    seen: list[str] = []
    cursor: dict[str, object] = {}
    while page := await ids(api, acme, DEAD_LETTERS, limit=3, **cursor):
        seen += page
        cursor = {"startingAfter": page[-1]}
    assert (len(seen), seen) == (7, await ids(api, acme, DEAD_LETTERS))
    assert await ids(api, acme, DEAD_LETTERS, limit=3, endingBefore=seen[-1]) == seen[3:6]


async def test_a_letter_is_shown_retried_or_discarded(api: Client, acmes: Outbox, acme: Tenant, dead: list[DeliveryId]) -> None:
    first, second, third = dead
    shown = (await api.get(f"{DEAD_LETTERS}/{first}", acme)).json
    row = acmes.row(first)
    assert (shown["id"], shown["kind"], shown["error"]) == (str(first), "delivery", "The receiver answered 500.")
    assert (shown["event"]["id"], shown["channel"]["name"]) == (str(row["event_id"]), "first")
    assert (shown["resolution"], shown["resolvedAt"]) == (None, None)

    retried = (await do(api, acme, f"{DEAD_LETTERS}/{first}/retry")).json
    assert retried["resolution"] == "retried"
    discarded = (await do(api, acme, f"{DEAD_LETTERS}/{second}/discard", {"reason": "left"})).json
    assert (discarded["resolution"], discarded["reason"]) == ("discarded", "left")
    assert statuses(acmes) == {"retrying": 1, "dead": 2}
    assert await ids(api, acme, DEAD_LETTERS) == [str(third)]
    for one, resolution in ((first, "retried"), (second, "discarded")):
        for what, body in (("retry", {}), ("discard", {"reason": "x"})):
            problem = assert_problem(await do(api, acme, f"{DEAD_LETTERS}/{one}/{what}", body), 409, "conflict")
            assert problem["resolution"] == resolution
    problem = assert_problem(await do(api, acme, f"{DELIVERIES}/{second}/retry"), 409, "conflict")
    assert "discarded" in problem["detail"]


async def test_letters_are_counted_before_they_are_retried(
    api: Client, acmes: Outbox, acme: Tenant, dead: list[DeliveryId]
) -> None:
    channel = str(acmes.row(dead[0])["channel_id"])
    bulk_retry: dict[str, Any] = {"filter": {"channel": channel}}
    assert (await do(api, acme, f"{DEAD_LETTERS}/retry", {**bulk_retry, "dryRun": True})).json == {
        "deadLetters": 2,
        "remaining": 0,
    }
    assert statuses(acmes) == {"dead": 3}
    assert (await do(api, acme, f"{DEAD_LETTERS}/retry", bulk_retry)).json == {"deadLetters": 2, "remaining": 0}
    assert (await do(api, acme, f"{DEAD_LETTERS}/retry", bulk_retry)).json == {"deadLetters": 0, "remaining": 0}
    assert statuses(acmes) == {"retrying": 2, "dead": 1}
    bulk_retry = {"ids": [str(one) for one in dead], "reason": "gone"}
    assert (await do(api, acme, f"{DEAD_LETTERS}/discard", {**bulk_retry, "dryRun": True})).json == {
        "deadLetters": 1,
        "remaining": 0,
    }
    assert (await do(api, acme, f"{DEAD_LETTERS}/discard", bulk_retry)).json == {"deadLetters": 1, "remaining": 0}
    (dead_letter,) = acmes.dead_letters(dead[2])
    assert (dead_letter["resolution"], dead_letter["reason"]) == ("discarded", "gone")


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("retry", {}, ""),
    ("retry", {"ids": []}, "ids"),
    ("retry", {"ids": [str(UUID(int=1))], "filter": {}}, ""),
    ("retry", {"filter": {"chanel": "x"}}, "filter.chanel"),
    ("retry", {"filter": {"error": ""}}, "filter.error"),
    ("retry", {"filter": {}, "reason": "x"}, "reason"),
    ("discard", {"filter": {}}, "reason"),
    ("discard", {"filter": {}, "reason": ""}, "reason"),
]


async def test_nothing_is_chosen_by_mistake(api: Client, acmes: Outbox, acme: Tenant, dead: list[DeliveryId]) -> None:
    for what, body, path in REFUSED:
        problem = assert_problem(await do(api, acme, f"{DEAD_LETTERS}/{what}", body), 422, "invalid")
        assert problem["errors"][0]["path"] == path, body
    assert statuses(acmes) == {"dead": 3}


async def test_ten_thousand_are_retried_at_once_and_the_others_told(api: Client, acmes: Outbox, acme: Tenant) -> None:
    channel, _ = await acmes.channel("email", to="ops@example.com")
    crowd(acmes, channel, 10_007)
    bulk_retry = {"filter": {"error": "answered"}}
    counted = {"deadLetters": 10_000, "remaining": 7}
    assert (await do(api, acme, f"{DEAD_LETTERS}/retry", {**bulk_retry, "dryRun": True})).json == counted
    assert (await do(api, acme, f"{DEAD_LETTERS}/retry", bulk_retry)).json == counted
    assert statuses(acmes) == {"retrying": 10_000, "dead": 7}
    assert (await do(api, acme, f"{DEAD_LETTERS}/retry", bulk_retry)).json == {"deadLetters": 7, "remaining": 0}


async def test_a_delivery_that_dies_again_has_its_letter_again(
    api: Client, acmes: Outbox, acme: Tenant, dead: list[DeliveryId]
) -> None:
    await do(api, acme, f"{DEAD_LETTERS}/{dead[0]}/retry")
    acmes.wake(dead[0])
    die(acmes.owner, acme.id, dead[0], "once more")
    (dead_letter,) = acmes.dead_letters(dead[0])
    assert (dead_letter["error"], dead_letter["resolution"]) == ("once more", None)
    assert (await ids(api, acme, DEAD_LETTERS))[0] == str(dead[0])


async def test_a_dead_event_that_is_retried_is_processed_and_billed_once(api: Client, acmes: Outbox, acme: Tenant) -> None:
    channel, _ = await acmes.channel("email", to="ops@example.com")
    add_rule(acmes.owner, acme.id, channel, pattern={"type": ["user.signup"]})
    handlers = JobHandlers(acmes.worker, acmes.sender())
    event = (await api.post(SIGNUP, acme)).json["id"]

    async def process() -> None:
        (batch,) = acmes.owner.execute("select batch from signalops.inbox").fetchone() or (None,)
        assert batch is not None
        await handlers.process_batch(BatchId(batch), 1)

    async def seen() -> tuple[str, int]:
        used = acmes.owner.execute("select coalesce(sum(events), 0)::int from signalops.usage_counters").fetchone()
        assert used is not None
        return (await api.get(f"/api/events/{event}", acme)).json["status"], used[0]

    acmes.owner.execute(POISON)
    await process()
    assert await ids(api, acme, DEAD_LETTERS, kind="event") == [event]
    assert await seen() == ("dead", 0)
    await do(api, acme, f"{DEAD_LETTERS}/{event}/retry")
    assert await seen() == ("pending", 0)
    await process()
    assert await seen() == ("dead", 0)
    assert await ids(api, acme, DEAD_LETTERS) == [event], "it died again"

    acmes.owner.execute("drop trigger refuse_poison on signalops.matches")
    assert (await do(api, acme, f"{DEAD_LETTERS}/retry", {"filter": {"kind": "event"}})).json == {
        "deadLetters": 1,
        "remaining": 0,
    }
    await process()
    assert await seen() == ("processed", 1)
    assert statuses(acmes) == {"pending": 1}
    assert await ids(api, acme, DEAD_LETTERS) == []
    assert_problem(await do(api, acme, f"{DEAD_LETTERS}/{event}/retry"), 409, "conflict")


async def test_another_tenant_s_letter_answers_like_an_unknown_one(
    api: Client, acmes: Outbox, acme: Tenant, globex: Tenant, dead: list[DeliveryId]
) -> None:
    for one in (dead[0], clock.new_id(), "x"):
        assert_problem(await api.get(f"{DEAD_LETTERS}/{one}", globex), 404, "not-found")
        for what in ("retry", "discard"):
            assert_problem(await do(api, globex, f"{DEAD_LETTERS}/{one}/{what}", {"reason": "x"}), 404, "not-found")
    assert await ids(api, globex, DEAD_LETTERS) == []
    choices: list[dict[str, Any]] = [{"ids": [str(dead[0])]}, {"filter": {}}]
    for bulk_retry in choices:
        assert (await do(api, globex, f"{DEAD_LETTERS}/retry", bulk_retry)).json == {"deadLetters": 0, "remaining": 0}
    assert statuses(acmes) == {"dead": 3}
    assert acmes.owner.execute("select count(*) from signalops.dead_letters where resolved_at is null").fetchone() == (3,)


def test_a_dba_retries_in_sql(owner: psycopg.Connection, acmes: Outbox, dead: list[DeliveryId]) -> None:
    owner.execute("select signalops.set_tenant(%s)", [acmes.tenant])
    query = (
        "select signalops.retry_dead_letters(%(t)s,"
        " array(select id from signalops.pick_dead_letters(%(t)s, like_error => 'tls')))"
    )
    assert owner.execute(query, {"t": acmes.tenant}).fetchone() == (1,)
    assert statuses(acmes) == {"retrying": 1, "dead": 2}


async def test_what_could_not_be_rendered_is_retried_by_the_mended_template(
    api: Client, acmes: Outbox, acme: Tenant, receiver: Receiver
) -> None:
    channel, _ = await acmes.channel("webhook", url=receiver.url)
    unrendered = acmes.delivery(channel, body="{{ payload.nmae }}")
    refused = acmes.delivery(channel, body="as it was")
    receiver.answers.append(web.Response(status=400))
    sender = acmes.sender()
    for delivery in (unrendered, refused):
        await sender.deliver(acmes.tenant, delivery)
    assert "nmae" in acmes.dead_letters(unrendered)[0]["error"]
    for delivery in (unrendered, refused):
        rule = acmes.row(delivery)["rule_id"]
        change = {"pattern": {"type": ["user.signup"]}, "channel": str(channel), "template": {"body": "mended"}}
        changed = await api.request("PUT", f"/api/rules/{rule}", acme, json=change)
        assert changed.json["version"] == 2
    for delivery in (unrendered, refused):
        assert (await do(api, acme, f"{DEAD_LETTERS}/{delivery}/retry", {})).status == 200
        acmes.wake(delivery)
        await sender.deliver(acmes.tenant, delivery)
    versions = [(await api.get(f"/api/deliveries/{d}", acme)).json["rule"]["version"] for d in (unrendered, refused)]
    assert versions == [2, 1], "all else is sent as it would have been"
    bodies = [json.loads(request.body)["data"]["body"] for request in receiver.received[-2:]]
    assert bodies == ["mended", "as it was"]


async def test_the_retry_of_a_letter_closes_the_circuit(api: Client, acmes: Outbox, acme: Tenant, receiver: Receiver) -> None:
    channel, _ = await acmes.channel("webhook", url=receiver.url)
    dead, throttled = acmes.delivery(channel), acmes.delivery(channel)
    receiver.answers += [web.Response(status=400), web.Response(status=429, headers={"Retry-After": "3600"})]
    for delivery in (dead, throttled):
        await acmes.sender().deliver(acmes.tenant, delivery)
    assert (await api.get(f"/api/channels/{channel}", acme)).json["health"]["state"] == "paused"
    assert (await do(api, acme, f"{DEAD_LETTERS}/{dead}/retry", {})).status == 200
    assert (await api.get(f"/api/channels/{channel}", acme)).json["health"]["state"] == "healthy"
