"""Which tokens are believed: each refusal beside a token that differs in that alone and is taken."""

import hashlib
import hmac
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signalops.access.jwks import JwkSet
from signalops.access.tokens import Claims
from signalops.errors import TooManyFailures, Unauthenticated
from tests.access.issuer import PRIVATE, RSA, SECRET, TRUST, In, claims_of, jwk_set, raw, serving, signed, verifier

NOW = int(time.time())


async def refused(token: str, keys: JwkSet | None = None) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        await verifier(keys).verify(token, None)
    challenge = refusal.value.headers["WWW-Authenticate"]
    detail = refusal.value.detail
    assert challenge == f'Bearer realm="signalops", error="invalid_token", error_description="{detail}"'
    return detail


async def taken(token: str, keys: JwkSet | None = None) -> Claims:
    return await verifier(keys).verify(token, None)


async def test_a_token_says_who_comes_from_where_and_may_do_what() -> None:
    claims = await taken(signed(scope="events:read rules:*", exp=NOW + 900))
    assert claims == Claims("ursula", "acme", frozenset({"events:read", "rules:*"}), NOW + 900)
    assert (await taken(signed(tenant=...))).tenant is None


@pytest.mark.parametrize(
    ("claims", "detail"),
    [
        ({"exp": In(-40)}, "is expired"),
        ({"nbf": In(60)}, "is not valid yet"),
        ({"iat": In(60)}, "is not valid yet"),
        ({"iss": "https://issuer.exampl"}, "another issuer"),
        ({"iss": ["https://issuer.example"]}, "another issuer"),
        ({"aud": "signalops"}, "another audience"),
        ({"aud": ["a", "b"]}, "another audience"),
        ({"aud": {"signalops.example": 1}}, "another audience"),
        ({"exp": ...}, "lacks the claim exp"),
        ({"iss": ...}, "lacks the claim iss"),
        ({"aud": ...}, "lacks the claim aud"),
        ({"sub": ...}, "lacks the claim sub"),
        ({"exp": str(NOW + 600)}, "no number"),
        ({"exp": True}, "is expired"),
        ({"exp": 1e999}, "is not valid"),
        ({"exp": [NOW + 600]}, "is not valid"),
        ({"exp": 10**400}, "beyond the year 9999"),
        ({"exp": 10**18}, "beyond the year 9999"),
        ({"iat": -(10**400)}, "beyond the year 9999"),
        ({"nbf": "0"}, "no number"),
        ({"iat": None}, "is not valid"),
        ({"sub": 7}, "is not valid"),
        ({"sub": ""}, "subject"),
        ({"sub": "a\nb"}, "subject"),
        ({"sub": "\x00"}, "subject"),
        ({"sub": "\ud800"}, "subject"),
        ({"sub": "x" * 256}, "subject"),
        ({"tenant": None}, "something else than text"),
        ({"tenant": 7}, "something else than text"),
        ({"tenant": ["acme"]}, "something else than text"),
        ({"scope": None}, "neither text nor a list"),
        ({"scope": 7}, "neither text nor a list"),
        ({"scope": {"events:read": True}}, "neither text nor a list"),
        ({"scope": ["events:read", 7]}, "neither text nor a list"),
    ],
)
async def test_what_a_token_must_say(claims: dict[str, Any], detail: str) -> None:
    assert detail in await refused(_hmac({"alg": "HS256"}, SECRET.encode(), claims_of(**claims)))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": In(-1)},
        {"nbf": In(20)},
        {"iat": In(20)},
        {"iat": ..., "exp": In(0.5)},
        {"aud": ["another", "signalops.example"]},
        {"sub": "x" * 255},
        {"scope": ["events:read"]},
        {"scope": " events:read  "},
    ],
)
async def test_what_a_token_may_say(claims: dict[str, Any]) -> None:
    assert (await taken(signed(**claims))).scopes == {"events:read"}


async def test_without_the_claim_there_are_no_scopes() -> None:
    assert (await taken(signed(scope=...))).scopes == frozenset()


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        ({"alg": "none"}, "not signed by HS256"),
        ({"alg": "HS512"}, "not signed by HS256"),
        ({"alg": ["HS256"]}, "not signed by HS256"),
        ({}, "not signed by HS256"),
        ({"alg": "HS256", "crit": ["exp"], "exp": 1}, "is not valid"),
        ({"alg": "HS256", "b64": True}, "extensions"),
        ({"alg": "HS256", "typ": "dpop+jwt"}, "access token"),
        ({"alg": "HS256", "typ": 7}, "access token"),
        ({"alg": "HS256", "typ": ["JWT"]}, "access token"),
        ({"alg": "HS256", "typ": {}}, "access token"),
        ({"alg": "HS256", "kid": 7}, "is not valid"),
        ([], "is not valid"),
        (b"{", "is not valid"),
        (b"[" * 3000, "is not valid"),
        (b'{"alg":' + b"9" * 5000 + b"}", "is not valid"),
        (b'{"alg":"\xff"}', "is not valid"),
        (b'{"alg":"HS256","alg":"none"}', "not signed by HS256"),
    ],
)
async def test_a_header_that_asks_for_anything_else_is_refused_though_its_signature_is_right(header: object, detail: str) -> None:
    assert detail in await refused(_hmac(header, SECRET.encode()))


