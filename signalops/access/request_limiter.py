"""The request rate limits of tenants and operators, and how a rate limit is validated.

`signalops.accept` limits events exactly, for all processes together. This limiter counts all other requests per process: a caller
that uses three processes can send three times as many.
"""

import asyncio
from typing import Annotated

from cachetools import LRUCache
from pydantic import Field

from signalops.models import RequestModel
from signalops.token_bucket import Level, refusal
from signalops.types import Actor, TenantId

MIN_RATE = 0.000001
"""Minimum rate in events per second: one in twelve days.

With smaller rates the wait would exceed what headers, JSON and PostgreSQL can represent.
"""
MAX_RATE = 1_000_000
_MAX_REMEMBERED = 100_000


class RateLimit(RequestModel):
    """A rate limit in events per second, and its burst."""

    events_per_second: Annotated[float, Field(ge=MIN_RATE, le=MAX_RATE)] = Field(
        description="Events a second in the long run, a fraction for fewer.", examples=[100]
    )
    burst: int = Field(ge=1, le=MAX_RATE, description="Events at once after a pause.", examples=[1000])


class RequestLimiter:
    """A token bucket for each caller of this process; a request is a token."""

    def __init__(self, rate: float, burst: int) -> None:
        self._full = Level("requests", rate, burst, burst)
        # The least recently used goes: whose bucket is full the soonest.
        self._levels: LRUCache[tuple[TenantId | None, Actor], tuple[Level, float]] = LRUCache(_MAX_REMEMBERED)

    def take(self, tenant: TenantId | None, actor: Actor) -> None:
        """Take a token of a tenant's caller, or of an operator; RateLimited when there is none."""
        now = asyncio.get_running_loop().time()
        level, at = self._levels.get((tenant, actor), (self._full, now))
        level = level.after(now - at)
        if is_there := level.left >= 1:
            level = level._replace(left=level.left - 1)
        self._levels[tenant, actor] = level, now
        if not is_there:
            raise refusal("requests", level, level.wait())
