"""Channels over HTTP: create, show, update, test, rotate and delete; and secrets that are never shown."""

import asyncio
import base64
import json
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from aiohttp import web
from standardwebhooks import Webhook as Verifier

from signalops import clock
from signalops.config import Settings
from signalops.send import SecretBox
from signalops.send.channel_admin import channel_endpoints as manage_http
from signalops.send.channels.webhook import signed
from tests.support.api import Answer, Client, assert_problem, running
from tests.support.deliveries import CHANNELS, do, ids, put
from tests.support.receivers import Mailbox, Receiver, free_port
from tests.support.tenants import Tenant
from tests.support.worlds.outbox import Outbox

MAIL: dict[str, Any] = {"name": "ops", "kind": "email", "config": {"to": "ops@example.com"}}
TOKEN = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawx"
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
EACH: dict[str, dict[str, Any]] = {
    "email": {"config": {"to": "ops@example.com"}},
    "telegram": {"config": {"chatId": -1001234567890}, "secret": TOKEN},
    "whatsapp": {"config": {"to": "+4915112345678", "phoneNumberId": "106540352242922"}, "secret": "EAAGm0PX4ZCpsBA"},
    "webhook": {"config": {"url": "https://example.com/hook"}, "secret": SECRET},
    "slack": {"config": {}, "secret": "https://hooks.slack.com/services/T0/B0/xyz"},
    "http": {"config": {"url": "https://example.com/hook"}, "secret": "Bearer s3cret"},
}


async def add(api: Client, tenant: Tenant, **members: Any) -> dict[str, Any]:
    answer = await do(api, tenant, CHANNELS, {**MAIL, **members})
    assert answer.status == 201, answer
    added: dict[str, Any] = answer.json
    return added


def hook(receiver: Receiver, **members: Any) -> dict[str, Any]:
    return {"name": "hook", "kind": "webhook", "config": {"url": receiver.url}, **members}


def path(channel: dict[str, Any], what: str = "") -> str:
    return f"{CHANNELS}/{channel['id']}{what}"


async def test_a_channel_is_added_and_shown(api: Client, acme: Tenant) -> None:
    answer = await do(api, acme, CHANNELS, {**MAIL, "retrySchedule": [5, 60], "maxPerMinute": 30})
    added = answer.json
    assert (answer.status, answer.headers["location"]) == (201, path(added))
    expected = {
        **MAIL,
        "enabled": True,
        "hasSecret": False,
        "retrySchedule": [5, 60],
        "maxPerMinute": 30,
        "disabledBecause": None,
    }
    assert {name: added[name] for name in expected} == expected
    shown = await api.get(path(added), acme)
    assert shown.headers["etag"] == answer.headers["etag"]
    assert shown.json == {name: value for name, value in added.items() if name != "secret"}


