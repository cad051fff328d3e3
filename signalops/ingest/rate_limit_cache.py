"""The last known rate-limit levels of tenants and keys: for response headers, and to reject early.

signalops.accept enforces the limits, by the database's clock and for all processes together.
"""

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from signalops import token_bucket
from signalops.cache import Cache
from signalops.errors import RateLimited
from signalops.ingest.event_models import Incoming
from signalops.token_bucket import Level
from signalops.types import EventId, TenantId

_MAX_REMEMBERED = 100_000
_BELIEVE = 10.0
"""Seconds for which a cached level is trusted: a flush under way may have reported a rate that had just changed."""
Bucket = tuple[TenantId, str]


class RateLimitCache:
    """The levels of the buckets that this process's events took tokens from, as of the last flush."""

    def __init__(self) -> None:
        self.cache = Cache[Bucket, tuple[Level, float]](_MAX_REMEMBERED, tags_of=_tags)

    def update(self, tenant: TenantId, bucket: str, pace: Mapping[str, Any]) -> None:
        """Cache the level of a bucket, {rate, burst, left}, as signalops.accept returns it."""
        level = Level("tenant" if bucket == "tenant" else "key", pace["rate"], pace["burst"], pace["left"])
        self.cache.put((tenant, bucket), (level, time.monotonic()))

    def levels(self, tenant: TenantId, buckets: Iterable[str]) -> list[Level]:
        """Return the upper bound of the tokens in buckets: other processes may have taken some since, and only time adds any."""
        cached = (self.cache.get((tenant, bucket)) for bucket in buckets)
        return [level.after(time.monotonic() - at) for level, at in filter(None, cached)]

    def split(self, events: list[Incoming]) -> tuple[list[Incoming], dict[EventId, RateLimited]]:
        """Split events into those that may get their tokens and those that certainly can't, without taking any."""
        if not any(event.buckets for event in events):
            return events, {}
        passing, refused = [], {}
        taken: Counter[Bucket] = Counter()
        waiting: Counter[Bucket] = Counter()
        for event in events:
            pays = [(event.tenant, bucket) for bucket in event.buckets]
            short = next((bucket for bucket in pays if taken[bucket] + 1 > self._left(bucket)), None)
            if short is None:
                taken.update(pays)
                passing.append(event)
            else:
                waiting[short] += 1
                wanting = waiting[short] + taken[short] - self._left(short)
                (level,) = self.levels(short[0], [short[1]])
                refused[event.id] = self.refusal(*short, wanting / level.rate, event.buckets)
        return passing, refused

    def refusal(self, tenant: TenantId, bucket: str, wait: float, buckets: Iterable[str]) -> RateLimited:
        """Return the refusal by one of an event's buckets, with the seconds until there is a token for it."""
        others = self.levels(tenant, [other for other in buckets if other != bucket])
        return token_bucket.refusal("events", self.levels(tenant, [bucket])[0], wait, others)

    def _left(self, bucket: Bucket) -> float:
        """Return the maximum number of tokens of a bucket; unlimited if it is not cached."""
        level, at = self.cache.get(bucket) or (None, 0.0)
        if level is None or (passed := time.monotonic() - at) > _BELIEVE:
            return math.inf
        return level.after(passed).left


def _tags(bucket: Bucket, _: object) -> tuple[UUID, ...]:
    """Return whose change may change a bucket's rate: the tenant, and the key if it is a key's."""
    tenant, name = bucket
    return (tenant,) if name == "tenant" else (tenant, UUID(name))
