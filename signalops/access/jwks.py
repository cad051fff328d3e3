"""The issuer's public keys: a JWK Set (RFC 7517) from a URL or a file, refreshed regularly; the last good set stays in use."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import jwt
import orjson
from yarl import URL

from signalops import telemetry
from signalops.access.jwt_config import Trust
from signalops.access.tokens import Keys, SharedSecret
from signalops.errors import Unavailable, Unusable
from signalops.types import JsonObject

REFRESH = 300.0  # seconds after which the keys are read again: for so long a key that was taken back is accepted
PAUSE = 10.0  # seconds from one reading to the next, whatever is asked for: unknown keys in tokens make no traffic
_TIMEOUT = 5.0
_MAX_BYTES = 256 * 1024
_MAX_KEYS = 100
_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}

_UNREADABLE = (OSError, aiohttp.ClientError, TimeoutError, ValueError)

_Name = tuple[str | None, str]
"""A key's id, and the algorithm that it is for."""


class JwkSet:
    """The keys of the issuer by their ids, each for the one algorithm of its kind."""

    algorithms = tuple(_ALGORITHMS.values())

    def __init__(self, source: str, pause: float = PAUSE, timeout: float = _TIMEOUT) -> None:
        self._read = _reader(source)
        self._pause = pause
        self._timeout = timeout
        self._said: dict[_Name, JsonObject] | None = None
        self._keys: dict[_Name, jwt.PyJWK] = {}
        self._is_current = False
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    @property
    def edition(self) -> object:
        """What stands for the keys as they are: another object when they are others."""
        return self._said

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Return a key by its id, or without one the only key for an algorithm; for an unknown one the keys are read again.

        Unavailable when they could not be read even once.
        """
        found = self._known(kid, algorithm)
        if found is None:
            await self.refresh()
            found = self._known(kid, algorithm)
        if self._said is None:
            raise Unavailable(
                "The keys of the issuer of tokens can't be read just now: try again.", headers={"Retry-After": str(int(PAUSE))}
            )
        return found

    async def refresh(self) -> None:
        """Read the keys again, unless that was tried just now; what can't be read leaves them as they are."""
        async with self._reading:
            if time.monotonic() - self._read_at < self._pause:
                return
            self._is_current = False
            try:
                self._store(_usable(await asyncio.wait_for(self._read(), self._timeout)))
            except _UNREADABLE as error:
                telemetry.emit("jwks.refresh_failed", error=str(error) or type(error).__name__)
            finally:
                self._read_at = time.monotonic()

    async def run(self) -> None:
        """Read the keys now and then until cancelled: one that was taken back is refused without being asked for."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH if self._is_current else self._pause)

    def _known(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        if kid is not None:
            return self._keys.get((kid, algorithm))
        fitting = [key for (_, kind), key in self._keys.items() if kind == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    def _store(self, documents: dict[_Name, JsonObject]) -> None:
        if documents != self._said:
            keys = ((name, _key(name, jwk)) for name, jwk in documents.items())
            self._keys = {name: key for name, key in keys if key is not None}
            self._said = documents
            telemetry.emit("jwks.refreshed", keys=len(self._keys))
        self._is_current = True


def keys_of(trust: Trust) -> Keys:
    """Return the keys by which the tokens of a trusted issuer are verified. Unusable for a URL that is not safe."""
    return SharedSecret(trust.secret) if trust.secret else JwkSet(trust.jwks or "")


def _usable(content: bytes) -> dict[_Name, JsonObject]:
    """Return the keys for signatures in a JWK Set, those of kinds that are not taken left out; a ValueError if it is none."""
    document = orjson.loads(content)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > _MAX_KEYS:
        raise ValueError(f"it is no JWK Set of at most {_MAX_KEYS} keys")
    named = ((_name(jwk), jwk) for jwk in reversed(listed) if isinstance(jwk, dict))  # of two with one name the first
    return {name: jwk for name, jwk in named if name is not None}


def _name(jwk: JsonObject) -> _Name | None:
    """Return id and algorithm of a key, if it is a public one for signatures by its own kty, crv, alg, use and key_ops."""
    kid, curve = jwk.get("kid"), jwk.get("crv")
    algorithm = _ALGORITHMS.get((str(jwk.get("kty")), None if curve is None else str(curve)))
    operations = jwk.get("key_ops", ["verify"])
    fits = (
        algorithm is not None
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and (isinstance(operations, list) and "verify" in operations)
        and "d" not in jwk  # a private key that everybody may read
        and (kid is None or isinstance(kid, str))
    )
    return (kid, algorithm) if fits and algorithm else None


def _key(name: _Name, jwk: JsonObject) -> jwt.PyJWK | None:
    try:
        key = jwt.PyJWK(jwk, name[1])
    except jwt.PyJWTError:
        return None
    return None if key.Algorithm.check_key_length(key.key) else key


def _reader(source: str) -> Callable[[], Awaitable[bytes]]:
    """Return what reads a source; Unusable for a URL over which anybody on the way could give us keys."""
    if "://" not in source:
        return lambda: asyncio.to_thread(_read_file, Path(source))
    url = URL(source)
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url.host or "")):
        raise Unusable("SIGNALOPS_JWT_JWKS must be an https URL, an http URL of this machine, or the path of a file.")
    return lambda: _fetch(url)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_file(file: Path) -> bytes:
    with file.open("rb") as opened:
        return _bounded(opened.read(_MAX_BYTES + 1))


async def _fetch(url: URL) -> bytes:
    # Uncompressed: what is small on the way must not become large here.
    session = aiohttp.ClientSession(auto_decompress=False, headers={"Accept-Encoding": "identity"})
    async with session, session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise ValueError(f"the answer is {response.status}")
        content = b""
        async for chunk in response.content.iter_any():
            content = _bounded(content + chunk)
        return content


def _bounded(content: bytes) -> bytes:
    if len(content) > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES // 1024} KiB")
    return content
