"""Tenants as operators make, change, suspend and close them."""

import asyncio
from typing import Any

import psycopg
import pytest

from signalops.config import Settings
from tests.support.api import SIGNUP, Client, assert_problem, running, running_process
from tests.support.operators import Operator
from tests.support.tenants import EVERYTHING, Tenant, make_tenant

GOLD = {"name": "Gold", "currency": "USD", "baseFee": "31.00"}


@pytest.mark.prove
async def test_the_life_of_a_tenant(api: Client, settings: Settings, operator: Operator) -> None:
    made = await operator.make("initech", timeZone="Europe/Berlin", limits=[{"meter": "events", "hard": "10"}])
    assert (made["status"], made["statusReason"], made["plan"]) == ("active", None, "free")
    new = {"label": "first", "scopes": ["events:write", "events:read"]}
    key = await operator.send("POST", "/api/tenants/initech/keys", new)
    assert (key.status, key.headers["location"]) == (201, f"/api/tenants/initech/keys/{key.json['id']}")
    initech = Tenant(made["id"], "initech", key.json["key"])

    async with running_process(settings) as other:
        assert (await other.post(SIGNUP, initech)).status == 202
        shown = (await operator.get("/api/tenants/initech")).json
        assert shown["usage"]["events"] == 1
        assert [(limit["hard"], limit["origin"]) for limit in shown["limits"]] == [("10", "tenant")]

        reason = {"reason": "The invoice of October is not paid."}
        suspended = (await operator.send("POST", "/api/tenants/initech/suspend", reason)).json
        assert (suspended["status"], suspended["statusReason"]) == ("suspended", reason["reason"])
        assert suspended["statusSince"] > made["statusSince"]
        async with asyncio.timeout(1):
            while (refused := await other.post(SIGNUP, initech)).status != 403:
                pass
        assert assert_problem(refused, 403, "forbidden")["detail"].startswith("The tenant is suspended: The invoice of")

        resumed = (await operator.send("POST", f"/api/tenants/{made['id']}/resume")).json
        assert (resumed["status"], resumed["statusReason"]) == ("active", None)
        async with asyncio.timeout(1):
            while (await other.post(SIGNUP, initech)).status != 202:
                pass

        closed = await operator.send("POST", "/api/tenants/initech/close", {"reason": "The contract has ended."})
        assert closed.json["status"] == "closed"
        async with asyncio.timeout(1):
            while (await other.post(SIGNUP, initech)).status != 403:
                pass
    for act, body in (("resume", None), ("suspend", reason), ("close", reason), ("plan", {"plan": "free"})):
        assert_problem(await operator.send("POST", f"/api/tenants/initech/{act}", body), 409, "conflict")
    assert_problem(await operator.send("POST", "/api/tenants/initech/keys", new), 409, "conflict")


async def test_a_tenant_is_made_whole_or_not_at_all(operator: Operator, owner: psycopg.Connection) -> None:
    named = {"slug": "initech", "name": "Initech"}
    for more, path in (
        ({"plan": "gold"}, "plan"),
        ({"timeZone": "Europe/Atlantis"}, "timeZone"),
        ({"timeZone": "CET"}, "timeZone"),
        ({"slug": "Not A Slug"}, "slug"),
        ({"limits": [{"meter": "events", "hard": 1}, {"meter": "calls", "hard": 1}]}, "limits.1.meter"),
        ({"limits": [{"meter": "events"}]}, "limits.0"),
        ({"rateLimit": {"eventsPerSecond": 0, "burst": 1}}, "rateLimit.eventsPerSecond"),
        ({"status": "active"}, "status"),
    ):
        answer = await operator.send("POST", "/api/tenants", named | more)
        assert [e["path"] for e in assert_problem(answer, 422, "invalid")["errors"]] == [path]
    assert owner.execute("select from signalops.tenants").rowcount == 0
    await operator.make("initech")
    assert_problem(await operator.send("POST", "/api/tenants", named), 409, "conflict")


async def test_of_two_operators_who_move_a_tenant_at_once_one_does(operator: Operator) -> None:
    await operator.make("initech")
    acts = [operator.send("POST", "/api/tenants/initech/suspend", {"reason": f"reason {n}"}) for n in range(4)]
    assert sorted(answer.status for answer in await asyncio.gather(*acts)) == [200, 409, 409, 409]


