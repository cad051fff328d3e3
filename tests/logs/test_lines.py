"""Which fact is worth a line, and at which level; heard by a handler as any program has it."""

import logging
from collections.abc import Iterator

import pytest

from signalops import logs

ANSWER = {"operation": "storeEvent", "status": 202, "reason": None, "duration_ms": 3.0, "tenant": "t", "request_id": "c"}
RUN = {"job": "tidy", "duration_ms": 3.0, "error": None}
LEVELS = [
    ("request.answered", ANSWER, "DEBUG"),
    ("request.answered", ANSWER | {"status": 422}, "INFO"),
    ("request.answered", ANSWER | {"status": 503}, "WARNING"),
    ("request.answered", ANSWER | {"duration_ms": 1000.0}, "INFO"),
    ("request.answered", ANSWER | {"operation": "listEvents", "status": 200}, "INFO"),
    ("request.answered", ANSWER | {"operation": "ready", "status": 200}, "DEBUG"),
    ("request.answered", ANSWER | {"operation": "ready", "status": 503}, "WARNING"),
    ("events.flushed", {"events": 3}, "INFO"),
    ("events.flushed", {"events": 0}, "DEBUG"),
    ("batch.processed", {"events": 0}, "DEBUG"),
    ("batch_items.rejected", {"reasons": {"invalid": 2}}, "INFO"),
    ("maintenance.run", RUN, "DEBUG"),
    ("maintenance.run", RUN | {"duration_ms": 1001.0}, "INFO"),
    ("maintenance.run", RUN | {"error": "OperationalError"}, "WARNING"),
    ("delivery.attempted", {"outcome": "sent"}, "INFO"),
    ("delivery.dead_lettered", {"outcome": "permanent"}, "WARNING"),
]


class _Keeping(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def captured() -> Iterator[list[logging.LogRecord]]:
    """The records of the telemetry logger, at every level."""
    handler, logger = _Keeping(), logging.getLogger("signalops")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler.records
    logger.removeHandler(handler)
    logger.setLevel(before)


@pytest.mark.parametrize(("name", "fields", "level"), LEVELS)
def test_what_is_worth_a_line(captured: list[logging.LogRecord], name: str, fields: dict[str, object], level: str) -> None:
    logs.lines_of("notable")(name, fields)
    assert [(record.getMessage(), record.levelname) for record in captured] == [(name, level)]


def test_every_request_has_one_for_who_wants_them_all(captured: list[logging.LogRecord]) -> None:
    logs.lines_of("all")("request.answered", ANSWER)
    assert [record.levelname for record in captured] == ["INFO"]
