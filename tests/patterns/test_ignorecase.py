"""The claims about Unicode on which comparison without case rests, over all of Unicode."""

import sys
from collections import defaultdict

from signalops.patterns.ignorecase import fold, is_foldable, matches_ignoring_case

EVERY_CHAR = [chr(code) for code in range(sys.maxunicode + 1)]


def test_neither_form_of_a_letter_begins_or_ends_with_the_other() -> None:
    for char in EVERY_CHAR:
        lower, upper = char.lower(), char.upper()
        if lower != upper:
            assert not lower.startswith(upper)
            assert not upper.startswith(lower)
            assert not lower.endswith(upper)
            assert not upper.endswith(lower)


def test_folding_decides_as_the_definition_does() -> None:
    folded = fold("é" + "".join(EVERY_CHAR))[1:]  # at once: a call for each takes seconds
    assert len(folded) == len(EVERY_CHAR)
    matched_by_fold = defaultdict[str, set[str]](set)
    for char, form in zip(EVERY_CHAR, folded, strict=True):
        matched_by_fold[form].add(char)
    for char, form in zip(EVERY_CHAR, folded, strict=True):
        if is_foldable(f"é{char}"):
            assert matched_by_fold[form] == {char.lower(), char.upper()}


def test_what_folding_can_not_decide_is_told() -> None:
    assert not any(map(is_foldable, ["ß", "\u0131", "\u0130", "ς", "ŉ", "\u212a", "ǅ"]))
    assert matches_ignoring_case("\u0131", "whole", "I")
    assert not matches_ignoring_case("I", "whole", "\u0131")
