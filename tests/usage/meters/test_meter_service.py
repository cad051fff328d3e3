"""Meters over HTTP: added, shown and ended; never changed."""

import asyncio
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from signalops import db
from signalops.config import Settings
from tests.support.api import Client, assert_problem, running
from tests.support.tenants import Tenant, make_tenant

CALLS: dict[str, Any] = {"key": "api_calls", "name": "API calls", "pattern": {"type": ["api.call"]}}
TRAFFIC = CALLS | {"key": "traffic", "aggregation": "sum", "field": "payload.bytes", "groupBy": ["source"], "unit": "GB"}


async def add(api: Client, tenant: Tenant, **fields: Any) -> int:
    return (await api.post(CALLS | fields, tenant, "/api/meters")).status


def versions(owner: psycopg.Connection) -> list[tuple[str, int]]:
    return owner.execute("select slug, meters_version from signalops.tenants order by slug").fetchall()


async def test_a_meter_is_added_shown_and_ended(api: Client, acme: Tenant, globex: Tenant) -> None:
    added = await api.post(TRAFFIC, acme, "/api/meters")
    assert (added.status, added.headers["location"]) == (201, "/api/meters/traffic")
    shown = (await api.get("/api/meters/traffic", acme)).json
    assert shown == added.json
    assert TRAFFIC | {"origin": "tenant", "allowNegative": True, "endedAt": None, "createdAt": shown["createdAt"]} == shown
    assert_problem(await api.get("/api/meters/traffic", globex), 404, "not-found")
    assert_problem(await api.request("DELETE", "/api/meters/traffic", globex), 404, "not-found")

    ended = await api.request("DELETE", "/api/meters/traffic", acme)
    assert (ended.status, ended.json["endedAt"] is None) == (200, False)
    assert (await api.request("DELETE", "/api/meters/traffic", acme)).json == ended.json, "it is over once"
    assert (await api.get("/api/meters/traffic", acme)).json == ended.json
    assert (await api.get("/api/meters", acme)).json["data"] == []
    assert (await api.get("/api/meters", acme, ended=True)).json["data"] == [ended.json]


async def test_the_same_meter_once_more_is_the_one_there_is(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    first = await api.post(TRAFFIC | {"pattern": {"payload": {"n": [100]}}}, acme, "/api/meters")
    again = await api.post(TRAFFIC | {"pattern": {"payload": {"n": [1e2]}}}, acme, "/api/meters")
    assert (first.status, again.status, again.json) == (201, 200, first.json)
    assert versions(owner) == [("acme", 1)]


async def test_of_many_at_once_one_is_added(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    assert sorted(await asyncio.gather(*(add(api, acme) for _ in range(6)))) == [200] * 5 + [201]
    assert versions(owner) == [("acme", 1)]


async def test_a_key_means_the_same_for_ever(api: Client, acme: Tenant, globex: Tenant) -> None:
    assert await add(api, acme) == 201
    others: list[dict[str, Any]] = [
        {"pattern": {"type": ["other"]}},
        {"aggregation": "sum", "field": "a"},
        {"groupBy": ["source"]},
    ]
    for fields in others:
        problem = assert_problem(await api.post(CALLS | fields, acme, "/api/meters"), 409, "conflict")
        assert "choose another key" in problem["detail"]
    problem = assert_problem(await api.post(CALLS | {"unit": "calls"}, acme, "/api/meters"), 409, "conflict")
    assert "end it first" in problem["detail"]
    await api.request("DELETE", "/api/meters/api_calls", acme)
    assert await add(api, acme, **others[0]) == 409, "also after it has ended"
    assert await add(api, acme, unit="calls") == 201
    assert await add(api, globex, **others[0]) == 201, "another tenant's key means what that one says"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"key": "events"}, "key"),
        ({"key": "API calls"}, "key"),
        ({"key": "a" * 64}, "key"),
        ({"aggregation": "median", "field": "payload.n"}, "aggregation"),
        ({"aggregation": "sum"}, "field"),
        ({"field": "payload.n"}, "field"),
        ({"aggregation": "sum", "field": "payload..n"}, "field"),
        ({"pattern": {}}, "pattern"),
        ({"pattern": {"payload": {"n": [{"numric": [">", 1]}]}}}, "pattern.payload.n.0"),
        ({"pattern": {"type": [f"t{n}" for n in range(401)]}}, "pattern"),
        ({"groupBy": ["a", "b", "c", "d", "e", "f"]}, "groupBy"),
        ({"groupBy": [""]}, "groupBy.0"),
        ({"groupby": []}, "groupby"),
    ],
)
async def test_what_can_not_be_counted_is_refused_by_path(api: Client, acme: Tenant, fields: Any, path: str) -> None:
    problem = assert_problem(await api.post(CALLS | fields, acme, "/api/meters"), 422, "invalid")
    assert [fault["path"] for fault in problem["errors"]] == [path]


