"""GET /api/events and /api/events/{id}: what is shown, in which pages, and to whom."""

import asyncio
import socket
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.api import SIGNUP, Client, assert_problem
from tests.support.rows import add
from tests.support.tenants import Tenant

TYPES = ("user.signup", "order.paid")


async def _fill(api: Client, tenant: Tenant, count: int) -> list[str]:
    """Post events of both types in turn; return their ids, newest first."""
    items = [{"type": TYPES[number % 2], "payload": {"n": number}} for number in range(count)]
    results = (await api.post_batch(items, tenant)).json["results"]
    return [result["id"] for result in reversed(results)]


async def _ids(api: Client, tenant: Tenant, **params: object) -> list[str]:
    return [event["id"] for event in (await api.get("/api/events", tenant, **params)).json["data"]]


async def test_an_event_is_shown_as_it_came_in_and_what_became_of_it(api: Client, acme: Tenant) -> None:
    body = {"type": "a.b", "payload": {"x": [1, None, {"y": "\U0001f600"}]}, "source": "s"}
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    answer = await api.post({**body, "occurredAt": f"{today}T12:00:00Z"}, acme)
    shown = (await api.get(answer.headers["location"], acme)).json
    assert {name: shown[name] for name in body} == body
    assert (shown["id"], shown["status"]) == (answer.json["id"], "pending")
    assert shown["occurredAt"] == f"{today}T12:00:00+00:00"
    assert abs(datetime.fromisoformat(shown["receivedAt"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert (shown["processing"], shown["matches"], shown["deliveries"]) == (None, [], [])
    listed = (await api.get("/api/events", acme)).json["data"]
    assert listed == [{name: shown[name] for name in listed[0]}]


@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_walking_the_pages_either_way_gives_everything_once(api: Client, acme: Tenant, limit: int) -> None:
    everything = await _fill(api, acme, 10)
    older: list[str] = []
    more: dict[str, Any] = {}
    while True:
        page = (await api.get("/api/events", acme, limit=limit, **more)).json
        older += [event["id"] for event in page["data"]]
        assert page["hasMore"] == (len(older) < 10)
        if not page["hasMore"]:
            break
        more = {"startingAfter": older[-1]}
    newer: list[str] = [everything[-1]]
    has_more = True
    while has_more:
        page = (await api.get("/api/events", acme, limit=limit, endingBefore=newer[0])).json
        newer = [event["id"] for event in page["data"]] + newer
        has_more = page["hasMore"]
        assert has_more == (len(newer) < 10)
    assert older == newer == everything


async def test_beyond_the_ends_there_is_an_empty_page(api: Client, acme: Tenant) -> None:
    everything = await _fill(api, acme, 3)
    for params in ({"startingAfter": everything[-1]}, {"endingBefore": everything[0]}):
        assert (await api.get("/api/events", acme, **params)).json == {"data": [], "hasMore": False}
    between = {"startingAfter": everything[0], "endingBefore": everything[-1]}
    assert await _ids(api, acme, **between) == [everything[1]]


async def test_the_type_filters(api: Client, acme: Tenant) -> None:
    everything = await _fill(api, acme, 6)
    assert await _ids(api, acme, type="order.paid") == everything[0::2]
    assert await _ids(api, acme, type="user.signup", limit=2) == everything[1::2][:2]
    assert await _ids(api, acme, type="user") == []


async def test_the_status_filters(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    newest, middle, oldest = await _fill(api, acme, 3)
    owner.execute("delete from signalops.inbox where event_id in (%s, %s)", [newest, middle])
    add(owner, "dead_letters", acme.id, id=newest, event_id=newest, error="broke")
    for status, event in (("dead", newest), ("processed", middle), ("pending", oldest)):
        assert await _ids(api, acme, status=status) == [event]
        assert (await api.get(f"/api/events/{event}", acme)).json["status"] == status


async def test_from_is_the_first_moment_and_to_is_beyond_the_last(api: Client, acme: Tenant) -> None:
    event = (await _fill(api, acme, 1))[0]
    received = datetime.fromtimestamp(int(event.replace("-", "")[:12], 16) / 1000, UTC)
    at, later = received.isoformat(), (received + timedelta(milliseconds=1)).isoformat()
    assert await _ids(api, acme, **{"from": at, "to": later}) == [event]
    assert await _ids(api, acme, **{"from": later}) == []
    assert await _ids(api, acme, to=at) == []
    ages = {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}
    assert await _ids(api, acme, **ages) == [event]


NOT_UNDERSTOOD: list[tuple[str, object]] = [
    ("limit", 0),
    ("limit", 101),
    ("limit", "x"),
    ("status", "lost"),
    ("type", "a b"),
    ("startingAfter", "x"),
    ("endingBefore", "x"),
    ("from", "yesterday"),
    ("to", "2026-11-23"),
    ("since", "2026-11-23T12:00:00Z"),
    ("page", 2),
]


async def test_a_query_that_is_not_understood_is_refused_by_name(api: Client, acme: Tenant) -> None:
    for name, value in NOT_UNDERSTOOD:
        problem = assert_problem(await api.get("/api/events", acme, **{name: value}), 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == [name], (name, value)


async def test_another_tenant_s_event_answers_like_an_unknown_one(api: Client, acme: Tenant, globex: Tenant) -> None:
    event = (await api.post(SIGNUP, acme)).json["id"]
    unknown = event[:-1] + ("0" if event[-1] != "0" else "1")
    theirs, nobodys = await api.get(f"/api/events/{event}", globex), await api.get(f"/api/events/{unknown}", globex)
    assert_problem(theirs, 404, "not-found")
    assert theirs.body.replace(event.encode(), b"") == nobodys.body.replace(unknown.encode(), b"")
    assert (await api.get(f"/api/events/{event}", acme)).status == 200


async def test_another_tenant_s_events_are_not_listed(api: Client, acme: Tenant, globex: Tenant) -> None:
    ours, theirs = await _fill(api, acme, 3), await _fill(api, globex, 2)
    assert await _ids(api, acme) == ours
    assert await _ids(api, globex) == theirs
    assert await _ids(api, globex, endingBefore=ours[-1]) == theirs
    assert await _ids(api, acme, startingAfter=theirs[-1]) == ours


async def test_a_page_ends_at_four_mebibytes_and_no_event_is_left_out(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    large = {"type": "large", "payload": {"text": "x" * 240_000}}
    ids = [(await api.post(large, acme)).json["id"] for _ in range(40)]
    seen: list[str] = []
    pages, cursor = 0, dict[str, str]()
    while True:
        answer = await api.get("/api/events", acme, limit=100, **cursor)
        assert len(answer.body) < 4.3 * 2**20
        page = [event["id"] for event in answer.json["data"]]
        seen += page
        pages += 1
        if not answer.json["hasMore"]:
            break
        cursor = {"startingAfter": page[-1]}
    assert (seen, pages) == (ids[::-1], 3)
    upwards = await api.get("/api/events", acme, limit=100, endingBefore=ids[0])
    shown = [event["id"] for event in upwards.json["data"]]
    assert shown == ids[1 : len(shown) + 1][::-1]
    assert upwards.json["hasMore"]


async def test_a_tenant_that_does_not_read_is_given_no_more_than_it_may_have(api: Client, acme: Tenant, globex: Tenant) -> None:
    large = {"type": "large", "payload": {"text": "x" * 240_000}}
    for tenant in (acme, globex):
        for _ in range(17):
            await api.post(large, tenant)
    loop, port = asyncio.get_running_loop(), int(api.url.rpartition(":")[2])
    request = f"GET /api/events?limit=100 HTTP/1.1\r\nHost: x\r\nx-api-key: {acme.key}\r\n\r\n".encode()
    with ExitStack() as silent:
        for _ in range(32):  # the kernel takes most of each
            one = silent.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.setblocking(False)
            await loop.sock_connect(one, ("127.0.0.1", port))
            await loop.sock_sendall(one, request)
        async with asyncio.timeout(20):
            while (await api.get("/api/events", acme, limit=100)).status != 429:
                pass
        assert (await api.get("/api/events", globex, limit=100)).status == 200
        assert (await api.get("/api/events", acme, limit=1, type="other")).status == 200
