"""Wrong keys: throttled by client address, rejected without bcrypt where possible, and without effect on other clients."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import bcrypt
import psycopg
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from signalops import db
from signalops.access import auth_throttle
from signalops.access.api_key_auth import ApiKeyAuthenticator
from signalops.access.auth_throttle import MAX_PER_MINUTE, AuthThrottle
from signalops.access.digests import Digests
from signalops.access.key_format import PREFIX, new_key
from signalops.access.request_limiter import RequestLimiter
from signalops.config import Settings
from signalops.errors import Problem, RateLimited, TooManyFailures, Unauthenticated, Unavailable
from signalops.types import Actor
from tests.support.api import SIGNUP, Client, assert_problem, running
from tests.support.keys import add_key, made
from tests.support.tenants import Tenant

LEGACY = "test_api_key_8077c438f557"
HERE, THERE = "203.0.113.7", "203.0.113.8"


def guess(number: int) -> str:
    """Return a wrong key with the prefix of the legacy one."""
    return f"{LEGACY[:PREFIX]}{number:09}"


async def outcome(work: Coroutine[Any, Any, object]) -> type[Problem] | None:
    """Return how something is refused; None: it is not."""
    try:
        await work
    except Problem as problem:
        return type(problem)
    return None


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The keys that bcrypt has been given to check, from now on."""
    checked: list[bytes] = []
    check: Callable[[bytes, bytes], bool] = bcrypt.checkpw

    def counting(key: bytes, hashed: bytes) -> bool:
        checked.append(key)
        return check(key, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    return checked


async def test_an_address_has_so_many_failures_and_nobody_else_notices(api: Client, acme: Tenant, globex: Tenant) -> None:
    async def ask(key: str, address: str) -> int:
        headers = {"x-api-key": key, "x-forwarded-for": address}
        return (await api.request("GET", "/api/events", headers=headers)).status

    assert await ask(acme.key, HERE) == 200
    keys = ["garbage" * 3, new_key(), "so_live_" + "a" * 49, acme.key[:-1] + "_"]
    wrong = [await ask(keys[number % 4], HERE) for number in range(MAX_PER_MINUTE + 5)]
    assert wrong == [401] * MAX_PER_MINUTE + [429] * 5
    refused = await api.request("GET", "/api/events", headers={"x-api-key": new_key(), "x-forwarded-for": HERE})
    assert_problem(refused, 429, "too-many-failures")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    # What is right is let in, also from there, and seen for the first time.
    assert await ask(acme.key, HERE) == 200
    assert await ask(globex.key, HERE) == 200
    assert await ask(new_key(), HERE) == 429
    assert await ask(new_key(), THERE) == 401


async def test_guesses_at_the_same_time_are_told_no_more_than_those_in_turn(api: Client) -> None:
    keys = [new_key() for _ in range(60)]
    answers = await asyncio.gather(*(api.request("GET", "/api/events", headers={"x-api-key": key}) for key in keys))
    assert sorted(answer.status for answer in answers) == [401] * MAX_PER_MINUTE + [429] * 40


async def fail(throttle: AuthThrottle, address: str | None) -> type[Problem]:
    """Come with wrong credentials; return how that is refused."""
    with pytest.raises(Problem) as refused:
        async with throttle.throttled(address):
            raise Unauthenticated("Wrong.")
    return refused.type


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.8", False),
        ("203.0.113.7", "203.0.113.8", False),
    ],
)
async def test_what_one_subscriber_has_is_one(first: str, second: str, is_one: bool) -> None:
    counted = AuthThrottle()
    for _ in range(MAX_PER_MINUTE):
        assert await fail(counted, first) is Unauthenticated
    assert await fail(counted, second) is (TooManyFailures if is_one else Unauthenticated)


async def test_a_minute_later_it_begins_anew_and_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(auth_throttle, "_seconds", lambda: now[0])
    monkeypatch.setattr(auth_throttle, "_MAX_REMEMBERED", 3)
    counted = AuthThrottle()

    assert [await fail(counted, HERE) for _ in range(MAX_PER_MINUTE + 1)][-1] is TooManyFailures
    now[0] += 59
    assert await fail(counted, HERE) is TooManyFailures
    now[0] += 1
    assert await fail(counted, HERE) is Unauthenticated
    assert {await fail(counted, f"198.51.100.{number}") for number in range(100)} == {Unauthenticated}
    assert len(counted._failed) == 3
    assert {await fail(counted, None) for _ in range(MAX_PER_MINUTE + 1)} == {Unauthenticated}


