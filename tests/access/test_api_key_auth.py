"""Who is let in over HTTP, who is refused, and how soon a change of that is known."""

import asyncio
import functools
from collections.abc import Callable

import bcrypt
import psycopg
import pytest

from signalops import db
from signalops.access import access_queries
from signalops.access.api_key_auth import ApiKeyAuthenticator
from signalops.access.auth_throttle import AuthThrottle
from signalops.access.digests import Digests
from signalops.access.key_format import new_key
from signalops.config import Settings
from signalops.errors import Unauthenticated, Unavailable
from tests.support.api import NOTHING, SIGNUP, Client, assert_problem, capture_log, rows, running
from tests.support.keys import add_key
from tests.support.tenants import Tenant, make_tenant

DOCUMENTED = "test_api_key_8077c438f557"
DOCUMENTED_HASH = "$2a$12$6/BEeH39Jw5EpbWPIFiNxOq2/LONKgWDev/dUicvliI47gBP4q/we"


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The keys that bcrypt has been given to check, from now on."""
    checked: list[bytes] = []
    check: Callable[[bytes, bytes], bool] = bcrypt.checkpw

    @functools.wraps(check)
    def counting(key: bytes, hashed: bytes) -> bool:
        checked.append(key)
        return check(key, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    return checked


async def _becomes(status: int, api: Client, tenant: Tenant, seconds: float = 1.0) -> None:
    """Ask until the answer has a status; fail when it takes longer than a change may take to be known."""
    async with asyncio.timeout(seconds):
        while (await api.get("/api/events", tenant)).status != status:
            pass


async def test_the_documented_key_sends_the_documented_request(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    documented, _ = add_key(owner, acme, DOCUMENTED, DOCUMENTED_HASH)
    body = b'{"type":"user.signup","payload":{"email":"user@example.com"}}'
    assert (await api.post(body, documented)).status == 202


async def test_whoever_has_no_usable_key_is_refused_and_leaves_no_row(
    api: Client, owner: psycopg.Connection, acme: Tenant
) -> None:
    revoked, expired = make_tenant(owner, "revoked"), make_tenant(owner, "expired")
    owner.execute("update signalops.api_keys set revoked_at = now() where tenant_id = %s", [revoked.id])
    owner.execute("update signalops.api_keys set expires_at = now() where tenant_id = %s", [expired.id])
    one_letter_off = acme.key[:-1] + ("a" if acme.key[-1] != "a" else "b")
    keys = ["", "garbage", "x" * 5000, "k\u00e4se" * 5, one_letter_off, new_key(), revoked.key, expired.key]
    for key in [None, *keys]:
        answer = await api.post(SIGNUP, None, **({} if key is None else {"x_api_key": key}))
        assert_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("ApiKey ")
    assert rows(owner) == NOTHING
    assert (await api.post(SIGNUP, acme)).status == 202


async def test_reading_needs_a_key_too(api: Client, acme: Tenant) -> None:
    for path, status in (("/api/events", 200), ("/api/events/0", 404), ("/api/usage", 200)):
        assert_problem(await api.get(path), 401, "unauthenticated")
        assert (await api.get(path, acme)).status == status


async def test_a_suspended_tenant_is_refused_at_once_and_let_in_again(
    api: Client, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    assert (await api.get("/api/events", acme)).status == 200
    owner.execute("update signalops.tenants set status = 'suspended' where id = %s", [acme.id])
    await _becomes(403, api, acme)
    assert_problem(await api.post(SIGNUP, acme), 403, "forbidden")
    assert rows(owner) == NOTHING
    assert (await api.get("/api/events", globex)).status == 200
    owner.execute("update signalops.tenants set status = 'active' where id = %s", [acme.id])
    await _becomes(200, api, acme)


async def test_a_revoked_key_is_refused_within_a_second_by_every_process(
    api: Client, settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    second, key_id = add_key(owner, acme, new_key())
    async with running(settings) as other:
        for process in (api, other):
            assert (await process.get("/api/events", second)).status == 200
        async with db.as_owner(settings) as connection:
            assert await access_queries.revoke_key(connection, acme.id, key_id)
        for process in (api, other):
            await _becomes(401, process, second)
            assert (await process.get("/api/events", acme)).status == 200


async def test_a_remembered_key_ends_when_it_expires(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    owner.execute("update signalops.api_keys set expires_at = now() + interval '300 ms'")
    assert (await api.get("/api/events", acme)).status == 200
    await _becomes(401, api, acme)


async def test_a_revocation_is_heard_after_the_listening_connection_was_lost(
    settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    with capture_log("api_key_cache.invalidated") as doubts:
        async with running(settings) as api, asyncio.timeout(5):
            assert await doubts.get() == {"reason": "announced"}
            ended = owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and query like 'listen %%signalops_access%%'"
            )
            assert ended.fetchall() == [(True,)]
            assert await doubts.get() == {"reason": "not listening"}
            assert (await api.get("/api/events", acme)).status == 200
            assert await doubts.get() == {"reason": "announced"}
            owner.execute("update signalops.api_keys set revoked_at = now()")
            await _becomes(401, api, acme)


async def test_bcrypt_is_paid_once_for_a_key_and_not_for_each_request(
    settings: Settings, acme: Tenant, checks: list[bytes]
) -> None:
    with capture_log("api_key_cache.invalidated") as doubts:
        async with running(settings) as api, asyncio.timeout(10):
            await doubts.get()  # as listening begins: what was asked for before is asked for again
            # So many as get a connection at once: on a busy machine the others are refused after the pool's two seconds.
            first = await asyncio.gather(*(api.get("/api/events", acme) for _ in range(10)))
            later = [await api.get("/api/events", acme) for _ in range(10)]
    assert {answer.status for answer in (*first, *later)} == {200}
    assert checks == [acme.key.encode()]


async def test_a_change_of_other_keys_costs_no_second_check(
    settings: Settings, owner: psycopg.Connection, acme: Tenant, globex: Tenant, checks: list[bytes]
) -> None:
    with capture_log("api_key_cache.invalidated") as doubts:
        async with running(settings) as api, asyncio.timeout(5):
            await doubts.get()
            assert (await api.get("/api/events", acme)).status == 200
            owner.execute("update signalops.api_keys set revoked_at = now() where tenant_id = %s", [globex.id])
            await doubts.get()
            assert (await api.get("/api/events", acme)).status == 200
            assert checks == [acme.key.encode()]


async def test_garbage_costs_no_look_up(settings: Settings) -> None:
    async with db.pool(settings, "api", 2) as closed:
        pass
    ring = ApiKeyAuthenticator(closed, AuthThrottle(), Digests(["s"]))  # a look-up fails
    with pytest.raises(Unauthenticated):
        await ring.identify("so_live_" + "a" * 49, None)
    with pytest.raises(Unavailable):
        await ring.identify(new_key(), None)
