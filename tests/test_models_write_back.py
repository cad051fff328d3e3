"""What was read can be written back, and PATCH changes the fields that are named."""

from typing import Any

import pytest

from tests.support.api import Client, assert_problem
from tests.support.operators import Operator
from tests.support.tenants import EVERYTHING, Tenant, make_tenant

MAIL: dict[str, Any] = {"name": "ops", "kind": "email", "config": {"to": "ops@example.com"}, "maxPerMinute": 5}
RULE: dict[str, Any] = {
    "name": "signups",
    "channel": "ops",
    "pattern": {"type": ["user.signup"]},
    "template": {"subject": "s"},
    "cooldown": {"for": "10m"},
}


@pytest.fixture
async def rule(api: Client, acme: Tenant) -> str:
    """The id of a rule, with its channel."""
    assert (await api.post(MAIL, acme, "/api/channels")).status == 201
    return str((await api.post(RULE, acme, "/api/rules")).json["id"])


async def change(api: Client, tenant: Tenant, method: str, path: str, body: object) -> Any:
    answer = await api.request(method, path, tenant, json=body)
    assert answer.status == 200, answer.body
    return answer.json


async def test_a_rule_as_it_is_read_is_a_valid_body(api: Client, acme: Tenant, rule: str) -> None:
    shown = (await api.get(f"/api/rules/{rule}", acme)).json
    again = await change(api, acme, "PUT", f"/api/rules/{rule}", shown)
    assert (again["version"], again["channel"], again["cooldown"]) == (1, shown["channel"], shown["cooldown"])
    changed = await change(api, acme, "PUT", f"/api/rules/{rule}", shown | {"severity": "error"})
    assert (changed["version"], changed["severity"]) == (2, "error")


async def test_a_patch_of_a_rule_changes_what_it_names(api: Client, acme: Tenant, rule: str) -> None:
    patched = await change(api, acme, "PATCH", f"/api/rules/{rule}", {"severity": "error"})
    assert (patched["version"], patched["severity"], patched["template"]) == (2, "error", {"subject": "s"})
    cleared = await change(api, acme, "PATCH", f"/api/rules/{rule}", {"cooldown": None, "enabled": False})
    assert (cleared.get("cooldown"), cleared["enabled"], cleared["pattern"]) == (None, False, RULE["pattern"])
    for body, path in (({"pattern": None}, "pattern"), ({"version": 7}, "version"), ({"window": {"count": 0}}, "window.within")):
        problem = assert_problem(await api.request("PATCH", f"/api/rules/{rule}", acme, json=body), 422, "invalid")
        assert problem["errors"][0]["path"] == path
    assert (await api.get(f"/api/rules/{rule}", acme)).json["version"] == cleared["version"]


async def test_a_channel_is_written_back_and_patched(api: Client, acme: Tenant) -> None:
    channel = (await api.post(MAIL, acme, "/api/channels")).json["id"]
    path = f"/api/channels/{channel}"
    shown = (await api.get(path, acme)).json
    again = await change(api, acme, "PUT", path, shown)
    assert {name: again[name] for name in MAIL} == MAIL
    patched = await change(api, acme, "PATCH", path, {"maxPerMinute": None, "name": "mail"})
    assert (patched["maxPerMinute"], patched["name"], patched["config"]) == (None, "mail", MAIL["config"])
    moved = await change(api, acme, "PATCH", path, {"config": {"to": "on-call@example.com"}})
    assert (moved["config"], moved["name"]) == ({"to": "on-call@example.com"}, "mail")
    empty = assert_problem(await api.request("PATCH", path, acme, json={"config": None}), 422, "invalid")
    assert empty["errors"] == [{"path": "config", "message": "must be an object"}]
    refused = assert_problem(await api.request("PATCH", path, acme, json={"kind": "slack"}), 422, "invalid")
    assert refused["errors"][0]["path"] == "kind", "nothing is dropped in silence"


async def test_a_key_is_patched_within_the_rights_of_its_caller(api: Client, owner: Any, acme: Tenant) -> None:
    key = (await api.post({"label": "shop", "scopes": ["events:write"]}, acme, "/api/keys")).json
    path = f"/api/keys/{key['id']}"
    patched = await change(api, acme, "PATCH", path, {"allowedCidrs": ["10.0.0.0/8"], "label": "billing"})
    assert (patched["allowedCidrs"], patched["label"], patched["scopes"]) == (["10.0.0.0/8"], "billing", ["events:write"])
    shown = (await api.get(path, acme)).json
    assert (await change(api, acme, "PATCH", path, shown)) == shown
    narrow = make_tenant(owner, "narrow", scopes=["keys:*"])
    other = (await api.post({"label": "own", "scopes": ["keys:*"]}, narrow, "/api/keys")).json["id"]
    owner.execute("update signalops.api_keys set scopes = %s where id = %s", [[*EVERYTHING], other])
    assert_problem(await api.request("PATCH", f"/api/keys/{other}", narrow, json={"label": "x"}), 403, "forbidden")
    assert (await api.request("DELETE", path, acme)).status == 200
    assert_problem(await api.request("PATCH", path, acme, json={"label": "x"}), 409, "conflict")


async def test_tenants_and_limits_are_patched(operator: Operator) -> None:
    await operator.make("initech")
    shown = (await operator.get("/api/tenants/initech")).json
    assert (await operator.send("PATCH", "/api/tenants/initech", shown | {"name": "New"})).json["name"] == "New"
    assert (await operator.send("PATCH", "/api/tenants/initech", {"plan": "pro"})).status == 422, "the plan has a path of its own"
    limit = "/api/tenants/initech/limits/events"
    assert (await operator.send("PATCH", limit, {"hard": "9"})).status == 404
    await operator.send("PUT", limit, {"soft": "5", "hard": "10", "thresholds": [50]})
    [patched] = (await operator.send("PATCH", limit, {"hard": "20"})).json["data"]
    assert (patched["soft"], patched["hard"], patched["thresholds"]) == ("5", "20", [50])
    [cleared] = (await operator.send("PATCH", limit, {"soft": None})).json["data"]
    assert (cleared["soft"], cleared["hard"]) == (None, "20")
    assert (await operator.send("PATCH", limit, {"hard": None})).status == 422, "a limit without an amount is none"
