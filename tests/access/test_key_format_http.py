"""API keys over HTTP: created and shown once, restricted to networks and an expiry, rotated, and revoked."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import bcrypt
import psycopg
import pytest

from signalops import clock
from signalops.access import key_service
from signalops.access.key_format import is_plausible, new_key
from signalops.config import Settings
from tests.support.api import SIGNUP, Client, assert_problem, capture_log, running
from tests.support.keys import add_key, made, status
from tests.support.tenants import Tenant

PRODUCER: dict[str, Any] = {"label": "producer", "scopes": ["events:write", "events:read"]}
UNKNOWN = "01a2084f-6f2e-7c1b-a5f1-0b8f6c2d4e10"
DOCUMENTED = "test_api_key_8077c438f557"


@pytest.mark.usefixtures("real_bcrypt_cost")
async def test_a_key_is_made_shown_once_and_let_in(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    ends = (clock.now() + timedelta(days=1)).isoformat()
    requested = PRODUCER | {"expiresAt": ends, "allowedCidrs": ["127.0.0.1", "10.0.0.0/8"]}
    answer = await api.post(requested, acme, "/api/keys")
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    new = answer.json
    assert answer.headers["location"] == f"/api/keys/{new['id']}"
    key = new.pop("key")
    assert (is_plausible(key), key[:16], key[:8], new["kind"]) == (True, new["prefix"], "so_live_", "live")
    assert (new["label"], new["scopes"]) == (PRODUCER["label"], PRODUCER["scopes"])
    assert new["allowedCidrs"] == ["127.0.0.1/32", "10.0.0.0/8"]
    assert new["expiresAt"].startswith(ends[:19])
    assert [new[name] for name in ("revokedAt", "lastUsedAt", "replaces")] == [None] * 3

    assert (await api.get(f"/api/keys/{new['id']}", acme)).json == new, "the key itself is not shown again"
    assert (await api.get("/api/keys", acme)).json["data"][0] == new
    bearer = Tenant(acme.id, acme.slug, key)
    assert await status(api, bearer) == 200
    assert_problem(await api.get("/api/keys", bearer), 403, "forbidden")
    hashed = owner.execute("select hash from signalops.api_keys where id = %s", [new["id"]]).fetchone()
    assert hashed
    assert hashed[0].startswith("$2b$12$")
    assert bcrypt.checkpw(key.encode(), hashed[0].encode())


async def test_a_test_key_works_as_a_live_one_and_is_shown_as_what_it_is(api: Client, acme: Tenant) -> None:
    bearer, key = await made(api, acme, kind="test")
    assert bearer.key.startswith("so_test_")
    assert (await api.get(f"/api/keys/{key}", acme)).json["kind"] == "test"
    assert await status(api, bearer) == 200


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"label": ""}, "label"),
        ({"label": "l" * 201}, "label"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["events:*"]}, "scopes.0"),
        ({"kind": "demo"}, "kind"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": "tomorrow"}, "expiresAt"),
        ({"allowedCidrs": ["10.0.0.1/8"]}, "allowedCidrs.0"),
        ({"allowedCidrs": ["10.0.0.0/8"] * 51}, "allowedCidrs"),
        ({"key": "so_live_mine"}, "key"),
    ],
)
async def test_what_can_not_be_made_is_refused_by_path(
    api: Client, owner: psycopg.Connection, acme: Tenant, changes: dict[str, Any], path: str
) -> None:
    problem = assert_problem(await api.post(PRODUCER | changes, acme, "/api/keys"), 422, "invalid")
    assert problem["errors"][0]["path"] == path
    assert owner.execute("select from signalops.api_keys").rowcount == 1


async def test_a_key_can_not_give_scopes_that_it_lacks(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    weak, weak_id = add_key(owner, acme, new_key(), scopes=["keys:*", "events:read"])
    requested = PRODUCER | {"scopes": ["events:read", "events:write"]}
    problem = assert_problem(await api.post(requested, weak, "/api/keys"), 403, "forbidden")
    assert problem["requiredScope"] == "events:write"
    assert (await api.post(requested, acme, "/api/keys")).status == 201, "a key that has it"
    assert (await api.post(PRODUCER | {"scopes": ["events:read"]}, weak, "/api/keys")).status == 201, "what it has"

    _, strong = await made(api, acme, scopes=["events:write"])
    problem = assert_problem(await api.post({}, weak, f"/api/keys/{strong}/rotate"), 403, "forbidden")
    assert problem["requiredScope"] == "events:write", "who rotates a key receives its secret"
    assert (await api.post({}, weak, f"/api/keys/{weak_id}/rotate")).status == 201


async def test_a_key_that_is_held_to_networks_can_not_give_others(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    restricted, _ = add_key(owner, acme, new_key(), cidrs=["127.0.0.0/8"])
    for cidrs, expected in (([], 403), (["0.0.0.0/0"], 403), (["127.0.0.1/32"], 201)):
        assert (await api.post(PRODUCER | {"allowedCidrs": cidrs}, restricted, "/api/keys")).status == expected
        assert (await api.post(PRODUCER | {"allowedCidrs": cidrs}, acme, "/api/keys")).status == 201
    _, free = await made(api, acme)
    _, inside = await made(api, acme, allowedCidrs=["127.0.0.1"])
    assert_problem(await api.post({}, restricted, f"/api/keys/{free}/rotate"), 403, "forbidden")
    assert (await api.post({}, restricted, f"/api/keys/{inside}/rotate")).status == 201


async def test_a_key_is_accepted_from_its_networks_alone_remembered_or_not(api: Client, acme: Tenant) -> None:
    bearer, _ = await made(api, acme, allowedCidrs=["203.0.113.0/24", "2001:db8::/32"])
    seen = {"203.0.113.7": 200, "203.0.114.7": 403, "2001:db8::7": 200, "::ffff:203.0.113.7": 200, "hidden": 403}
    for _ in range(2):  # the first looks the key up, and bcrypt checks it; later ones are remembered
        assert await status(api, bearer) == 403, "this machine"
        assert {address: await status(api, bearer, address) for address in seen} == seen
    refused = await api.request("GET", "/api/events", bearer)
    assert "allowedCidrs" in assert_problem(refused, 403, "forbidden")["detail"]
    assert await status(api, acme, "203.0.114.7") == 200, "a key without networks"


async def test_an_address_that_an_untrusted_client_claims_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "203.0.113.1")
    bearer, _ = add_key(owner, acme, new_key(), cidrs=["203.0.113.0/24"])
    own, _ = add_key(owner, acme, new_key(), cidrs=["127.0.0.1"])
    async with running(settings) as api:
        assert await status(api, bearer, "203.0.113.7") == 403
        assert await status(api, own, "203.0.113.7") == 200


async def test_a_revoked_key_is_refused_by_other_processes_within_a_second(
    settings: Settings, acme: Tenant, globex: Tenant
) -> None:
    with capture_log("api_key_cache.invalidated") as doubts:
        async with running(settings) as api, running(settings) as other:
            for _ in range(2):
                assert await doubts.get() == {"reason": "announced"}  # as listening begins
            bearer, key = await made(api, acme)
            assert [await status(process, bearer) for process in (api, other)] == [200, 200]
            revoked = await api.request("DELETE", f"/api/keys/{key}", acme)
            assert (revoked.status, revoked.json["revokedAt"] is None) == (200, False)
            async with asyncio.timeout(1):
                for _ in range(2):
                    assert await doubts.get() == {"reason": "announced"}
            assert [await status(process, bearer) for process in (api, other)] == [401, 401]
            assert [await status(process, acme) for process in (api, other)] == [200, 200]
            assert (await api.request("DELETE", f"/api/keys/{key}", acme)).json == revoked.json, "it is over once"


async def test_a_key_may_revoke_itself(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    own, own_id = add_key(owner, acme, new_key())
    with capture_log("api_key_cache.invalidated") as doubts:
        assert (await api.request("DELETE", f"/api/keys/{own_id}", own)).status == 200
        async with asyncio.timeout(1):
            await doubts.get()
    assert await status(api, own) == 401
    assert await status(api, acme) == 200


async def test_a_rotated_key_is_accepted_beside_the_new_one_for_a_day(api: Client, acme: Tenant) -> None:
    changes = {"label": "l", "scopes": ["events:read"], "allowedCidrs": ["127.0.0.0/8"], "kind": "test"}
    old, old_id = await made(api, acme, **changes)
    before = clock.now()
    answer = await api.post({}, acme, f"/api/keys/{old_id}/rotate")
    assert (answer.status, answer.headers["cache-control"]) == (201, "no-store")
    new = answer.json
    assert {name: new[name] for name in changes} == changes
    assert (new["replaces"], new["expiresAt"]) == (old_id, None)
    assert new["key"] != old.key
    assert await status(api, old) == 200
    assert await status(api, Tenant(acme.id, acme.slug, new["key"])) == 200
    ends = (await api.get(f"/api/keys/{old_id}", acme)).json["expiresAt"]
    assert before + timedelta(days=1) <= clock._moment(ends) <= clock.now() + timedelta(days=1)
    again = assert_problem(await api.post({}, acme, f"/api/keys/{old_id}/rotate"), 409, "conflict")
    assert "rotated already" in again["detail"]
    assert (await api.post({}, acme, f"/api/keys/{new['id']}/rotate")).status == 201


async def test_the_old_key_is_refused_when_the_overlap_is_over(api: Client, acme: Tenant) -> None:
    (old, old_id), (lasting, lasting_id) = await made(api, acme), await made(api, acme)
    assert (await api.post({"overlapSeconds": 3600}, acme, f"/api/keys/{lasting_id}/rotate")).status == 201
    new = (await api.post({"overlapSeconds": 1}, acme, f"/api/keys/{old_id}/rotate")).json
    async with asyncio.timeout(3):
        while await status(api, old) == 200:
            pass
    ended = clock._moment((await api.get(f"/api/keys/{old_id}", acme)).json["expiresAt"])
    assert clock.now() >= ended
    assert await status(api, old) == 401
    assert [await status(api, Tenant(acme.id, "", key)) for key in (new["key"], lasting.key)] == [200, 200]


async def test_without_an_overlap_the_old_key_ends_at_once(api: Client, acme: Tenant) -> None:
    old, old_id = await made(api, acme)
    assert await status(api, old) == 200
    with capture_log("api_key_cache.invalidated") as doubts:
        new = (await api.post({"overlapSeconds": 0}, acme, f"/api/keys/{old_id}/rotate")).json
        async with asyncio.timeout(1):
            await doubts.get()
    assert [await status(api, Tenant(acme.id, "", key)) for key in (old.key, new["key"])] == [401, 200]


async def test_a_rotation_keeps_the_time_that_keys_live_and_never_lengthens_the_old_one_s(api: Client, acme: Tenant) -> None:
    soon = clock.now() + timedelta(hours=1)
    _, old_id = await made(api, acme, expiresAt=soon.isoformat())
    new = (await api.post({}, acme, f"/api/keys/{old_id}/rotate")).json
    old = (await api.get(f"/api/keys/{old_id}", acme)).json
    assert clock._moment(old["expiresAt"]) == soon
    life = clock._moment(new["expiresAt"]) - clock._moment(new["createdAt"])
    assert abs(life - timedelta(hours=1)) < timedelta(seconds=5)
    chosen = (clock.now() + timedelta(days=9)).isoformat()
    last = await api.post({"expiresAt": chosen}, acme, f"/api/keys/{new['id']}/rotate")
    assert last.json["expiresAt"].startswith(chosen[:19])


async def test_of_two_rotations_at_once_one_makes_a_key(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    _, key = await made(api, acme)
    answers = await asyncio.gather(*(api.post({}, acme, f"/api/keys/{key}/rotate") for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409]
    assert owner.execute("select from signalops.api_keys where replaces = %s", [key]).rowcount == 1


async def test_a_key_that_is_over_is_not_rotated(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    _, revoked = await made(api, acme)
    _, expired = await made(api, acme)
    await api.request("DELETE", f"/api/keys/{revoked}", acme)
    owner.execute("update signalops.api_keys set expires_at = now() where id = %s", [expired])
    for key in (revoked, expired):
        assert_problem(await api.post({}, acme, f"/api/keys/{key}/rotate"), 409, "conflict")
    assert owner.execute("select from signalops.api_keys where replaces is not null").rowcount == 0


async def test_another_tenant_s_key_is_as_one_that_does_not_exist(
    api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    bearer, theirs = await made(api, globex)
    _, ours = await made(api, acme)
    calls = [("GET", ""), ("POST", "/rotate"), ("DELETE", "")]
    for method, suffix in calls:
        changes = [
            (await api.request(method, f"/api/keys/{key}{suffix}", acme, json={} if suffix else None))
            for key in (theirs, UNKNOWN, "no-id")
        ]
        details = {assert_problem(answer, 404, "not-found")["detail"] for answer in changes}
        assert len(details) == 1
        own = await api.request(method, f"/api/keys/{ours}{suffix}", acme, json={} if suffix else None)
        assert own.status in (200, 201)
    assert theirs not in (await api.get("/api/keys", acme)).body.decode()
    assert await status(api, bearer) == 200
    untouched = "select from signalops.api_keys where id = %s and expires_at is null and revoked_at is null"
    assert owner.execute(untouched, [theirs]).rowcount == 1


async def test_keys_are_listed_newest_first_by_page(api: Client, acme: Tenant) -> None:
    ids = [(await made(api, acme))[1] for _ in range(3)][::-1]
    first = (await api.get("/api/keys", acme, limit=2)).json
    assert ([key["id"] for key in first["data"]], first["hasMore"]) == (ids[:2], True)
    rest = (await api.get("/api/keys", acme, startingAfter=ids[1])).json
    assert (rest["data"][0]["id"], len(rest["data"]), rest["hasMore"]) == (ids[2], 2, False)
    back = (await api.get("/api/keys", acme, endingBefore=ids[1])).json
    assert [key["id"] for key in back["data"]] == ids[:1]


async def test_the_documented_key_is_rotated_to_one_of_our_format(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    documented, key = add_key(owner, acme, DOCUMENTED)
    assert (await api.get(f"/api/keys/{key}", acme)).json["kind"] == "legacy"
    new = (await api.post({}, acme, f"/api/keys/{key}/rotate")).json
    assert (new["kind"], is_plausible(new["key"])) == ("live", True)
    assert [await status(api, Tenant(acme.id, "", key)) for key in (documented.key, new["key"])] == [200, 200]


async def test_there_is_a_most_of_usable_keys(
    monkeypatch: pytest.MonkeyPatch, api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    monkeypatch.setattr(key_service, "MAX_KEYS", 2)
    _, key = await made(api, acme)
    assert_problem(await api.post(PRODUCER, acme, "/api/keys"), 409, "conflict")
    assert owner.execute("select from signalops.api_keys").rowcount == 2
    await api.request("DELETE", f"/api/keys/{key}", acme)
    assert (await api.post(PRODUCER, acme, "/api/keys")).status == 201


async def test_what_a_key_makes_ends_no_later_and_is_revoked_with_it(api: Client, acme: Tenant) -> None:
    ends = clock.now() + timedelta(hours=1)
    parent, parent_id = await made(api, acme, scopes=["keys:*", "events:read"], expiresAt=ends.isoformat())
    child, child_id = await made(api, parent, scopes=["keys:*", "events:read"])
    shown = (await api.get(f"/api/keys/{child_id}", acme)).json
    assert (datetime.fromisoformat(shown["expiresAt"]), shown["madeBy"]) == (ends, parent_id)
    later = {"label": "x", "scopes": ["events:read"], "expiresAt": (ends + timedelta(seconds=1)).isoformat()}
    assert_problem(await api.post(later, parent, "/api/keys"), 403, "forbidden")
    rotated = await api.post({"expiresAt": later["expiresAt"]}, parent, f"/api/keys/{parent_id}/rotate")
    assert_problem(rotated, 403, "forbidden")
    successor = (await api.post({}, parent, f"/api/keys/{parent_id}/rotate")).json
    assert datetime.fromisoformat(successor["expiresAt"]) == ends
    grandchild, _ = await made(api, child)
    bearers = [parent, child, grandchild, Tenant(acme.id, acme.slug, successor["key"])]
    assert [await status(api, bearer) for bearer in bearers] == [200] * 4
    revoked = await api.request("DELETE", f"/api/keys/{parent_id}?withChildren=true", acme)
    assert revoked.json["revokedAt"]
    async with asyncio.timeout(2):
        while [await status(api, bearer) for bearer in bearers] != [401] * 4:
            pass
    assert await status(api, acme) == 200


async def test_what_a_key_makes_is_no_faster_than_it(api: Client, acme: Tenant) -> None:
    slow = {"eventsPerSecond": 0.001, "burst": 3}
    parent, _ = await made(api, acme, scopes=["keys:*", "events:write"], rateLimit=slow)
    children = [(await made(api, parent, scopes=["events:write"]))[0] for _ in range(3)]
    answers = [(await api.post(SIGNUP, bearer)).status for bearer in (*children, parent, *children)]
    assert answers == [202] * 3 + [429] * 4
    assert (await api.post(SIGNUP, acme)).status == 202


async def test_a_key_revokes_without_its_children_unless_that_is_asked_for(api: Client, acme: Tenant) -> None:
    parent, parent_id = await made(api, acme, scopes=["keys:*", "events:read"])
    child, _ = await made(api, parent)
    await api.request("DELETE", f"/api/keys/{parent_id}", acme)
    async with asyncio.timeout(2):
        while await status(api, parent) != 401:
            pass
    assert await status(api, child) == 200


@pytest.mark.usefixtures("real_bcrypt_cost")
async def test_a_tenant_that_makes_many_keys_lets_others_make_theirs(api: Client, acme: Tenant, globex: Tenant) -> None:
    making = [asyncio.create_task(api.post(PRODUCER, acme, "/api/keys")) for _ in range(10)]
    await asyncio.wait(making, return_when=asyncio.FIRST_COMPLETED)
    assert (await api.post(PRODUCER, globex, "/api/keys")).status == 201
    assert sum(task.done() for task in making) <= 3, "it waited for one that was being made, and one that came before it"
    assert {(await task).status for task in making} == {201}
