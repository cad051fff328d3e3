"""POST /api/events/batch: a result per item, in the order of the items."""

import json
from typing import Any

import psycopg
import pytest

from tests.support.api import JSON, NDJSON, NOTHING, SIGNUP, Answer, Client, assert_problem, rows, stored
from tests.support.tenants import Tenant, set_limit

TWICE = b'{"type":"a","type":"b"}'
"""Valid JSON that is refused."""


def _written(items: list[object], media: dict[str, str]) -> bytes:
    """Write items as an array or as lines; bytes stand for themselves."""
    texts = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in items]
    return b"\n".join(texts) if media is NDJSON else b"[%s]" % b",".join(texts)


async def _send(api: Client, acme: Tenant, items: list[object], media: dict[str, str] = JSON) -> Answer:
    return await api.post_batch(_written(items, media), acme, content_type=media["content-type"])


def _statuses(answer: Answer) -> list[str]:
    return [result["status"] for result in answer.json["results"]]


def _kinds(answer: Answer) -> list[str]:
    return [r["problem"]["type"].removeprefix("urn:signalops:problem:") for r in answer.json["results"] if "problem" in r]


@pytest.mark.parametrize("media", [JSON, NDJSON], ids=["array", "NDJSON"])
async def test_good_bad_and_repeated_items_have_their_own_results_in_order(
    api: Client, owner: psycopg.Connection, acme: Tenant, media: dict[str, str]
) -> None:
    first = await api.post({**SIGNUP, "idempotencyKey": "before"}, acme)
    items: list[object] = [
        {"type": "n.0", "idempotencyKey": "a"},
        {"type": "bad type"},
        {**SIGNUP, "idempotencyKey": "before"},
        TWICE,
        {"type": "n.0", "idempotencyKey": "a"},
        {"type": "other", "idempotencyKey": "a"},
        7,
        {"type": "n.7"},
    ]
    answer = await _send(api, acme, items, media)
    assert answer.status == 202
    expected = "accepted rejected duplicate rejected duplicate rejected rejected accepted"
    assert _statuses(answer) == expected.split()
    assert _kinds(answer) == ["invalid", "malformed", "idempotency-conflict", "invalid"]
    assert [answer.json[count] for count in ("accepted", "duplicates", "rejected")] == [2, 2, 4]
    results = answer.json["results"]
    assert results[2]["id"] == first.json["id"]
    assert results[4]["id"] == results[0]["id"]
    assert [stored(owner, results[place]["id"])["type"] for place in (0, 7)] == ["n.0", "n.7"]
    assert rows(owner) == {"events": 3, "keys": 2, "inbox": 3, "accepted": 3, "jobs": 2}


