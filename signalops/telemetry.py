"""Telemetry events that the code emits. Logs, metrics and traces subscribe; the emitting code knows none of them."""

import logging
from collections.abc import Callable

from signalops.types import JsonObject

log = logging.getLogger(__name__)

EVENTS = {
    "api.started": ("host", "port"),
    "api.stopped": (),
    "request.answered": ("operation", "method", "path", "status", "reason", "duration_ms", "tenant", "request_id"),
    "clock.corrected": ("seconds",),
    "events.flushed": ("batch", "events", "not_accepted", "duplicates", "over_limit", "duration_ms", "request_ids"),
    "events.flush_failed": ("events", "error"),
    "batch_items.rejected": ("reasons",),
    "batch.processed": ("batch", "job", "tenants", "events", "matches", "duration_ms", "request_ids"),
    "batch.bisected": ("batch", "job", "error"),
    "event.dead_lettered": ("tenant", "event", "request_id", "error"),
    "digests_absences.fired": ("digests", "absences"),
    "schema.compile_failed": ("tenant", "type", "error"),
    "types.flush_failed": ("types", "error"),
    "backtest.ended": ("tenant", "backtest", "status", "scanned", "error"),
    "replay.started": ("tenant", "replay", "events"),
    "rule.compile_failed": ("tenant", "rule", "error"),
    "meter.compile_failed": ("tenant", "meter", "error"),
    "delivery.attempted": ("tenant", "event", "delivery", "kind", "attempt", "outcome", "duration_ms", "request_id"),
    "delivery.dead_lettered": ("tenant", "event", "delivery", "outcome", "request_id"),
    "callback.processed": ("provider", "tenant", "received", "applied"),
    "address.suppressed": ("tenant", "delivery", "reason"),
    "jobs.rescued": ("jobs",),
    "jobs.requeued": ("batches", "deliveries"),
    "api_key_cache.invalidated": ("reason",),
    "last_used.flush_failed": ("keys", "error"),
    "proxy.untrusted": ("address",),
    "jwks.refreshed": ("keys",),
    "jwks.refresh_failed": ("error",),
    "usage.soft_limit_reached": ("tenant", "event"),
    "usage.hard_limit_reached": ("tenant", "event"),
    "usage.threshold_reached": ("tenant", "event"),
    "usage.cardinality_limit_reached": ("tenant", "period"),
    "usage.adjusted": ("tenant", "adjustment", "meter", "author"),
    "periods.frozen": ("periods",),
    "period.closed": ("tenant", "period", "invoices", "duration_ms"),
    "period.close_failed": ("tenant", "period", "error"),
    "tenant.created": ("tenant", "slug", "author"),
    "tenant.status_changed": ("tenant", "status", "reason"),
    "partitions.created": ("partitions",),
    "partitions.dropped": ("partitions",),
    "rows.expired": ("rows",),
    "alert.raised": ("alert", "subject"),
    "alert.resolved": ("alert", "subject"),
    "maintenance.run": ("job", "duration_ms", "error"),
    "metrics.served": ("host", "port"),
    "metrics.listen_failed": ("host", "port", "error"),
    "tenant.deleted": ("tenant", "rows", "duration_ms"),
}
"""Every telemetry event by name, with its fields. duration_ms is a float, ids are UUIDs, errors are one sentence."""

MAX_REQUEST_IDS = 20
"""Maximum number of `request_ids` in an event: a flush or a batch may serve thousands of requests."""

_FIELDS = {name: frozenset(fields) for name, fields in EVENTS.items()}  # made once: each request emits one
Subscriber = Callable[[str, JsonObject], None]
_subscribers: list[Subscriber] = []


def emit(name: str, **fields: object) -> None:
    """Pass an event to every subscriber; its name and fields must be in EVENTS."""
    assert fields.keys() == _FIELDS[name], f"the event {name} has the fields {EVENTS[name]}"
    for subscriber in _subscribers:
        try:
            subscriber(name, fields)
        except Exception:  # a faulty subscriber must not break the code that emits
            log.exception("A subscriber failed on the event %s.", name)


def subscribe(subscriber: Subscriber) -> Callable[[], None]:
    """Call the function with every event from now on; return a function that unsubscribes it."""
    _subscribers.append(subscriber)
    return lambda: _subscribers.remove(subscriber)
