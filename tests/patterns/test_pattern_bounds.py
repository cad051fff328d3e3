"""What one pattern may cost."""

import pytest

from signalops.patterns import PatternError, compile_pattern


def test_conditions_are_counted_in_every_alternative() -> None:
    pattern = {"type": ["a", "b", {"anything-but": ["c", "d", "e"]}], "$or": [{"x": [1]}, {"y": [1, 2]}]}
    assert compile_pattern(pattern).conditions == 5 + 1 + 5 + 2


def test_a_long_list_is_not_multiplied_by_alternatives() -> None:
    long_list = list(range(6000))
    assert compile_pattern({"a": long_list}).conditions == 6000
    with pytest.raises(PatternError, match="more than 10000 conditions once every \\$or is expanded"):
        compile_pattern({"a": long_list, "$or": [{"b": [1]}, {"c": [1]}]})