@pytest.mark.parametrize("kind", EACH)
async def test_no_answer_ever_holds_a_given_secret(
    api: Client, acme: Tenant, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    body = {"name": "n", "kind": kind, **EACH[kind]}
    given = body.get("secret", "nothing")
    answers: list[Answer] = [await do(api, acme, CHANNELS, body)]
    assert answers[0].status == 201, answers[0]
    one = path(answers[0].json)
    answers += [await api.get(one, acme), await api.get(CHANNELS, acme)]
    answers.append(await put(api, acme, one, {"config": body["config"]}))
    answers += [await api.request(method, one, acme) for method in ("DELETE",)]
    assert [answer.status for answer in answers[1:]] == [200] * 4
    assert answers[1].json["hasSecret"] is (kind != "email")
    assert not any(given.encode() in answer.body for answer in answers)
    assert given not in caplog.text


async def test_a_verify_token_that_was_made_is_shown_once(api: Client, acme: Tenant) -> None:
    given = {"accessToken": "EAAGm0PX4ZCpsBA", "appSecret": "a" * 32}
    body = {"config": EACH["whatsapp"]["config"], "secret": json.dumps(given)}
    added = await add(api, acme, kind="whatsapp", **body)
    changed = (await put(api, acme, path(added), body)).json
    assert all(len(one["secret"]) > 20 and "EAAG" not in one["secret"] for one in (added, changed))
    stored = json.dumps({**given, "verifyToken": added["secret"]})
    assert (await put(api, acme, path(added), {**body, "secret": stored})).json["secret"] is None


async def test_channels_of_one_bot_share_its_outlet(api: Client, acme: Tenant, owner: psycopg.Connection) -> None:
    for name, secret in (("a", TOKEN), ("b", TOKEN), ("c", TOKEN.replace("123456789", "987654321"))):
        await add(api, acme, name=name, kind="telegram", config={"chatId": 1}, secret=secret)
    await add(api, acme, name="d")
    found = owner.execute("select send_target_id from signalops.channels order by name").fetchall()
    assert (found[0] == found[1] != found[2], found[3]) == (True, (None,))


async def test_channels_are_listed_and_found(api: Client, acme: Tenant) -> None:
    made = [(await add(api, acme, name=name))["id"] for name in ("mail to ops", "mail to dev", "boss")]
    off = await add(api, acme, name="x", enabled=False, kind="webhook", config={"url": "https://example.com/"})
    newest = [off["id"], *reversed(made)]
    assert await ids(api, acme, CHANNELS) == newest
    assert await ids(api, acme, CHANNELS, name="MAIL") == newest[2:]
    assert await ids(api, acme, CHANNELS, kind="webhook") == await ids(api, acme, CHANNELS, enabled=False) == newest[:1]
    assert await ids(api, acme, CHANNELS, limit=1, startingAfter=newest[0]) == newest[1:2]
    assert await ids(api, acme, CHANNELS, limit=1, endingBefore=newest[2]) == newest[1:2]
    for name, value in (("kind", "fax"), ("enabled", "maybe"), ("colour", "red")):
        problem = assert_problem(await api.get(CHANNELS, acme, **{name: value}), 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == [name]


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"kind": "fax"}, "kind", "'email'"),
    ({"kind": None}, "kind", "is required"),
    ({"name": ""}, "name", "at least 1"),
    ({"config": {"to": "a@example.com,b@example.com"}}, "config.to", "one address"),
    ({"config": {}}, "config.to", "is required"),
    ({"config": {"to": "a@example.com", "cc": "b"}}, "config.cc", "unknown field"),
    ({"kind": "webhook", "config": {"url": "ftp://example.com"}}, "config.url", "scheme"),
    ({"retrySchedule": [0]}, "retrySchedule.0", "at least 1"),
    ({"retrySchedule": [1] * 21}, "retrySchedule", "at most 20"),
    ({"retrySchedule": []}, "retrySchedule", "at least 1"),
    ({"secrets": "x"}, "secrets", "unknown field"),
]


