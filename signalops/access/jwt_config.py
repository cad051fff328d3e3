"""The settings of the trusted JWT issuer, and how this installation mints its own tokens."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

import jwt

from signalops import clock
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.secret_file import ensure_secret_file

_OURS = "signalops"
_MIN_BYTES = 32  # RFC 7518, section 3.2: a key as long as the hash


@dataclass(slots=True, frozen=True)
class Trust:
    """The one issuer, what its tokens must name, and where in them tenant and scopes stand; leeway in seconds.

    There is either a secret (HS256), or a place where public keys are: the URL or the path of a JWKS.
    """

    issuer: str
    audience: str
    leeway: float
    tenant_claim: str
    scope_claim: str
    secret: str | None = field(repr=False)
    jwks: str | None


def trust_of(settings: Settings) -> Trust | None:
    """Return whom an installation trusts; None when it takes no tokens. Unusable when the settings do not fit together.

    The secret is SIGNALOPS_JWT_SECRET, or else the one in the data folder's file `token.key`, which an installation with an
    embedded PostgreSQL makes; for tokens of that one, issuer and audience are `signalops` unless they are set.
    """
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None
    if secret and settings.jwt_jwks:
        raise Unusable("SIGNALOPS_JWT_SECRET and SIGNALOPS_JWT_JWKS are both set: tokens have one issuer; unset one.")
    if secret and len(secret.encode()) < _MIN_BYTES:
        raise Unusable("SIGNALOPS_JWT_SECRET is too short: take 32 random bytes, such as `openssl rand -hex 32` prints.")
    if secret or settings.jwt_jwks:
        return _trust(settings, secret, settings.jwt_issuer, settings.jwt_audience)
    stored_secret = _stored_secret(settings)
    if stored_secret is None:
        return None
    return _trust(settings, stored_secret, settings.jwt_issuer or _OURS, settings.jwt_audience or _OURS)


def _trust(settings: Settings, secret: str | None, issuer: str | None, audience: str | None) -> Trust:
    if not issuer or not audience:
        raise Unusable("Set SIGNALOPS_JWT_ISSUER and SIGNALOPS_JWT_AUDIENCE: what the tokens name as iss and aud.")
    claims = settings.jwt_tenant_claim, settings.jwt_scope_claim
    return Trust(issuer, audience, settings.jwt_leeway_seconds, *claims, secret, settings.jwt_jwks)


def keep_secret(settings: Settings) -> None:
    """Make the data folder's secret unless tokens are signed by another or it is there.

    For an installation whose processes share that folder.
    """
    if not (settings.jwt_secret or settings.jwt_jwks):
        ensure_secret_file(settings.data / "token.key", lambda: secrets.token_hex(_MIN_BYTES).encode())


def _stored_secret(settings: Settings) -> str | None:
    if settings.is_embedded:
        keep_secret(settings)
    file = settings.data / "token.key"
    return file.read_text(encoding="ascii") if file.exists() else None


def mint(trust: Trust, subject: str, tenant: str | None, scopes: Iterable[str], seconds: int) -> str:
    """Return a token of a tenant's user, or of an operator when there is no tenant, that is valid for some seconds.

    Unusable when tokens are signed by keys that this installation does not have.
    """
    if trust.secret is None:
        raise Unusable("Tokens are signed by the issuer of SIGNALOPS_JWT_JWKS: get one there.")
    now = clock.unix()
    claims: dict[str, object] = {"iss": trust.issuer, "aud": trust.audience, "sub": subject, "iat": now}
    claims |= {"exp": now + seconds, trust.scope_claim: " ".join(scopes)}
    if tenant is not None:
        claims[trust.tenant_claim] = tenant
    return jwt.encode(claims, trust.secret, "HS256")
