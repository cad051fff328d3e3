"""Case-insensitive comparison, as aws/event-ruler's EqualsIgnoreCaseParser defines it.

Each character of the *pattern* stands for its lower-case and its upper-case form, nothing else; the event's text is
taken as it is. So `STRASSE` does not match `straße`, while `straße` matches `STRASSE`; `I` never matches a dotless i.
"""

from typing import Literal

Part = Literal["whole", "head", "tail"]


class _Fold(dict[int, str]):
    """Translation table that lowers a character only where lower and upper case are a pair of single characters."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        lower = char.lower()
        if lower == char or not _is_pair(lower, char):
            return char  # not remembered: a stranger's text must not fill the table with all of Unicode
        self[code] = lower
        return lower


_FOLD = _Fold()


def fold(text: str) -> str:
    """The form under which texts are equal exactly when a *foldable* pattern matches them."""
    return text.lower() if text.isascii() else text.translate(_FOLD)


def is_foldable(pattern: str) -> bool:
    """Whether `fold` decides for this pattern: false for ß, dotless i, final sigma and their like."""
    return pattern.isascii() or all(_is_simple(char) for char in pattern)


def matches_ignoring_case(pattern: str, part: Part, text: str) -> bool:
    """Whether the pattern equals the text, or begins (head) or ends (tail) it."""
    if part == "tail":
        return _tail_length(pattern, text) is not None
    length = _head_length(pattern, text)
    return length is not None and (part == "head" or length == len(text))


def _head_length(pattern: str, text: str) -> int | None:
    position = 0
    for char in pattern:
        form = next((form for form in _forms(char) if text.startswith(form, position)), None)
        if form is None:
            return None
        position += len(form)
    return position


def _tail_length(pattern: str, text: str) -> int | None:
    end = len(text)
    for char in reversed(pattern):
        form = next((form for form in _forms(char) if text.endswith(form, 0, end)), None)
        if form is None:
            return None
        end -= len(form)
    return len(text) - end


def _forms(char: str) -> tuple[str, str]:
    """Neither form begins or ends with the other (tested over all of Unicode), so the first that fits is right."""
    return char.lower(), char.upper()


def _is_simple(char: str) -> bool:
    lower, upper = _forms(char)
    return char == lower == upper or (char in (lower, upper) and _is_pair(lower, upper))


def _is_pair(lower: str, upper: str) -> bool:
    return len(lower) == len(upper) == 1 and lower.upper() == upper and upper.lower() == lower
