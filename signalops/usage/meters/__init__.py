"""Meters: what of a tenant's events is counted, besides their number.

`meter_service` writes meters, `meter_cache` keeps them compiled, `count` evaluates them for a batch. Writes: meters; through
signalops.count_usage also usage_entries, usage_counters and usage_items. Invariant: a counter is the sum of its entries, and each
billed event is in exactly one entry for each meter that counts it.
"""

from signalops.usage.meters.compiled_meters import CompiledMeters
from signalops.usage.meters.count import count
from signalops.usage.meters.meter_cache import MeterCache

__all__ = ["CompiledMeters", "MeterCache", "count"]
