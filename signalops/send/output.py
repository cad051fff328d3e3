"""The output of Liquid: literal text unchanged, values escaped once for their markup.

A captured text knows both its plain text and its escaped text: output unchanged, it stays as escaped; changed by a filter, it is
a value like any other.
"""

import re
import time
from collections.abc import Mapping
from io import StringIO
from typing import Any, TextIO

from liquid import BoundTemplate, RenderContext
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.cycle_tag import CycleNode, CycleTag
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.exceptions import OutputStreamLimitError, ResourceLimitError
from liquid.output import LimitedStringIO

from signalops.send.markup import NEUTRALISERS, Markup
from signalops.send.values import JsonText, RenderedText, text_of

TEXT_LIMIT = 512 * 1024
"""The longest text that a part, a variable or a filter may make; in characters, written out in bytes."""
TIME_LIMIT = 0.5
"""Seconds of processor time for one message."""
_ESCAPED = re.compile(r"\\.", re.DOTALL)


class Buffer(LimitedStringIO):
    """What is written out, and beside it the plain text of it."""

    def __init__(self, limit: int, in_string: bool = False) -> None:
        super().__init__(limit)
        self._plain: list[str] = []
        self.in_string = in_string
        """Whether what comes next is within a string, read as JSON."""

    def write(self, text: str) -> int:
        written = text.written if isinstance(text, RenderedText) else text
        self.size += max(0, len(text) - len(written))  # what was left out takes memory too
        if self.size > self.limit:
            raise OutputStreamLimitError("output stream limit reached", token=None)
        self._plain.append(str(text))
        self.in_string ^= _ESCAPED.sub("", written).count('"') % 2 == 1
        return super().write(written)

    def getvalue(self) -> RenderedText:
        return RenderedText.of("".join(self._plain), super().getvalue())


class Context(RenderContext):
    """The state of one rendering: the names, the markup to write, and the time that is left."""

    def __init__(self, template: BoundTemplate, names: Mapping[str, Any], markup: Markup, deadline: float) -> None:
        self._deadline = deadline
        super().__init__(template, globals=names)
        self.markup = markup

    @property
    def disabled_tags(self) -> list[str]:
        """Each node asks for them before it renders; no other hook sees all that a loop can repeat."""
        self.tick()
        return []

    @disabled_tags.setter
    def disabled_tags(self, tags: list[str]) -> None:
        """Nothing is disabled by context."""

    def tick(self) -> None:
        """Raise ResourceLimitError after the limit of CPU time; wall time would fail good templates on a busy machine."""
        if time.thread_time() > self._deadline:
            raise ResourceLimitError("time limit reached", token=None)

    def get_buffer(self, buf: TextIO | None = None) -> Buffer:
        size = buf.size if isinstance(buf, LimitedStringIO) else 0
        return Buffer(TEXT_LIMIT - size, isinstance(buf, Buffer) and buf.in_string)


def markup_of(context: RenderContext) -> Markup:
    assert isinstance(context, Context)
    return context.markup


class _Values(StringIO):
    """A buffer in which all that is written is a value."""

    def __init__(self, buffer: TextIO, context: RenderContext) -> None:
        super().__init__()
        self._buffer, self._neutralise = buffer, NEUTRALISERS[markup_of(context)]
        self._is_json = markup_of(context) == "json"

    def write(self, text: str) -> int:
        if isinstance(text, JsonText):
            is_raw = self._is_json and isinstance(self._buffer, Buffer) and not self._buffer.in_string
        else:
            is_raw = isinstance(text, RenderedText)
        return self._buffer.write(text if is_raw else RenderedText.of(text, self._neutralise(text)))


class _OutputNode(OutputNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return _Values(buffer, context).write(text_of(self.expression.evaluate(context)))


class _EchoNode(EchoNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return _Values(buffer, context).write(text_of(self.expression.evaluate(context)))


class _CycleNode(CycleNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return super().render_to_output(context, _Values(buffer, context))


class _Output(Output):
    node_class = _OutputNode


class _Echo(EchoTag):
    node_class = _EchoNode


class _Cycle(CycleTag):
    node_class = _CycleNode


TAGS = (_Output, _Echo, _Cycle)
"""The tags that put values out."""
