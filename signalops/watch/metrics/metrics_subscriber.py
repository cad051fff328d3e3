"""Updates metrics from telemetry events. It runs in every request, so an event costs a look-up and an addition."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from signalops import clock
from signalops.watch.metrics.registry import counter, histogram

Fields = Mapping[str, Any]


def record(name: str, fields: Fields) -> None:
    """Count a telemetry event."""
    if known := _KNOWN.get(name):
        known(fields)


def _answered(fields: Fields) -> None:
    operation, reason = fields["operation"], fields["reason"]
    add, observe = _instruments(operation, fields["status"])
    add()
    observe(fields["duration_ms"] / 1000)
    if reason:
        counter("signalops_rejections_total", reason).inc()
        if operation == "storeEvent":
            counter("signalops_events_total", "refused").inc()


@cache
def _instruments(operation: str | None, status: int) -> tuple[Callable[[], None], Callable[[float], None]]:
    """Return what counts and what times an answer: found once, since each request asks for them."""
    add = counter("signalops_requests_total", operation or "none", str(int(status))).inc
    if operation is None:  # it only knocked at an address where nothing is
        return add, lambda _: None
    return add, histogram("signalops_request_seconds", operation).observe


def _items_refused(fields: Fields) -> None:
    for reason, items in fields["reasons"].items():
        counter("signalops_rejections_total", reason).inc(items)
        counter("signalops_events_total", "refused").inc(items)


def _flushed(fields: Fields) -> None:
    accepted = fields["events"] - fields["not_accepted"]
    outcomes = ("accepted", accepted), ("duplicate", fields["duplicates"]), ("over_limit", fields["over_limit"])
    for outcome, events in outcomes:
        if events:
            counter("signalops_events_total", outcome).inc(events)
    histogram("signalops_flush_events").observe(fields["events"])
    histogram("signalops_flush_seconds").observe(fields["duration_ms"] / 1000)


def _processed(fields: Fields) -> None:
    if not fields["events"]:  # another worker had it
        return
    counter("signalops_batches_total").inc()
    counter("signalops_processed_events_total").inc(fields["events"])
    counter("signalops_matches_total").inc(fields["matches"])
    histogram("signalops_batch_seconds").observe(fields["duration_ms"] / 1000)
    # The batch got its id when its events were stored.
    lag = clock.now() - clock.uuid7_time(fields["batch"])
    histogram("signalops_lag_seconds").observe(max(lag.total_seconds(), 0))


def _attempted(fields: Fields) -> None:
    kind = fields["kind"] or "none"
    counter("signalops_attempts_total", kind, fields["outcome"]).inc()
    histogram("signalops_attempt_seconds", kind).observe(fields["duration_ms"] / 1000)


def _replaced(fields: Fields) -> None:
    counter("signalops_jobs_requeued_total").inc(fields["batches"] + fields["deliveries"])


_KNOWN: dict[str, Callable[[Fields], None]] = {
    "request.answered": _answered,
    "batch_items.rejected": _items_refused,
    "events.flushed": _flushed,
    "batch.processed": _processed,
    "event.dead_lettered": lambda _: counter("signalops_events_dead_lettered_total").inc(),
    "delivery.attempted": _attempted,
    "delivery.dead_lettered": lambda _: counter("signalops_deliveries_dead_lettered_total").inc(),
    "jobs.rescued": lambda fields: counter("signalops_jobs_rescued_total").inc(fields["jobs"]),
    "jobs.requeued": _replaced,
}
