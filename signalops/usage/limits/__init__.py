"""Limits: how much of a meter a tenant may have accepted in a month, and at which amounts it is notified.

Input: limits, from operators and from plans. Output: what signalops.accept checks a flush against, and the quantities of its
events (LimitedMeters). Writes: limits; ingest counts the accepted_counters.
Invariant: a limit that is set, changed or removed is in effect in every process from its commit on.
"""

from signalops.usage.limits.limit_service import set_limit
from signalops.usage.limits.limited_meters import LimitedMeters

__all__ = ["LimitedMeters", "set_limit"]
