"""Liquid filters: the library's, with bounds on input and output, and our own."""

import html
import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import wraps
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from liquid import Environment, RenderContext
from liquid.builtin.expressions import KeywordArgument, PositionalArgument
from liquid.exceptions import FilterArgumentError, OutputStreamLimitError
from liquid.filter import int_arg, liquid_filter, math_filter, num_arg, sequence_filter, string_filter, with_context
from liquid.token import Token

from signalops import clock
from signalops.send.markup import ENTITIES, NEUTRALISERS
from signalops.send.output import TEXT_LIMIT, Context, markup_of
from signalops.send.values import JsonText, RenderedText, is_nothing, parse_time, rounded, text_of, zone_of

Argument = KeywordArgument | PositionalArgument
INPUT_LIMIT = 4 * TEXT_LIMIT
GROWTH_LIMIT = 16 * TEXT_LIMIT
_RUBY = re.compile(r"%%|%:z|%[LNs]")
_NAMES_OF_TEXTS = """
    append base64_decode base64_encode base64_url_safe_decode base64_url_safe_encode capitalize downcase escape escape_once
    escapejs lstrip newline_to_br prepend remove remove_first remove_last replace replace_first replace_last rstrip split squish
    strip strip_html strip_newlines truncate truncatewords upcase url_decode url_encode"""
"""Filters that take their value as text, and their arguments except numbers."""
_NAMES_OF_LISTS = """
    compact concat find find_index first has join last map reject reverse sort sort_natural sum uniq where"""
"""Filters to which nil is a list without items."""
_OF_TEXTS, _OF_LISTS = frozenset(_NAMES_OF_TEXTS.split()), frozenset(_NAMES_OF_LISTS.split())


def bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Bound what a filter makes: Liquid's own limits look only at what is written out or assigned.

    `(1..999999999) | reverse`, or a `replace` of each letter by the whole text, would take the process's memory first.
    """

    @with_context
    @wraps(function)
    def call(value: object, *args: object, context: Context, **options: object) -> object:
        context.tick()
        value, args = _of_nothing(name, value, args)
        if isinstance(value, RenderedText) and name != "default":
            value = str(value)  # also where the filter finds nothing to change: what is written must not depend on that
        size = _size(value)
        if size > INPUT_LIMIT or size * _factor(name, value, size, args) > GROWTH_LIMIT:
            raise OutputStreamLimitError(f"the filter {name} is given too much", token=None)
        if takes_context:
            options["context"] = context
        result = function(value, *args, **options)
        if _size(result) > TEXT_LIMIT:
            raise OutputStreamLimitError(f"the filter {name} makes too much", token=None)
        return result

    takes_context = getattr(function, "with_context", False)
    call.validate = _validator(function)  # type: ignore[attr-defined]  # see engine.check_arguments
    return call


def _validator(function: Callable[..., Any]) -> Callable[[Environment, Token, str, list[Argument]], None]:
    """Return what refuses (FilterArgumentError) arguments that the filter can't be called with, as a template is compiled."""
    signature = inspect.signature(function)
    injected = {name: None for name in ("context", "environment") if name in signature.parameters}

    def validate(_: Environment, token: Token, name: str, args: list[Argument]) -> None:
        positional = [arg for arg in args if not isinstance(arg, KeywordArgument)]
        named = {arg.name: None for arg in args if isinstance(arg, KeywordArgument)}
        try:
            signature.bind(None, *positional, **named, **injected)
        except TypeError as error:
            raise FilterArgumentError(f"the filter {name} takes other arguments ({error})", token=token) from None

    return validate


def _of_nothing(name: str, value: object, args: tuple[object, ...]) -> tuple[object, tuple[object, ...]]:
    """Make nil and objects safe arguments of a filter: what is missing from the payload is nil, as null is."""
    if name == "default":
        return value, args
    value = None if is_nothing(value) else value
    if name in _OF_LISTS and value is None:
        value = []
    if name == "join" and isinstance(value, list | tuple):
        value = [text_of(item) for item in value]
    if name in ("truncate", "truncatewords") and args and is_nothing(args[0]):
        args = ()
    if name in _OF_TEXTS or (name == "slice" and not isinstance(value, list | tuple | range)):
        arguments = tuple(text_of(arg) if _is_text(arg) else arg for arg in map(_or_none, args))
        return value if isinstance(value, str) else text_of(value), arguments
    return value, tuple(map(_or_none, args))


