"""The Liquid engine of templates (https://shopify.github.io/liquid): bounded cost, escaped output."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any

from liquid import BoundTemplate, Environment, FalsyStrictUndefined
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.echo_tag import EchoNode
from liquid.exceptions import LiquidSyntaxError
from liquid.static_analysis import TemplateAnalysis
from liquid.token import TOKEN_EXPRESSION, Token

from signalops.send.filters import OWN, bounded
from signalops.send.markup import Markup
from signalops.send.output import TAGS, TEXT_LIMIT, Context
from signalops.send.ranges import bound_ranges, parts_of

TAG_LIMIT = 4096
VERBATIM_LIMIT = 100

_OPENING = re.compile(r"\{\{|\{%")
_AFTER_DOT = re.compile(
    r"""("[^"]*"|'[^']*')|(?<![.\s(])\.(true|false|nil|null|empty|blank|and|or|contains|not|in|offset|limit|reversed|cols|continue|with|for|as"""
    r"""|if|else|required)(?![\w?-])"""
)
_GAP = re.compile(r"\s{101}")
_VERBATIM = re.compile(r"\{%-?\s*(?:raw|doc)\b")


@lru_cache(maxsize=256)
def parsed(source: str) -> BoundTemplate:
    """Return a part of a template, compiled; LiquidError if it is not valid."""
    _check_tags(source)
    template = _environment().from_string(source)
    bound_ranges(template)
    return template


@lru_cache(maxsize=1)
def _analysis(source: str) -> TemplateAnalysis:
    return parsed(source).analyze(include_partials=False)


def filter_names() -> set[str]:
    """Return the names of all filters."""
    return set(_environment().filters)


_CALLED = {"upper": "upcase", "lower": "downcase", "len": "size", "length": "size", "trim": "strip", "title": "capitalize"}
"""What other template languages call a filter."""


def unknown_filters(source: str) -> list[str]:
    """Return the filters that a part uses and that do not exist: Liquid itself would find out only as it renders."""
    return sorted(_analysis(source).filters.keys() - _environment().filters)


def near_filter(name: str) -> str | None:
    """Return the filter that a name which does not exist may mean: by what other languages call it, or by a typing error."""
    close = get_close_matches(name, _environment().filters, n=1)
    return _CALLED.get(name) or (close[0] if close else None)


def check_arguments(source: str) -> None:
    """Refuse (LiquidError) a part whose filters are called with what they can't be called with."""
    for found in parts_of(parsed(source)):
        if isinstance(found, FilteredExpression):
            for one in found.filters or ():
                one.validate_filter_arguments(_environment())


def unknown_names(source: str, known: Iterable[str]) -> list[str]:
    """Return what a part puts out that is neither known nor made by the part itself, and has no default."""
    template = parsed(source)
    strange = _analysis(source).globals.keys() - set(known)
    put_out = (part.expression for part in parts_of(template) if isinstance(part, OutputNode | EchoNode))
    without_default = (
        one for one in put_out if isinstance(one, FilteredExpression) and "default" not in (f.name for f in one.filters or ())
    )
    return sorted(str(one.left.head()) for one in without_default if isinstance(one.left, Path) and one.left.head() in strange)


def write(source: str, names: Mapping[str, Any], markup: Markup, deadline: float = math.inf) -> str:
    """Return a part of a template filled in, its values neutralised for a markup; any exception if that fails.

    deadline: of the thread's processor time, in seconds.
    """
    template = parsed(source)
    context = Context(template, names, markup, deadline)
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
            raise LiquidSyntaxError("a tag contains more than 100 blanks in a row", token=None)
        position = end + 2
    if sum(1 for _ in _VERBATIM.finditer(source)) > VERBATIM_LIMIT:
        raise LiquidSyntaxError(f"there are more than {VERBATIM_LIMIT} raw and doc tags", token=None)


class _Bounded(Environment):
    def tokenizer(self) -> Callable[[str], Iterator[Token]]:
        """Return the library's, by which after a dot any name is a name: `limit`, `for` and others are words of its own."""
        tokenize = super().tokenizer()
        return lambda source: (_named(token) for token in tokenize(source))

    loop_iteration_limit = 10_000
    output_stream_limit = TEXT_LIMIT
    local_namespace_limit = TEXT_LIMIT


def _named(token: Token) -> Token:
    if token.kind != TOKEN_EXPRESSION:
        return token
    return token._replace(value=_AFTER_DOT.sub(lambda found: found[0] if found[1] else f"['{found[2]}']", token.value))


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