async def test_a_fault_of_the_pattern_says_what_to_do(api: Client, acme: Tenant) -> None:
    wrong = CALLS | {"pattern": {"type": [{"prefx": "api."}]}}
    problem = assert_problem(await api.post(wrong, acme, "/api/meters"), 422, "invalid")
    assert 'perhaps you mean "prefix"' in problem["detail"]


async def test_there_are_as_many_as_the_installation_allows(settings: Settings, acme: Tenant) -> None:
    async with running(settings.model_copy(update={"max_meters": 2})) as few:
        made = await asyncio.gather(*(add(few, acme, key=f"m{n}") for n in range(5)))
        assert sorted(made) == [201, 201, 409, 409, 409]
        refused = await few.post(CALLS, acme, "/api/meters")
        assert "SIGNALOPS_MAX_METERS" in assert_problem(refused, 409, "conflict")["detail"]
        (first, _) = (await few.get("/api/meters", acme)).json["data"]
        await few.request("DELETE", f"/api/meters/{first['key']}", acme)
        assert await add(few, acme) == 201
        for _ in range(17):
            await few.request("DELETE", "/api/meters/api_calls", acme)
            assert await add(few, acme) == 201
        await few.request("DELETE", "/api/meters/api_calls", acme)
        problem = assert_problem(await few.post(CALLS, acme, "/api/meters"), 409, "conflict")
        assert "within 30 days" in problem["detail"], "ended meters are never deleted"


async def test_lists_are_paged_by_key(api: Client, acme: Tenant) -> None:
    for key in ("c", "a", "b"):
        await add(api, acme, key=key)
    first = (await api.get("/api/meters", acme, limit=2)).json
    assert ([meter["key"] for meter in first["data"]], first["hasMore"]) == (["a", "b"], True)
    second = (await api.get("/api/meters", acme, limit=2, startingAfter="b")).json
    assert ([meter["key"] for meter in second["data"]], second["hasMore"]) == (["c"], False)
    assert_problem(await api.get("/api/meters", acme, startingAfter="\x00"), 422, "invalid")


@pytest.mark.parametrize("key", ["unknown", "events", "%00", "API"])
async def test_what_is_no_meter_is_not_found(api: Client, acme: Tenant, key: str) -> None:
    assert_problem(await api.get(f"/api/meters/{key}", acme), 404, "not-found")
    assert_problem(await api.request("DELETE", f"/api/meters/{key}", acme), 404, "not-found")


async def test_a_meter_of_the_plan_ends_with_it(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    await add(api, acme)
    owner.execute("set session_replication_role = replica")
    owner.execute("update signalops.meters set origin = 'plan'")
    assert_problem(await api.request("DELETE", "/api/meters/api_calls", acme), 409, "conflict")
    assert await add(api, acme) == 200, "the tenant may ask for what its plan brings already"


@pytest.mark.parametrize(
    "statement",
    [
        "insert into signalops.meters (tenant_id, key, first_version, name, aggregation, grammar, pattern, origin) "
        "values (signalops.current_tenant(), 'free', 0, 'Free', 'count', 2, '{}', 'plan')",
        "update signalops.meters set end_version = 9",
        "update signalops.meters set pattern = '{}'",
        "update signalops.meters set origin = 'plan'",
        "delete from signalops.meters",
    ],
)
async def test_a_process_may_add_own_meters_and_end_them_and_nothing_else(
    api: Client, api_pool: db.Pool, acme: Tenant, statement: LiteralString
) -> None:
    await add(api, acme)
    with pytest.raises(InsufficientPrivilege):
        async with db.as_tenant(api_pool, acme.id) as connection:
            await connection.execute(statement)


async def test_meters_need_their_scope(api: Client, owner: psycopg.Connection) -> None:
    reader = make_tenant(owner, "reader", scopes=["usage:read"])
    answers = [await api.post(CALLS, reader, "/api/meters"), await api.get("/api/meters", reader)]
    assert [assert_problem(answer, 403, "forbidden")["requiredScope"] for answer in answers] == ["meters:*"] * 2
