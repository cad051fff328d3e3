"""Schemas over HTTP: what they refuse and warn of, and from when."""

import asyncio
from typing import Any
from uuid import UUID

import psycopg

from signalops.config import Settings
from tests.support.api import JSON, NOTHING, SIGNUP, Answer, Client, assert_problem, capture_log, rows, running
from tests.support.rows import add
from tests.support.tenants import Tenant, make_tenant

TAKES = {"type": "object", "required": ["email"], "properties": {"email": {"type": "string"}}}
PATH = "/api/event-types/user.signup/schema"
BAD = {"type": "user.signup", "payload": {"email": 1}}
NOT_A_STRING = [{"path": "payload.email", "message": '1 is not of type "string"'}]


async def put(api: Client, tenant: Tenant, mode: str = "reject", schema: Any = TAKES, path: str = PATH) -> Answer:
    return await api.request("PUT", path, tenant, json={"schema": schema, "mode": mode})


async def test_a_schema_is_written_shown_and_deleted(api: Client, acme: Tenant, globex: Tenant) -> None:
    assert_problem(await api.get(PATH, acme), 404, "not-found")
    written = await put(api, acme)
    assert (written.status, written.json["type"], written.json["schema"]) == (200, "user.signup", TAKES)
    assert (await api.get(PATH, acme)).json == written.json
    assert_problem(await api.get(PATH, globex), 404, "not-found")
    assert_problem(await api.request("DELETE", PATH, globex), 404, "not-found")
    assert (await api.request("DELETE", PATH, acme)).json == written.json
    assert_problem(await api.request("DELETE", PATH, acme), 404, "not-found")


async def test_reject_refuses_and_leaves_nothing(api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant) -> None:
    await put(api, acme)
    for headers, body in (
        ({}, BAD),
        ({"idempotency_key": "k"}, BAD),
        ({"content_type": "application/cloudevents+json"}, cloud(BAD)),
    ):
        problem = assert_problem(await api.post(body, acme, **headers), 422, "schema-violation")
        assert problem["errors"] == NOT_A_STRING
        assert problem["detail"].startswith("payload.email: ")
    assert rows(owner) == NOTHING
    assert (await api.post(SIGNUP, acme)).json.keys() == {"id", "status"}
    assert (await api.post({**BAD, "type": "user.signup.other"}, acme)).status == 202
    assert (await api.post(BAD, globex)).status == 202


def cloud(event: dict[str, Any]) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "s", "type": event["type"], "data": event["payload"]}


