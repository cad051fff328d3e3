"""Deliveries over HTTP: listed, shown, retried, cancelled; and the ways between their states."""

import asyncio
import re
from datetime import timedelta
from itertools import product
from typing import Any, get_args
from uuid import UUID

import psycopg
import pytest
from aiohttp import web

from signalops import clock, db
from signalops.inbox import inbox_queries as inbox
from signalops.types import DeliveryId, DeliveryStatus
from tests.sql.scans import scanned
from tests.support.api import Blocked, Client, assert_problem
from tests.support.bulk_rows import BulkRows
from tests.support.deliveries import DELIVERIES, die, do, ids
from tests.support.paths import ROOT
from tests.support.receivers import Receiver
from tests.support.rows import NOBODY_LISTENS
from tests.support.tenants import Tenant, make_tenant
from tests.support.worlds.outbox import Outbox

STATES: tuple[DeliveryStatus, ...] = get_args(DeliveryStatus)
README = ROOT / "signalops" / "send" / "README.md"


def columns(status: str) -> dict[str, Any]:
    return {"status": status} | ({"next_attempt_at": clock.now()} if status == "retrying" else {})


async def many(outbox: Outbox) -> list[DeliveryId]:
    """A delivery in each state, the first half by one rule, the others by another one through another channel."""
    made = []
    for half, name in ((STATES[:5], "first"), (STATES[5:], "second")):
        channel, _ = await outbox.channel("email", name=name, to="ops@example.com")
        rule = outbox.rule(channel, {})
        made += [outbox.add_delivery(channel, outbox.event({}), rule, **columns(status)) for status in half]
    return made


async def test_deliveries_are_listed_newest_first_by_page(api: Client, acmes: Outbox, acme: Tenant) -> None:
    newest = [str(one) for one in reversed(await many(acmes))]
    assert await ids(api, acme, DELIVERIES) == newest
    assert await ids(api, acme, DELIVERIES, limit=2) == newest[:2]
    assert await ids(api, acme, DELIVERIES, limit=2, startingAfter=newest[1]) == newest[2:4]
    assert await ids(api, acme, DELIVERIES, limit=2, endingBefore=newest[4]) == newest[2:4]
    assert (await api.get(DELIVERIES, acme, limit=8)).json["hasMore"] is True
    assert (await api.get(DELIVERIES, acme, limit=9)).json["hasMore"] is False


