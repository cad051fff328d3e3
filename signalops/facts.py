"""The facts that the code emits. Logs and metrics subscribe; the code that emits knows neither."""

import logging
from collections.abc import Callable

from signalops.terms import JsonObject

log = logging.getLogger(__name__)

FACTS = {
    "api.started": ("host", "port"),
    "api.stopped": (),
    "request.answered": ("operation", "status", "reason", "milliseconds", "tenant", "correlation"),
    "clock.corrected": ("seconds",),
    "events.flushed": ("batch", "events", "exceptions", "duplicates", "over_limit", "milliseconds", "correlations"),
    "events.flush_failed": ("events", "error"),
    "items.refused": ("reasons",),
    "batch.processed": ("batch", "job", "tenants", "events", "matches", "milliseconds", "correlations"),
    "batch.bisected": ("batch", "job", "error"),
    "event.died": ("tenant", "event", "correlation", "error"),
    "rules.told": ("digests", "absences"),
    "schema.broken": ("tenant", "type", "error"),
    "types.flush_failed": ("types", "error"),
    "backtest.ended": ("tenant", "backtest", "status", "scanned", "error"),
    "replay.started": ("tenant", "replay", "events"),
    "rule.broken": ("tenant", "rule", "error"),
    "meter.broken": ("tenant", "meter", "error"),
    "delivery.attempted": ("tenant", "event", "delivery", "kind", "attempt", "outcome", "milliseconds", "correlation"),
    "delivery.died": ("tenant", "event", "delivery", "outcome", "correlation"),
    "callback.taken": ("provider", "tenant", "told", "moved"),
    "address.suppressed": ("tenant", "delivery", "reason"),
    "jobs.rescued": ("jobs",),
    "jobs.replaced": ("batches", "deliveries"),
    "keys.doubted": ("reason",),
    "keys.uses_unwritten": ("keys", "error"),
    "proxy.untrusted": ("address",),
    "jwks.read": ("keys",),
    "jwks.unread": ("error",),
    "usage.soft_limit_reached": ("tenant", "event"),
    "usage.hard_limit_reached": ("tenant", "event"),
    "usage.threshold_reached": ("tenant", "event"),
    "usage.cardinality_limit_reached": ("tenant", "period"),
    "usage.adjusted": ("tenant", "adjustment", "meter", "author"),
    "periods.frozen": ("periods",),
    "period.closed": ("tenant", "period", "invoices", "milliseconds"),
    "period.stuck": ("tenant", "period", "error"),
    "tenant.made": ("tenant", "slug", "author"),
    "tenant.moved": ("tenant", "status", "reason"),
    "partitions.made": ("partitions",),
    "partitions.dropped": ("partitions",),
    "rows.expired": ("rows",),
    "alert.raised": ("alert", "subject"),
    "alert.resolved": ("alert", "subject"),
    "maintenance.run": ("job", "milliseconds", "error"),
    "metrics.served": ("host", "port"),
    "metrics.unserved": ("host", "port", "error"),
    "tenant.deleted": ("tenant", "rows", "milliseconds"),
}
"""Every fact by name, with its fields. Milliseconds are floats, ids are UUIDs, errors are one sentence."""

_FIELDS = {name: frozenset(fields) for name, fields in FACTS.items()}  # made once: each request is a fact
Subscriber = Callable[[str, JsonObject], None]
_subscribers: list[Subscriber] = []


def emit(name: str, **fields: object) -> None:
    """Tell every subscriber of a fact; name and fields are those of FACTS."""
    assert fields.keys() == _FIELDS[name], f"the fact {name} has the fields {FACTS[name]}"
    for subscriber in _subscribers:
        try:
            subscriber(name, fields)
        except Exception:  # what is observed must not depend on the observer
            log.exception("A subscriber failed at the fact %s.", name)


def subscribe(subscriber: Subscriber) -> Callable[[], None]:
    """Have a function called with every fact from now on; return the function that ends it."""
    _subscribers.append(subscriber)
    return lambda: _subscribers.remove(subscriber)
