"""Who may do what: each request is let in here, or refused, before anything of it is read."""

from collections.abc import Mapping
from typing import get_args

from signalops.access.ring import KeyRing
from signalops.errors import Forbidden
from signalops.terms import Caller, Operator, PlatformScope, Scope

PLATFORM_SCOPES = frozenset(get_args(PlatformScope))


class Gate:
    """Lets a request in for the scope that its operation asks for."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    async def admit(
        self, headers: Mapping[str, str], address: str | None, scope: Scope | PlatformScope
    ) -> Caller | Operator:
        """Return who asks: an Operator where the scope is the platform's, else a Caller.

        Raises Unauthenticated, Forbidden, TooManyFailures or Unavailable.
        """
        who = await self._ring.identify(headers.get("x-api-key"), address)
        if scope not in who.scopes:
            raise Forbidden(f"The API key lacks the scope {scope}: use a key that has it.", requiredScope=scope)
        return who
