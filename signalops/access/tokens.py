"""Verifies bearer tokens: JWTs (RFC 7519) of the one trusted issuer, following RFC 8725.

The settings alone define the algorithms and the keys, nothing in a token does: HS256 with the secret, or RS256, ES256 and EdDSA
with public keys, each key with its own algorithm. So a public key can never serve as a secret.
"""

import hashlib
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import jwt
from cachetools import LRUCache

from signalops import clock
from signalops.access.auth_throttle import AuthThrottle
from signalops.access.jwt_config import Trust
from signalops.errors import Unauthenticated
from signalops.types import JsonObject

_MAX_CHARACTERS = 8 * 1024
_LATEST = 253_402_300_799  # the end of the year 9999
_MAX_SUBJECT = 255  # OpenID Connect Core 1.0, section 2
_TYPES = {"jwt", "at+jwt", "application/at+jwt"}
_REQUIRED = ["exp", "iss", "aud", "sub"]
_REMEMBER = 300  # seconds for which a verified token is not verified again
_MAX_REMEMBERED = 10_000
_REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "is expired: get a new one."),
    (jwt.ImmatureSignatureError, "is not valid yet: compare the clocks of its issuer and of this server."),
    (jwt.InvalidIssuerError, "is of another issuer than this installation trusts."),
    (jwt.InvalidAudienceError, "is for another audience than this installation."),
)

Key = jwt.PyJWK | bytes


class Keys(Protocol):
    """The keys of the issuer; `edition` is another object whenever they have changed."""

    @property
    def algorithms(self) -> tuple[str, ...]: ...
    @property
    def edition(self) -> object: ...

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the key of that id and algorithm; None if there is none; Unavailable if the keys can't be read."""

    async def run(self) -> None:
        """Keep the keys as the issuer has them, until cancelled."""


class SharedSecret:
    """The key of an issuer that signs by a secret."""

    algorithms = ("HS256",)
    edition = None

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    async def find(self, kid: str | None, algorithm: str) -> Key:
        """Return the secret, whatever a token calls it."""
        return self._secret

    async def run(self) -> None:
        """Return at once: it stays what it is."""


@dataclass(slots=True, frozen=True)
class Claims:
    """The claims of a token whose signature was verified; without a tenant it is an operator's."""

    subject: str
    tenant: str | None
    scopes: frozenset[str]
    expires: float
    """Unix time."""


@dataclass(slots=True, frozen=True)
class _Known:
    claims: Claims
    until: float
    edition: object


class Tokens:
    """Verifies tokens, and remembers by their SHA-256 those that it has verified."""

    def __init__(self, trust: Trust, keys: Keys, failures: AuthThrottle) -> None:
        self._trust = trust
        self._keys = keys
        self._failures = failures
        self._known: LRUCache[bytes, _Known] = LRUCache(_MAX_REMEMBERED)

    async def run(self) -> None:
        """Keep the keys as the issuer has them, until cancelled."""
        await self._keys.run()

    async def verify(self, token: str, address: str | None) -> Claims:
        """Verify a token and return its claims. Raises Unauthenticated, TooManyFailures, or Unavailable without keys."""
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known and known.until > clock.unix() and known.edition is self._keys.edition:
            return known.claims
        self._known.pop(digest, None)
        # What was right before is no guess, whatever else comes from its address.
        async with nullcontext() if known else self._failures.throttled(address):
            claims = _claims(await self._decoded(token), self._trust)
        self._remember(digest, claims)
        return claims

    def _remember(self, digest: bytes, claims: Claims) -> None:
        until = min(claims.expires + self._trust.leeway, clock.unix() + _REMEMBER)
        self._known[digest] = _Known(claims, until, self._keys.edition)

    async def _decoded(self, token: str) -> JsonObject:
        if len(token) > _MAX_CHARACTERS:
            raise refusal("The token is longer than 8 KiB: get a shorter one.")
        trust = self._trust
        try:
            key = await self._key(jwt.get_unverified_header(token))
            return jwt.decode(
                token,
                key,
                algorithms=self._keys.algorithms,
                options={"require": _REQUIRED, "enforce_minimum_key_length": True},
                issuer=trust.issuer,
                audience=trust.audience,
                leeway=trust.leeway,
            )
        except jwt.MissingRequiredClaimError as error:
            raise refusal(f"The token lacks the claim {error.claim}.") from error
        except jwt.PyJWTError as error:
            reasons = (reason for kind, reason in _REASONS if isinstance(error, kind))
            raise refusal(f"The token {next(reasons, 'is not valid: get one of the issuer.')}") from error

    async def _key(self, header: JsonObject) -> Key:
        """Return the key for a token. Of its header only kid and alg are used, and never a key or an address in it."""
        algorithm, kind = header.get("alg"), header.get("typ", "JWT")
        if algorithm not in self._keys.algorithms:
            raise refusal(f"The token is not signed by {' or '.join(self._keys.algorithms)}.")
        # RFC 8725, section 3.11: a token that the same issuer made for another use says so.
        if str(kind).lower() not in _TYPES:
            raise refusal("The token is not an access token by its header typ.")
        if header.keys() & {"crit", "b64"}:
            raise refusal("The token has extensions that are not supported: its header has crit or b64.")
        key = await self._keys.find(header.get("kid"), algorithm)
        if key is None:
            raise refusal("The token is signed by a key that its issuer does not publish.")
        return key


def _claims(claims: JsonObject, trust: Trust) -> Claims:
    subject, tenant, scopes = claims["sub"], claims.get(trust.tenant_claim), claims.get(trust.scope_claim, "")
    times = [claims.get(name, 0) for name in ("exp", "nbf", "iat")]
    # A number of 400 digits is one that no float can represent.
    if any(type(time) not in (int, float) or not abs(time) <= _LATEST for time in times):
        raise refusal("The token has a time that is no number, or beyond the year 9999.")
    # It goes into the audit log, where a control character or half of a surrogate pair would not be stored.
    if not 1 <= len(subject) <= _MAX_SUBJECT or not subject.isprintable():
        raise refusal("The token has a subject that is empty, too long or not printable.")
    # A caller with this claim belongs to a tenant, whatever its value: never an operator.
    if trust.tenant_claim in claims and not isinstance(tenant, str):
        raise refusal("The token names a tenant by something else than text.")
    return Claims(subject, tenant, _scopes(scopes), claims["exp"])


def _scopes(scopes: object) -> frozenset[str]:
    words = scopes.split() if isinstance(scopes, str) else scopes
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise refusal("The token has scopes that are neither text nor a list of texts.")
    return frozenset(words)


def refusal(detail: str) -> Unauthenticated:
    """Return the refusal of a token (RFC 6750, section 3.1); the detail has no quotation marks and no backslashes."""
    challenge = f'Bearer realm="signalops", error="invalid_token", error_description="{detail}"'
    return Unauthenticated(detail, headers={"WWW-Authenticate": challenge})