async def test_what_can_t_be_is_refused_by_path(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    for members, where, words in REFUSED:
        body = {name: value for name, value in {**MAIL, **members}.items() if value is not None}
        problem = assert_problem(await do(api, acme, CHANNELS, body), 422, "invalid")
        assert problem["errors"][0]["path"] == where, members
        assert words in problem["errors"][0]["message"], members
    for body in ({**MAIL, "secret": "x"}, {**MAIL, "kind": "telegram", "config": {"chatId": 1}}):
        assert "secret" in assert_problem(await do(api, acme, CHANNELS, body), 422, "invalid")["detail"]
    assert owner.execute("select count(*) from signalops.channels").fetchone() == (0,)


async def test_where_nobody_may_send_is_refused_at_once(settings: Settings, acme: Tenant, owner: psycopg.Connection) -> None:
    guarded = settings.model_copy(update={"send_allowed_networks": (), "send_ports": (80, 443), "send_plain_http": False})
    async with running(guarded) as api:
        for url in ("http://example.com/", "https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "https://example.com:22/"):
            body = {"name": "n", "kind": "webhook", "config": {"url": url}}
            assert_problem(await do(api, acme, CHANNELS, body), 422, "invalid")
    assert owner.execute("select count(*) from signalops.channels").fetchone() == (0,)


async def test_a_name_is_taken_until_its_channel_is_deleted(api: Client, acme: Tenant, globex: Tenant) -> None:
    first = await add(api, acme)
    assert_problem(await do(api, acme, CHANNELS, MAIL), 409, "conflict")
    await add(api, globex)
    other = await add(api, acme, name="other")
    body = {"config": MAIL["config"], "name": "ops"}
    assert_problem(await put(api, acme, path(other), body), 409, "conflict")
    assert (await api.request("DELETE", path(first), acme)).status == 200
    assert (await put(api, acme, path(other), body)).json["name"] == "ops"


async def test_what_a_change_leaves_out_stays_but_for_the_schedule(api: Client, acme: Tenant) -> None:
    config = {"url": "https://example.com/"}
    added = await add(api, acme, kind="webhook", config=config, retrySchedule=[9], enabled=False)
    changed = (await put(api, acme, path(added), {"config": {"url": "https://example.org/"}})).json
    assert (changed["name"], changed["enabled"], changed["hasSecret"]) == ("ops", False, True)
    assert (changed["config"], changed["retrySchedule"]) == ({"url": "https://example.org/"}, None)
    assert changed["updatedAt"] > added["updatedAt"]
    renamed = (await put(api, acme, path(added), {"config": config, "name": "new", "enabled": True})).json
    assert (renamed["name"], renamed["enabled"], renamed["config"]) == ("new", True, config)
    problem = assert_problem(await put(api, acme, path(added), {"config": {"to": "x"}}), 422, "invalid")
    assert {fault["path"] for fault in problem["errors"]} == {"config.url", "config.to"}
    assert_problem(await put(api, acme, path(added), {"config": config, "kind": "email"}), 422, "invalid")


SERVER = {"host": "mail.example.com", "port": 587, "security": "starttls", "username": "acme", "sender": "a@b.example"}
HTTP = {"url": "https://api.example.com/v1", "secretHeader": "X-Token"}
ELSEWHERE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("http", HTTP, {**HTTP, "url": "https://evil.example/v1"}),
    ("http", HTTP, {**HTTP, "url": "http://api.example.com/v1"}),
    ("http", HTTP, {**HTTP, "url": "https://api.example.com:8443/v1"}),
    ("http", HTTP, {**HTTP, "url": "https://api.example.com.evil.example/"}),
    ("http", HTTP, {**HTTP, "secretHeader": "X-Other"}),
    ("http", HTTP, {"url": HTTP["url"]}),
    ("email", {"to": "a@b.example", "server": SERVER}, {"to": "a@b.example", "server": {**SERVER, "host": "evil.example"}}),
    ("email", {"to": "a@b.example", "server": SERVER}, {"to": "a@b.example", "server": {**SERVER, "port": 465}}),
    ("email", {"to": "a@b.example", "server": SERVER}, {"to": "a@b.example", "server": {**SERVER, "security": "tls"}}),
    ("email", {"to": "a@b.example", "server": SERVER}, {"to": "a@b.example", "server": {**SERVER, "username": "b"}}),
]
STAYS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("http", HTTP, {**HTTP, "url": "https://API.example.com:443/v2?a=1", "method": "PUT"}),
    ("http", {"url": HTTP["url"]}, {"url": HTTP["url"], "secretHeader": "authorization"}),
    ("email", {"to": "a@b.example", "server": SERVER}, {"to": "c@d.example", "server": {**SERVER, "sender": "e@f.example"}}),
]