async def test_what_a_patch_names_is_changed_and_nothing_else(operator: Operator, acme: Tenant, api: Client) -> None:
    rate = {"eventsPerSecond": 2.5, "burst": 10}
    changed = await operator.send("PATCH", "/api/tenants/acme", {"name": "Acme Inc.", "rateLimit": rate})
    assert (changed.json["name"], changed.json["rateLimit"], changed.json["timeZone"]) == ("Acme Inc.", rate, "UTC")
    updated = await operator.send("PATCH", "/api/tenants/acme", {"timeZone": "Asia/Kolkata"})
    assert (updated.json["name"], updated.json["rateLimit"], updated.json["timeZone"]) == ("Acme Inc.", rate, "Asia/Kolkata")
    assert (await operator.send("PATCH", "/api/tenants/acme", {"rateLimit": None})).json["rateLimit"] is None
    assert (await api.post(SIGNUP, acme)).status == 202
    assert_problem(await operator.send("PATCH", "/api/tenants/acme", {"timeZone": "UTC"}), 409, "conflict")


async def test_what_may_be_empty_is_cleared_and_what_may_not_is_refused(operator: Operator, acme: Tenant) -> None:
    given = {"rateLimit": {"eventsPerSecond": 1, "burst": 1}, "retentionDays": 30}
    changed = (await operator.send("PATCH", "/api/tenants/acme", given)).json
    assert (changed["rateLimit"], changed["retentionDays"]) == (given["rateLimit"], 30)
    cleared = (await operator.send("PATCH", "/api/tenants/acme", dict.fromkeys(given))).json
    assert (cleared["rateLimit"], cleared["retentionDays"]) == (None, None)
    for field in ("name", "timeZone"):
        problem = assert_problem(await operator.send("PATCH", "/api/tenants/acme", {field: None}), 422, "invalid")
        assert problem["errors"][0]["path"] == field
    unchanged = (await operator.send("PATCH", "/api/tenants/acme", {})).json
    assert (unchanged["name"], unchanged["timeZone"]) == (cleared["name"], "UTC")


async def test_tenants_are_listed_by_page_and_status(operator: Operator, acme: Tenant) -> None:
    await operator.make("initech")
    await operator.make("umbrella")
    await operator.send("POST", "/api/tenants/acme/suspend", {"reason": "x"})
    first = (await operator.get("/api/tenants?limit=2")).json
    assert ([t["slug"] for t in first["data"]], first["hasMore"]) == (["umbrella", "initech"], True)
    rest = (await operator.get(f"/api/tenants?startingAfter={first['data'][-1]['id']}")).json
    assert ([(t["slug"], t["plan"]) for t in rest["data"]], rest["hasMore"]) == ([("acme", "free")], False)
    suspended = (await operator.get("/api/tenants?status=suspended")).json["data"]
    assert [t["slug"] for t in suspended] == ["acme"]
    assert_problem(await operator.get("/api/tenants?status=gone"), 422, "invalid")
    for unknown in ("nobody", "01a2084f-6f2e-7c1b-a5f1-0b8f6c2d4e10", "%00", "a%20b"):
        assert_problem(await operator.get(f"/api/tenants/{unknown}"), 404, "not-found")


async def test_no_slug_looks_like_an_id_and_one_that_did_takes_nobody_s_place(
    operator: Operator, owner: psycopg.Connection, acme: Tenant
) -> None:
    for slug in (str(acme.id), acme.id.hex):
        answer = await operator.send("POST", "/api/tenants", {"slug": slug, "name": "Twin"})
        assert [e["path"] for e in assert_problem(answer, 422, "invalid")["errors"]] == ["slug"]
    twin = make_tenant(owner, str(acme.id))  # as SQL may still make it
    assert (await operator.get(f"/api/tenants/{acme.id}")).json["slug"] == "acme"
    assert (await operator.get(f"/api/tenants/{twin.id}")).json["slug"] == str(acme.id)