def _or_none(value: object) -> object:
    return None if is_nothing(value) else value


def _is_text(value: object) -> bool:
    """Return whether an argument is meant as a text: numbers are lengths, or texts of their own."""
    return not isinstance(value, int | float) or isinstance(value, bool)


def _factor(name: str, value: object, size: int, args: tuple[object, ...]) -> int:
    """Return how many times its input a filter may make or look at."""
    if name in ("uniq", "date", "local"):  # compares each with each; guesses at each word
        return size
    # Of a list each item meets each argument, which the library may write out as a text each time (map).
    is_met = name.startswith(("replace", "remove")) or (isinstance(value, list | tuple | range) and name != "concat")
    return max(1, *map(_size, args)) if is_met and args else 1


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
def _json(value: object, indent: object = None) -> JsonText:
    """Write a value as JSON: where the markup is JSON it stands there as it is, unless that is within a string."""
    # At most 8: a list of 60,000 numbers, each indented by 100,000 blanks, took 11 GB.
    return JsonText.of_value(value, indent=min(int_arg(indent), 8) if indent else None)


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
    return RenderedText.of(value, NEUTRALISERS["html"](value).replace("\n", "<br />\n"))


@with_context
@liquid_filter
def _date(value: object, form: object = None, zone: object = None, *, context: Context) -> object:
    """Write a time by a format (strftime's, as Ruby has it), by the clocks of a zone if one is named; nil stays nil."""
    moment = parse_time(value, clock.now())
    if moment is None or not form:
        return value
    if zone is not None:
        moment = _in_zone(moment, zone, context)
    return moment.strftime(_with_ruby(str(form), moment))


@with_context
@liquid_filter
def _local(value: object, zone: object = None, *, context: Context) -> object:
    """Write a time by the clocks of the tenant's time zone, or of another one, in RFC 3339: for `date` to go on with."""
    moment = parse_time(value, clock.now())
    return value if moment is None else _in_zone(moment, zone, context).isoformat()


def _in_zone(moment: datetime, zone: object, context: Context) -> datetime:
    name = zone_of(context.globals) if zone in (None, "local") else str(zone)
    try:
        where = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise FilterArgumentError(f"there is no time zone {name[:60]!r}: write one such as Europe/Berlin", token=None) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(where)


def _with_ruby(form: str, moment: datetime) -> str:
    """Fill in what Ruby's strftime has, and Python's has not."""
    offset = moment.strftime("%z")
    ruby = {
        "%L": f"{moment.microsecond // 1000:03}",
        "%N": f"{moment.microsecond:06}000",
        "%s": str(int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())),
        "%:z": f"{offset[:3]}:{offset[3:5]}" if offset else "",
    }
    return _RUBY.sub(lambda found: ruby.get(found[0], found[0]), form)


@math_filter
def _round(number: float, digits: object = None) -> float:
    return rounded(number, int(num_arg(digits, default=0)))


@sequence_filter
def _sum(items: list[object], key: object = None) -> float:
    """Add up what is a number among the items, or under a key of them."""
    found = [item.get(str(key)) if isinstance(item, dict) else None for item in items] if key is not None else items
    total = sum((_number(item) for item in found), Decimal(0))
    return int(total) if total == total.to_integral_value() and not any(isinstance(i, float) for i in found) else float(total)


def _number(value: object) -> Decimal:
    try:
        return Decimal(0) if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        return Decimal(0)


OWN = {
    "date": _date,
    "local": _local,
    "round": _round,
    "sum": _sum,
    "json": _json,
    "escape": _escape,
    "escape_once": _escape_once,
    "newline_to_br": _newline_to_br,
}
"""The filters that replace the library's."""
