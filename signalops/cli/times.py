"""Times and durations as every command reads them: RFC 3339, a local date or time, or a duration such as 1h."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated

import typer

from signalops import clock
from signalops.durations import duration

_FORMS = "an RFC 3339 time such as 2026-11-01T08:00:00Z, a local date such as 2026-11-01, or a duration such as 1h"


def past(text: str) -> str:
    """Return a time as RFC 3339; a duration is counted back from now."""
    return _time(text, -1)


def ahead(text: str) -> str:
    """Return a time as RFC 3339; a duration is counted from now on."""
    return _time(text, 1)


def ahead_or_null(text: str) -> str:
    """Return a time as `ahead` does, or `null`, which takes the time away."""
    return text if text == "null" else ahead(text)


def seconds(text: str) -> int:
    """Return the seconds of a duration; a bare number is seconds."""
    return int(text) if text.isascii() and text.isdigit() else int(_length(text).total_seconds())


def _length(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}.") from error


def _time(text: str, sign: int) -> str:
    with suppress(ValueError):
        return (clock.now() + sign * duration(text)).isoformat()
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time: write {_FORMS}.") from error
    return text if at.tzinfo else at.astimezone().isoformat()


Since = Annotated[
    str | None, typer.Option("--since", "--from", parser=past, metavar="TIME", help="At or after this time, or 1h ago.")
]
Until = Annotated[str | None, typer.Option("--until", "--to", parser=past, metavar="TIME", help="Before this time, or 1h ago.")]
