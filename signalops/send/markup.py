"""What a value may not do to the markup that it is written into. Pure.

A template's own text stays as its author wrote it; what comes from an event is data, and must read as it was sent: no tag,
no mention, no link and no emphasis of its own, in none of the markups below.
"""

import html
import json
import re
from collections.abc import Callable, Mapping
from typing import Literal

Markup = Literal["text", "line", "html", "telegram", "whatsapp", "slack", "json"]
"""How a receiver reads a text; `line` is plain text of one line, such as a subject."""

# Control characters but tab and line feed; and the bidirectional overrides, which make a text read as another (CVE-2021-42574).
_INVISIBLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_BREAKS = re.compile("[\t\n\u2028\u2029]+")
_MARKS = re.compile("[*_~`]+")
# Neither Slack nor WhatsApp has an escape for the marks of emphasis. They count only next to the text that they embrace.
_BREAK = "\u200b"


def _text(value: str) -> str:
    return _INVISIBLE.sub("", value)


def _line(value: str) -> str:
    return _BREAKS.sub(" ", _text(value))


def _html(value: str) -> str:
    return html.escape(_text(value))


def _unmarked(value: str) -> str:
    return _MARKS.sub(_broken, _text(value))


def _broken(run: re.Match[str]) -> str:
    """Set zero-width spaces around marks, but not inside a word such as snake_case: there they never mean anything."""
    before, after = run.string[run.start() - 1 : run.start()], run.string[run.end() : run.end() + 1]
    if before.isalnum() and after.isalnum() and "`" not in run[0]:
        return run[0]
    return _BREAK + "".join(mark + _BREAK for mark in run[0])


def _slack(value: str) -> str:
    return html.escape(_unmarked(value), quote=False)


def _json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


NEUTRALISERS: Mapping[Markup, Callable[[str], str]] = {
    "text": _text,
    "line": _line,
    "html": _html,
    # https://core.telegram.org/bots/api#html-style: these entities, and numeric ones.
    "telegram": _html,
    # *bold*, _italic_, ~strike~, `code`, ```mono``` ("How to format your messages" of its help).
    "whatsapp": _unmarked,
    # https://docs.slack.dev/messaging/formatting-message-text: & < > as entities and nothing else; mentions and links need <.
    "slack": _slack,
    # Safe between the quotes of a JSON string, and nowhere else.
    "json": _json,
}
"""By markup, the function that makes a value harmless in it."""

ENTITIES: frozenset[Markup] = frozenset(("html", "telegram", "slack"))
"""The markups whose values are written with HTML's entities already: what escapes for HTML would escape twice."""
