"""POST /api/events: what is stored, what is answered, and what is refused."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.api import NOTHING, SIGNUP, Client, assert_problem, rows, stored
from tests.support.tenants import Tenant, make_tenant

TODAY = f"{datetime.now(UTC):%Y-%m-%d}"
YESTERDAY = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
ONE = {"events": 1, "keys": 0, "inbox": 1, "accepted": 1, "jobs": 1}


async def test_an_event_is_stored_counted_and_handed_to_the_queue_in_one_flush(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    answer = await api.post(SIGNUP | {"source": "web", "occurredAt": f"{TODAY}T12:00:00.5+01:00"}, acme)
    event = answer.json["id"]
    assert (answer.status, answer.json) == (202, {"id": event, "status": "accepted"})
    assert answer.headers["location"] == f"/api/events/{event}"
    assert UUID(event).version == 7
    assert rows(owner) == ONE
    row = stored(owner, event)
    assert (row["tenant_id"], row["type"], row["source"]) == (acme.id, "user.signup", "web")
    assert row["payload"] == {"email": "user@example.com"}
    assert row["occurred_at"].isoformat() == f"{TODAY}T11:00:00.500000+00:00"
    assert (row["attributes"], row["causation_depth"]) == (None, 0)
    waits = owner.execute("select tenant_id, event_id, batch from signalops.inbox").fetchall()
    assert waits == [(acme.id, UUID(event), row["batch"])]
    jobs = owner.execute("select queue_name, status, priority, args from procrastinate.procrastinate_jobs").fetchall()
    assert jobs == [("events", "todo", 0, {"batch": str(row["batch"])})]


async def test_the_least_event_has_a_type_only_and_happened_when_it_came_in(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    row = stored(owner, (await api.post({"type": "x"}, acme)).json["id"])
    assert (row["payload"], row["source"]) == ({}, None)
    assert row["occurred_at"] == row["received_at"]


async def test_the_same_key_and_body_is_the_first_event_again(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    body = {**SIGNUP, "idempotencyKey": "order-1"}
    first = await api.post(body, acme)
    # Other white space and another order of keys are the same body.
    again = await api.post(b'{ "idempotencyKey":"order-1","payload":{"email":"user@example.com"}, "type":"user.signup"}', acme)
    assert (first.status, again.status) == (202, 200)
    assert again.json == {"id": first.json["id"], "status": "duplicate"}
    assert again.headers["location"] == first.headers["location"]
    assert rows(owner) == ONE | {"keys": 1}


async def test_the_same_key_with_another_body_is_refused_and_names_the_first(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    first = await api.post({**SIGNUP, "idempotencyKey": "k"}, acme)
    other = await api.post({"type": "user.left", "idempotencyKey": "k"}, acme)
    assert_problem(other, 422, "idempotency-conflict")
    assert other.headers["location"] == first.headers["location"]
    assert rows(owner) == ONE | {"keys": 1}


async def test_two_tenants_may_use_the_same_key(api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant) -> None:
    answers = [await api.post({**SIGNUP, "idempotencyKey": "k"}, tenant) for tenant in (acme, globex)]
    assert [answer.status for answer in answers] == [202, 202]
    assert rows(owner)["keys"] == 2


async def test_the_header_idempotency_key_bare_or_quoted_is_the_key_of_the_body(api: Client, acme: Tenant) -> None:
    first = await api.post({**SIGNUP, "idempotencyKey": "order-1"}, acme)
    assert first.status == 202
    for header in ("order-1", '"order-1"'):
        for body in (SIGNUP, {**SIGNUP, "idempotencyKey": "order-1"}):
            again = await api.post(body, acme, idempotency_key=header)
            assert (again.status, again.json["id"]) == (200, first.json["id"])


async def test_a_header_that_differs_or_is_no_key_is_refused(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    differing = await api.post({**SIGNUP, "idempotencyKey": "k"}, acme, idempotency_key="other")
    assert "differ" in assert_problem(differing, 422, "invalid")["detail"]
    for header in ("", '""', "k" * 256, "a\tb"):
        problem = assert_problem(await api.post(SIGNUP, acme, idempotency_key=header), 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == ["idempotencyKey"]
    assert rows(owner) == NOTHING


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "type"),
    ({"payload": {}}, "type"),
    ({"type": None}, "type"),
    ({"type": 1}, "type"),
    ({"type": ""}, "type"),
    ({"type": "a..b"}, "type"),
    ({"type": ".a"}, "type"),
    ({"type": "a."}, "type"),
    ({"type": "a b"}, "type"),
    ({"type": "a\n"}, "type"),
    ({"type": "ä"}, "type"),
    ({"type": "a" * 201}, "type"),
    ({"type": "a", "payload": None}, "payload"),
    ({"type": "a", "payload": []}, "payload"),
    ({"type": "a", "payload": "{}"}, "payload"),
    ({"type": "a", "source": ""}, "source"),
    ({"type": "a", "source": "s" * 501}, "source"),
    ({"type": "a", "source": "a\x1b[2J"}, "source"),
    ({"type": "a", "source": 7}, "source"),
    ({"type": "a", "occurredAt": "2026-11-23"}, "occurredAt"),
    ({"type": "a", "occurredAt": "2026-11-23T12:00:00"}, "occurredAt"),
    ({"type": "a", "occurredAt": "2026-02-30T12:00:00Z"}, "occurredAt"),
    ({"type": "a", "occurredAt": "2026-11-23T12:00:00+25:00"}, "occurredAt"),
    ({"type": "a", "occurredAt": "0001-01-01T00:00:00+01:00"}, "occurredAt"),
    ({"type": "a", "occurredAt": "9999-12-31T23:59:59-01:00"}, "occurredAt"),
    ({"type": "a", "occurredAt": 1700000000}, "occurredAt"),
    ({"type": "a", "occurredAt": ""}, "occurredAt"),
    ({"type": "a", "idempotencyKey": ""}, "idempotencyKey"),
    ({"type": "a", "idempotencyKey": "k" * 256}, "idempotencyKey"),
    ({"type": "a", "idempotencyKey": "a\nb"}, "idempotencyKey"),
    ({"type": "a", "idempotencyKey": 1}, "idempotencyKey"),
    ({"type": "a", "pay load": {}}, "pay load"),
    ({"type": "a", "tenant": "globex"}, "tenant"),
    ({"type": "a", "id": "1"}, "id"),
]


async def test_a_body_that_breaks_a_rule_is_refused_by_the_name_of_the_field(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    for body, field in REFUSED:
        problem = assert_problem(await api.post(body, acme), 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == [field], body
        assert problem["detail"].startswith(f"{field}: ")
    assert rows(owner) == NOTHING


async def test_every_fault_of_a_body_is_told_at_once(api: Client, acme: Tenant) -> None:
    problem = assert_problem(await api.post({"kind": "a", "payload": 1}, acme), 422, "invalid")
    assert {fault["path"]: fault["message"] for fault in problem["errors"]} == {
        "type": "is required",
        "payload": "must be an object",
        "kind": "unknown field; the fields are type, payload, source, occurredAt, idempotencyKey",
    }


async def test_a_body_that_is_no_object_is_refused(api: Client, acme: Tenant) -> None:
    values: list[object] = [[], "text", 1, None, True]
    for value in values:
        problem = assert_problem(await api.post(value, acme), 422, "invalid")
        assert problem["detail"] == "body: must be an object."


TIMES = {
    f"{TODAY}T12:00:00Z": f"{TODAY}T12:00:00+00:00",
    f"{TODAY}t12:00:00z": f"{TODAY}T12:00:00+00:00",
    f"{TODAY} 12:00:00+00:00": f"{TODAY}T12:00:00+00:00",
    f"{TODAY}T12:00:00.123456789-05:30": f"{TODAY}T17:30:00.123456+00:00",
    f"{TODAY}T00:00:00+23:59": f"{YESTERDAY}T00:01:00+00:00",
    "9999-12-31T23:59:59Z": "9999-12-31T23:59:59+00:00",
}


async def test_a_time_is_any_of_rfc_3339_with_its_zone(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    for sent, meant in TIMES.items():
        answer = await api.post({"type": "a", "occurredAt": sent}, acme)
        assert answer.status == 202, sent
        assert stored(owner, answer.json["id"])["occurred_at"].isoformat() == meant
        shown = await api.get(f"/api/events/{answer.json['id']}", acme)
        assert shown.json["occurredAt"] == meant


async def test_another_media_type_is_refused_and_the_right_ones_are_named(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    for media in ("", "text/plain", "application/x-www-form-urlencoded", "application/x-ndjson", "application/jsonx"):
        answer = await api.post(SIGNUP, acme, content_type=media)
        assert_problem(answer, 415, "unsupported-media-type")
        assert "application/json" in answer.headers["accept"]
    assert rows(owner) == NOTHING


async def test_json_may_have_parameters_and_capitals_in_its_media_type(api: Client, acme: Tenant) -> None:
    assert (await api.post(SIGNUP, acme, content_type="Application/JSON; charset=utf-8")).status == 202


async def test_a_body_beyond_the_limit_is_refused_with_and_without_its_length(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    large = b'{"type":"a","payload":{"x":"%s"}}' % (b"x" * 256 * 1024)

    async def chunked() -> Any:
        for start in range(0, len(large), 32_768):
            yield large[start : start + 32_768]

    refusal = await api.post(large, acme)
    untold = await api.request("POST", "/api/events", acme, data=chunked(), headers={"content-type": "application/json"})
    for answer in (refusal, untold):
        assert_problem(answer, 413, "too-large")
    assert rows(owner) == NOTHING
    assert (await api.post(b'{"type":"a","payload":{"x":"%s"}}' % (b"x" * 255 * 1024), acme)).status == 202


async def test_a_body_that_breaks_off_is_no_error_of_ours(
    api: Client, owner: psycopg.Connection, acme: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    await api.post(SIGNUP, acme)
    _, port = api.url.removeprefix("http://").split(":")
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", int(port))
        head = f"POST /api/events HTTP/1.1\r\nhost: x\r\nx-api-key: {acme.key}\r\ncontent-length: 100\r\n\r\n"
        writer.write(head.encode() + b'{"type":')
        await writer.drain()
        assert (await api.get("/healthz")).status == 200
        writer.close()
        await writer.wait_closed()
        assert (await api.get("/healthz")).status == 200
    assert caplog.records == []
    assert rows(owner) == ONE


async def test_a_key_without_the_scope_is_refused_and_the_scope_is_named(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    reader = make_tenant(owner, "reader", scopes=["events:read"])
    problem = assert_problem(await api.post(SIGNUP, reader), 403, "forbidden")
    assert problem["requiredScope"] == "events:write"
    assert (await api.get("/api/events", reader)).status == 200
    assert rows(owner) == NOTHING


async def test_what_has_no_address_or_method_is_a_problem_too(api: Client, acme: Tenant) -> None:
    assert_problem(await api.get("/api/nothing", acme), 404, "not-found")
    assert_problem(await api.get("/api/docs/nothing.js"), 404, "not-found")
    refused = await api.request("DELETE", "/api/events", acme)
    assert_problem(refused, 405, "method-not-allowed")
    assert {method.strip() for method in refused.headers["allow"].split(",")} == {"GET", "HEAD", "POST"}


async def test_a_stored_number_comes_back_as_the_number_that_was_sent(api: Client, acme: Tenant) -> None:
    numbers = {"n": [1e20, 1e300, -1.7976931348623157e308, 5e-324, 0.1, 2**64 - 1, -(2**63), 1.0]}
    event = (await api.post({"type": "a", "payload": numbers}, acme)).json["id"]
    assert (await api.get(f"/api/events/{event}", acme)).json["payload"] == numbers
    assert (await api.get("/api/events", acme)).json["data"][0]["payload"] == numbers