async def test_a_wrong_key_of_our_format_never_reaches_bcrypt(
    api: Client, owner: psycopg.Connection, acme: Tenant, checks: list[bytes]
) -> None:
    bearer, key = await made(api, acme)
    checks.clear()
    assert (await api.get("/api/events", bearer)).status == 200
    assert checks == [], "nor does a right one"
    # Wrong keys with a right checksum and the right prefix, as anyone who has seen the list of keys could make them.
    other = new_key()
    owner.execute("update signalops.api_keys set prefix = %s where id = %s", [other[:PREFIX], key])
    assert (await api.get("/api/events", Tenant(acme.id, "", other))).status == 401
    assert checks == []


async def test_an_older_key_of_our_format_gets_its_digest_when_it_is_used(
    api: Client, settings: Settings, owner: psycopg.Connection, acme: Tenant, checks: list[bytes]
) -> None:
    stored = "select digest from signalops.api_keys where prefix = %s"
    assert owner.execute(stored, [acme.key[:PREFIX]]).fetchone() == (None,)
    assert (await api.get("/api/events", acme)).status == 200
    digest = Digests.of(settings).make(acme.key)
    assert digest
    assert owner.execute(stored, [acme.key[:PREFIX]]).fetchone() == (digest,)
    assert checks == [acme.key.encode()]
    async with running(settings) as other:
        assert (await other.get("/api/events", acme)).status == 200
    assert len(checks) == 1, "a process that starts checks nothing by bcrypt"
    secret = SecretStr(",".join(Fernet.generate_key().decode() for _ in range(2)))
    async with running(settings.model_copy(update={"secret_key": secret})) as changed:
        assert (await changed.get("/api/events", acme)).status == 200
    assert len(checks) == 2, "by another secret the digest says nothing"
    assert owner.execute(stored, [acme.key[:PREFIX]]).fetchone() != (digest,)
    legacy, _ = add_key(owner, acme, LEGACY)
    assert (await api.get("/api/events", legacy)).status == 200
    assert owner.execute(stored, [LEGACY[:PREFIX]]).fetchone() == (None,)


async def test_guesses_at_a_legacy_key_wait_in_a_short_queue_and_lock_nobody_out(
    api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, checks, check = threading.Event(), list[bytes](), bcrypt.checkpw

    def holding(key: bytes, hashed: bytes) -> bool:
        reached.wait(10)
        checks.append(key)
        return check(key, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", holding)
    add_key(owner, acme, LEGACY)
    ring = ApiKeyAuthenticator(api_pool, AuthThrottle(), Digests(["s"]))
    guesses = [asyncio.create_task(outcome(ring.identify(guess(number), HERE))) for number in range(90)]
    async with asyncio.timeout(10):
        # The first check goes on until then.
        for _, each in zip(range(26), asyncio.as_completed(guesses), strict=False):
            await each
    reached.set()
    outcomes = await asyncio.gather(*guesses)
    assert (outcomes.count(Unavailable), len(checks)) == (26, 64)
    assert (outcomes.count(Unauthenticated), outcomes.count(TooManyFailures)) == (MAX_PER_MINUTE, 64 - MAX_PER_MINUTE)
    assert await outcome(ring.identify(guess(90), HERE)) is TooManyFailures
    assert len(checks) == 65
    assert (await ring.identify(LEGACY, HERE)).tenant == acme.id
    ring.cache.invalidate_all()
    assert (await ring.identify(LEGACY, HERE)).tenant == acme.id


async def test_requests_other_than_events_have_a_bucket_for_each_caller() -> None:
    requests = RequestLimiter(rate=0.01, burst=2)
    acme, other = Actor("key", "1"), Actor("key", "2")
    for _ in range(2):
        requests.take(None, acme)
    with pytest.raises(RateLimited) as refused:
        requests.take(None, acme)
    assert refused.value.headers["RateLimit-Policy"] == '"requests";q=2;w=200'
    assert refused.value.headers["Retry-After"] == "100"
    requests.take(None, other)


async def test_only_so_many_callers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signalops.access.request_limiter._MAX_REMEMBERED", 3)
    requests = RequestLimiter(rate=0.01, burst=1)
    for number in range(100):
        requests.take(None, Actor("user", str(number)))
    assert len(requests._levels) == 3
    with pytest.raises(RateLimited):
        requests.take(None, Actor("user", "99"))


async def test_requests_are_limited_over_http_but_not_events(settings: Settings, acme: Tenant, globex: Tenant) -> None:
    async with running(settings.model_copy(update={"request_rate": 0.01, "request_burst": 3})) as api:
        assert [(await api.get("/api/events", acme)).status for _ in range(4)] == [200] * 3 + [429]
        assert_problem(await api.get("/api/keys", acme), 429, "rate-limited")
        assert (await api.get("/api/events", globex)).status == 200
        assert [(await api.post(SIGNUP, acme)).status for _ in range(5)] == [202] * 5
