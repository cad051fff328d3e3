"""Rate limits of events over HTTP: what is accepted, what is refused, and the headers."""

import asyncio

import psycopg
import pytest

from signalops.access.request_limiter import MIN_RATE
from signalops.config import Settings
from tests.support.api import NOTHING, SIGNUP, Client, assert_problem, rows, running
from tests.support.keys import made
from tests.support.rates import bucket, let_pass, set_rate, verdicts
from tests.support.tenants import Tenant

SLOW = 0.01
"""Events a second: none comes in while a test runs."""


async def test_a_burst_is_taken_and_more_is_refused_until_there_is_a_token(
    settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    set_rate(owner, acme, SLOW, 2)
    async with running(settings) as api:
        first, second = [await api.post(SIGNUP, acme) for _ in range(2)]
        refused = await api.post(SIGNUP, acme)
    assert [first.status, second.status] == [202, 202]
    assert {first.headers["ratelimit-policy"], second.headers["ratelimit-policy"]} == {'"tenant";q=2;w=200'}
    assert [first.headers["ratelimit"], second.headers["ratelimit"]] == ['"tenant";r=1;t=100', '"tenant";r=0;t=100']
    problem = assert_problem(refused, 429, "rate-limited")
    assert (problem["policy"], str(problem["retryAfter"])) == ("tenant", refused.headers["retry-after"])
    assert 90 <= problem["retryAfter"] <= 100
    assert refused.headers["ratelimit-policy"] == '"tenant";q=2;w=200'
    assert refused.headers["ratelimit"].startswith('"tenant";r=0;t=')
    assert rows(owner) | {"jobs": 0} == {**NOTHING, "events": 2, "inbox": 2, "accepted": 2}

    let_pass(owner, 110)
    async with running(settings) as api:
        assert [(await api.post(SIGNUP, acme)).status for _ in range(2)] == [202, 429]


async def test_who_has_no_limit_is_told_of_none_and_makes_no_bucket(
    api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    set_rate(owner, globex, SLOW, 1)
    answers = [await api.post(SIGNUP, acme) for _ in range(3)]
    assert [answer.status for answer in answers] == [202] * 3
    assert all("ratelimit" not in answer.headers for answer in answers)
    assert owner.execute("select * from signalops.rate_buckets").fetchall() == []


async def test_a_batch_larger_than_the_burst_is_taken_from_its_beginning(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    set_rate(owner, acme, SLOW, 3)
    answer = await api.post_batch([{"type": "a"}, {"type": ""}, *[SIGNUP] * 4], acme)
    assert answer.status == 202
    assert verdicts(answer) == ["accepted", "invalid", "accepted", "accepted", "rate-limited", "rate-limited"]
    assert [item["problem"]["retryAfter"] for item in answer.json["results"][4:]] == [100, 200]
    assert answer.headers["ratelimit"] == '"tenant";r=0;t=100'
    again = await api.post_batch([SIGNUP] * 2, acme)
    assert (again.status, verdicts(again)) == (429, ["rate-limited"] * 2)
    assert rows(owner)["events"] == rows(owner)["accepted"] == 3


async def test_what_is_refused_can_be_sent_again_and_a_duplicate_pays(
    settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    set_rate(owner, acme, SLOW, 3)
    keyed = [{**SIGNUP, "idempotencyKey": key} for key in ("a", "b", "b", "c")]
    async with running(settings) as api:
        assert verdicts(await api.post_batch(keyed, acme)) == ["accepted", "accepted", "duplicate", "rate-limited"]
    assert (rows(owner)["events"], rows(owner)["keys"], rows(owner)["accepted"]) == (2, 2, 2)
    let_pass(owner, 100)
    async with running(settings) as api:
        assert verdicts(await api.post_batch(keyed[::-1], acme))[:2] == ["accepted", "rate-limited"]
    assert rows(owner)["events"] == rows(owner)["accepted"] == 3


async def test_a_key_has_a_bucket_of_its_own_besides_its_tenant_s(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    limit = {"eventsPerSecond": SLOW, "burst": 1}
    limited, key = await made(api, acme, scopes=["events:write"], rateLimit=limit)
    shown = await api.get(f"/api/keys/{key}", acme)
    assert shown.json["rateLimit"] == limit
    rotated = await api.post({}, acme, f"/api/keys/{key}/rotate")
    assert rotated.json["rateLimit"] == limit
    set_rate(owner, acme, SLOW, 4)
    async with asyncio.timeout(5):
        while "tenant" not in (first := await api.post(SIGNUP, limited)).headers.get("ratelimit-policy", ""):
            owner.execute("delete from signalops.rate_buckets")
            await api.get("/api/keys", acme)
    assert first.headers["ratelimit-policy"] == '"key";q=1;w=100, "tenant";q=4;w=400'
    refused = await api.post(SIGNUP, limited)
    assert assert_problem(refused, 429, "rate-limited")["policy"] == "key"
    before = bucket(owner, acme).level
    assert (await api.post_batch([SIGNUP] * 5, limited)).json["rejected"] == 5
    assert bucket(owner, acme).level == before
    accepted = (await api.post_batch([SIGNUP] * 5, acme)).json["accepted"]
    assert accepted == int(before)


async def test_a_rate_that_changes_holds_at_once_in_every_process(
    api: Client, settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    async def becomes(client: Client, status: int) -> None:
        async with asyncio.timeout(2):
            while (await client.post(SIGNUP, acme)).status != status:
                pass

    async with running(settings) as other:
        for client in (api, other):
            assert (await client.post(SIGNUP, acme)).status == 202
        set_rate(owner, acme, SLOW, 1)
        for client in (api, other):
            await becomes(client, 429)
        set_rate(owner, acme, 1_000_000, 1_000_000)
        for client in (api, other):
            await becomes(client, 202)
        set_rate(owner, acme, SLOW, 1)
        for client in (api, other):
            await becomes(client, 429)
        set_rate(owner, acme, None, None)
        for client in (api, other):
            await becomes(client, 202)
            assert (await client.post_batch([SIGNUP] * 10, acme)).json["accepted"] == 10


async def test_what_was_told_of_a_rate_is_not_believed_for_long(
    api: Client, owner: psycopg.Connection, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.execute("alter table signalops.tenants disable trigger notify_key_change")
    set_rate(owner, acme, SLOW, 1)
    assert [(await api.post(SIGNUP, acme)).status for _ in range(2)] == [202, 429]
    set_rate(owner, acme, 1_000_000, 1_000_000)
    let_pass(owner, 1)
    assert (await api.post(SIGNUP, acme)).status == 429
    monkeypatch.setattr("signalops.ingest.rate_limit_cache._BELIEVE", 0)
    assert (await api.post(SIGNUP, acme)).status == 202


async def test_a_rate_is_no_smaller_than_its_waits_can_be_told(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    least: dict[str, object] = {"label": "slow", "scopes": ["events:write"]}
    refused = await api.post({**least, "rateLimit": {"eventsPerSecond": 1e-300, "burst": 1}}, acme, "/api/keys")
    assert_problem(refused, 422, "invalid")
    with pytest.raises(psycopg.errors.CheckViolation):
        set_rate(owner, acme, 1e-300, 1)
    set_rate(owner, acme, MIN_RATE, 1)
    async with asyncio.timeout(5):  # until this process hears of it, the tenant has no rate
        while "ratelimit-policy" not in (first := await api.post(SIGNUP, acme)).headers:
            pass
    second = await api.post(SIGNUP, acme)
    assert (first.status, second.status) == (202, 429)
    assert int(second.headers["retry-after"]) == pytest.approx(1 / MIN_RATE, rel=0.001)


async def test_a_refused_tenant_takes_nothing_of_another_in_the_same_flush(
    api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    set_rate(owner, acme, SLOW, 5)
    answers = await asyncio.gather(*(api.post(SIGNUP, tenant) for _ in range(20) for tenant in (acme, globex)))
    assert [answer.status for answer in answers[1::2]] == [202] * 20
    assert sorted(answer.status for answer in answers[::2]) == [202] * 5 + [429] * 15
    counted = owner.execute("select accepted from signalops.accepted_counters where tenant_id = %s", [acme.id]).fetchone()
    assert counted == (5,)
