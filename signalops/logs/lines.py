"""Which telemetry events are logged. What happens thousands of times a second is summed up in the line of its unit of work."""

import logging
from collections.abc import Callable
from typing import Literal

from signalops.telemetry import Subscriber
from signalops.types import JsonObject

_SLOW = 1000.0
"""Milliseconds from which on any work is logged as slow."""
_STORING = {"storeEvent", "storeEvents"}
_PROBES = {"live", "ready", "scrape"}
ALARMING = {
    "clock.corrected",
    "events.flush_failed",
    "batch.bisected",
    "event.dead_lettered",
    "schema.compile_failed",
    "types.flush_failed",
    "rule.compile_failed",
    "meter.compile_failed",
    "period.close_failed",
    "delivery.dead_lettered",
    "jobs.rescued",
    "jobs.requeued",
    "last_used.flush_failed",
    "proxy.untrusted",
    "jwks.refresh_failed",
    "metrics.listen_failed",
    "alert.raised",
}
"""What should not happen: at WARNING."""
_log = logging.getLogger("signalops")


def lines_of(requests: Literal["notable", "all"]) -> Subscriber:
    """Return a subscriber that logs the events whose level is enabled.

    requests: `notable` omits successful, fast requests that stored events: the line of their flush has their ids.
    """
    levels: dict[str, Callable[[JsonObject], int]] = {**VARYING}
    levels |= dict.fromkeys(ALARMING, lambda _: logging.WARNING)
    if requests == "all":
        levels["request.answered"] = _level_of_any_request

    def write(name: str, fields: JsonObject) -> None:
        level = levels[name](fields) if name in levels else logging.INFO
        if _log.isEnabledFor(level):
            _log.log(level, name, extra={"fields": fields})

    return write


def _level_of_any_request(fields: JsonObject) -> int:
    if fields["status"] >= 500:
        return logging.WARNING
    is_probe = fields["operation"] in _PROBES and fields["status"] < 400
    return logging.DEBUG if is_probe else logging.INFO


def _level_of_request(fields: JsonObject) -> int:
    if fields["status"] < 400 and fields["operation"] in _STORING and fields["duration_ms"] < _SLOW:
        return logging.DEBUG
    return _level_of_any_request(fields)


def _level_of_work(fields: JsonObject) -> int:
    return logging.INFO if fields["events"] else logging.DEBUG


def _level_of_run(fields: JsonObject) -> int:
    if fields["error"]:
        return logging.WARNING
    return logging.INFO if fields["duration_ms"] > _SLOW else logging.DEBUG


VARYING: dict[str, Callable[[JsonObject], int]] = {
    "request.answered": _level_of_request,
    "events.flushed": _level_of_work,
    "batch.processed": _level_of_work,
    "maintenance.run": _level_of_run,
    "api_key_cache.invalidated": lambda fields: logging.DEBUG if fields["reason"] == "polling" else logging.INFO,
    "callback.processed": lambda _: logging.DEBUG,
}
"""What depends on how it went; all else is at INFO."""
