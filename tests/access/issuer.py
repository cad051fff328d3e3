"""An issuer of tokens for tests: its keys, what it says by default, and the HTTP server of its JWK Set."""

import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from signalops.access.auth_throttle import AuthThrottle
from signalops.access.jwks import JwkSet
from signalops.access.jwt_config import Trust
from signalops.access.tokens import Keys, SharedSecret, Tokens

SECRET = "a secret of these tests, and of nothing else"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PUBLIC: dict[str, dict[str, Any]] = {
    "RS256": RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True),
    "ES256": ECAlgorithm.to_jwk(EC.public_key(), as_dict=True),
    "EdDSA": OKPAlgorithm.to_jwk(ED.public_key(), as_dict=True),
}
PRIVATE: dict[str, Any] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}
TRUST = Trust("https://issuer.example", "signalops.example", 30, "tenant", "scope", SECRET, None)


class In(float):
    """A time so many seconds from when the token is made; the tests of a file may run minutes after it was read."""


def claims_of(**other: Any) -> dict[str, Any]:
    """Return the claims of a user's token that is valid; other ones instead or besides, and with ... none."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": TRUST.issuer,
        "aud": TRUST.audience,
        "sub": "ursula",
        "iat": now,
        "exp": now + 600,
        "tenant": "acme",
    }
    claims |= {"scope": "events:read", **other}
    return {name: _timed(value, now) for name, value in claims.items() if value is not ...}


def _timed(value: Any, now: int) -> Any:
    return now + float(value) if isinstance(value, In) else value


def signed(algorithm: str = "HS256", headers: dict[str, Any] | None = None, **other: Any) -> str:
    """Return a token of such claims, signed by the issuer's key for an algorithm."""
    key: Any = SECRET if algorithm == "HS256" else PRIVATE[algorithm]
    return jwt.encode(claims_of(**other), key, algorithm, headers=headers)


def raw(header: object, payload: object, signature: bytes = b"") -> str:
    """Return a token of any parts; bytes stay as they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))


def verifier(keys: Keys | None = None) -> Tokens:
    """Return what verifies tokens, by the secret or by other keys."""
    return Tokens(TRUST, keys or SharedSecret(SECRET), AuthThrottle())


def jwk_set(**keys: str) -> bytes:
    """Return a JWK Set: ids, and the algorithms whose public keys they name."""
    return json.dumps({"keys": [{**PUBLIC[algorithm], "kid": kid} for kid, algorithm in keys.items()]}).encode()


class Site:
    """The server of a JWK Set; `answer` makes its answers, which are counted."""

    def __init__(self) -> None:
        self.requests = 0
        self.content = jwk_set(one="RS256")
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self._answer
        self.url = ""

    async def _answer(self, _: web.Request) -> web.StreamResponse:
        return web.Response(body=self.content, content_type="application/json")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        return await self.answer(request)

    def keys(self, pause: float = 0, timeout: float = 5) -> JwkSet:
        return JwkSet(self.url, pause, timeout)


@asynccontextmanager
async def serving() -> AsyncIterator[Site]:
    """Serve a JWK Set on loopback."""
    site = Site()
    application = web.Application()
    application.router.add_get("/{name:.*}", site.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks.json"
    try:
        yield site
    finally:
        await runner.cleanup()
