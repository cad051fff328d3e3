"""Failed authentications, limited by the address that they come from, in each process.

Whatever checks credentials that it does not know yet does so `with failures.counted(address)`: keys and tokens alike, one object
for both. Missing credentials are no attempt, and need not be counted.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from signalops.errors import TooManyFailures, Unauthenticated

MOST_A_MINUTE = 20
_MOST_REMEMBERED = 100_000


@dataclass(slots=True)
class _Failed:
    """How often an address failed in the minute that began with the first."""

    since: float
    times: int


class Failures:
    """The failures of the last minute."""

    def __init__(self) -> None:
        self._failed: dict[str, _Failed] = {}

    @contextmanager
    def counted(self, address: str | None) -> Iterator[None]:
        """Check credentials within: what is Unauthenticated counts. TooManyFailures, before it begins, after 20 in a minute.

        Of attempts at the same time more may begin, but no more of them are told that they were wrong. Without an address (a
        server on a Unix socket) nothing is counted.
        """
        source = _source(address)
        if source is None:
            yield
            return
        self._require(source)
        try:
            yield
        except Unauthenticated:
            self._require(source)
            self._note(source)
            raise

    def _require(self, source: str) -> None:
        failed = self._failed.get(source)
        if failed is None:
            return
        left = failed.since + 60 - _seconds()
        if left <= 0:
            del self._failed[source]
        elif failed.times >= MOST_A_MINUTE:
            raise TooManyFailures(
                "Too many wrong credentials came from your address: correct them, and try again in a minute.",
                headers={"Retry-After": str(int(left) + 1)},
            )

    def _note(self, source: str) -> None:
        if source not in self._failed and len(self._failed) >= _MOST_REMEMBERED:
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
