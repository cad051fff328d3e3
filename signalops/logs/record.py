"""Log-line invariants: untrusted input can neither forge a log line nor leak into one."""

import logging
import re
import traceback
from types import TracebackType

from signalops import db

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, separators of lines, and what turns the direction of text (Unicode Bidirectional Algorithm, 2)."""
_INDENT = "    "


class Rendered(str):
    """A line as it is written out: all in it is printable but the colours of a terminal, which must stay as they are."""

    __slots__ = ()


class Record(logging.LogRecord):
    """A record whose message is one printable line, and whose traceback shows code and reasons, but no values."""

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self.traceback = ""
        if self.exc_info and self.exc_info[1]:
            # What other formatters take when it is there; ours is given a record without.
            self.traceback = self.exc_text = _traceback(self.exc_info[1])

    def getMessage(self) -> str:  # noqa: N802  logging's own name
        return self.msg if isinstance(self.msg, Rendered) else printable(super().getMessage())


def printable(text: str) -> str:
    """Write out as escapes what would not show as itself."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _traceback(error: BaseException) -> str:
    """Return an error's traceback, after those of the errors that led to it; each line is indented, so as to begin none."""
    texts = [_one(each, each.__traceback__) for each in reversed(_chain(error))]
    return "\n".join(_INDENT + printable(line) for text in texts for line in text.splitlines())


def _one(error: BaseException, frames: TracebackType | None) -> str:
    return "".join([*traceback.format_tb(frames), db.redact(error)])


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following and following not in chain:
        chain.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return chain
