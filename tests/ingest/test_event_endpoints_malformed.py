"""Hostile bodies over HTTP: each is answered with 4xx and leaves no row."""

import psycopg

from tests.support.api import JSON, NDJSON, NOTHING, SIGNUP, Client, assert_problem, rows
from tests.support.malformed_json import BOMBS
from tests.support.tenants import Tenant

STRUCTURED = "application/cloudevents+json"
BINARY = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "s", "ce_type": "a"}


async def test_a_bomb_as_the_body_is_refused(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    for bomb in BOMBS.values():
        for headers in ({}, {"content_type": STRUCTURED}, {"idempotency_key": "k"}):
            assert_problem(await api.post(bomb, acme, **headers), 400, "malformed")
    assert rows(owner) == NOTHING


async def test_a_bomb_as_the_payload_is_refused(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    for bomb in BOMBS.values():
        if bomb.strip():
            event = b'{"type":"a","payload":{"inner":%s}}' % bomb
            cloud = b'{"specversion":"1.0","id":"1","source":"s","type":"a","data":{"inner":%s}}' % bomb
            assert_problem(await api.post(event, acme), 400, "malformed")
            assert_problem(await api.post(cloud, acme, content_type=STRUCTURED), 400, "malformed")
            assert_problem(await api.post(bomb, acme, **BINARY), 400, "malformed")
    assert rows(owner) == NOTHING


async def test_a_bomb_in_a_batch_is_refused_and_never_an_error_of_ours(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    for bomb in BOMBS.values():
        for headers in (JSON, NDJSON):
            answer = await api.post_batch(b"[%s]" % bomb, acme, **headers)
            assert answer.status in (202, 400, 422)
            if answer.status != 400:
                assert answer.json["accepted"] == 0
    assert rows(owner) == NOTHING


async def test_a_control_character_in_an_attribute_is_refused_before_the_database(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    for name in ("ce_subject", "ce_dataschema", "ce_id", "ce_source", "ce_myextension"):
        problem = assert_problem(await api.post({}, acme, **(BINARY | {name: "%00"})), 422, "invalid")
        assert problem["errors"][0]["message"] == "must contain no control characters"
    assert rows(owner) == NOTHING


async def test_queries_with_nonsense_are_refused(api: Client, acme: Tenant) -> None:
    for query in ("type=%00", "type=%ff", "status=%00", "from=%00", "limit=%00", "limit=1e9", "startingAfter=%00", "x=1"):
        assert_problem(await api.get(f"/api/events?{query}", acme), 422, "invalid")
    for query in ("period=%00", "period=2026-13", "period=0000-01", "period=x", "period=2026-11-05", "x=1"):
        assert_problem(await api.get(f"/api/usage?{query}", acme), 422, "invalid")
    for name in ("%00", "x", "..", "%2e%2e%2f", "00000000-0000-0000-0000-00000000000g"):
        assert_problem(await api.get(f"/api/events/{name}", acme), 404, "not-found")


async def test_after_all_that_an_event_is_stored(api: Client, acme: Tenant) -> None:
    assert_problem(await api.post(BOMBS["40,000 levels of objects"], acme), 400, "malformed")
    assert (await api.post(SIGNUP, acme)).status == 202
