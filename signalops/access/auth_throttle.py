"""Throttles failed authentications per client address, in each process.

Code that checks credentials does so within `async with failures.throttled(address)`: one object for keys, tokens and callbacks.
Missing credentials are not an attempt.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from weakref import WeakValueDictionary

from signalops.errors import Problem, TooManyFailures, Unauthenticated

MAX_PER_MINUTE = 20
_MAX_REMEMBERED = 100_000


@dataclass(slots=True)
class _Failed:
    """How often an address failed in the minute that began with the first."""

    since: float
    times: int


class AuthThrottle:
    """The failures of the last minute."""

    def __init__(self) -> None:
        self._failed: dict[str, _Failed] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def throttled(self, address: str | None, *kinds: type[Problem]) -> AsyncIterator[None]:
        """Throttle what authenticates within the context.

        Unauthenticated and some other errors count; after 20 in a minute: TooManyFailures. Valid credentials are accepted even
        then, since other clients can share the address (NAT, an untrusted proxy), but one at a time. Without an address (a Unix
        socket) nothing is counted.
        """
        source, wrong = _source(address), kinds or (Unauthenticated,)
        if source is None:
            yield
            return
        turn = self._turns.setdefault(source, asyncio.Lock()) if self._left(source) else nullcontext()
        async with turn:
            try:
                yield
            except wrong:
                if left := self._left(source):
                    raise TooManyFailures(
                        "Too many wrong credentials came from your address: correct them, and try again in a minute.",
                        headers={"Retry-After": str(int(left) + 1)},
                    ) from None
                self._count_failure(source)
                raise

    def _left(self, source: str) -> float:
        """Return for how many seconds an address has failed too often; 0: it has not."""
        failed = self._failed.get(source)
        if failed is None:
            return 0.0
        left = failed.since + 60 - _seconds()
        if left <= 0:
            del self._failed[source]
        return left if left > 0 and failed.times >= MAX_PER_MINUTE else 0.0

    def _count_failure(self, source: str) -> None:
        if source not in self._failed and len(self._failed) >= _MAX_REMEMBERED:
            del self._failed[next(iter(self._failed))]  # the oldest
        self._failed.setdefault(source, _Failed(_seconds(), 0)).times += 1


def _source(address: str | None) -> str | None:
    """Return what is counted as one: an IPv4 address, or an IPv6 network of 64 bits, which is what one subscriber has."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return None
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ip_network((int(found), 64), strict=False))


def _seconds() -> float:
    return asyncio.get_running_loop().time()
