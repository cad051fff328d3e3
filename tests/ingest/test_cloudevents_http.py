"""CloudEvents, as the official SDK writes them, sent unchanged."""

import json
from datetime import UTC, datetime
from typing import Any

import psycopg
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tests.support.api import Answer, Client, assert_problem, rows, stored
from tests.support.tenants import Tenant

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=250_000)
BATCH = {"content-type": "application/cloudevents-batch+json"}


def _event(number: int = 1, data: Any = None, **more: object) -> CloudEvent:
    attributes = {
        "id": f"order-{number}",
        "source": "/shop/k\u00f6ln",
        "type": "order.paid",
        "time": NOON,
        "datacontenttype": "application/json",
        "subject": "Order 100% \u20ac",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        **more,
    }
    return CloudEvent(attributes, {"amount": 7} if data is None else data)


async def _send(api: Client, acme: Tenant, message: HTTPMessage, path: str = "/api/events") -> Answer:
    return await api.request("POST", path, acme, data=message.body, headers=message.headers)


async def test_each_mode_stores_the_same_event(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    for number, write in enumerate((to_structured_event, to_binary_event)):
        answer = await _send(api, acme, write(_event(number)))
        assert (answer.status, answer.json["status"]) == (202, "accepted")
        row = stored(owner, answer.json["id"])
        assert (row["type"], row["source"], row["payload"]) == ("order.paid", "/shop/k\u00f6ln", {"amount": 7})
        assert row["occurred_at"] == NOON
        shown = (await api.get(f"/api/events/{answer.json['id']}", acme)).json
        assert (
            shown["attributes"]
            == row["attributes"]
            == {
                "id": f"order-{number}",
                "subject": "Order 100% \u20ac",
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            }
        )


async def test_source_and_id_are_the_idempotency_key_in_every_mode(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    first = await _send(api, acme, to_structured_event(_event()))
    batch = b"[%s]" % to_structured_event(_event()).body
    again = await _send(api, acme, to_binary_event(_event()))
    assert (again.status, again.json) == (200, {"id": first.json["id"], "status": "duplicate"})
    batched = await _send(api, acme, HTTPMessage(BATCH, batch), "/api/events/batch")
    assert batched.json["results"] == [{"id": first.json["id"], "status": "duplicate"}]
    other_data = await _send(api, acme, to_binary_event(_event(data={"amount": 8})))
    assert_problem(other_data, 422, "idempotency-conflict")
    assert other_data.headers["location"] == first.headers["location"]
    other_source = await _send(api, acme, to_structured_event(_event(source="/elsewhere")))
    assert other_source.status == 202
    assert rows(owner)["events"] == rows(owner)["keys"] == 2


async def test_a_batch_may_come_to_either_address_and_may_be_empty(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    for number, path in enumerate(("/api/events", "/api/events/batch")):
        events = [to_structured_event(_event(number * 10 + place)).body for place in range(3)]
        bad = b'{"specversion":"1.0","id":"1","source":"s"}'
        answer = await _send(api, acme, HTTPMessage(BATCH, b"[%s]" % b",".join([*events, bad])), path)
        assert [r["status"] for r in answer.json["results"]] == ["accepted"] * 3 + ["rejected"]
        empty = await _send(api, acme, HTTPMessage(BATCH, b"[]"), path)
        assert (empty.status, empty.json["results"]) == (202, [])
    assert rows(owner)["events"] == 6


async def test_an_event_without_data_has_an_empty_payload(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    for number, write in enumerate((to_structured_event, to_binary_event)):
        attributes: dict[str, object] = {"id": str(number), "source": "s", "type": "a"}
        answer = await _send(api, acme, write(CloudEvent(attributes)))
        assert answer.status == 202
        assert stored(owner, answer.json["id"])["payload"] == {}


async def test_data_without_a_content_type_is_json(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    message = to_binary_event(CloudEvent({"source": "s", "type": "a"}, {"amount": 7}))
    assert "content-type" not in message.headers
    answer = await api.request(
        "POST", "/api/events", acme, data=message.body, headers=message.headers, skip_auto_headers=["content-type"]
    )
    assert stored(owner, answer.json["id"])["payload"] == {"amount": 7}


async def test_data_that_is_no_object_is_refused_in_every_mode(api: Client, acme: Tenant) -> None:
    for data in ("text", b"\x00\xff"):
        message = to_structured_event(_event(data=data, datacontenttype="application/octet-stream"))
        assert_problem(await _send(api, acme, message), 422, "invalid")
        message = to_binary_event(_event(data=data, datacontenttype="application/octet-stream"))
        assert_problem(await _send(api, acme, message), 415, "unsupported-media-type")


async def test_an_older_version_is_refused(api: Client, acme: Tenant) -> None:
    event = {**json.loads(to_structured_event(_event()).body), "specversion": "0.3"}
    problem = await api.post(event, acme, content_type="application/cloudevents+json")
    assert assert_problem(problem, 422, "invalid")["detail"].startswith("specversion")


async def test_what_comes_again_with_other_attributes_is_a_duplicate(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    """Brokers count attempts, and traces go on: only type and data make another event."""
    first = await _send(api, acme, to_structured_event(_event(sequence=5)))
    again = [
        to_binary_event(_event(sequence=5)),
        to_structured_event(_event(traceparent="00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-00")),
        to_structured_event(_event(attempt=2, time=NOON.replace(minute=30), subject="another", dataschema="/v2")),
        to_binary_event(_event(datacontenttype="text/json")),
        to_structured_event(_event(data={"amount": 7.0})),
    ]
    for message in again:
        answer = await _send(api, acme, message)
        assert (answer.status, answer.json) == (200, {"id": first.json["id"], "status": "duplicate"})
    batch = await api.request(
        "POST", "/api/events/batch", acme, data=b"[%s]" % to_structured_event(_event(attempt=9)).body, headers=BATCH
    )
    assert batch.json["duplicates"] == 1
    for message in (to_structured_event(_event(data={"amount": 8})), to_binary_event(_event(type="order.lost"))):
        assert_problem(await _send(api, acme, message), 422, "idempotency-conflict")
    assert rows(owner)["events"] == 1


async def test_the_media_type_says_which_mode_it_is(api: Client, acme: Tenant) -> None:
    """HTTP binding, section 3: a structured event may have the headers of a binary one beside it."""
    message = to_structured_event(_event())
    answer = await api.request(
        "POST",
        "/api/events",
        acme,
        data=message.body,
        headers={**message.headers, **to_binary_event(_event(2)).headers, **message.headers},
    )
    assert answer.status == 202
    assert (await api.get(f"/api/events/{answer.json['id']}", acme)).json["attributes"]["id"] == "order-1"


async def test_a_type_with_a_slash_has_an_address(api: Client, acme: Tenant) -> None:
    path = "/api/event-types/com.example%2Forders%3APut/schema"
    sent = await api.request("PUT", path, acme, json={"schema": {"type": "object", "required": ["n"]}, "mode": "reject"})
    assert sent.status in (200, 201), sent.body
    assert (await api.get(path, acme)).status == 200
    event = {"type": "com.example/orders:Put", "payload": {}}
    assert_problem(await api.post(event, acme), 422, "schema-violation")
    assert (await api.post({**event, "payload": {"n": 1}}, acme)).status == 202
