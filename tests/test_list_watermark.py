"""Lists that are followed: nothing appears behind a cursor or a time that was given out."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from signalops import clock
from signalops.config import Settings
from tests.support.api import SIGNUP, Answer, Client, running_process
from tests.support.deliveries import DEAD_LETTERS, die, do
from tests.support.full_tenant import settle
from tests.support.tenants import Tenant
from tests.support.worlds.outbox import Outbox


async def lists(api: Client) -> list[str]:
    """Return the paths of the lists of a tenant that have a cursor of ids, as the API documents them."""
    paths = (await api.described())["paths"]
    return [
        path
        for path, methods in paths.items()
        if "get" in methods
        and "scope `tenants:" not in methods["get"]["description"]
        and any(p["name"] == "endingBefore" for p in methods["get"].get("parameters", []))
    ]


@pytest.fixture
def slow(settings: Settings) -> Any:
    """A connection whose transaction adds rows to lists, and takes its time."""
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        yield connection


async def test_what_is_added_behind_an_open_transaction_is_in_no_list_until_it_ends(
    api: Client, owner: psycopg.Connection, slow: psycopg.Connection
) -> None:
    slow.execute("select signalops.new_id()")
    tenant = settle(owner)
    paths = await lists(api)
    assert {"/api/events", "/api/deliveries", "/api/dead-letters", "/api/audit-log", "/api/rules"} <= set(paths)
    assert {path: (await api.get(path, tenant)).json["data"] for path in paths} == {path: [] for path in paths}
    slow.commit()
    shown = {path: len((await api.get(path, tenant)).json["data"]) for path in paths}
    assert all(shown.values()), shown


async def test_what_was_acknowledged_is_shown_at_once_while_others_are_stored(
    api: Client, owner: psycopg.Connection, slow: psycopg.Connection, acme: Tenant
) -> None:
    slow.execute("select signalops.new_id()")
    sent = (await api.post(SIGNUP, acme)).json["id"]
    request = asyncio.create_task(api.get("/api/events", acme))
    waiting = "select from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock' and not granted"
    async with asyncio.timeout(5):
        while not owner.execute(waiting).fetchall():
            await api.get("/healthz")
    slow.commit()
    assert [event["id"] for event in (await request).json["data"]] == [sent]


async def test_a_time_that_is_not_settled_is_refused_and_complete_when_asked_again(
    api: Client, owner: psycopg.Connection, slow: psycopg.Connection
) -> None:
    slow.execute("select signalops.new_id()")
    tenant = settle(owner)
    until = (clock.now() - timedelta(microseconds=1)).isoformat()
    for path in ("/api/events", "/api/deliveries", "/api/dead-letters", "/api/audit-log"):
        answer = await api.get(path, tenant, to=until)
        assert (answer.status, answer.headers.get("retry-after")) == (503, "1"), path
    slow.commit()
    assert len((await api.get("/api/events", tenant, to=until)).json["data"]) == 1


async def test_what_a_page_promises_of_a_time_holds_for_parts_of_milliseconds(api: Client, acme: Tenant) -> None:
    sent = (await api.post(SIGNUP, acme)).json["id"]
    moment = clock.uuid7_time(UUID(sent))
    (event,) = (await api.get("/api/events", acme)).json["data"]
    assert datetime.fromisoformat(event["receivedAt"]) == moment

    async def number(**bounds: Any) -> int:
        request = {name: value.isoformat() for name, value in bounds.items()}
        return len((await api.get("/api/events", acme, **request)).json["data"])

    little = timedelta(microseconds=1)
    assert [await number(**{"from": moment + by}) for by in (-little, 0 * little, little)] == [1, 1, 0]
    assert [await number(to=moment + by) for by in (-little, 0 * little, little)] == [0, 0, 1]


async def follow(api: Client, tenant: Tenant, path: str, count: int) -> list[str]:
    """Follow a list by its cursor until it has shown so many items; return their ids as they were shown."""
    seen: list[str] = []
    async with asyncio.timeout(20):
        while len(seen) < count:
            cursor = {"endingBefore": seen[-1]} if seen else {"endingBefore": "00000000-0000-0000-0000-000000000000"}
            page = (await api.get(path, tenant, limit=100, **cursor)).json["data"]
            seen += [item["id"] for item in reversed(page)]
    return seen


async def test_a_follower_sees_all_that_two_processes_accept(settings: Settings, acme: Tenant) -> None:
    async with running_process(settings) as first, running_process(settings) as second:
        await asyncio.gather(first.get("/readyz"), second.get("/readyz"))
        batch = [{**SIGNUP, "payload": {"number": number, "filling": "x" * 500}} for number in range(600)]

        async def singles(api: Client) -> list[Answer]:
            return [await api.post(SIGNUP, acme) for _ in range(25)]

        following = asyncio.create_task(follow(first, acme, "/api/events", 1250))
        answers = await asyncio.gather(
            first.post_batch(batch, acme), singles(first), singles(second), second.post_batch(batch, acme)
        )
        seen = await following
    stored = {result["id"] for answer in (answers[0], answers[3]) for result in answer.json["results"]}
    stored |= {answer.json["id"] for some in (answers[1], answers[2]) for answer in some}
    assert set(seen) == stored
    assert seen == sorted(seen)


async def test_the_events_of_a_batch_are_listed_in_its_order(api: Client, acme: Tenant) -> None:
    sent = await api.post_batch([{"type": "a", "payload": {"n": n}} for n in range(300)], acme)
    ids = [result["id"] for result in sent.json["results"]]
    assert sorted(ids) == ids


async def test_a_letter_that_dies_again_hides_none_from_who_follows_the_list(
    api: Client, owner: psycopg.Connection, acmes: Outbox, acme: Tenant
) -> None:
    channel, _ = await acmes.channel("webhook", url="https://example.com")
    seen, between, later = (acmes.delivery(channel) for _ in range(3))
    for delivery in (seen, between):
        die(owner, acmes.tenant, delivery)
    assert (await do(api, acme, f"{DEAD_LETTERS}/{seen}/retry", {})).status == 200
    acmes.wake(seen)
    for delivery in (seen, later):
        die(owner, acmes.tenant, delivery)
    page = (await api.get("/api/dead-letters", acme, endingBefore=seen)).json["data"]
    assert [UUID(dead_letter["id"]) for dead_letter in reversed(page)] == [between, seen, later]
    page = (await api.get("/api/dead-letters", acme, startingAfter=seen)).json["data"]
    assert [UUID(dead_letter["id"]) for dead_letter in page] == [between]
