"""Rules over HTTP: added, shown, listed, changed, switched and deleted."""

import asyncio
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from signalops.config import Settings
from tests.support.api import Client, assert_problem, running
from tests.support.rows import add_channel
from tests.support.rules import PATTERN, RULES, add, change, draft, put
from tests.support.tenants import Tenant, make_tenant

pytestmark = pytest.mark.usefixtures("ops")

WHOLE: dict[str, Any] = {
    "pattern": {"type": ["order.paid"], "payload": {"amount": [{"numeric": [">", 100]}], "note": [None]}},
    "template": {"subject": "{{ payload.amount }}", "body": "b", "html": "<b>{{ payload.amount }}</b>"},
    "severity": "critical",
    "window": {"sum": {"field": "payload.amount", "atLeast": 0.1}, "within": "10m", "groupBy": ["payload.user"]},
    "cooldown": "1h30m",
    "digest": {"at": "08:30", "timeZone": "Europe/Berlin"},
    "activeHours": {"timeZone": "UTC", "days": ["mon"], "from": "22:00", "to": "06:00", "outsideHours": "drop"},
}


async def test_a_rule_is_shown_as_it_was_written(api: Client, acme: Tenant, ops: str) -> None:
    answer = await api.post(draft(**WHOLE), acme, RULES)
    assert answer.status == 201
    assert answer.headers["location"] == f"{RULES}/{answer.json['id']}"
    assert answer.headers["etag"] == '"1"'
    shown = await api.get(answer.headers["location"], acme)
    assert shown.headers["etag"] == '"1"'
    assert answer.json == shown.json | {"warnings": []}
    window = {**WHOLE["window"], "allowedLateness": "10m"}
    expected = WHOLE | {"window": window, "cooldown": {"for": "1h30m", "groupBy": []}}
    assert {name: shown.json[name] for name in expected} == expected
    assert shown.json["channel"] == {"id": ops, "name": "ops", "kind": "webhook"}
    assert (shown.json["name"], shown.json["enabled"], shown.json["version"]) == ("signups", True, 1)
    assert shown.json["createdAt"] == shown.json["updatedAt"]
    absent = await add(api, acme, name="silence", absent={"after": "15m"}, enabled=False)
    assert absent["absent"] == {"after": "15m", "groupBy": [], "allowedLateness": "0s"}
    assert absent["enabled"] is False
    assert "window" not in absent


async def test_a_sum_keeps_its_digits(api: Client, acme: Tenant) -> None:
    for sent, shown in ((1, 1), (2.5, 2.5), ("0.1", 0.1), ("123456789012345678.25", "123456789012345678.25")):
        window = {"sum": {"field": "payload.a", "atLeast": sent}, "within": "1h"}
        rule = await add(api, acme, name=f"sum {sent}", window=window)
        assert rule["window"]["sum"]["atLeast"] == shown
        again = await change(api, acme, rule["id"], window=rule["window"])
        assert again["version"] == 1


async def test_the_first_grammar_is_accepted_and_shown_as_it_was_written(api: Client, acme: Tenant) -> None:
    rule = await add(api, acme, grammar=1, pattern={"payload.plan": "pro", "payload.parent": None})
    assert rule["pattern"] == {"payload.plan": "pro", "payload.parent": None}
    assert rule["grammar"] == 1


async def test_a_channel_may_be_named_by_its_id(api: Client, acme: Tenant, ops: str) -> None:
    assert (await add(api, acme, channel=ops))["channel"]["name"] == "ops"


async def test_rules_are_listed_newest_first_and_by_page(api: Client, acme: Tenant) -> None:
    ids = [(await add(api, acme, name=f"rule {n}"))["id"] for n in range(5)][::-1]
    first = (await api.get(RULES, acme, limit=2)).json
    assert ([rule["id"] for rule in first["data"]], first["hasMore"]) == (ids[:2], True)
    rest = (await api.get(RULES, acme, startingAfter=ids[1])).json
    assert ([rule["id"] for rule in rest["data"]], rest["hasMore"]) == (ids[2:], False)
    newer = (await api.get(RULES, acme, limit=2, endingBefore=ids[3])).json
    assert ([rule["id"] for rule in newer["data"]], newer["hasMore"]) == (ids[1:3], True)
    assert first["data"][0] == (await api.get(f"{RULES}/{ids[0]}", acme)).json


