"""Which facts are worth a line. What happens thousands of times a second is told by the unit of work that it is a part of."""

import logging
from collections.abc import Callable
from typing import Literal

from signalops.facts import Subscriber
from signalops.terms import JsonObject

_SLOW = 1000.0
"""Milliseconds from which on a piece of work is told of, whatever it is."""
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
    """Return a subscriber that writes a line per fact that is worth one.

    requests: `notable` leaves those out that stored events, unless they were refused or slow: the line of their flush tells of
    them, with their ids.
    """
    levels: dict[str, Callable[[JsonObject], int]] = {**VARYING}
    levels |= dict.fromkeys(ALARMING, lambda _: logging.WARNING)
    if requests == "all":
        levels["request.answered"] = _level_of_any_request

    def tell(name: str, fields: JsonObject) -> None:
        level = levels[name](fields) if name in levels else logging.INFO
        if _log.isEnabledFor(level):
            _log.log(level, name, extra={"fields": fields})

    return tell


def _level_of_any_request(fact: JsonObject) -> int:
    if fact["status"] >= 500:
        return logging.WARNING
    is_probe = fact["operation"] in _PROBES and fact["status"] < 400
    return logging.DEBUG if is_probe else logging.INFO


def _level_of_request(fact: JsonObject) -> int:
    if fact["status"] < 400 and fact["operation"] in _STORING and fact["duration_ms"] < _SLOW:
        return logging.DEBUG
    return _level_of_any_request(fact)


def _level_of_work(fact: JsonObject) -> int:
    return logging.INFO if fact["events"] else logging.DEBUG


def _level_of_run(fact: JsonObject) -> int:
    if fact["error"]:
        return logging.WARNING
    return logging.INFO if fact["duration_ms"] > _SLOW else logging.DEBUG


VARYING: dict[str, Callable[[JsonObject], int]] = {
    "request.answered": _level_of_request,
    "events.flushed": _level_of_work,
    "batch.processed": _level_of_work,
    "maintenance.run": _level_of_run,
    "api_key_cache.invalidated": lambda fact: logging.DEBUG if fact["reason"] == "polling" else logging.INFO,
    "callback.processed": lambda _: logging.DEBUG,
}
"""What depends on how it went; all else is at INFO."""
