"""Output of commands: tables and records for people, JSON for scripts."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import orjson
import typer
from rich.console import Console
from rich.table import Table

from signalops.cli.command_table import utc
from signalops.types import JsonObject

_ANY_LENGTH = 100_000
_MIN_TEXT = 12
"""Columns of text give way on a narrow terminal, down to this width; numbers, times and ids do not."""
_GAP = 2
_WRAPS = {
    *("name", "label", "error", "lastError", "reason", "pattern", "config", "scopes"),
    *("rule", "channel", "event", "fault", "detail"),
}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")
_AS_WRITTEN = {"pattern", "config", "payload", "template", "window", "group"}
"""Objects that people copy: shown as JSON."""


def show_json(value: object) -> None:
    """Print a value as JSON."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))


def show_rows(rows: Sequence[JsonObject], columns: Sequence[str], as_json: bool, empty: str = "Nothing found.") -> None:
    """Print rows as a table of some columns, or all of them as JSON; without rows the sentence `empty`.

    On a terminal that is too narrow for the table each row is a record.
    """
    if as_json:
        show_json(rows)
    elif not rows:
        typer.echo(empty)
    elif _least_width(rows, columns) > console().width:
        typer.echo("\n\n".join("\n".join(_record_of(row, columns)) for row in rows))
    else:
        _print_table(rows, columns)


def show_record(record: JsonObject, as_json: bool = False) -> None:
    """Print an object as `key: value` on a terminal, else as JSON, which commands such as `rule update --file` read."""
    if as_json or not sys.stdout.isatty():
        show_json(record)
    else:
        typer.echo("\n".join(lines_of(record)))


def show_done(sentence: str, result: JsonObject, as_json: bool) -> None:
    """Print what a change came to: a sentence, or its result as JSON."""
    show_json(result) if as_json else typer.echo(sentence)


def console() -> Console:
    """Return what prints for people: a tenant's text stays as it is, and what is piped on has lines of any length."""
    width = None if sys.stdout.isatty() else _ANY_LENGTH
    is_plain = bool(os.environ.get("NO_COLOR"))  # rich alone would still print bold and dim
    return Console(
        markup=False, emoji=False, highlight=False, soft_wrap=True, width=width, color_system=None if is_plain else "auto"
    )


def _record_of(row: JsonObject, columns: Sequence[str]) -> Iterator[str]:
    """Yield what a table would show of a row as `key: value`, without its empty cells."""
    return lines_of({column: text for column in columns if (text := cell(row.get(column)))})


def _print_table(rows: Sequence[JsonObject], columns: Sequence[str]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        longest = max(len(cell(row.get(column))) for row in rows)
        is_text = column in _WRAPS
        table.add_column(column, overflow="fold", no_wrap=not is_text, min_width=min(longest, _MIN_TEXT) if is_text else longest)
    for row in rows:
        table.add_row(*(cell(row.get(column)) for column in columns))
    console().print(table)


def _least_width(rows: Sequence[JsonObject], columns: Sequence[str]) -> int:
    widths = (max(len(column), *(len(cell(row.get(column))) for row in rows)) for column in columns)
    least = (min(width, _MIN_TEXT) if column in _WRAPS else width for column, width in zip(columns, widths, strict=True))
    return sum(least) + _GAP * (len(columns) - 1)


def cell(value: object) -> str:
    """Write a value for people: a time in the local zone, an object by its name, and what has no shorter form as JSON."""
    if isinstance(value, datetime) or (isinstance(value, str) and _MOMENT.fullmatch(value)):
        return moment(value if isinstance(value, datetime) else datetime.fromisoformat(value))
    if isinstance(value, dict | list):
        return _short(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _short(value: JsonObject | list[object]) -> str:
    if isinstance(value, dict) and (named := _name_of(value)):
        return named
    if isinstance(value, list) and all(isinstance(one, str | int) for one in value):
        return ", ".join(map(str, value))
    return orjson.dumps(value).decode() if value else ""


def _name_of(value: JsonObject) -> str | None:
    """Return what stands for an object in a table: a channel's name, an event's type, the state of health."""
    is_event = value.keys() == {"id", "type"}
    name = value.get("name") or value.get("state") or (value["type"] if is_event else None)
    return str(name) if name else None


def moment(at: datetime) -> str:
    """Return a time to the second: local, or with --utc in UTC and marked by Z."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if utc.get() else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def lines_of(record: JsonObject, indent: str = "") -> Iterator[str]:
    """Yield `key: value` with the values aligned; objects and lists of objects are indented below their key."""
    width = max((len(key) for key in record), default=0) + 2
    for key, value in record.items():
        if isinstance(value, dict) and value and key not in _AS_WRITTEN and "name" not in value:
            yield f"{indent}{key}:"
            yield from lines_of(value, indent + "  ")
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            yield f"{indent}{key}:"
            for one in value:
                first, *more = lines_of(one, indent + "    ")
                yield f"{indent}  - {first.lstrip()}"
                yield from more
        else:
            text = cell(value)
            yield f"{indent}{key + ':':{width}}{text}".rstrip()
