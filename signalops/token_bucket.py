"""Token buckets: their level, their response headers, and the rejection of a request without a token."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from signalops.errors import RateLimited


class Level(NamedTuple):
    """The state of a bucket: its policy's name, its rate in tokens per second, its burst, and its tokens."""

    policy: str
    rate: float
    burst: int
    left: float

    def after(self, seconds: float) -> "Level":
        """Return the state some seconds later, if no tokens are taken."""
        return self._replace(left=min(self.burst, self.left + self.rate * max(seconds, 0.0)))

    def wait(self) -> float:
        """Return the seconds until there is a token."""
        return max(1 - self.left, 0.0) / self.rate


def headers(levels: Iterable[Level]) -> dict[str, str]:
    """Return the fields RateLimit-Policy and RateLimit for some buckets; none for none.

    As draft-ietf-httpapi-ratelimit-headers-10 has them: of the policy q is the most at once and w the seconds in which an
    empty bucket fills; of the state r is what is left and t the seconds until there is one more.
    """
    known = list(levels)
    if not known:
        return {}
    policies = (f'"{level.policy}";q={level.burst};w={math.ceil(level.burst / level.rate)}' for level in known)
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(map(_state, known))}


def refusal(what: str, level: Level, wait: float, others: Iterable[Level] = ()) -> RateLimited:
    """Return the refusal of what finds no token in a bucket, with the seconds after which it may come again."""
    seconds = math.ceil(wait) or 1
    return RateLimited(
        f"The {level.policy} may send {level.rate:g} {what} a second, {level.burst} at once: "
        f"send again in {seconds} s, or more slowly.",
        headers={"Retry-After": str(seconds), **headers([level, *others])},
        policy=level.policy,
        retryAfter=seconds,
    )


def _state(level: Level) -> str:
    left = max(math.floor(level.left), 0)
    if level.left >= level.burst:
        return f'"{level.policy}";r={left}'
    return f'"{level.policy}";r={left};t={math.ceil((left + 1 - level.left) / level.rate)}'