@pytest.mark.parametrize(
    "header", [{"alg": "HS256"}, {"alg": "HS256", "typ": "at+jwt", "kid": "any"}, {"alg": "HS256", "typ": "JWT"}]
)
async def test_a_key_or_an_address_in_a_header_is_not_looked_at(header: dict[str, Any]) -> None:
    planted = {"jku": "http://127.0.0.1:9/", "x5u": "http://127.0.0.1:9/", "jwk": {"kty": "oct", "k": "AA"}}
    assert await taken(_hmac({**header, **planted}, SECRET.encode()))
    assert "is not valid" in await refused(_hmac({**header, **planted}, b"\x00" * 32))


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "\u00e9.a.b", "é" * 3, "a" * 8193, "=.=.="])
async def test_garbage_is_refused(token: str) -> None:
    assert "token" in await refused(token)


@pytest.mark.parametrize("payload", [b"[" * 3000, b"{", b"[]", b"null", b"\xff", b'{"exp":' + b"9" * 5000 + b"}"])
async def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    assert "is not valid" in await refused(_hmac({"alg": "HS256"}, SECRET.encode(), payload))


async def test_a_token_is_at_most_8_kib_long() -> None:
    assert "8 KiB" in await refused(signed(pad="x" * 8000))
    assert await taken(signed(pad="x" * 5000))


async def test_a_changed_token_is_refused() -> None:
    header, _, signature = signed().split(".")
    _, other, _ = signed(tenant="globex").split(".")
    assert "is not valid" in await refused(f"{header}.{other}.{signature}")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_each_public_key_verifies_by_its_own_algorithm_alone(algorithm: str) -> None:
    async with serving() as site:
        site.content = jwk_set(key=algorithm)
        keys = site.keys()
        assert await taken(signed(algorithm, {"kid": "key"}), keys)
        assert await taken(signed(algorithm), keys)
        assert "does not publish" in await refused(signed(algorithm, {"kid": "other"}), keys)
        other = "ES256" if algorithm == "RS256" else "RS256"
        assert "does not publish" in await refused(signed(other, {"kid": "key"}), keys)
        assert "not signed by RS256 or" in await refused(signed("HS256", {"kid": "key"}), keys)


@pytest.mark.parametrize("algorithm", ["PS256", "RS512", "none"])
async def test_a_key_signs_by_no_other_algorithm_of_its_kind(algorithm: str) -> None:
    async with serving() as site:
        private: Any = None if algorithm == "none" else RSA
        token = jwt.encode(claims_of(), private, algorithm, headers={"kid": "one"})
        assert "not signed by RS256 or" in await refused(token, site.keys())


async def test_a_public_key_is_never_taken_for_a_secret() -> None:
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    async with serving() as site:
        for algorithm in ("HS256", "RS256"):
            assert await refused(_hmac({"alg": algorithm, "kid": "one"}, public), site.keys())
        assert await taken(jwt.encode(claims_of(), PRIVATE["RS256"], "RS256", headers={"kid": "one"}), site.keys())


async def test_a_remembered_token_ends_with_its_time_and_wrong_ones_are_limited_by_address() -> None:
    tokens = verifier()
    right = signed()
    await tokens.verify(right, "203.0.113.7")
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await tokens.verify(signed() + "x", "203.0.113.7")
    with pytest.raises(TooManyFailures):
        await tokens.verify(signed() + "x", "203.0.113.7")
    assert (await tokens.verify(signed(jti="new"), "203.0.113.7")).subject == "ursula"
    assert (await tokens.verify(right, "203.0.113.7")).subject == "ursula"
    assert (await tokens.verify(signed(jti="new"), "203.0.113.8")).subject == "ursula"


async def test_who_was_right_is_no_guesser_when_it_is_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signalops.access.tokens._REMEMBER", 0)
    tokens = verifier()
    right = signed()
    await tokens.verify(right, "203.0.113.7")
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await tokens.verify(signed() + "x", "203.0.113.7")
    assert (await tokens.verify(right, "203.0.113.7")).subject == "ursula"


def _hmac(header: object, key: bytes, payload: object = None) -> str:
    unsigned = raw(header, claims_of() if payload is None else payload).rpartition(".")[0]
    mac = hmac.digest(key, unsigned.encode(), hashlib.sha256)
    return f"{unsigned}.{raw(b'', b'', mac).rpartition('.')[2]}"


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(TRUST)
