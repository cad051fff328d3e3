"""What changed between two JSON values: applied to the one it gives the other."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from signalops.rules.rule_responses import changes_between

NAMES = st.sampled_from(["a", "b", "", "x/y", "x~y", "~1", "0"])
SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "s", 0.5])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)


@given(OBJECTS, OBJECTS)
def test_applied_to_the_one_it_gives_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert _text(_apply(before, list(changes_between(before, after)))) == _text(after)


@given(OBJECTS)
def test_nothing_changes_between_equals(value: dict[str, Any]) -> None:
    assert list(changes_between(value, copy.deepcopy(value))) == []


@given(OBJECTS, OBJECTS)
def test_backwards_it_is_the_reverse(before: dict[str, Any], after: dict[str, Any]) -> None:
    backwards = {change["path"]: change for change in changes_between(after, before)}
    for change in changes_between(before, after):
        back = backwards.pop(change["path"])
        assert {"before", "after"} & change.keys() == {
            {"before": "after", "after": "before"}[side] for side in {"before", "after"} & back.keys()
        }
    assert not backwards


def _apply(value: Any, changes: list[dict[str, Any]]) -> Any:
    """Apply changes as RFC 6901 reads their paths."""
    result = copy.deepcopy(value)
    for change in changes:
        *steps, last = [step.replace("~1", "/").replace("~0", "~") for step in change["path"].split("/")[1:]]
        target = result
        for step in steps:
            target = target[int(step)] if isinstance(target, list) else target[step]
        if isinstance(target, list):
            target[int(last)] = change["after"]
        elif "after" in change:
            target[last] = change["after"]
        else:
            del target[last]
    return result


def _text(value: object) -> str:
    """A text that is the same for equal JSON values: true is not 1, and members have no order."""
    if isinstance(value, dict):
        return f"{{{sorted((name, _text(inner)) for name, inner in value.items())}}}"
    return f"[{[_text(inner) for inner in value]}]" if isinstance(value, list) else repr(value)
