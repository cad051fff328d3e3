"""Explains why a pattern matches an event or not. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from pydantic import Field

from signalops.models import ApiModel
from signalops.patterns.branches import BranchIndex
from signalops.patterns.budget import Budget
from signalops.patterns.pattern import LeafExplanation, Pattern

_LONGEST = 200
_Key = tuple[str, str]


class LeafShown(ApiModel):
    """What one condition of the pattern asked for, and what it saw."""

    path: str = Field(description="The field, its steps joined by dots.")
    condition: list[Any] = Field(description="As written: one of these must hold.")
    seen: list[Any] = Field(description="The field's values in the event; none: it is missing.")
    matched: bool = Field(description="For this condition alone.")
    alternatives: list[int] | None = Field(
        None, description="In which alternatives it stands, counted from 1; only where the pattern has $or."
    )


class Explanation(NamedTuple):
    """The verdict, why in a sentence, and each condition in the order written."""

    matches: bool
    reason: str
    leaves: list[LeafShown]


class _Alternative(NamedTuple):
    """One way to match: a choice for each $or."""

    number: int
    matches: bool
    leaves: Sequence[LeafExplanation]

    @property
    def failed(self) -> list[LeafExplanation]:
        return [leaf for leaf in self.leaves if not leaf.matched]


def explain(pattern: Pattern, event: Mapping[str, object]) -> Explanation:
    """Return why a pattern does or does not match an event."""
    leaves = pattern.explain(event)
    # The same path and list mean the same verdict. Branches share their leaves: each is written out once.
    explained = {_key(leaf.path, leaf.condition): leaf for leaf in leaves}
    shared = {id(leaf): leaf for branch in pattern.branches for leaf in branch}
    keys = {identity: _key(leaf.path, leaf.written) for identity, leaf in shared.items()}
    matching = BranchIndex(pattern.branches).matching(event, Budget())
    standing: defaultdict[_Key, list[int]] = defaultdict(list)
    alternatives = []
    for number, branch in enumerate(pattern.branches, 1):
        for leaf in branch:
            standing[keys[id(leaf)]].append(number)
        judged = [explained[keys[id(leaf)]] for leaf in branch]
        alternatives.append(_Alternative(number, bool(matching >> (number - 1) & 1), judged))
    has_or = len(alternatives) > 1
    shown = [_shown(leaf, standing[_key(leaf.path, leaf.condition)] if has_or else None) for leaf in leaves]
    return Explanation(matching != 0, _reason(alternatives), shown)


def _key(path: str, written: Sequence[object]) -> _Key:
    return path, repr(list(written))


def _shown(leaf: LeafExplanation, alternatives: list[int] | None) -> LeafShown:
    return LeafShown(path=leaf.path, condition=leaf.condition, seen=leaf.seen, matched=leaf.matched, alternatives=alternatives)


def _reason(alternatives: Sequence[_Alternative]) -> str:
    holding = next((one for one in alternatives if one.matches), None)
    if len(alternatives) == 1:
        return "Every condition holds." if holding else _failure(alternatives[0])
    if holding:
        fields = ", ".join(leaf.path for leaf in holding.leaves)
        return f"Alternative {holding.number} of {len(alternatives)} holds ({fields}), and one is enough."
    nearest = min(alternatives, key=lambda one: len(one.failed))
    return f"None of the {len(alternatives)} alternatives holds; the nearest is {nearest.number}. {_failure(nearest)}"


def _failure(alternative: _Alternative) -> str:
    failed = alternative.failed
    if not failed:
        return "Each condition holds by itself, but in different elements of one array: they must hold in the same one."
    first = failed[0]
    seen = f"is {_text(first.seen[0] if len(first.seen) == 1 else first.seen)}" if first.seen else "is missing"
    more = f"; {len(failed) - 1} more fail" if len(failed) > 1 else ""
    return f"{first.path} {seen}, and none of {_text(first.condition)} fits{more}."


def _text(value: object) -> str:
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