@pytest.mark.parametrize("case", ELSEWHERE)
async def test_a_secret_is_sent_nowhere_else_without_being_given_again(
    api: Client, owner: psycopg.Connection, acme: Tenant, case: tuple[str, dict[str, Any], dict[str, Any]]
) -> None:
    kind, before, after = case
    added = await add(api, acme, kind=kind, config=before, secret="s3cret-s3cret")
    problem = assert_problem(await put(api, acme, path(added), {"config": after}), 422, "invalid")
    assert [fault["path"] for fault in problem["errors"]] == ["secret"]
    assert (await api.get(path(added), acme)).json["config"] == added["config"]
    with pytest.raises(psycopg.errors.CheckViolation, match="give it again"), owner.transaction():
        owner.execute("update signalops.channels set config = %s where id = %s", [json.dumps(after), added["id"]])
    changed = await put(api, acme, path(added), {"config": after, "secret": "s3cret-s3cret"})
    assert (changed.status, changed.json["hasSecret"]) == (200, True)


@pytest.mark.parametrize(("kind", "before", "after"), STAYS)
async def test_a_secret_stays_where_it_is_sent_to_the_same(
    api: Client, acme: Tenant, kind: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    added = await add(api, acme, kind=kind, config=before, secret="s3cret-s3cret")
    changed = await put(api, acme, path(added), {"config": after})
    assert (changed.status, changed.json["hasSecret"]) == (200, True)


async def test_a_secret_that_nothing_needs_any_more_is_dropped(api: Client, acme: Tenant) -> None:
    config = {"to": "a@b.example", "server": SERVER}
    added = await add(api, acme, kind="email", config=config, secret="s3cret-s3cret")
    assert (await put(api, acme, path(added), {"config": {"to": "a@b.example"}})).json["hasSecret"] is False
    assert_problem(await put(api, acme, path(added), {"config": config}), 422, "invalid")


async def test_only_the_state_that_was_read_is_changed(api: Client, acme: Tenant) -> None:
    answer = await do(api, acme, CHANNELS, MAIL)
    tag, one, body = answer.headers["etag"], path(answer.json), {"config": MAIL["config"]}
    changed = await put(api, acme, one, body, tag)
    assert (changed.status, changed.headers["etag"] != tag) == (200, True)
    assert_problem(await put(api, acme, one, body, tag), 412, "precondition-failed")
    assert_problem(await put(api, acme, one, body, '"7"'), 412, "precondition-failed")
    for method, what in (("POST", "/enable"), ("POST", "/disable"), ("DELETE", "")):
        answer = await api.request(method, one + what, acme, headers={"if-match": tag})
        assert_problem(answer, 412, "precondition-failed")
    assert (await put(api, acme, one, body, f"{tag}, {changed.headers['etag']}")).status == 200
    assert (await put(api, acme, one, body, "*")).status == 200


async def test_to_enable_a_channel_takes_back_why_it_was_disabled(api: Client, acme: Tenant, owner: psycopg.Connection) -> None:
    added = await add(api, acme)
    assert (await api.request("POST", path(added, "/disable"), acme)).json["enabled"] is False
    owner.execute("update signalops.channels set disabled_because = 'It answered 410.'")
    assert (await api.get(path(added), acme)).json["disabledBecause"] == "It answered 410."
    again = (await api.request("POST", path(added, "/disable"), acme)).json
    assert (again["enabled"], again["disabledBecause"]) == (False, "It answered 410.")
    enabled = (await api.request("POST", path(added, "/enable"), acme)).json
    assert (enabled["enabled"], enabled["disabledBecause"]) == (True, None)


async def test_a_channel_that_rules_use_is_not_deleted(api: Client, acme: Tenant, owner: psycopg.Connection) -> None:
    added = await add(api, acme)
    rule = {"name": "signups", "pattern": {"type": ["user.signup"]}, "channel": added["id"]}
    one = (await do(api, acme, "/api/rules", rule)).json["id"]
    problem = assert_problem(await api.request("DELETE", path(added), acme), 409, "conflict")
    assert (problem["rules"], "'signups'" in problem["detail"]) == (["signups"], True)
    await api.request("POST", f"/api/rules/{one}/disable", acme)
    gone = (await api.request("DELETE", path(added), acme)).json
    assert (gone["enabled"], gone["hasSecret"]) == (False, False)
    assert_problem(await api.get(path(added), acme), 404, "not-found")
    assert_problem(await api.request("DELETE", path(added), acme), 404, "not-found")
    assert owner.execute("select secret, enabled from signalops.channels").fetchone() == (None, False)
    assert_problem(await do(api, acme, "/api/rules", {**rule, "name": "other"}), 422, "invalid")


async def test_a_test_notification_is_sent_at_once_and_stored_nowhere(
    api: Client, acme: Tenant, receiver: Receiver, owner: psycopg.Connection
) -> None:
    added = await add(api, acme, **hook(receiver), enabled=False)
    receiver.answers += [web.Response(text="thanks"), web.Response(status=503, text="later")]
    result = (await api.request("POST", path(added, "/test"), acme)).json
    assert (result["outcome"], result["statusCode"], result["answer"], result["error"]) == ("sent", 200, "thanks", None)
    assert 0 <= result["durationMs"] < 10_000
    document = Verifier(added["secret"]).verify(receiver.received[0].body, dict(receiver.received[0].headers))
    assert (document["type"], "test notification" in document["data"]["body"]) == ("signalops.test", True)
    result = (await api.request("POST", path(added, "/test"), acme)).json
    assert (result["outcome"], result["statusCode"], result["answer"]) == ("transient", 503, "later")
    assert result["error"] == "The receiver answered 503."
    assert owner.execute("select count(*) from signalops.deliveries").fetchone() == (0,)


async def test_a_test_tells_what_is_wrong(settings: Settings, acme: Tenant, receiver: Receiver) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with running(settings.model_copy(update={"send_timeout": 0.2})) as api:
        nobody = await add(api, acme, **hook(receiver) | {"config": {"url": f"http://127.0.0.1:{free_port()}/"}})
        result = (await api.request("POST", path(nobody, "/test"), acme)).json
        assert (result["outcome"], result["statusCode"]) == ("transient", None)
        assert result["error"] == "The receiver can't be reached."
        slow = await add(api, acme, **hook(receiver, name="slow"))
        receiver.answers.append(never)
        result = (await api.request("POST", path(slow, "/test"), acme)).json
        assert (result["outcome"], result["error"]) == ("transient", "The receiver did not answer in time.")


@pytest.mark.parametrize(("content_type", "body"), [("application/json", b'{"text": "'), ("text/plain", b"This is")])
async def test_a_test_of_an_http_channel_fits_its_content_type(
    api: Client, acme: Tenant, receiver: Receiver, content_type: str, body: bytes
) -> None:
    config = {"url": receiver.url, "contentType": content_type}
    added = await add(api, acme, name="api", kind="http", config=config)
    assert (await api.request("POST", path(added, "/test"), acme)).json["outcome"] == "sent"
    assert receiver.received[0].body.startswith(body)


async def test_a_test_by_mail_arrives(settings: Settings, acme: Tenant, mailbox: Mailbox) -> None:
    async with running(settings.model_copy(update={"smtp_port": mailbox.port})) as api:
        result = (await api.request("POST", path(await add(api, acme), "/test"), acme)).json
    assert result["outcome"] == "sent"
    assert [mail["Subject"] for mail in mailbox.received] == ["A test of SignalOps"]


@pytest.mark.parametrize("way", ["test", "retry"])
async def test_a_pause_that_a_receiver_asked_for_is_shown_and_ends_when_a_person_asks_again(
    api: Client, acmes: Outbox, acme: Tenant, receiver: Receiver, way: str
) -> None:
    channel, _ = await acmes.channel("webhook", url=receiver.url)
    deliveries = [acmes.delivery(channel) for _ in range(2)]
    receiver.answers.append(web.Response(status=429, headers={"Retry-After": "99999999999"}))
    sender = acmes.sender()
    for delivery in deliveries:
        await sender.deliver(acmes.tenant, delivery)
    shown = (await api.get(f"{CHANNELS}/{channel}", acme)).json
    until = datetime.fromisoformat(shown["pausedUntil"])
    assert timedelta(hours=23) < until - clock.now() <= timedelta(days=1)
    health = shown["health"]
    assert (health["state"], health["until"]) == ("paused", shown["pausedUntil"])
    assert datetime.fromisoformat(health["since"]) <= clock.now()
    assert health["lastError"] == "The receiver answered 429."
    failed = (await api.get(f"/api/deliveries/{deliveries[0]}", acme)).json
    assert (failed["status"], failed["lastError"], failed["waitsFor"]) == ("retrying", health["lastError"], "circuit")
    waiting = (await api.get(f"/api/deliveries/{deliveries[1]}", acme)).json
    assert waiting["waitsFor"] == "circuit"
    assert (waiting["status"], waiting["pausedUntil"]) == ("pending", shown["pausedUntil"])
    if way == "test":
        assert (await do(api, acme, f"{CHANNELS}/{channel}/test", {})).json["outcome"] == "sent"
    else:
        assert (await do(api, acme, f"/api/deliveries/{deliveries[1]}/retry", {})).status == 200
    assert (await api.get(f"{CHANNELS}/{channel}", acme)).json["pausedUntil"] is None
    row = acmes.owner.execute("select signalops.enqueue_due_deliveries(10)").fetchone()
    assert row == (1,)
    await sender.deliver(acmes.tenant, deliveries[1])
    assert acmes.row(deliveries[1])["status"] == "sent"
    healed = (await api.get(f"{CHANNELS}/{channel}", acme)).json["health"]
    assert healed == {"state": "healthy", "since": None, "until": None, "lastError": None}
    sent = (await api.get(f"/api/deliveries/{deliveries[1]}", acme)).json
    assert (sent["lastError"], sent["waitsFor"]) == (None, None)


async def test_a_tenant_leaves_others_a_place_for_their_tests(
    api: Client, acme: Tenant, globex: Tenant, receiver: Receiver
) -> None:
    added, other = await add(api, acme, **hook(receiver)), await add(api, globex, **hook(receiver))
    called, may_answer = asyncio.Semaphore(0), asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        called.release()
        await may_answer.wait()
        return web.Response()

    receiver.answers += [wait] * manage_http.MAX_TESTS
    tests = [asyncio.create_task(api.request("POST", path(added, "/test"), acme)) for _ in receiver.answers]
    for _ in tests:
        await called.acquire()
    assert_problem(await api.request("POST", path(added, "/test"), acme), 429, "rate-limited")
    assert (await api.request("POST", path(other, "/test"), globex)).json["outcome"] == "sent"
    may_answer.set()
    assert [(await test).json["outcome"] for test in tests] == ["sent"] * len(tests)
    assert (await api.request("POST", path(added, "/test"), acme)).json["outcome"] == "sent"


async def test_tests_do_not_pile_up(
    api: Client, acme: Tenant, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(manage_http, "AT_ONCE", 1)
    called, may_answer = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        called.set()
        await may_answer.wait()
        return web.Response()

    receiver.answers.append(wait)
    async with running(settings) as one:
        added = await add(one, acme, **hook(receiver))
        first = asyncio.create_task(one.request("POST", path(added, "/test"), acme))
        await called.wait()
        assert_problem(await one.request("POST", path(added, "/test"), acme), 503, "overloaded")
        may_answer.set()
        assert (await first).json["outcome"] == "sent"
        assert (await one.request("POST", path(added, "/test"), acme)).json["outcome"] == "sent"


async def test_a_rotated_secret_overlaps_with_the_old_one(
    api: Client, acme: Tenant, receiver: Receiver, owner: psycopg.Connection, settings: Settings
) -> None:
    added = await add(api, acme, **hook(receiver))
    rotated = (await do(api, acme, path(added, "/rotate-secret"), {"overlapSeconds": 3600})).json
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != added["secret"]
    await api.request("POST", path(added, "/test"), acme)
    request = receiver.received[-1]
    for secret in (rotated["secret"], added["secret"]):
        assert Verifier(secret).verify(request.body, dict(request.headers))

    last = (await do(api, acme, path(added, "/rotate-secret"), {"overlapSeconds": 0, "secret": SECRET})).json
    assert last["secret"] is None, "it was given"
    await api.request("POST", path(added, "/test"), acme)
    request = receiver.received[-1]
    id_, at = request.headers["webhook-id"], int(request.headers["webhook-timestamp"])
    assert request.headers["webhook-signature"] == signed(SECRET, id_, request.body, at)["webhook-signature"]
    sealed = owner.execute("select secret from signalops.channels").fetchone()
    assert sealed is not None
    assert SecretBox(settings).open(sealed[0]) == SECRET


def test_an_overlap_ends_by_itself(settings: Settings) -> None:
    keyring = SecretBox(settings)
    assert keyring.open(keyring.rotate("new", "old", 60)) == "new old"
    assert keyring.open(keyring.rotate("newest", "new old older", 60)) == "newest new old"
    assert keyring.open(keyring.rotate("new", "old", -1)) == "new", "it has ended"
    assert keyring.open(keyring.rotate("new", None, 60)) == "new"


async def test_only_a_webhook_s_secret_is_rotated(api: Client, acme: Tenant, receiver: Receiver) -> None:
    mail, one = await add(api, acme), await add(api, acme, **hook(receiver))
    assert_problem(await do(api, acme, path(mail, "/rotate-secret"), {}), 409, "conflict")
    for body in ({"secret": "short"}, {"secret": f"{SECRET} {SECRET}"}, {"overlapSeconds": -1}, {"expire": True}):
        assert_problem(await do(api, acme, path(one, "/rotate-secret"), body), 422, "invalid")


async def test_another_tenant_s_channel_answers_like_an_unknown_one(
    api: Client, acme: Tenant, globex: Tenant, receiver: Receiver
) -> None:
    ours = await add(api, acme, **hook(receiver))
    for one in (ours["id"], clock.new_id(), "x"):
        where = f"{CHANNELS}/{one}"
        assert_problem(await api.get(where, globex), 404, "not-found")
        assert_problem(await put(api, globex, where, {"config": {"url": receiver.url}}), 404, "not-found")
        assert_problem(await api.request("DELETE", where, globex), 404, "not-found")
        assert_problem(await do(api, globex, f"{where}/rotate-secret", {}), 404, "not-found")
        for what in ("test", "enable", "disable"):
            assert_problem(await api.request("POST", f"{where}/{what}", globex), 404, "not-found")
    assert await ids(api, globex, CHANNELS) == []
    assert receiver.received == []
    assert (await api.get(path(ours), acme)).json["enabled"] is True


async def test_a_schedule_of_the_channel_s_own_holds(api: Client, acmes: Outbox, acme: Tenant, receiver: Receiver) -> None:
    added = await add(api, acme, **hook(receiver, retrySchedule=[1000]))
    receiver.answers += [web.Response(status=500), web.Response(status=500)]
    delivery = acmes.delivery(added["id"])
    await acmes.sender().deliver(acmes.tenant, delivery)
    assert 800 <= acmes.row(delivery)["wait"] <= 1200
    acmes.wake(delivery)
    await acmes.sender().deliver(acmes.tenant, delivery)
    assert acmes.row(delivery)["status"] == "dead"