async def test_in_a_batch_the_item_alone_is_rejected(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    await put(api, acme)
    answer = (await api.post_batch([SIGNUP, BAD, SIGNUP], acme)).json
    assert (answer["accepted"], answer["rejected"], rows(owner)["accepted"]) == (2, 1, 2)
    problem = answer["results"][1]["problem"]
    assert (problem["type"], problem["errors"]) == ("urn:signalops:problem:schema-violation", NOT_A_STRING)


async def test_warn_accepts_and_says_what_is_wrong(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    await put(api, acme, "warn")
    for status in (202, 200):
        answer = await api.post(BAD, acme, idempotency_key="k")
        assert (answer.status, answer.json["warnings"]) == (status, NOT_A_STRING)
    batch = (await api.post_batch([SIGNUP, BAD], acme)).json
    assert batch["accepted"] == 2
    assert ["warnings" in result for result in batch["results"]] == [False, True]
    assert rows(owner)["events"] == 3


async def test_the_catalogue_names_the_mode(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    add(owner, "event_types", acme.id, type="user.signup")
    assert "schemaMode" not in (await api.get("/api/event-types/user.signup", acme)).json
    await put(api, acme, "warn")
    assert (await api.get("/api/event-types", acme)).json["data"][0]["schemaMode"] == "warn"


async def test_a_change_is_live_in_every_process(settings: Settings, acme: Tenant) -> None:
    async with running(settings) as one, running(settings) as other:
        assert (await other.post(BAD, acme)).status == 202
        await put(one, acme)
        assert (await one.post(BAD, acme)).status == 422
        await becomes(other, acme, 422)
        await put(one, acme, "warn")
        await becomes(other, acme, 202)
        await put(one, acme)
        await becomes(other, acme, 422)
        await one.request("DELETE", PATH, acme)
        await becomes(other, acme, 202)


async def becomes(api: Client, tenant: Tenant, status: int) -> None:
    async with asyncio.timeout(1):
        while (await api.post(BAD, tenant)).status != status:
            pass


async def test_a_change_while_nobody_listened_is_live_too(settings: Settings, owner: psycopg.Connection, acme: Tenant) -> None:
    with capture_log("api_key_cache.invalidated") as doubts:
        async with running(settings) as api, asyncio.timeout(10):
            assert await doubts.get() == {"reason": "announced"}
            assert (await api.post(BAD, acme)).status == 202
            owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and query like 'listen %%'"
            )
            assert await doubts.get() == {"reason": "not listening"}
            add(owner, "event_schemas", acme.id, type="user.signup", mode="reject", schema=TAKES)
            assert await doubts.get() == {"reason": "announced"}
            assert (await api.post(BAD, acme)).status == 422


async def test_what_is_no_schema_is_refused_with_its_path(api: Client, acme: Tenant) -> None:
    for schema, path in (
        ({"type": "strng"}, "schema.type"),
        ({"properties": {"a": {"pattern": "(?=a)"}}}, "schema.properties.a.pattern"),
        ({"$ref": "http://127.0.0.1:9/"}, "schema.$ref"),
        ({"x": "y" * 70_000}, "schema"),
        ([], "schema"),
        (True, "schema"),
    ):
        problem = assert_problem(await put(api, acme, schema=schema), 422, "invalid")
        assert problem["errors"][0]["path"] == path
    assert_problem(await put(api, acme, "refuse"), 422, "invalid")
    assert_problem(await put(api, acme, schema={"x": "y" * 200_000}), 413, "too-large")
    twice = await api.request("PUT", PATH, acme, data=b'{"mode":"warn","schema":{},"schema":{}}', headers=JSON)
    assert_problem(twice, 400, "malformed")
    assert_problem(await put(api, acme, path="/api/event-types/a%20b/schema"), 404, "not-found")
    assert_problem(await api.get(PATH, acme), 404, "not-found")


async def test_a_tenant_has_so_many_schemas(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    owner.execute(
        "insert into signalops.event_schemas (tenant_id, type, mode, schema) "
        "select %s, 't' || n, 'warn', '{}' from generate_series(1, 200) as n",
        [acme.id],
    )
    assert_problem(await put(api, acme), 422, "invalid")
    assert (await put(api, acme, path="/api/event-types/t1/schema")).status == 200


async def test_a_stored_schema_that_cannot_be_used_stops_no_event(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    add(owner, "event_schemas", acme.id, type="user.signup", mode="reject", schema={"type": "strng"})
    with capture_log("schema.compile_failed") as broken:
        assert (await api.post(BAD, acme)).status == 202
        assert (await api.post(BAD, acme)).status == 202
    assert broken.qsize() == 1
    assert broken.get_nowait()["tenant"] == acme.id


async def test_scopes(api: Client, owner: psycopg.Connection) -> None:
    reader = make_tenant(owner, "reader", scopes=["events:read"])
    assert (await api.get("/api/event-types", reader)).status == 200
    assert_problem(await api.get(PATH, reader), 403, "forbidden")
    assert_problem(await put(api, reader), 403, "forbidden")
    assert_problem(await api.request("DELETE", PATH, reader), 403, "forbidden")
    writer = make_tenant(owner, "writer", scopes=["rules:*"])
    assert_problem(await api.get("/api/event-types", writer), 403, "forbidden")
    assert (await put(api, writer)).status == 200


def test_a_schema_is_announced_with_its_tenant(owner: psycopg.Connection, acme: Tenant) -> None:
    owner.execute("listen signalops_schemas")
    add(owner, "event_schemas", acme.id, type="a")
    owner.execute("delete from signalops.event_schemas")
    assert [UUID(notification.payload) for notification in owner.notifies(timeout=5, stop_after=2)] == [acme.id, acme.id]
