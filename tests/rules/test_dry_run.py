"""POST /api/rules/test: one event evaluated by one rule; the reason, the message, and what else would happen."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from signalops import clock
from tests.support import rows
from tests.support.api import SIGNUP, Client, assert_problem
from tests.support.rows import add_channel
from tests.support.rules import PATTERN, RULES, add, change, draft
from tests.support.tenants import Tenant

pytestmark = pytest.mark.usefixtures("ops")


async def _try(api: Client, tenant: Tenant, rule: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    answer = await api.post({"rule": rule, "event": event}, tenant, f"{RULES}/test")
    assert answer.status == 200, answer
    tried: dict[str, Any] = answer.json
    return tried


async def test_a_match_shows_each_condition_and_the_message(api: Client, acme: Tenant) -> None:
    template = {"subject": "{{ payload.email }} by {{ rule.name }}", "body": "{{ type }}"}
    pattern = {"type": ["user.signup"], "payload": {"email": [{"suffix": ".com"}], "age": [{"exists": False}]}}
    tried = await _try(api, acme, draft(template=template, pattern=pattern), SIGNUP)
    assert tried == {
        "matches": True,
        "reason": "Every condition holds.",
        "explanation": [
            _leaf("type", ["user.signup"], ["user.signup"], True),
            _leaf("payload.email", [{"suffix": ".com"}], ["user@example.com"], True),
            _leaf("payload.age", [{"exists": False}], [], True),
        ],
        "message": {"subject": "user@example.com by signups", "body": "user.signup", "html": None},
        "fault": None,
        "warnings": [],
        "notes": [],
    }


def _leaf(path: str, condition: list[Any], seen: list[Any], matched: bool) -> dict[str, Any]:
    return {"path": path, "condition": condition, "seen": seen, "matched": matched, "alternatives": None}


async def test_what_does_not_match_says_why_and_has_no_message(api: Client, acme: Tenant) -> None:
    pattern = {"type": ["user.signup"], "payload": {"plan": ["pro"]}}
    tried = await _try(api, acme, draft(pattern=pattern), SIGNUP)
    assert (tried["matches"], tried["message"], tried["notes"]) == (False, None, [])
    assert tried["reason"] == 'payload.plan is missing, and none of ["pro"] fits.'
    assert [leaf["matched"] for leaf in tried["explanation"]] == [True, False]


async def test_a_stored_rule_is_tried_in_any_version(api: Client, acme: Tenant) -> None:
    rule = await add(api, acme, template={"subject": "{{ rule.version }}"})
    await change(api, acme, rule["id"], pattern={"type": ["other"]})
    assert (await _try(api, acme, {"id": rule["id"]}, SIGNUP))["matches"] is False
    tried = await _try(api, acme, {"id": rule["id"], "version": 1}, SIGNUP)
    assert (tried["matches"], tried["message"]["subject"]) == (True, "1")


async def test_a_stored_event_is_tried_and_nothing_is_sent_or_counted(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    cloud = {"specversion": "1.0", "id": "abc", "source": "/shop", "type": "order.paid", "tier": "gold", "data": {"n": 1}}
    answer = await api.post(cloud, acme, content_type="application/cloudevents+json")
    pattern = {"tier": ["gold"], "id": ["abc"], "type": ["order.paid"], "payload": {"n": [1]}}
    template = {"subject": "{{ payload.n }} of {{ source }}"}
    tried = await _try(api, acme, draft(pattern=pattern, template=template), {"id": answer.json["id"]})
    assert (tried["matches"], tried["message"]["subject"]) == (True, "1 of /shop")
    sample = {"type": "order.paid", "payload": {"n": 1}, "attributes": {"tier": "gold", "id": "abc", "type": "x"}}
    assert (await _try(api, acme, draft(pattern=pattern), sample))["matches"] is True
    for table in ("rules", "matches", "deliveries", "usage_counters", "rule_states"):
        assert owner.execute(f"select count(*) from signalops.{table}").fetchone() == (0,), table


async def test_one_of_several_alternatives_is_named(api: Client, acme: Tenant) -> None:
    pattern = {"type": ["user.signup"], "payload": {"$or": [{"plan": ["pro"]}, {"email": [{"prefix": "user@"}]}]}}
    tried = await _try(api, acme, draft(pattern=pattern), SIGNUP)
    assert tried["reason"] == "Alternative 2 of 2 holds (payload.email, type), and one is enough."
    places = {leaf["path"]: (leaf["alternatives"], leaf["matched"]) for leaf in tried["explanation"]}
    assert places == {"type": ([1, 2], True), "payload.plan": ([1], False), "payload.email": ([2], True)}
    other = {"type": "user.signup", "payload": {"email": "x"}}
    reason = (await _try(api, acme, draft(pattern=pattern), other))["reason"]
    assert reason.startswith("None of the 2 alternatives holds; the nearest is 1.")


async def test_conditions_that_hold_in_different_elements_are_told_apart(api: Client, acme: Tenant) -> None:
    pattern = {"payload": {"items": {"sku": ["a"], "n": [2]}}}
    event = {"type": "t", "payload": {"items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]}}
    tried = await _try(api, acme, draft(pattern=pattern), event)
    assert [leaf["matched"] for leaf in tried["explanation"]] == [True, True]
    assert tried["matches"] is False
    assert "different elements of one array" in tried["reason"]


async def test_a_template_that_fails_says_why(api: Client, acme: Tenant) -> None:
    tried = await _try(api, acme, draft(template={"body": "{{ payload.nobody.name }}"}), SIGNUP)
    assert (tried["matches"], tried["message"]) == (True, None)
    assert "body failed" in tried["fault"]


async def test_what_a_rule_adds_is_noted(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    today = datetime.now(UTC).strftime("%a").lower()
    never = [day for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun") if day != today]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"window": {"count": 3, "within": "1m", "groupBy": ["payload.email"]}}, "3 matching events within 1m"),
        ({"window": {"count": 3, "within": "1m", "groupBy": ["payload.email"]}}, "payload.email = user@example.com"),
        ({"window": {"sum": {"field": "payload.n", "atLeast": 9.5}, "within": "1m"}}, "9.5 of payload.n together"),
        ({"window": {"distinct": {"field": "payload.n", "atLeast": 4}, "within": "1h"}}, "4 different values"),
        ({"absent": {"after": "15m"}}, "none follows for 15m"),
        ({"cooldown": "2h"}, "none for 2h"),
        ({"digest": {"every": "1h"}}, "every 1h"),
        ({"digest": {"at": "08:00", "timeZone": "UTC"}}, "at 08:00 UTC"),
        ({"activeHours": {"timeZone": "UTC", "days": never}}, "it waits for them"),
        ({"activeHours": {"timeZone": "UTC", "days": never, "outsideHours": "drop"}}, "nobody is notified"),
        ({"enabled": False}, "disabled"),
    ]
    for members, words in cases:
        tried = await _try(api, acme, draft(**members), SIGNUP)
        assert len(tried["notes"]) == 1, members
        assert words in tried["notes"][0], members
    assert (await _try(api, acme, draft(activeHours={"timeZone": "UTC"}), SIGNUP))["notes"] == []


async def test_the_message_is_that_of_the_rule_s_kind(api: Client, acme: Tenant) -> None:
    window = {"count": 3, "within": "1m", "groupBy": ["payload.email"]}
    template = {"subject": "{{ window.value }}", "body": "{{ window.group['payload.email'] }}"}
    message = (await _try(api, acme, draft(window=window, template=template), SIGNUP))["message"]
    assert (message["subject"], message["body"]) == ("3", "user@example.com")
    digest = (await _try(api, acme, draft(digest={"every": "1h"}), SIGNUP))["message"]
    assert digest["subject"] == "signups: 1 event"
    assert "user.signup" in digest["body"]
    absence = (await _try(api, acme, draft(absent={"after": "15m"}), SIGNUP))["message"]
    assert absence["subject"] == "signups: no event for 15m"


async def test_an_active_silence_is_noted(api: Client, acme: Tenant) -> None:
    for pattern, start in ((PATTERN, None), ({"type": ["other"]}, None), (PATTERN, timedelta(hours=1))):
        silence = {"pattern": pattern, "duration": "2h", "reason": "moving house"}
        later = {"startsAt": (datetime.now(UTC) + start).isoformat()} if start else {}
        assert (await api.post(silence | later, acme, "/api/silences")).status == 201
    notes = (await _try(api, acme, draft(), SIGNUP))["notes"]
    assert len(notes) == 1
    assert notes[0].endswith("suppresses it: moving house.")


async def test_a_field_that_a_type_never_had_is_warned_of(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    _catalogue(owner, acme, "user.signup", ["payload.email", "payload.user.id"])
    template = {"subject": "{{ payload.emial }}", "body": "{{ payload.user }} {{ payload.email }} {{ source }}"}
    pattern = {"type": ["user.signup"], "payload": {"mail": ["x"], "user": {"id": [1]}, "gone": [{"exists": False}]}}
    expected = [
        {"path": "pattern.payload.mail", "message": _unknown("payload.mail")},
        {"path": "template.subject", "message": _unknown("payload.emial")},
    ]
    rule = await add(api, acme, pattern=pattern, template=template)
    assert rule["warnings"] == expected
    assert (await change(api, acme, rule["id"], pattern=pattern))["warnings"] == expected[:1]
    assert (await _try(api, acme, draft(pattern=pattern), SIGNUP))["warnings"] == expected[:1]


async def test_nothing_is_warned_of_where_the_types_are_not_known(
    api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    _catalogue(owner, acme, "known", ["payload.a"])
    _catalogue(owner, acme, "cut", ["payload.a"], cut=True)
    _catalogue(owner, globex, "user.signup", ["payload.a"])
    dry_run = {"payload": {"b": ["x"]}}
    patterns: list[tuple[dict[str, Any], int]] = [
        ({"type": ["known"], **dry_run}, 1),
        ({"type": [{"exactly": "known"}], **dry_run}, 1),
        ({"type": ["known", "user.signup"], **dry_run}, 0),
        ({"type": ["cut"], **dry_run}, 0),
        ({"type": [{"prefix": "known"}], **dry_run}, 0),
        ({"type": ["known", {"prefix": "k"}], **dry_run}, 0),
        (dry_run, 0),
        ({"$or": [{"type": ["known"], **dry_run}, {"source": ["s"], "payload": {"b": ["y"]}}]}, 0),
    ]
    for pattern, warnings in patterns:
        tried = await _try(api, acme, draft(pattern=pattern), {"type": "x"})
        assert len(tried["warnings"]) == warnings, pattern


def _unknown(field: str) -> str:
    return f"no event of this type ever had {field}: check its name"


def _catalogue(owner: psycopg.Connection, tenant: Tenant, name: str, paths: list[str], cut: bool = False) -> None:
    fields = {path: {"types": ["string"]} for path in paths}
    rows.add(owner, "event_types", tenant.id, type=name, fields=fields, fields_cut=cut)


async def test_what_can_t_be_tried_is_refused_by_path(
    api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    add_channel(owner, globex.id, name="ops")
    rule, event = await add(api, acme), (await api.post(SIGNUP, acme)).json["id"]
    unknown = str(clock.new_id())
    for tenant, dry_run in (
        (acme, {"rule": {"id": unknown}, "event": SIGNUP}),
        (acme, {"rule": {"id": rule["id"], "version": 2}, "event": SIGNUP}),
        (acme, {"rule": draft(), "event": {"id": unknown}}),
        (globex, {"rule": {"id": rule["id"]}, "event": SIGNUP}),
        (globex, {"rule": draft(), "event": {"id": event}}),
    ):
        assert_problem(await api.post(dry_run, tenant, f"{RULES}/test"), 404, "not-found")
    refused: list[tuple[dict[str, Any], str]] = [
        ({"event": SIGNUP}, "rule"),
        ({"rule": draft()}, "event"),
        ({"rule": draft(pattern=None), "event": SIGNUP}, "rule.pattern"),
        ({"rule": draft(), "event": {"payload": {}}}, "event.type"),
        ({"rule": draft(), "event": {"type": "t", "occurredAt": "now"}}, "event.occurredAt"),
        ({"rule": {"id": "x"}, "event": SIGNUP}, "rule.id"),
        ({"rule": draft(pattern={"type": []}), "event": SIGNUP}, "pattern.type"),
        ({"rule": draft(channel="nobody"), "event": SIGNUP}, "channel"),
        ({"rule": draft(), "event": SIGNUP, "send": True}, "send"),
    ]
    for body, path in refused:
        problem = assert_problem(await api.post(body, acme, f"{RULES}/test"), 422, "invalid")
        assert problem["errors"][0]["path"] == path, body


async def test_a_template_that_fails_for_a_recent_event_is_warned_of(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    _catalogue(owner, acme, "user.signup", ["payload.email", "payload.when"])
    event = {"id": str(clock.new_id()), "type": "user.signup", "source": None, "occurredAt": clock.now().isoformat()}
    example = Jsonb(event | {"payload": {"email": "a@example.com"}})
    owner.execute("update signalops.event_types set example = %s", [example])
    pattern = {"type": ["user.signup"]}
    rule = await add(api, acme, pattern=pattern, template={"subject": "{{ payload.email }} {{ payload.when }}"})
    [warning] = rule["warnings"]
    assert warning["path"] == "template"
    assert warning["message"].startswith("can't be rendered for a recent event of the type user.signup: ")
    fine = {"subject": "{{ payload.email }} {{ payload.when | default: 'once' }}"}
    assert (await change(api, acme, rule["id"], pattern=pattern, template=fine)).get("warnings") == []
