"""Filters: the library's, each bounded in what it takes and makes; and those of our own."""

import html
import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from liquid import RenderContext
from liquid.exceptions import OutputStreamLimitError
from liquid.filter import int_arg, liquid_filter, string_filter, with_context

from signalops.send.markup import ENTITIES, NEUTRALISERS
from signalops.send.output import TEXT_LIMIT, Context, Written, markup_of

INPUT_LIMIT = 4 * TEXT_LIMIT
GROWTH_LIMIT = 16 * TEXT_LIMIT


def bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Bound what a filter makes: Liquid's own limits look only at what is written out or assigned.

    `(1..999999999) | reverse`, or a `replace` of each letter by the whole text, would take the process's memory first.
    """

    @with_context
    @wraps(function)
    def call(value: object, *args: object, context: Context, **options: object) -> object:
        context.tick()
        if isinstance(value, Written) and name != "default":
            value = str(value)  # also where the filter finds nothing to change: what is written must not depend on that
        size = _size(value)
        if size > INPUT_LIMIT or size * _factor(name, size, args) > GROWTH_LIMIT:
            raise OutputStreamLimitError(f"the filter {name} is given too much", token=None)
        if takes_context:
            options["context"] = context
        result = function(value, *args, **options)
        if _size(result) > TEXT_LIMIT:
            raise OutputStreamLimitError(f"the filter {name} makes too much", token=None)
        return result

    takes_context = getattr(function, "with_context", False)
    return call


def _factor(name: str, size: int, args: tuple[object, ...]) -> int:
    """Return how many times its input a filter may make or look at."""
    if name in ("uniq", "date"):  # compares each with each; guesses at each word
        return size
    return max(1, *map(_size, args)) if name in ("replace", "join") and args else 1


def _size(value: object) -> int:
    """Return the length of a text, of a range, of an object's text, or of a list with all that is in it; of a number, bytes."""
    if isinstance(value, list | tuple):
        return len(value) + sum(map(_size, value))
    if isinstance(value, dict):
        return len(str(value))
    if isinstance(value, int):
        return value.bit_length() // 8
    return len(value) if isinstance(value, str | range) else 1


@liquid_filter
def _json(value: object, indent: object = None) -> str:
    # At most 8: a list of 60,000 numbers, each indented by 100,000 blanks, took 11 GB.
    return json.dumps(value, indent=min(int_arg(indent), 8) if indent else None)


def _as_html(value: str, context: RenderContext) -> str:
    """Escape a text for HTML, unless that follows anyhow."""
    return value if markup_of(context) in ENTITIES else html.escape(value)


@with_context
@string_filter
def _escape(value: str, *, context: RenderContext) -> str:
    return _as_html(value, context)


@with_context
@string_filter
def _escape_once(value: str, *, context: RenderContext) -> str:
    return _as_html(html.unescape(value), context)


@with_context
@string_filter
def _newline_to_br(value: str, *, context: RenderContext) -> str:
    if markup_of(context) != "html":
        return value.replace("\r\n", "\n").replace("\n", "<br />\n")
    return Written.of(value, NEUTRALISERS["html"](value).replace("\n", "<br />\n"))


OWN = {"json": _json, "escape": _escape, "escape_once": _escape_once, "newline_to_br": _newline_to_br}
"""The filters that stand in for the library's."""
