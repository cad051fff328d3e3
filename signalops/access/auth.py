"""Authentication and authorization: admits or rejects each request before its body is read."""

from typing import Protocol, get_args

from signalops.access.api_key_auth import ApiKeyAuthenticator
from signalops.access.key_format import is_ours
from signalops.access.tenant_cache import TenantCache
from signalops.access.tokens import Tokens
from signalops.errors import Forbidden, Unauthenticated
from signalops.types import Actor, Caller, Operator, PlatformScope, Scope

PLATFORM_SCOPES = frozenset(get_args(PlatformScope))
_SCOPES = frozenset(get_args(Scope))
_CHALLENGES = 'ApiKey realm="signalops", header="x-api-key", Bearer realm="signalops"'


class Headers(Protocol):
    """The headers of a request; each can occur several times."""

    def getlist(self, key: str) -> list[str]: ...


class Authenticator:
    """Lets a request in for the scope that its operation asks for; without tokens API keys alone are taken."""

    def __init__(self, ring: ApiKeyAuthenticator, directory: TenantCache, tokens: Tokens | None) -> None:
        self._ring = ring
        self._directory = directory
        self._tokens = tokens

    async def admit(self, headers: Headers, address: str | None, scope: Scope | PlatformScope) -> Caller | Operator:
        """Return who asks: an Operator where the scope is the platform's, else a Caller.

        Raises Unauthenticated, Forbidden, TooManyFailures or Unavailable.
        """
        keys, tokens = headers.getlist("x-api-key"), headers.getlist("authorization")
        if len(keys) + len(tokens) > 1:
            raise _unauthenticated("There are several credentials: send one, an API key or a token.")
        if tokens:
            who = await self._bearer(tokens[0], address)
        elif keys:
            who = await self._ring.identify(keys[0], address)
        else:
            raise _unauthenticated("Send your API key in the header x-api-key, or a token as Authorization: Bearer.")
        _require(who, scope)
        return who

    async def _bearer(self, authorization: str, address: str | None) -> Caller | Operator:
        scheme, _, token = authorization.partition(" ")
        if is_ours(token.strip()) or is_ours(authorization.strip()):
            raise _unauthenticated("This is an API key: send it in the header x-api-key, not as Authorization.")
        if self._tokens is None:
            raise _unauthenticated("This installation takes no tokens: send an API key in the header x-api-key.")
        if scheme.lower() != "bearer":
            raise _unauthenticated("The header Authorization is not read: send a token in it as Bearer.")
        claims = await self._tokens.verify(token.strip(), address)
        if claims.tenant is None:
            return Operator(Actor("operator", claims.subject), _widened(claims.scopes & PLATFORM_SCOPES))
        tenant = await self._directory.admit(claims.tenant)
        scopes, buckets = claims.scopes & _SCOPES, tuple(tenant.buckets)
        return Caller(tenant.id, Actor("user", claims.subject), scopes, buckets=buckets)


def _widened(scopes: frozenset[str]) -> frozenset[str]:
    """Add what `tenants:*` implies."""
    return scopes | {"tenants:read"} if "tenants:*" in scopes else scopes


def _require(who: Caller | Operator, scope: str) -> None:
    """Raise Forbidden without the scope.

    A platform scope is valid for operators only, even if a key or a tenant's token has it.
    """
    if scope in who.scopes and (scope in PLATFORM_SCOPES) is isinstance(who, Operator):
        return
    if isinstance(who, Caller) and who.key:
        if scope in PLATFORM_SCOPES:
            raise Forbidden(f"No API key has the scope {scope}: send an operator's token.", requiredScope=scope)
        raise Forbidden(f"The API key lacks the scope {scope}: use a key that has it.", requiredScope=scope)
    if isinstance(who, Operator) and scope not in PLATFORM_SCOPES:
        detail = "The token is an operator's, who acts for no tenant: send an API key or a token of the tenant."
    else:
        detail = f"The token lacks the scope {scope}: get one that has it."
    # RFC 6750, section 3.1
    challenge = f'Bearer realm="signalops", error="insufficient_scope", scope="{scope}"'
    raise Forbidden(detail, headers={"WWW-Authenticate": challenge}, requiredScope=scope)


def _unauthenticated(detail: str) -> Unauthenticated:
    return Unauthenticated(detail, headers={"WWW-Authenticate": _CHALLENGES})
