"""Limits: how much of a meter a tenant may have accepted in a month, and at what amounts it is told.

Comes in: limits, from the command line and from plans. Goes out: what signalops.accept holds a flush against, and the weights
of its events (LimitedMeters). Writes: limits; quotas are counted by ingest.
Invariant: a limit that is set, changed or removed holds in every process from its commit on.
"""

from signalops.usage.limits.limit_service import set_limit
from signalops.usage.limits.limited_meters import LimitedMeters

__all__ = ["LimitedMeters", "set_limit"]
