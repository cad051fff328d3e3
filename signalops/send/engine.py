"""Liquid (https://shopify.github.io/liquid) as templates have it: bounded in what it can cost, its output neutralised."""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from liquid import BoundTemplate, Environment, FalsyStrictUndefined
from liquid.exceptions import LiquidSyntaxError

from signalops.send.filters import OWN, bounded
from signalops.send.markup import Markup
from signalops.send.output import TAGS, TEXT_LIMIT, Context

TAG_LIMIT = 4096
VERBATIM_LIMIT = 100

_OPENING = re.compile(r"\{\{|\{%")
_GAP = re.compile(r"\s{101}")
_VERBATIM = re.compile(r"\{%-?\s*(?:raw|doc)\b")


@lru_cache(maxsize=256)
def parsed(source: str) -> BoundTemplate:
    """Return a part of a template, compiled; LiquidError if it is not valid."""
    _check_tags(source)
    return _environment().from_string(source)


def unknown_filters(source: str) -> list[str]:
    """Return the filters that a part uses and that do not exist: Liquid itself would find out only as it renders."""
    return sorted(parsed(source).analyze(include_partials=False).filters.keys() - _environment().filters)


def write(source: str, names: Mapping[str, Any], markup: Markup) -> str:
    """Return a part of a template filled in, its values neutralised for a markup; any exception if that fails."""
    template = parsed(source)
    context = Context(template, names, markup)
    buffer = context.get_buffer()
    template.render_with_context(context, buffer)
    return buffer.getvalue().written


def _check_tags(source: str) -> None:
    """Refuse what the library's lexer takes quadratic time for: 64 KiB of unclosed `{{` kept it busy for two minutes."""
    position = 0
    while opened := _OPENING.search(source, position):
        start = opened.end()
        end = source.find("}}" if opened[0] == "{{" else "%}", start, start + TAG_LIMIT)
        if end < 0:
            raise LiquidSyntaxError(f"a tag is not closed within {TAG_LIMIT} characters", token=None)
        if _GAP.search(source, start, end):
            raise LiquidSyntaxError("a tag holds more than 100 blanks in a row", token=None)
        position = end + 2
    if sum(1 for _ in _VERBATIM.finditer(source)) > VERBATIM_LIMIT:
        raise LiquidSyntaxError(f"there are more than {VERBATIM_LIMIT} raw and doc tags", token=None)


class _Bounded(Environment):
    loop_iteration_limit = 10_000
    output_stream_limit = TEXT_LIMIT
    local_namespace_limit = TEXT_LIMIT


@cache
def _environment() -> Environment:
    environment = _Bounded(undefined=FalsyStrictUndefined)
    filters = environment.filters | OWN
    del filters["safe"]  # nothing of an event is
    environment.filters = {name: bounded(name, function) for name, function in filters.items()}
    for tag in TAGS:
        environment.add_tag(tag)
    for name in ("include", "render"):  # there is nothing to include: refused when the rule is saved
        del environment.tags[name]
    return environment
