"""Versions: listed, compared, rolled back to; and from which of them on a window counts."""

from typing import Any

import psycopg
import pytest

from tests.support.api import Client, assert_problem
from tests.support.rows import add_channel
from tests.support.rules import PATTERN, RULES, add, change
from tests.support.tenants import Tenant

pytestmark = pytest.mark.usefixtures("ops")

WINDOW = {"count": 3, "within": "1m"}


async def _diff(api: Client, tenant: Tenant, rule: str, **versions: int) -> list[dict[str, Any]]:
    answer = await api.get(f"{RULES}/{rule}/diff", tenant, **versions)
    assert answer.status == 200, answer
    changes: list[dict[str, Any]] = answer.json["changes"]
    return changes


async def test_every_version_stays_as_it_was(api: Client, acme: Tenant) -> None:
    rule = await add(api, acme)
    written = [rule]
    for severity in ("warning", "error", "critical"):
        written.append(await change(api, acme, rule["id"], severity=severity))
    listed = (await api.get(f"{RULES}/{rule['id']}/versions", acme)).json
    assert [(one["version"], one["severity"]) for one in listed["data"]] == [
        (4, "critical"),
        (3, "error"),
        (2, "warning"),
        (1, "info"),
    ]
    assert listed["hasMore"] is False
    page = (await api.get(f"{RULES}/{rule['id']}/versions", acme, limit=2, startingAfter=4)).json
    assert (page["data"], page["hasMore"]) == (listed["data"][1:3], True)
    for number, version in enumerate(reversed(listed["data"]), 1):
        shown = (await api.get(f"{RULES}/{rule['id']}/versions/{number}", acme)).json
        assert shown == version
        assert {name: written[number - 1][name] for name in ("severity", "pattern", "channel")} == {
            name: version[name] for name in ("severity", "pattern", "channel")
        }
    for unknown in ("0", "5", "x", "-1", "²", "9" * 30):
        assert_problem(await api.get(f"{RULES}/{rule['id']}/versions/{unknown}", acme), 404, "not-found")


async def test_a_difference_is_shown_value_by_value(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    add_channel(owner, acme.id, name="pager")
    before = {"type": ["a"], "payload": {"x/y": [{"prefix": "p"}], "gone": [None]}}
    after = {"type": ["a", "b"], "payload": {"x/y": [{"prefix": "q"}], "new": [1]}}
    rule = (await add(api, acme, pattern=before, template={"body": "b"}))["id"]
    await change(api, acme, rule, pattern=after, template={"body": "b"}, window=WINDOW, channel="pager")
    changes = await _diff(api, acme, rule)
    expected: list[dict[str, Any]] = [
        {"path": "/window", "after": {**WINDOW, "groupBy": [], "allowedLateness": "10m"}},
        {"path": "/pattern/type", "before": ["a"], "after": ["a", "b"]},
        {"path": "/pattern/payload/x~1y/0/prefix", "before": "p", "after": "q"},
        {"path": "/pattern/payload/gone", "before": [None]},
        {"path": "/pattern/payload/new", "after": [1]},
        {"path": "/channel", "before": "ops", "after": "pager"},
    ]
    assert sorted(changes, key=lambda one: one["path"]) == sorted(expected, key=lambda one: one["path"])
    backwards = await _diff(api, acme, rule, **{"from": 2, "to": 1})
    swapped = {"before": "after", "after": "before", "path": "path"}
    assert sorted(backwards, key=lambda one: one["path"]) == sorted(
        ({swapped[name]: value for name, value in change.items()} for change in changes), key=lambda one: one["path"]
    )


async def test_without_numbers_the_last_change_is_shown(api: Client, acme: Tenant) -> None:
    rule = (await add(api, acme))["id"]
    assert (await api.get(f"{RULES}/{rule}/diff", acme)).json == {"from": 1, "to": 1, "changes": []}
    await change(api, acme, rule, severity="error")
    await change(api, acme, rule, severity="warning")
    answer = (await api.get(f"{RULES}/{rule}/diff", acme)).json
    assert answer == {"from": 2, "to": 3, "changes": [{"path": "/severity", "before": "error", "after": "warning"}]}
    assert (await api.get(f"{RULES}/{rule}/diff", acme, to=2)).json["from"] == 1
    assert_problem(await api.get(f"{RULES}/{rule}/diff", acme, **{"from": 4}), 404, "not-found")
    for name, value in (("from", 0), ("to", "x"), ("versions", 1)):
        problem = assert_problem(await api.get(f"{RULES}/{rule}/diff", acme, **{name: value}), 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == [name]


async def test_to_roll_back_is_a_new_version(api: Client, acme: Tenant) -> None:
    first = await add(api, acme, template={"body": "one"}, cooldown="1h", window={**WINDOW, "groupBy": ["payload.u"]})
    path = f"{RULES}/{first['id']}"
    await change(api, acme, first["id"], severity="error")
    answer = await api.post({"version": 1}, acme, f"{path}/rollback", if_match='"2"')
    assert (answer.status, answer.json["version"], answer.headers["etag"]) == (200, 3, '"3"')
    assert await _diff(api, acme, first["id"], **{"from": 1, "to": 3}) == []
    versions = (await api.get(f"{path}/versions", acme)).json["data"]
    assert [one["severity"] for one in versions] == ["info", "error", "info"]
    again = await api.post({"version": 1}, acme, f"{path}/rollback")
    assert again.json["version"] == 3, "it says the same already"
    assert_problem(await api.post({"version": 1}, acme, f"{path}/rollback", if_match='"2"'), 412, "precondition-failed")
    assert_problem(await api.post({"version": 9}, acme, f"{path}/rollback"), 404, "not-found")
    for body in ({}, {"version": "x"}, {"version": 0}, {"version": 1, "to": 2}):
        assert_problem(await api.post(body, acme, f"{path}/rollback"), 422, "invalid")


async def test_what_counts_is_kept_until_what_is_counted_changes(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    rule = (await add(api, acme, window=WINDOW))["id"]
    steps: list[tuple[dict[str, Any], int]] = [
        ({"window": WINDOW, "severity": "error"}, 1),
        ({"window": WINDOW, "cooldown": "1h", "template": {"body": "b"}}, 1),
        ({"window": {**WINDOW, "count": 4}}, 4),
        ({"window": {**WINDOW, "count": 4}, "digest": {"every": "1h"}}, 4),
        ({"window": WINDOW}, 6),
        ({"window": WINDOW, "pattern": {"type": ["b"]}}, 7),
        ({"absent": {"after": "1m"}, "pattern": {"type": ["b"]}}, 8),
        ({"absent": {"after": "1m"}, "pattern": {"type": "b"}, "grammar": 1}, 9),
        ({"absent": {"after": "1m"}, "pattern": {"type": "b"}, "grammar": 1, "severity": "error"}, 9),
    ]
    for members, since in steps:
        await change(api, acme, rule, **{"pattern": PATTERN, **members})
        newest = (await api.get(f"{RULES}/{rule}/versions", acme, limit=1)).json["data"][0]
        assert newest["stateVersion"] == since, members
