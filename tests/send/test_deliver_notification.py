"""What a delivery tells of: an event, why a window fired, a digest, an absence, a replay."""

import json
from typing import Any
from uuid import UUID

import pytest

from signalops import clock, db
from signalops.types import ChannelId, DeliveryId
from tests.support.receivers import Receiver
from tests.support.rows import add
from tests.support.worlds.outbox import Outbox

WINDOW = {"value": 5, "group": {"payload.user": "u1"}, "since": "2026-11-01T11:50:00Z", "until": "2026-11-01T12:00:00Z"}
BODY = "{{ count }}:{% for event in events %}{{ event.payload.n }},{% endfor %}"


async def sent(outbox: Outbox, receiver: Receiver, delivery: DeliveryId) -> dict[str, Any]:
    """Send a delivery, and return the data that the receiver got."""
    await outbox.sender().deliver(outbox.tenant, delivery)
    assert outbox.attempts(delivery)[-1]["error"] is None
    data: dict[str, Any] = json.loads(receiver.received[-1].body)["data"]
    return data


async def hook(outbox: Outbox, receiver: Receiver) -> ChannelId:
    return (await outbox.channel("webhook", url=receiver.url))[0]


def digest(outbox: Outbox, channel: ChannelId, rule: UUID, ids: list[str], count: int) -> DeliveryId:
    """Store the delivery of a rule's digest."""
    payload = {
        "rule": {"id": str(rule), "version": 1},
        "since": "2026-11-01T11:00:00Z",
        "until": "2026-11-01T12:00:00Z",
        "count": count,
        "events": ids,
    }
    return outbox.add_delivery(channel, outbox.event(payload, "signalops.rule.digest", 1), rule)


async def test_a_plain_rule_s_event_has_no_window_and_no_list(outbox: Outbox, receiver: Receiver) -> None:
    channel = await hook(outbox, receiver)
    data = await sent(outbox, receiver, outbox.add_delivery(channel, outbox.event({}), outbox.rule(channel, {}, "error")))
    assert data.keys() == {"event", "rule", "subject", "body"}
    assert data["rule"]["severity"] == "error"


async def test_a_window_is_told_to_the_template_and_the_receiver(outbox: Outbox, receiver: Receiver) -> None:
    channel = await hook(outbox, receiver)
    rule = outbox.rule(channel, {"body": "{{ window.value }} {{ window.group['payload.user'] }} {{ window.until }}"})
    data = await sent(outbox, receiver, outbox.add_delivery(channel, outbox.event({}), rule, window_context=WINDOW))
    assert data["window"] == WINDOW
    assert data["body"] == "5 u1 2026-11-01T12:00:00Z"


async def test_a_replay_says_so(outbox: Outbox, receiver: Receiver) -> None:
    channel = await hook(outbox, receiver)
    delivery = outbox.add_delivery(channel, outbox.event({}), outbox.rule(channel, {}), replay_id=clock.new_id())
    assert (await sent(outbox, receiver, delivery))["replay"] is True


async def test_a_digest_lists_its_events_in_its_order(outbox: Outbox, receiver: Receiver) -> None:
    channel = await hook(outbox, receiver)
    rule = outbox.rule(channel, {"body": BODY})
    ids = [str(outbox.event({"n": n})) for n in range(3)]
    gone = str(clock.new_id())
    data = await sent(outbox, receiver, digest(outbox, channel, rule, [ids[2], gone, ids[0], ids[1]], 40))
    assert data["body"] == "40:2,0,1,"
    assert data["subject"] == f"rule {rule}: 40 events"
    assert data["count"] == 40
    assert [event["id"] for event in data["events"]] == [ids[2], ids[0], ids[1]]
    assert data["events"][0] == {
        "id": ids[2],
        "type": "user.signup",
        "source": None,
        "occurredAt": "2026-11-01T12:00:00+00:00",
        "payload": {"n": 2},
    }