async def test_rules_are_found_by_what_they_are(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    pager = str(add_channel(owner, acme.id, name="pager"))
    await add(api, acme, name="Paid 100%", severity="warning")
    await add(api, acme, name="unpaid", channel="pager")
    await add(api, acme, name="off", enabled=False)

    async def found(**filters: object) -> list[str]:
        return sorted(rule["name"] for rule in (await api.get(RULES, acme, **filters)).json["data"])

    assert await found(name="PAID") == ["Paid 100%", "unpaid"]
    assert await found(name="%") == ["Paid 100%"]
    assert await found(severity="warning") == ["Paid 100%"]
    assert await found(channel="pager") == await found(channel=pager) == ["unpaid"]
    assert await found(enabled="false") == ["off"]
    assert await found(enabled="true", channel="ops") == ["Paid 100%"]
    for name, value in (("enabled", "perhaps"), ("severity", "loud"), ("page", 2), ("startingAfter", "x")):
        problem = assert_problem(await api.get(RULES, acme, **{name: value}), 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == [name]


async def test_a_change_makes_a_version_and_keeps_the_name(api: Client, acme: Tenant) -> None:
    rule = await add(api, acme)
    changed = await change(api, acme, rule["id"], severity="error")
    assert (changed["version"], changed["severity"], changed["name"]) == (2, "error", "signups")
    assert changed["updatedAt"] > rule["updatedAt"]
    assert changed["createdAt"] == rule["createdAt"]


async def test_what_says_the_same_makes_no_version(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    rule = await add(api, acme, **WHOLE)
    reordered = {name: WHOLE[name] for name in reversed(WHOLE)}
    assert (await change(api, acme, rule["id"], **reordered)) == rule
    renamed = await change(api, acme, rule["id"], **WHOLE, name="orders", enabled=False)
    assert (renamed["version"], renamed["name"], renamed["enabled"]) == (1, "orders", False)
    assert owner.execute("select count(*) from signalops.rule_versions").fetchone() == (1,)


async def test_true_is_not_1_in_a_pattern(api: Client, acme: Tenant) -> None:
    rule = await add(api, acme, pattern={"payload": {"a": [1]}})
    assert (await change(api, acme, rule["id"], pattern={"payload": {"a": [True]}}))["version"] == 2


async def test_a_rule_is_switched_off_and_on(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    rule = await add(api, acme)
    for word, enabled in (("disable", False), ("disable", False), ("enable", True)):
        answer = await api.request("POST", f"{RULES}/{rule['id']}/{word}", acme)
        assert (answer.status, answer.json["enabled"], answer.json["version"]) == (200, enabled, 1)
        assert (await api.get(f"{RULES}/{rule['id']}", acme)).json["enabled"] is enabled
    # Each change that is one is a version of the whole set: added, disabled, enabled.
    assert owner.execute("select version from signalops.ruleset_versions").fetchone() == (3,)


async def test_a_deleted_rule_is_gone_and_its_name_free(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    rule = await add(api, acme)
    deleted = await api.request("DELETE", f"{RULES}/{rule['id']}", acme)
    assert (deleted.status, deleted.json["id"], deleted.json["enabled"]) == (200, rule["id"], False)
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/enable"), ("GET", "/versions"), ("GET", "/versions/1")):
        assert_problem(await api.request(method, f"{RULES}/{rule['id']}{path}", acme), 404, "not-found")
    assert (await api.get(RULES, acme)).json == {"data": [], "hasMore": False}
    assert (await add(api, acme))["id"] != rule["id"]
    assert owner.execute("select count(*) from signalops.rule_versions").fetchone() == (2,)


async def test_a_name_is_taken_once(api: Client, acme: Tenant) -> None:
    await add(api, acme)
    other = await add(api, acme, name="other")
    problem = assert_problem(await api.post(draft(), acme, RULES), 409, "conflict")
    assert "rule of this name" in problem["detail"]
    assert_problem(await put(api, acme, other["id"], draft()), 409, "conflict")
    assert (await api.get(f"{RULES}/{other['id']}", acme)).json["name"] == "other"


async def test_a_change_of_another_version_than_was_read_is_refused(api: Client, acme: Tenant) -> None:
    rule = await add(api, acme)
    await change(api, acme, rule["id"], severity="error")
    path = f"{RULES}/{rule['id']}"
    for tag in ('"1"', "1", 'W/"2"', '"x"', '""', '"1", "3"', '"99999999999999999999"', '"²"'):
        problem = assert_problem(await put(api, acme, rule["id"], draft(), tag), 412, "precondition-failed")
        assert problem["activeVersion"] == 2
    for method, word in (("DELETE", ""), ("POST", "/disable"), ("POST", "/enable")):
        answer = await api.request(method, path + word, acme, headers={"if-match": '"1"'})
        assert_problem(answer, 412, "precondition-failed")
    assert (await api.get(path, acme)).json["version"] == 2
    for version, tag in ((3, '"2"'), (4, '"1", "3"'), (5, "*")):
        assert (await put(api, acme, rule["id"], draft(pattern={"type": [tag]}), tag)).json["version"] == version


async def test_of_two_changes_at_once_one_wins(api: Client, settings: Settings, acme: Tenant) -> None:
    rule = await add(api, acme)
    async with running(settings) as other:
        drafts = [(client, draft(pattern={"type": [f"t{n}"]})) for n in range(4) for client in (api, other)]
        answers = await asyncio.gather(*(put(client, acme, rule["id"], body, '"1"') for client, body in drafts))
        assert sorted(answer.status for answer in answers) == [200, *[412] * 7]
        # Without If-Match they follow one another, and none is lost.
        answers = await asyncio.gather(*(put(client, acme, rule["id"], body) for client, body in drafts))
    versions = (await api.get(f"{RULES}/{rule['id']}/versions", acme)).json["data"]
    assert [version["version"] for version in versions] == [*range(len(versions), 0, -1)]
    assert {answer.status for answer in answers} == {200}
    assert max(answer.json["version"] for answer in answers) == versions[0]["version"]
    assert all(before["pattern"] != after["pattern"] for after, before in pairwise(versions))


async def test_so_many_versions_are_made_in_a_month_also_of_rules_that_are_deleted(
    settings: Settings, acme: Tenant, globex: Tenant, owner: psycopg.Connection
) -> None:
    """Versions are never deleted, and each can have 64 KB of pattern and template."""
    add_channel(owner, globex.id, name="ops")
    async with running(settings.model_copy(update={"max_rules": 2})) as few:
        for n in range(10):
            made = await add(few, acme, name=f"rule {n}")
            await few.request("DELETE", f"{RULES}/{made['id']}", acme)
        problem = assert_problem(await few.post(draft(), acme, RULES), 409, "conflict")
        assert "versions of rules" in problem["detail"]
        await add(few, globex)
        owner.execute("update signalops.rule_versions set created_at = created_at - interval '30 days'")
        await add(few, acme)


async def test_there_are_at_most_so_many_rules_however_many_come_at_once(
    api: Client, settings: Settings, acme: Tenant, globex: Tenant, owner: psycopg.Connection
) -> None:
    add_channel(owner, globex.id, name="ops")
    async with running(settings.model_copy(update={"max_rules": 3})) as few:
        answers = await asyncio.gather(*(few.post(draft(name=f"rule {n}"), acme, RULES) for n in range(8)))
        assert sorted(answer.status for answer in answers) == [201] * 3 + [409] * 5
        refused = next(answer for answer in answers if answer.status == 409)
        assert "SIGNALOPS_MAX_RULES" in assert_problem(refused, 409, "conflict")["detail"]
        await add(few, globex)
        gone = (await few.get(RULES, acme)).json["data"][0]["id"]
        await few.request("DELETE", f"{RULES}/{gone}", acme)
        await add(few, acme, name="in its place")


async def test_another_tenant_s_rule_answers_like_an_unknown_one(
    api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    add_channel(owner, globex.id, name="ops")
    rule = (await add(api, acme))["id"]
    unknown = rule[:-1] + ("0" if rule[-1] != "0" else "1")
    requests: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("PUT", "", draft()),
        ("DELETE", "", None),
        ("POST", "/enable", None),
        ("POST", "/disable", None),
        ("GET", "/versions", None),
        ("GET", "/versions/1", None),
        ("GET", "/diff", None),
        ("POST", "/rollback", {"version": 1}),
    ]
    for method, path, body in requests:
        theirs, nobodys = [await api.request(method, f"{RULES}/{one}{path}", globex, json=body) for one in (rule, unknown)]
        assert_problem(theirs, 404, "not-found")
        assert theirs.body.replace(rule.encode(), b"") == nobodys.body.replace(unknown.encode(), b"")
        if method == "GET":
            assert (await api.get(f"{RULES}/{rule}{path}", acme)).status == 200
    assert (await api.get(RULES, globex)).json["data"] == []
    assert (await api.get(f"{RULES}/{rule}", acme)).json["pattern"] == PATTERN
    await add(api, globex)  # the name is taken by acme alone


async def test_rules_need_their_scope(api: Client, owner: psycopg.Connection) -> None:
    writer = make_tenant(owner, "writer", scopes=["events:write", "events:read"])
    for path in (RULES, "/api/silences"):
        problem = assert_problem(await api.get(path, writer), 403, "forbidden")
        assert problem["requiredScope"] == "rules:*"
        assert_problem(await api.post({}, writer, path), 403, "forbidden")
