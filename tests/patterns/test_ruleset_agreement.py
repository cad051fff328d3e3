"""The indexed set, the single pattern and a naive matcher decide alike on random patterns and events."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from signalops.patterns import RuleSet, compile_pattern

from .naive import naive_match

# Few names, letters and numbers, so that patterns and events meet.
NAMES = st.sampled_from(["a", "b", "c", "d", "a.b"])
TEXTS = st.one_of(
    st.text(alphabet="abAB*\\", max_size=4),
    st.sampled_from(["abab", "aabb", "straße", "STRASSE", "I\u0131", "10.0.0.1", "10.0.1.1", "::1", "2001:db8::1"]),
)
NUMBERS = st.sampled_from([-1, 0, 1, 2, 1.0, 1.5, -0.0, 3, 9007199254740993])
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())
EVENTS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)), max_leaves=10
    ),
    max_size=4,
)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("*", "\\*")


WILDCARDS = st.lists(TEXTS.map(_escaped), min_size=1, max_size=4).map(
    lambda pieces: "*".join([pieces[0], *(piece or "a" for piece in pieces[1:-1]), *pieces[1:][-1:]])
)
SMALL = st.sampled_from([-1, 0, 1, 1.5, 2])
RANGES = st.one_of(
    st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), SMALL),
    st.tuples(st.sampled_from([">", ">="]), SMALL, st.sampled_from(["<", "<="]), SMALL).filter(lambda r: r[1] < r[3]),
)
IGNORING_CASE = st.fixed_dictionaries({"equals-ignore-case": TEXTS})
NON_EMPTY = TEXTS.filter(bool)


def _one_or_more(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, min_size=1, max_size=2))


EXCLUDED = st.one_of(
    _one_or_more(TEXTS),
    _one_or_more(SMALL),
    st.fixed_dictionaries({"prefix": _one_or_more(NON_EMPTY)}),
    st.fixed_dictionaries({"suffix": _one_or_more(NON_EMPTY)}),
    st.fixed_dictionaries({"equals-ignore-case": _one_or_more(TEXTS)}),
    st.fixed_dictionaries({"wildcard": _one_or_more(WILDCARDS)}),
)
CONDITIONS = st.one_of(
    SCALARS,
    IGNORING_CASE,
    st.fixed_dictionaries({"exactly": TEXTS}),
    st.fixed_dictionaries({"prefix": st.one_of(TEXTS, IGNORING_CASE)}),
    st.fixed_dictionaries({"suffix": st.one_of(TEXTS, IGNORING_CASE)}),
    st.fixed_dictionaries({"wildcard": WILDCARDS}),
    st.fixed_dictionaries({"numeric": RANGES.map(list)}),
    st.fixed_dictionaries({"cidr": st.sampled_from(["10.0.0.0/24", "10.0.0.9/8", "2001:db8::/32", "::/0", "0.0.0.0/0"])}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"anything-but": EXCLUDED}),
)
LEAVES = st.lists(CONDITIONS, min_size=1, max_size=3)


def _with_or(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = st.dictionaries(NAMES, st.one_of(LEAVES, inner), min_size=1, max_size=3)
    alternatives = st.lists(inner, min_size=2, max_size=2).map(lambda listed: {"$or": listed})
    return st.one_of(fields, alternatives, st.tuples(fields, alternatives).map(lambda two: {**two[0], **two[1]}))


PATTERNS = st.recursive(st.dictionaries(NAMES, LEAVES, min_size=1, max_size=3), _with_or, max_leaves=4)


@settings(max_examples=300, deadline=None)
@given(st.lists(PATTERNS, min_size=1, max_size=6), st.lists(EVENTS, min_size=1, max_size=4))
def test_set_pattern_and_naive_matcher_agree(bodies: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
    patterns = {number: compile_pattern(body) for number, body in enumerate(bodies)}
    rules = RuleSet(patterns)
    for event in events * 2:  # the second time from the memories of the set
        expected = [number for number, body in enumerate(bodies) if naive_match(body, event)]
        assert [number for number, pattern in patterns.items() if pattern.matches(event)] == expected
        assert rules.match(event) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(LEAVES, min_size=22, max_size=24), st.lists(SCALARS, min_size=1, max_size=20))
def test_a_crowded_field_is_decided_like_each_of_its_leaves(leaves: list[list[Any]], values: list[Any]) -> None:
    """More leaves on one field than MANY_LEAVES, so that its memory is in use."""
    leaves = leaves * 3
    rules = RuleSet({number: compile_pattern({"a": leaf}) for number, leaf in enumerate(leaves)})
    for value in values * 2:
        expected = [number for number, leaf in enumerate(leaves) if naive_match({"a": leaf}, {"a": value})]
        assert rules.match({"a": value}) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(WILDCARDS, min_size=13, max_size=30), st.lists(st.text(alphabet="ab*\\", max_size=9), min_size=1))
def test_many_wildcards_are_found_as_if_each_were_tried(wildcards: list[str], texts: list[str]) -> None:
    bodies = [{"a": [{"wildcard": wildcard}]} for wildcard in wildcards]
    rules = RuleSet({number: compile_pattern(body) for number, body in enumerate(bodies)})
    for text in texts:
        assert rules.match({"a": text}) == [n for n, body in enumerate(bodies) if naive_match(body, {"a": text})]


# Rows within rows with few values: most of the conditions hold somewhere, and the elements decide.
DIGITS = st.integers(min_value=0, max_value=2)
ROWS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), DIGITS, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcr"), st.one_of(DIGITS, st.lists(inner, max_size=3)), max_size=3),
    max_leaves=12,
)
ROW_LEAVES = st.lists(st.one_of(DIGITS, st.just({"exists": False}), st.just({"anything-but": 1})), min_size=1, max_size=2)
ROW_PATTERNS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), ROW_LEAVES, min_size=1, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcr"), st.one_of(ROW_LEAVES, inner), min_size=1, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ROW_PATTERNS, min_size=1, max_size=4), st.lists(st.lists(ROWS, min_size=1, max_size=3), min_size=1))
def test_elements_of_arrays_are_kept_apart(bodies: list[dict[str, Any]], events: list[list[Any]]) -> None:
    rules = RuleSet({number: compile_pattern({"r": body}) for number, body in enumerate(bodies)})
    for rows in events:
        expected = [number for number, body in enumerate(bodies) if naive_match({"r": body}, {"r": rows})]
        assert rules.match({"r": rows}) == expected
