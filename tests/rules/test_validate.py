"""What can't be evaluated is never stored; the refusal names the path and the remedy."""

from typing import Any

import psycopg
import pytest

from tests.support.api import Client, assert_problem
from tests.support.malformed_json import BOMBS
from tests.support.rules import RULES, add, draft, put
from tests.support.tenants import Tenant

pytestmark = pytest.mark.usefixtures("ops")

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"pattern": {"payload": {"a": [{"prefx": "x"}]}}}, "pattern.payload.a.0", "prefix"),
    ({"pattern": {"type": []}}, "pattern.type", "name at least one value"),
    ({"pattern": {}}, "pattern", "name at least one field"),
    ({"pattern": {"a": [{"numeric": [">", 5, "<", 1]}]}}, "pattern.a.0.numeric", "swap"),
    ({"pattern": {"a": [str(n) for n in range(10_000)]}}, "pattern", "several rules"),
    ({"pattern": {f"f{n}": ["x"] for n in range(257)}}, "pattern.f256", "split the rule"),
    ({"pattern": [1]}, "pattern", "must be an object"),
    ({"grammar": 3}, "pattern", "use one from 1 to 2"),
    ({"grammar": 1, "pattern": {"a": [1]}}, "pattern.a", "write a string"),
    ({"template": {"body": "{{ payload"}}, "template.body", "Liquid"),
    ({"template": {"subject": "{% include 'x' %}"}}, "template.subject", "Liquid"),
    ({"template": {"footer": "x"}}, "template.footer", "footer"),
    ({"template": {"body": 1}}, "template.body", "must be a string"),
    ({"channel": "nobody"}, "channel", "add it first"),
    ({"channel": ""}, "channel", "at least 1 character"),
    ({"severity": "loud"}, "severity", "'info'"),
    ({"name": ""}, "name", "at least 1 character"),
    ({"name": "x" * 201}, "name", "at most 200 characters"),
    ({"surprise": 1}, "surprise", "unknown field"),
    ({"window": {"count": 3}}, "window.within", "is required"),
    ({"window": {"count": 3, "within": "10 minutes"}}, "window.within", "90s"),
    ({"window": {"count": 3, "within": "8d"}}, "window.within", "7d"),
    ({"window": {"within": "1m"}}, "window", "count, sum and distinct"),
    ({"absent": {"after": "5m"}, "window": {"count": 3, "within": "1m"}}, "", "not both"),
    ({"digest": {"at": "08:30"}}, "digest", "timeZone"),
    ({"activeHours": {"timeZone": "Mars/Olympus"}}, "activeHours.timeZone", "Europe/Berlin"),
    ({"cooldown": "soon"}, "cooldown.for", "90s"),
]


async def test_a_fault_is_named_with_its_remedy(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    rule = (await add(api, acme, name="before"))["id"]
    for members, path, words in REFUSED:
        for answer in (await api.post(draft(**members), acme, RULES), await put(api, acme, rule, draft(**members))):
            problem = assert_problem(answer, 422, "invalid")
            fault = problem["errors"][0]
            assert fault["path"] == path, members
            assert words in f"{fault['message']}; {fault.get('remedy')}", members
            assert fault["message"] in problem["detail"]
    assert owner.execute("select count(*) from signalops.rule_versions").fetchone() == (1,)


async def test_all_that_is_wrong_is_told_at_once(api: Client, acme: Tenant) -> None:
    body = draft(pattern={"type": []}, template={"subject": "{{", "body": "{%"}, channel="nobody")
    problem = assert_problem(await api.post(body, acme, RULES), 422, "invalid")
    paths = [fault["path"] for fault in problem["errors"]]
    assert paths == ["pattern.type", "template.subject", "template.body", "channel"]


async def test_a_rule_may_be_without_its_name_only_in_a_change(api: Client, acme: Tenant) -> None:
    problem = assert_problem(await api.post(draft(name=None), acme, RULES), 422, "invalid")
    assert problem["errors"] == [{"path": "name", "message": "is required"}]


async def test_hostile_json_is_refused(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    rule = await add(api, acme)
    for bomb in BOMBS.values():
        assert_problem(await api.post(bomb, acme, RULES), 400, "malformed")
        if bomb.strip():
            inner = b'{"name":"n","channel":"ops","pattern":{"a":[%s]}}' % bomb
            assert_problem(await api.post(inner, acme, RULES), 400, "malformed")
            assert_problem(await api.post(inner, acme, f"{RULES}/test"), 400, "malformed")
            assert_problem(await api.post(inner, acme, "/api/silences"), 400, "malformed")
            assert_problem(await api.post(inner, acme, f"{RULES}/{rule['id']}/rollback"), 400, "malformed")
    assert owner.execute("select count(*) from signalops.rules").fetchone() == (1,)


async def test_what_is_no_rule_is_refused(api: Client, acme: Tenant) -> None:
    for body in ([], "x", 1, None, [draft()]):
        problem = assert_problem(await api.post(body, acme, RULES), 422, "invalid")
        assert problem["errors"] == [{"path": "", "message": "must be an object"}]
    assert_problem(await api.post(draft(), acme, RULES, content_type="text/plain"), 415, "unsupported-media-type")
    large = draft(template={"body": "x" * 256 * 1024})
    assert_problem(await api.post(large, acme, RULES), 413, "too-large")


async def test_what_is_no_id_answers_as_an_unknown_one(api: Client, acme: Tenant) -> None:
    for path in (f"{RULES}/x", f"{RULES}/test", f"{RULES}/x/versions", f"{RULES}/x/diff", "/api/silences/x"):
        assert_problem(await api.get(path, acme), 404, "not-found")
