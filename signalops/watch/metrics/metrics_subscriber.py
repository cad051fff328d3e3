"""From facts to metrics: a subscriber. It stands in the path of every request, so it does a look-up and an addition for each."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from signalops import clock
from signalops.watch.metrics.registry import counter, histogram

Fields = Mapping[str, Any]


def record(name: str, fields: Fields) -> None:
    """Count a fact."""
    if known := _KNOWN.get(name):
        known(fields)


def _answered(fact: Fields) -> None:
    operation, reason = fact["operation"], fact["reason"]
    add, observe = _instruments(operation, fact["status"])
    add()
    observe(fact["duration_ms"] / 1000)
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


def _items_refused(fact: Fields) -> None:
    for reason, items in fact["reasons"].items():
        counter("signalops_rejections_total", reason).inc(items)
        counter("signalops_events_total", "refused").inc(items)


def _flushed(fact: Fields) -> None:
    accepted = fact["events"] - fact["exceptions"]
    outcomes = ("accepted", accepted), ("duplicate", fact["duplicates"]), ("over_limit", fact["over_limit"])
    for outcome, events in outcomes:
        if events:
            counter("signalops_events_total", outcome).inc(events)
    histogram("signalops_flush_events").observe(fact["events"])
    histogram("signalops_flush_seconds").observe(fact["duration_ms"] / 1000)


def _processed(fact: Fields) -> None:
    if not fact["events"]:  # another worker had it
        return
    counter("signalops_batches_total").inc()
    counter("signalops_processed_events_total").inc(fact["events"])
    counter("signalops_matches_total").inc(fact["matches"])
    histogram("signalops_batch_seconds").observe(fact["duration_ms"] / 1000)
    # The batch got its id when its events were stored.
    lag = clock.now() - clock.time_of(fact["batch"])
    histogram("signalops_lag_seconds").observe(max(lag.total_seconds(), 0))


def _attempted(fact: Fields) -> None:
    kind = fact["kind"] or "none"
    counter("signalops_attempts_total", kind, fact["outcome"]).inc()
    histogram("signalops_attempt_seconds", kind).observe(fact["duration_ms"] / 1000)


def _replaced(fact: Fields) -> None:
    counter("signalops_jobs_requeued_total").inc(fact["batches"] + fact["deliveries"])


_KNOWN: dict[str, Callable[[Fields], None]] = {
    "request.answered": _answered,
    "batch_items.rejected": _items_refused,
    "events.flushed": _flushed,
    "batch.processed": _processed,
    "event.dead_lettered": lambda _: counter("signalops_events_dead_lettered_total").inc(),
    "delivery.attempted": _attempted,
    "delivery.dead_lettered": lambda _: counter("signalops_deliveries_dead_lettered_total").inc(),
    "jobs.rescued": lambda fact: counter("signalops_jobs_rescued_total").inc(fact["jobs"]),
    "jobs.requeued": _replaced,
}