async def test_a_batch_is_one_job_that_lets_single_events_go_first(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    assert _statuses(await _send(api, acme, [SIGNUP] * 500)) == ["accepted"] * 500
    assert rows(owner) == {"events": 500, "keys": 0, "inbox": 500, "accepted": 500, "jobs": 1}
    await api.post(SIGNUP, acme)
    query = "select args ->> 'batch', priority from procrastinate.procrastinate_jobs order by priority"
    (bulk, low), (single, normal) = owner.execute(query).fetchall()
    assert low < normal == 0
    sizes = owner.execute("select batch::text, count(*) from signalops.inbox group by batch").fetchall()
    assert dict(sizes) == {bulk: 500, single: 1}


async def test_ids_rise_in_the_order_of_the_items(api: Client, acme: Tenant) -> None:
    ids = [result["id"] for result in (await _send(api, acme, [SIGNUP] * 50)).json["results"]]
    assert sorted(ids) == ids


@pytest.mark.parametrize("media", [JSON, NDJSON], ids=["array", "NDJSON"])
async def test_more_than_a_thousand_items_are_refused_as_a_whole(
    api: Client, owner: psycopg.Connection, acme: Tenant, media: dict[str, str]
) -> None:
    many: list[list[object]] = [[SIGNUP] * 1001, [TWICE] * 1001, [*[SIGNUP] * 1000, TWICE]]
    for items in many:
        assert_problem(await _send(api, acme, items, media), 413, "too-large")
    assert rows(owner) == NOTHING


async def test_a_batch_without_items_is_no_error(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    empty = {"accepted": 0, "duplicates": 0, "rejected": 0, "results": []}
    for body, media in [(b"[]", JSON), (b" [ ] ", JSON), (b"", NDJSON), (b"\n\n", NDJSON)]:
        answer = await api.post_batch(body, acme, content_type=media["content-type"])
        assert (answer.status, answer.json) == (202, empty)
    assert rows(owner) == NOTHING


async def test_a_batch_of_bad_items_only_opens_no_transaction(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    answer = await _send(api, acme, [{}, TWICE, "x"])
    assert_problem(answer, 422, "nothing-stored")
    assert (answer.json["accepted"], answer.json["rejected"], _statuses(answer)) == (0, 3, ["rejected"] * 3)
    assert rows(owner) == NOTHING


async def test_an_item_that_is_too_large_is_refused_alone(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    large = {"type": "a", "payload": {"x": "x" * 256 * 1024}}
    answer = await _send(api, acme, [SIGNUP, large, SIGNUP])
    assert _statuses(answer) == ["accepted", "rejected", "accepted"]
    assert _kinds(answer) == ["too-large"]
    assert rows(owner)["events"] == 2


async def test_a_batch_that_is_too_large_is_refused(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    assert_problem(await api.post_batch(b" " * (8 * 1024 * 1024 + 1), acme), 413, "too-large")
    assert rows(owner) == NOTHING


NO_ARRAYS = [b"", b"{}", b"1", b"[", b'[{"type":"a"}', b'[{"type":"a"},]', b'[{"type":"a"}]]', b"[\xff]"]


async def test_what_is_no_array_is_refused_as_a_whole(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    for body in NO_ARRAYS:
        assert_problem(await api.post_batch(body, acme), 400, "malformed")
    assert rows(owner) == NOTHING


async def test_a_line_that_is_no_json_leaves_its_neighbours(api: Client, acme: Tenant) -> None:
    answer = await _send(api, acme, [SIGNUP, b'{"type":', b"\xff", SIGNUP], NDJSON)
    assert _statuses(answer) == ["accepted", "rejected", "rejected", "accepted"]


async def test_another_media_type_is_refused(api: Client, acme: Tenant) -> None:
    for media in ("text/csv", "", "application/cloudevents+json"):
        assert_problem(await api.post_batch(b"[]", acme, content_type=media), 415, "unsupported-media-type")


async def test_at_the_hard_limit_the_part_that_fits_is_accepted_in_order(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    set_limit(owner, acme.id, hard=4)
    valid: dict[str, Any] = {"type": "kept", "idempotencyKey": "kept"}
    first = await api.post(valid, acme)
    items: list[object] = [{"type": "n.0"}, valid, {"type": "n.1", "idempotencyKey": "1"}, {"type": "n.2"}]
    items += [{"type": "n.3"}, {"type": "n.1", "idempotencyKey": "1"}, valid, {"type": "n.4", "idempotencyKey": "4"}]
    answer = await _send(api, acme, items)
    expected = "accepted duplicate accepted accepted rejected duplicate duplicate rejected"
    assert _statuses(answer) == expected.split()
    assert _kinds(answer) == ["quota-exceeded"] * 2
    assert {answer.json["results"][place]["id"] for place in (1, 6)} == {first.json["id"]}
    types = owner.execute("select type from signalops.events where causation_depth = 0 order by id").fetchall()
    assert types == [("kept",), ("n.0",), ("n.1",), ("n.2",)]
    assert rows(owner) == {"events": 5, "keys": 2, "inbox": 5, "accepted": 4, "jobs": 2}
