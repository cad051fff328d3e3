"""PatternError: what is wrong with a pattern, where, and how to fix it."""

from collections.abc import Iterable
from difflib import get_close_matches


class PatternError(ValueError):
    """A pattern that can't be evaluated.

    path: where in the pattern, such as `payload.amount.0.numeric`; empty for the pattern as a whole.
    reason, remedy: a clause each, without a full stop.
    """

    def __init__(self, path: str, reason: str, remedy: str) -> None:
        super().__init__(f"{path or 'the pattern'}: {reason}; {remedy}")
        self.path = path
        self.reason = reason
        self.remedy = remedy


def unknown_operator(path: str, name: object, known: Iterable[str]) -> PatternError:
    """The fault of a name that is no operator here, with the nearest one that is."""
    names = list(known)
    near = get_close_matches(str(name).lower(), names, n=1)
    remedy = f'perhaps you mean "{near[0]}"' if near else f"known here: {', '.join(names)}"
    return PatternError(path, f'unknown operator "{name}"', remedy)