async def test_a_tenant_gets_a_plan_and_closing_ends_its_fee(operator: Operator, owner: psycopg.Connection) -> None:
    assert (await operator.send("POST", "/api/plans/gold", GOLD)).status == 201
    assert (await operator.send("POST", "/api/plans/gold", GOLD)).status == 200
    assert (await operator.send("POST", "/api/plans/gold", GOLD | {"baseFee": "62.00"})).json["version"] == 2
    assert (await operator.send("POST", "/api/plans/free", {**GOLD, "name": "No more"})).json["version"] == 2
    assert (await operator.get("/api/plans/gold?version=1")).json["terms"]["baseFee"] == "31.00"
    assert_problem(await operator.get("/api/plans/silver"), 404, "not-found")
    await operator.make("initech")
    unknown = await operator.send("POST", "/api/tenants/initech/plan", {"plan": "gold", "version": 3})
    assert [e["path"] for e in assert_problem(unknown, 422, "invalid")["errors"]] == ["plan"]
    had = await operator.send("POST", "/api/tenants/initech/plan", {"plan": "gold", "version": 1, "atOnce": True})
    assert (had.json["current"]["plan"], had.json["current"]["version"]) == ("gold", 1)
    await operator.send("POST", "/api/tenants/initech/plan", {"plan": "gold"})
    shown = (await operator.get("/api/tenants/initech")).json
    assert (shown["plan"], shown["nextPlan"]["version"]) == ("gold", 2)
    subscribed = {plan["plan"]: plan["tenants"] for plan in (await operator.get("/api/plans")).json["data"]}
    assert subscribed == {"free": 0, "gold": 1}

    # As if it had been so since yesterday: a plan that is given and taken on one day was never had.
    owner.execute("set session_replication_role = replica")
    owner.execute("update signalops.subscriptions set starts_on = starts_on - 1 where plan = 'gold'")
    owner.execute("set session_replication_role = origin")
    await operator.send("POST", "/api/tenants/initech/close", {"reason": "The contract has ended."})
    after = "select plan, version, author from signalops.subscriptions order by starts_on desc limit 2"
    assert owner.execute(after).fetchall() == [("free", 1, "olga"), ("gold", 1, "olga")]


async def test_limits_are_set_and_removed(operator: Operator, api: Client, acme: Tenant) -> None:
    limit = "/api/tenants/acme/limits/events"
    assert (await operator.send("PUT", limit, {"hard": "1"})).json["data"][0]["hard"] == "1"
    assert (await api.post(SIGNUP, acme)).status == 202
    assert_problem(await api.post(SIGNUP, acme), 429, "quota-exceeded")
    assert (await operator.send("DELETE", limit)).json == {"data": []}
    assert (await api.post(SIGNUP, acme)).status == 202
    assert_problem(await operator.send("DELETE", limit), 404, "not-found")
    refused = await operator.send("PUT", "/api/tenants/acme/limits/calls", {"hard": 1})
    assert [e["path"] for e in assert_problem(refused, 422, "invalid")["errors"]] == ["meter"]


async def test_keys_of_a_tenant_are_listed_rotated_and_revoked(operator: Operator, api: Client, acme: Tenant) -> None:
    new: dict[str, Any] = {"label": "ops", "scopes": EVERYTHING}
    made = (await operator.send("POST", "/api/tenants/acme/keys", new)).json
    path = f"/api/tenants/acme/keys/{made['id']}"
    rotated = await operator.send("POST", f"{path}/rotate", {"overlapSeconds": 0})
    assert (rotated.status, rotated.json["replaces"]) == (201, made["id"])
    assert rotated.headers["location"] == f"/api/tenants/acme/keys/{rotated.json['id']}"
    fresh = Tenant(acme.id, "acme", rotated.json["key"])
    assert (await api.get("/api/events", fresh)).status == 200
    assert (await operator.send("DELETE", f"/api/tenants/acme/keys/{rotated.json['id']}")).json["revokedAt"]
    async with asyncio.timeout(1):
        while (await api.get("/api/events", fresh)).status != 401:
            pass
    assert len((await operator.get("/api/tenants/acme/keys")).json["data"]) == 3


@pytest.mark.parametrize("given", [("tenants", 503), ("events", 202)])
async def test_without_a_login_for_operators_all_else_is_served(
    settings: Settings, acme: Tenant, operator: Operator, given: tuple[str, int]
) -> None:
    what, status = given
    apart = settings.model_copy(update={"database_url": None, "api_database_url": settings.database_url})
    async with running(apart) as api:
        if what == "events":
            assert (await api.post(SIGNUP, acme)).status == status
        else:
            answer = await api.request("GET", "/api/tenants", headers=operator.headers)
            assert "SIGNALOPS_PLATFORM_DATABASE_URL" in assert_problem(answer, status, "unavailable")["detail"]
