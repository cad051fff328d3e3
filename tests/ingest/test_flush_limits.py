"""The month's limits and the idempotency keys, under concurrent posting to several API processes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from signalops.config import Settings
from tests.support.api import SIGNUP, Answer, Client, assert_problem, capture_log, rows, running, running_process, stored
from tests.support.months import next_month
from tests.support.rows import add
from tests.support.tenants import Tenant, make_tenant, set_limit

NOTICE = "signalops.usage.soft_limit_reached"


@pytest.fixture
async def apis(api: Client, settings: Settings) -> AsyncIterator[list[Client]]:
    """Three APIs on one database."""
    async with AsyncExitStack() as stack:
        yield [api, *[await stack.enter_async_context(running(settings)) for _ in range(2)]]


async def _post_at_once(apis: list[Client], tenant: Tenant, keys: list[str]) -> list[Answer]:
    """Post an event for each key, to the APIs in turn, all at the same time."""
    posts = (apis[number % len(apis)].post({**SIGNUP, "idempotencyKey": key}, tenant) for number, key in enumerate(keys))
    return list(await asyncio.gather(*posts))


async def _check_limit_of_50(apis: list[Client], owner: psycopg.Connection, acme: Tenant) -> None:
    keys = [f"k{number}" for number in range(300)]
    answers = await _post_at_once(apis, acme, keys)
    assert Counter(answer.status for answer in answers) == {202: 50, 429: 250}
    # And one event that tells of the limit.
    assert rows(owner) | {"jobs": 0} == {"events": 51, "keys": 50, "inbox": 51, "accepted": 50, "jobs": 0}
    again = await _post_at_once(apis, acme, keys)
    for first, second in zip(answers, again, strict=True):
        assert second.status == (200 if first.status == 202 else 429)
        if first.status == 202:
            assert second.json == {"id": first.json["id"], "status": "duplicate"}
    assert (rows(owner)["accepted"], rows(owner)["events"]) == (50, 51)


async def test_the_hard_limit_is_exact_to_the_event(apis: list[Client], owner: psycopg.Connection, acme: Tenant) -> None:
    set_limit(owner, acme.id, hard=50)
    await _check_limit_of_50(apis, owner, acme)


@pytest.mark.prove
async def test_the_hard_limit_is_exact_across_operating_system_processes(
    api: Client, settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    set_limit(owner, acme.id, hard=50)
    async with running_process(settings) as other:
        await _check_limit_of_50([api, other], owner, acme)


async def test_a_refusal_says_until_when(api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant) -> None:
    set_limit(owner, acme.id, hard=0)
    answer = await api.post(SIGNUP, acme)
    problem = assert_problem(answer, 429, "quota-exceeded")
    end = datetime.fromisoformat(problem["periodEnd"])
    assert end == next_month(datetime.now(UTC))
    assert 0 < int(answer.headers["retry-after"]) <= (end - datetime.now(UTC)).total_seconds() + 2
    assert (await api.post(SIGNUP, globex)).status == 202
    assert rows(owner) == {"events": 2, "keys": 0, "inbox": 2, "accepted": 1, "jobs": 2}


async def test_another_limit_holds_at_once(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    statuses = []
    for limit in (1, 1, 2, 2, 0, 3, None):
        set_limit(owner, acme.id, hard=limit)
        statuses.append((await api.post(SIGNUP, acme)).status)
    assert statuses == [202, 429, 202, 429, 429, 202, 202]


async def test_a_repeat_is_answered_even_beyond_a_limit_that_was_lowered(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    for key in ("a", "b"):
        assert (await api.post({**SIGNUP, "idempotencyKey": key}, acme)).status == 202
    set_limit(owner, acme.id, hard=1)
    assert (await api.post({**SIGNUP, "idempotencyKey": "b"}, acme)).status == 200
    items = [SIGNUP, {**SIGNUP, "idempotencyKey": "a"}]
    results = (await api.post_batch(items, acme)).json["results"]
    assert [result["status"] for result in results] == ["rejected", "duplicate"]
    assert rows(owner)["accepted"] == 2


async def test_the_month_before_does_not_count(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    set_limit(owner, acme.id, hard=1)
    before = (datetime.now(UTC).replace(day=1) - timedelta(days=1)).date().replace(day=1)
    add(owner, "accepted_counters", acme.id, period=before, accepted=1)
    assert (await api.post(SIGNUP, acme)).status == 202


async def test_the_soft_limit_is_a_fact_and_an_event_exactly_once(
    apis: list[Client], owner: psycopg.Connection, acme: Tenant
) -> None:
    set_limit(owner, acme.id, soft=20)
    with capture_log("usage.soft_limit_reached") as emitted:
        answers = await _post_at_once(apis, acme, [f"k{number}" for number in range(100)])
    assert {answer.status for answer in answers} == {202}
    ((notice, causation_depth, payload),) = owner.execute(
        "select id::text, causation_depth, payload from signalops.events where type = %s", [NOTICE]
    ).fetchall()
    assert (payload["limit"], payload["period"]) == (20, f"{datetime.now(UTC):%Y-%m}")
    assert 20 <= payload["accepted"] <= 100
    assert causation_depth == 1
    fact = emitted.get_nowait()
    assert (fact["tenant"], str(fact["event"])) == (acme.id, notice)
    assert emitted.empty()
    assert rows(owner) | {"jobs": 0} == {"events": 101, "keys": 100, "inbox": 101, "accepted": 100, "jobs": 0}
    shown = (await apis[0].get(f"/api/events/{notice}", acme)).json
    assert (shown["source"], shown["operational"], shown["status"]) == ("signalops", True, "pending")


async def test_the_soft_limit_is_reached_by_its_last_event_and_not_by_repeats(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    set_limit(owner, acme.id, soft=3)
    for key in ("a", "b", "a", "b", "a"):
        await api.post({**SIGNUP, "idempotencyKey": key}, acme)
    assert rows(owner)["events"] == 2
    third = (await api.post(SIGNUP, acme)).json["id"]
    notice = owner.execute("select id::text, batch from signalops.events where type = %s", [NOTICE]).fetchall()
    assert [batch for _, batch in notice] == [stored(owner, third)["batch"]]
    assert rows(owner) == {"events": 4, "keys": 2, "inbox": 4, "accepted": 3, "jobs": 3}


async def test_the_notices_take_no_place_within_the_hard_limit(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    set_limit(owner, acme.id, soft=1, hard=2)
    assert [(await api.post(SIGNUP, acme)).status for _ in range(3)] == [202, 202, 429]
    assert rows(owner) == {"events": 4, "keys": 0, "inbox": 4, "accepted": 2, "jobs": 2}


@pytest.mark.parametrize("hard", [None, 1])
async def test_one_key_posted_everywhere_at_once_is_one_event(
    apis: list[Client], owner: psycopg.Connection, acme: Tenant, hard: int | None
) -> None:
    set_limit(owner, acme.id, hard=hard)
    answers = await _post_at_once(apis, acme, ["k"] * 60)
    assert Counter(answer.status for answer in answers) == {202: 1, 200: 59}
    assert len({answer.json["id"] for answer in answers}) == 1
    notices = 0 if hard is None else 1
    assert rows(owner) == {"events": 1 + notices, "keys": 1, "inbox": 1 + notices, "accepted": 1, "jobs": 1}


async def test_flushes_that_share_tenants_do_not_lock_one_another_out(apis: list[Client], owner: psycopg.Connection) -> None:
    tenants = [make_tenant(owner, f"t{number}", soft=5, hard=30) for number in range(12)]
    posts = (apis[n % 3].post(SIGNUP, tenants[n * 5 % 12]) for n in range(480))
    assert Counter(answer.status for answer in await asyncio.gather(*posts)) == {202: 360, 429: 120}
    assert rows(owner)["accepted"] == 360
    assert rows(owner)["events"] == 360 + 2 * 12
