"""Meters: what is counted of a tenant's events, besides their number.

`meter_service` writes meters, `meter_cache` caches the compiled meters, `count` evaluates them for a batch. Writes: meters;
through signalops.count_usage also usage_entries, usage_counters and usage_distinct_values. Invariant: a counter is the sum of
its entries, and each billed event is in exactly one entry of each meter that counts it.
"""

from signalops.usage.meters.compiled_meters import CompiledMeters
from signalops.usage.meters.count import count, counted_in, is_billed
from signalops.usage.meters.meter_cache import MeterCache

__all__ = ["CompiledMeters", "MeterCache", "count", "counted_in", "is_billed"]