async def test_a_digest_without_a_template_counts_what_it_does_not_list(outbox: Outbox, receiver: Receiver) -> None:
    channel = await hook(outbox, receiver)
    ids = [str(outbox.event({"n": n})) for n in range(2)]
    data = await sent(outbox, receiver, digest(outbox, channel, outbox.rule(channel, {}), ids, 12))
    assert data["body"] == "2026-11-01T12:00:00+00:00 user.signup\n" * 2 + "and 10 more\n"


async def test_a_digest_s_list_ends_at_100_events(outbox: Outbox, receiver: Receiver) -> None:
    channel = await hook(outbox, receiver)
    ids = [str(outbox.event({"n": n})) for n in range(101)]
    data = await sent(outbox, receiver, digest(outbox, channel, outbox.rule(channel, {"body": BODY}), ids, 101))
    assert [event["id"] for event in data["events"]] == ids[:100]


async def test_a_digest_s_list_ends_when_the_payloads_exceed_a_mebibyte(outbox: Outbox, receiver: Receiver) -> None:
    channel = await hook(outbox, receiver)
    ids = [str(outbox.event({"n": n, "text": "x" * 300_000})) for n in range(6)]
    data = await sent(outbox, receiver, digest(outbox, channel, outbox.rule(channel, {"body": BODY}), ids, 6))
    assert data["body"] == "6:0,1,2,3,"


async def test_another_tenant_s_event_is_not_listed(outbox: Outbox, receiver: Receiver) -> None:
    channel = await hook(outbox, receiver)
    stranger = clock.new_id()
    add(outbox.owner, "tenants", stranger, id=stranger, slug="stranger")
    theirs, ours = outbox.event({"n": "theirs"}), outbox.event({"n": "ours"})
    outbox.owner.execute("update signalops.events set tenant_id = %s where id = %s", [stranger, theirs])
    rule = outbox.rule(channel, {"body": BODY})
    data = await sent(outbox, receiver, digest(outbox, channel, rule, [str(theirs), str(ours)], 2))
    assert data["body"] == "2:ours,"


async def test_an_absence_says_since_when(outbox: Outbox, receiver: Receiver) -> None:
    channel = await hook(outbox, receiver)
    rule = outbox.rule(channel, {})
    payload = {"rule": {"id": str(rule), "version": 1}, "group": {}, "lastSeenAt": "2026-11-01T11:45:00Z", "after": "15m"}
    data = await sent(outbox, receiver, outbox.add_delivery(channel, outbox.event(payload, "signalops.rule.absent", 1), rule))
    assert data["subject"] == f"rule {rule}: no event for 15m"
    assert "the last one was seen at 2026-11-01T11:45:00Z" in data["body"]


@pytest.mark.parametrize("type_", ["signalops.rule.digest", "signalops.rule.absent"])
async def test_such_an_event_of_a_tenant_or_another_rule_is_one_like_any_other(
    outbox: Outbox, receiver: Receiver, type_: str
) -> None:
    channel = await hook(outbox, receiver)
    rule, other = outbox.rule(channel, {}), outbox.rule(channel, {})
    for told_by, causation_depth in ((rule, 0), (other, 1)):
        payload = {"rule": {"id": str(told_by)}, "events": ["no id"]}
        data = await sent(outbox, receiver, outbox.add_delivery(channel, outbox.event(payload, type_, causation_depth), rule))
        assert data["subject"] == type_
        assert "events" not in data


async def test_listed_events_are_found_by_their_key(outbox: Outbox) -> None:
    outbox.owner.execute(
        "insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload)"
        " select %s, signalops.new_id(), signalops.new_id(), 'a', now(), now(), '{}' from generate_series(1, 2000)",
        [outbox.tenant],
    )
    outbox.owner.execute("analyze signalops.events")
    values = {"tenant": outbox.tenant, "ids": [str(outbox.event({}))]}
    async with db.as_tenant(outbox.worker, outbox.tenant) as connection:
        cursor = await connection.execute("explain " + db.queries("send/send")["read-listed-events"], values)
        plan = "\n".join(line for (line,) in await cursor.fetchall())
    assert "_pkey on events_" in plan