async def test_deliveries_are_found_by_what_they_are(api: Client, acmes: Outbox, acme: Tenant) -> None:
    made = [str(one) for one in await many(acmes)]
    for delivery, status in zip(made, STATES, strict=True):
        assert await ids(api, acme, DELIVERIES, status=status) == [delivery]
    row = acmes.row(DeliveryId(UUID(made[0])))
    first = made[4::-1]
    assert await ids(api, acme, DELIVERIES, rule=row["rule_id"]) == first
    assert await ids(api, acme, DELIVERIES, channel=row["channel_id"]) == first
    assert await ids(api, acme, DELIVERIES, channel=row["channel_id"], limit=2, startingAfter=first[1]) == first[2:4]
    assert await ids(api, acme, DELIVERIES, channel=row["channel_id"], limit=2, endingBefore=first[4]) == first[2:4]
    assert await ids(api, acme, DELIVERIES, channel=row["channel_id"], status="dead") == []
    assert await ids(api, acme, DELIVERIES, event=row["event_id"]) == [made[0]]
    assert await ids(api, acme, DELIVERIES, event=row["event_id"], status="dead") == []
    hour = timedelta(hours=1)
    past, future = ((clock.now() + way * hour).isoformat() for way in (-1, 1))
    assert len(await ids(api, acme, DELIVERIES, **{"from": past, "to": future})) == 9
    assert await ids(api, acme, DELIVERIES, **{"from": future}) == []
    assert await ids(api, acme, DELIVERIES, status="dead", to=past) == []
    for name, value in (("status", "lost"), ("rule", "x"), ("since", past), ("from", "today")):
        problem = assert_problem(await api.get(DELIVERIES, acme, **{name: value}), 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == [name]


async def test_a_delivery_is_shown_with_its_attempts(api: Client, acmes: Outbox, acme: Tenant, receiver: Receiver) -> None:
    channel, _ = await acmes.channel("webhook", url=receiver.url)
    window = {"value": 3, "group": {}, "since": "2026-11-01T12:00:00Z", "until": "2026-11-01T12:01:00Z"}
    event, rule = acmes.event({"email": "user@example.com"}), acmes.rule(channel, {})
    delivery = acmes.add_delivery(channel, event, rule, window_context=window)
    receiver.answers.append(web.Response(status=500, text="x" * 4000))
    await acmes.sender().deliver(acmes.tenant, delivery)
    shown = (await api.get(f"{DELIVERIES}/{delivery}", acme)).json
    assert (shown["status"], shown["attempts"], shown["window"]) == ("retrying", 1, window)
    assert (shown["event"], shown["rule"]["id"]) == ({"id": str(event), "type": "user.signup"}, str(rule))
    assert shown["channel"] == {"id": str(channel), "name": "channel", "kind": "webhook"}
    (attempt,) = shown["attemptLog"]
    assert (attempt["attempt"], attempt["outcome"], attempt["statusCode"]) == (1, "transient", 500)
    assert (attempt["answer"], attempt["error"]) == ("x" * 2048, "The receiver answered 500.")


async def test_a_dead_delivery_is_retried_with_a_schedule_of_its_own(
    api: Client, acmes: Outbox, acme: Tenant, receiver: Receiver
) -> None:
    channel, _ = await acmes.channel("webhook", url=receiver.url)
    delivery = acmes.delivery(channel)
    receiver.answers += [web.Response(status=500), web.Response(status=500)]
    sender = acmes.sender(retry_schedule=(60.0,))
    await sender.deliver(acmes.tenant, delivery)
    acmes.wake(delivery)
    await sender.deliver(acmes.tenant, delivery)
    dead = (await api.get(f"{DELIVERIES}/{delivery}", acme)).json
    assert (dead["status"], dead["error"]) == ("dead", "The receiver answered 500.")

    answer = await do(api, acme, f"{DELIVERIES}/{delivery}/retry")
    assert (answer.status, answer.json["status"], answer.json["error"]) == (200, "retrying", None)
    assert (acmes.row(delivery)["attempts_at_reset"], acmes.dead_letters(delivery)[0]["resolution"]) == (2, "retried")
    async with acmes.worker.connection() as connection:
        assert await inbox.enqueue_due(connection, 1000) == 1
    await sender.deliver(acmes.tenant, delivery)
    assert (await api.get(f"{DELIVERIES}/{delivery}", acme)).json["status"] == "sent"
    assert [a["attempt"] for a in acmes.attempts(delivery)] == [1, 2, 3]


@pytest.mark.parametrize("status", ["pending", "retrying"])
async def test_a_delivery_that_waits_is_tried_now(api: Client, acmes: Outbox, acme: Tenant, status: str) -> None:
    channel, _ = await acmes.channel("email", to="ops@example.com")
    later = clock.now() + timedelta(hours=1)
    delivery = acmes.add_delivery(channel, acmes.event({}), acmes.rule(channel, {}), status=status, next_attempt_at=later)
    answer = await do(api, acme, f"{DELIVERIES}/{delivery}/retry")
    assert (answer.status, answer.json["status"]) == (200, status)
    async with acmes.worker.connection() as connection:
        assert await inbox.enqueue_due(connection, 1000) == 1
    assert acmes.row(delivery)["next_attempt_at"] is None


async def test_what_does_not_wait_is_neither_cancelled_nor_retried(api: Client, acmes: Outbox, acme: Tenant) -> None:
    made = dict(zip(STATES, await many(acmes), strict=True))
    for what, fits in (("cancel", {"pending", "retrying"}), ("retry", {"retrying"})):
        for status in sorted(set(STATES) - fits):
            problem = assert_problem(await do(api, acme, f"{DELIVERIES}/{made[status]}/{what}"), 409, "conflict")
            assert problem["deliveryStatus"] == status
            assert f"A delivery that is {status} can't be" in problem["detail"]
    for status in ("pending", "retrying"):
        answer = await do(api, acme, f"{DELIVERIES}/{made[status]}/cancel")
        assert (answer.status, answer.json["status"], answer.json["nextAttemptAt"]) == (200, "cancelled", None)


async def test_a_delivery_is_cancelled_while_a_worker_changes_it(
    api: Client, acmes: Outbox, acme: Tenant, blocked_backend: Blocked
) -> None:
    # PostgreSQL 18.4 ended by signal 11, and all sessions with it, when the cancellation had waited for the row.
    channel, _ = await acmes.channel("webhook", url=NOBODY_LISTENS)
    delivery = acmes.delivery(channel)
    with acmes.owner.transaction():
        acmes.owner.execute("update signalops.deliveries set status = 'sending', attempts = 2, updated_at = now()")
        cancelling = asyncio.create_task(do(api, acme, f"{DELIVERIES}/{delivery}/cancel"))
        await blocked_backend()
    assert (await cancelling).json["status"] == "cancelled"


async def test_what_is_cancelled_is_not_sent(api: Client, acmes: Outbox, acme: Tenant, receiver: Receiver) -> None:
    channel, _ = await acmes.channel("webhook", url=receiver.url)
    delivery = acmes.delivery(channel)
    await do(api, acme, f"{DELIVERIES}/{delivery}/cancel")
    await acmes.sender().deliver(acmes.tenant, delivery)
    assert (acmes.row(delivery)["status"], receiver.received) == ("cancelled", [])


async def test_another_tenant_s_delivery_answers_like_an_unknown_one(
    api: Client, acmes: Outbox, acme: Tenant, globex: Tenant
) -> None:
    channel, _ = await acmes.channel("email", to="ops@example.com")
    ours = acmes.delivery(channel)
    die(acmes.owner, acme.id, ours)
    for one in (ours, clock.new_id(), "x"):
        assert_problem(await api.get(f"{DELIVERIES}/{one}", globex), 404, "not-found")
        for what in ("retry", "cancel"):
            assert_problem(await do(api, globex, f"{DELIVERIES}/{one}/{what}"), 404, "not-found")
    assert await ids(api, globex, DELIVERIES) == await ids(api, globex, DELIVERIES, channel=channel) == []
    assert (await api.get(f"{DELIVERIES}/{ours}", acme)).json["status"] == "dead"


async def test_a_key_needs_the_scope(api: Client, owner: psycopg.Connection) -> None:
    other = make_tenant(owner, "reader", scopes=["events:read"])
    for path in (DELIVERIES, "/api/dead-letters", "/api/channels"):
        assert_problem(await api.get(path, other), 403, "forbidden")


def ways_of_the_readme() -> set[tuple[str, str]]:
    """The ways that the table of states names."""
    section = README.read_text(encoding="utf-8").partition("| state | is | next |")[2].partition("\n# ")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", section, re.MULTILINE)
    assert [state for state, _ in rows] == list(STATES)
    return {(state, after) for state, nexts in rows for after in re.findall(r"`(\w+)`", nexts)}


async def test_the_table_of_the_readme_names_each_way_and_no_other(owner: psycopg.Connection) -> None:
    query = (
        "select b, a from unnest(%(states)s::text[]) b, unnest(%(states)s::text[]) a where signalops.is_valid_transition(b, a)"
    )
    assert set(owner.execute(query, {"states": list(STATES)})) == ways_of_the_readme()


async def test_no_delivery_moves_against_its_ways(acmes: Outbox) -> None:
    channel, _ = await acmes.channel("email", to="ops@example.com")
    rule, ways = acmes.rule(channel, {}), ways_of_the_readme()
    for before, after in product(STATES, STATES):
        delivery = acmes.add_delivery(channel, clock.new_id(), rule, **columns(before))
        due = clock.now() if after == "retrying" else None
        move = "update signalops.deliveries set status = %s, next_attempt_at = %s where id = %s"
        if before == after or (before, after) in ways:
            acmes.owner.execute(move, [after, due, delivery])
        else:
            with pytest.raises(psycopg.errors.CheckViolation, match=f"can not become {after} once it is {before}"):
                acmes.owner.execute(move, [after, due, delivery])


BY_RULE = {"deliveries_by_rule", "rule_versions_pkey"}


@pytest.mark.parametrize(
    ("query", "may_scan"),
    [
        ("pick-deliveries", {"deliveries_pkey"}),
        ("pick-deliveries-of-event", {"deliveries_by_event"}),
        ("pick-deliveries-of-rules", BY_RULE),
        ("pick-dead-letters", {"dead_letters_open"}),
    ],
)
def test_a_page_is_read_along_an_index(bulk: BulkRows, query: str, may_scan: set[str]) -> None:
    parameters = {"tenant": bulk.tenant, "lower": UUID(int=0), "upper": UUID(int=2**128 - 1), "limit": 21, "upwards": False}
    parameters |= dict.fromkeys(("ids", "kind", "channel", "rule", "error", "since", "until", "beyond"))
    parameters |= {"event": clock.new_id(), "statuses": ["dead"]}
    with psycopg.connect(db.dsn(bulk.settings, "api"), autocommit=True) as connection:
        connection.execute("select set_config('signalops.tenant_id', %s, false)", [str(bulk.tenant)])
        with scanned(connection) as seen:
            connection.execute(db.queries("send/deliveries")[query], parameters)
    assert set(seen) <= may_scan
