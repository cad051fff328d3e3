"""The issuer's keys, read from a real server and from files: rotated, gone, huge, slow, and asked for by attackers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from signalops.access.jwks import JwkSet, keys_of
from signalops.access.jwt_config import Trust
from signalops.errors import Unauthenticated, Unavailable, Unusable
from tests.access.issuer import PUBLIC, RSA, jwk_set, serving, signed, verifier
from tests.support.api import capture_log


async def test_a_new_key_is_known_at_once_and_one_that_was_taken_back_ends_what_is_remembered() -> None:
    async with serving() as site:
        keys = site.keys()
        tokens = verifier(keys)
        old = signed("RS256", {"kid": "one"})
        await tokens.verify(old, None)
        site.content = jwk_set(two="ES256")
        await tokens.verify(signed("ES256", {"kid": "two"}), None)
        with pytest.raises(Unauthenticated, match="does not publish"):
            await tokens.verify(old, None)


async def test_a_flood_of_unknown_keys_makes_one_request() -> None:
    async with serving() as site:
        tokens = verifier(site.keys(pause=600))
        await tokens.verify(signed("RS256", {"kid": "one"}), None)
        flood = (tokens.verify(signed("RS256", {"kid": f"{n}"}), None) for n in range(200))
        answers = await asyncio.gather(*flood, return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unauthenticated}
        assert site.requests == 1
        await tokens.verify(signed("RS256", {"kid": "one"}, jti="another"), None)


async def test_without_a_pause_each_unknown_key_is_asked_for() -> None:
    async with serving() as site:
        keys = site.keys()
        for kid in "abc":
            await keys.find(kid, "RS256")
        assert site.requests == 3


async def _redirected(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/elsewhere")


async def _huge(request: web.Request) -> web.StreamResponse:
    return web.Response(body=jwk_set(one="RS256") + b" " * 256 * 1024)


async def _slow(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:  # each read of it is answered in time
        await response.write(b" ")
        await asyncio.sleep(0.05)


async def _failed(request: web.Request) -> web.StreamResponse:
    raise web.HTTPServiceUnavailable(body=jwk_set(one="RS256"))


async def _cut_off(request: web.Request) -> web.StreamResponse:
    return web.Response(body=jwk_set(one="RS256")[:-5])


async def _no_set(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b'[{"keys": []}]')


async def _too_many(request: web.Request) -> web.StreamResponse:
    return web.Response(body=json.dumps({"keys": [PUBLIC["EdDSA"]] * 101}).encode())


async def _deep(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b'{"keys":' + b"[" * 100_000)


@pytest.mark.parametrize("answer", [_redirected, _huge, _slow, _failed, _cut_off, _no_set, _too_many, _deep])
async def test_what_can_not_be_read_leaves_the_keys_as_they_are(answer: Any) -> None:
    async with serving() as site:
        keys, late = site.keys(timeout=0.5), site.keys(timeout=0.5)
        assert await keys.find("one", "RS256")
        site.answer = answer
        with capture_log("jwks.refresh_failed") as unread:
            assert await keys.find("two", "RS256") is None
            assert unread.qsize() == 1
            assert await keys.find("one", "RS256")
            with pytest.raises(Unavailable, match="can't be read"):
                await late.find("one", "RS256")
            assert unread.qsize() == 2


async def test_a_server_that_is_away_leaves_the_keys_as_they_are() -> None:
    async with serving() as site:
        keys = site.keys()
        assert await keys.find("one", "RS256")
    assert await keys.find("two", "RS256") is None
    assert await keys.find("one", "RS256")
    with pytest.raises(Unavailable):
        await site.keys().find("one", "RS256")


async def test_keys_are_read_without_being_asked_for() -> None:
    async with serving() as site:
        with capture_log("jwks.refreshed") as read:
            task = asyncio.create_task(site.keys().run())
            async with asyncio.timeout(5):
                assert await read.get() == {"keys": 1}
            task.cancel()


async def test_a_file_is_rotated_in_place(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    keys = JwkSet(str(file), pause=0)
    with pytest.raises(Unavailable):
        await keys.find("one", "RS256")
    file.write_bytes(jwk_set(one="RS256"))
    assert await keys.find("one", "RS256")
    file.write_bytes(jwk_set(two="EdDSA"))
    assert await keys.find("two", "EdDSA")
    assert await keys.find("one", "RS256") is None
    file.write_bytes(b" " * (256 * 1024 + 1))
    assert await keys.find("three", "RS256") is None
    assert await keys.find("two", "EdDSA")


SHORT = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)


@pytest.mark.parametrize(
    "jwk",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": ["RSA"]},
        {"n": 5},
        {"n": "!"},
        {"crv": "P-256"},
        {"kid": 1},
        SHORT,
        RSAAlgorithm.to_jwk(RSA, as_dict=True),
    ],
)
async def test_a_key_that_does_not_fit_is_left_out_and_its_neighbour_taken(tmp_path: Path, jwk: dict[str, Any]) -> None:
    file = tmp_path / "jwks.json"
    unfit = {**PUBLIC["RS256"], "kid": "one", **jwk}
    file.write_text(json.dumps({"keys": [unfit, 7, {**PUBLIC["RS256"], "kid": "two", "use": "sig", "alg": "RS256"}]}))
    keys = JwkSet(str(file), pause=0)
    assert await keys.find("one", "RS256") is None
    assert await keys.find("two", "RS256")


@pytest.mark.parametrize(
    "url", ["http://issuer.example/jwks", "ftp://127.0.0.1/jwks", "file:///etc/jwks", "http://127.0.0.1.example/"]
)
def test_keys_come_by_no_way_on_which_others_may_give_theirs(url: str) -> None:
    with pytest.raises(Unusable, match="must be an https URL"):
        keys_of(Trust("i", "a", 0, "tenant", "scope", None, url))


@pytest.mark.parametrize("url", ["https://issuer.example/jwks", "http://[::1]:80/", "http://localhost/", "/keys.json"])
def test_these_ways_are_safe(url: str) -> None:
    assert isinstance(keys_of(Trust("i", "a", 0, "tenant", "scope", None, url)), JwkSet)
