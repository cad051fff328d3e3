"""Grammar 2, the EventBridge event-pattern language: from JSON to branches of leaves, validated.

Source of the semantics: aws/event-ruler 2.0.1 (JsonRuleCompiler), read and asked, not copied. A pattern becomes its
disjunctive form: each alternative of each `$or` makes a branch, and a pattern matches when all leaves of a branch do.
"""

import json
from collections.abc import Mapping, Sequence

from signalops.patterns.conditions import AnythingBut, Condition, IgnoringCase, Leaf, Wildcard
from signalops.patterns.errors import PatternError
from signalops.patterns.ignorecase import is_foldable
from signalops.patterns.operators import OPERATORS, read_condition
from signalops.patterns.text import read_json

MAX_TEXT = 64 * 1024
MAX_DEPTH = 64
MAX_LEAVES = 256
MAX_EXPANDED_LEAVES = 1024
MAX_EXPANDED_CONDITIONS = 10_000
MAX_TRIED = 128

OR = "$or"
# Inside $or these can't name a field: a list of matchers would read as a list of alternatives.
RESERVED = {
    *OPERATORS,
    *("=", "<", "<=", ">", ">="),
    *("regex", "not-wildcard", "not-equals-ignore-case"),
    *("date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"),
    *("ip-address-in-range", "ip-address-not-in-range"),
}

Branch = dict[str, Leaf]


def read_pattern(pattern: Mapping[str, object] | str | bytes) -> list[Branch]:
    """Validate a pattern, given as an object or as JSON text, and expand it to its branches.

    Raises: PatternError with the path of the fault and the remedy.
    """
    body = _read_text(pattern) if isinstance(pattern, str | bytes) else pattern
    if not isinstance(body, Mapping):
        raise PatternError("", "not a JSON object", 'write an object such as {"type": ["user.signup"]}')
    reader = _Reader()
    branches = reader.read_object(body, (), [{}], in_or=False)
    if not isinstance(pattern, str | bytes):
        _check_size(_written(body))
    return branches


class _Reader:
    """Walks the objects of one pattern in the order written; counts its leaves."""

    def __init__(self) -> None:
        self._leaves = 0
        self._tried = 0
        self._depth = 0

    def read_object(
        self, body: Mapping[str, object], steps: tuple[str, ...], branches: list[Branch], *, in_or: bool
    ) -> list[Branch]:
        """The branches, each extended by what this object asks for. A path named again replaces the earlier leaf."""
        path = ".".join(steps)
        if not body:
            raise PatternError(path, "an empty object", "name at least one field, or remove the object")
        if self._depth == MAX_DEPTH:
            raise PatternError(path[:100], f"objects nested deeper than {MAX_DEPTH}", "write a flatter pattern")
        self._depth += 1
        for name, inner in body.items():
            branches = self._read_field(name, inner, steps, branches, in_or=in_or)
        self._depth -= 1
        return branches

    def _read_field(
        self, name: object, inner: object, steps: tuple[str, ...], branches: list[Branch], *, in_or: bool
    ) -> list[Branch]:
        if not isinstance(name, str):
            raise PatternError(".".join(steps), "a field name that is not a string", "write the name in quotes")
        if name == OR:
            return self._read_or(inner, steps, branches)
        path = ".".join((*steps, name))
        if in_or and name in RESERVED:
            raise PatternError(path, f'"{name}" is reserved inside {OR}', "put the matcher in the list of a field")
        if isinstance(inner, Mapping):
            return self.read_object(inner, (*steps, name), branches, in_or=in_or)
        leaf = self._read_leaf(path, inner)
        return _bounded([{**branch, path: leaf} for branch in branches], path)

    def _read_or(self, alternatives: object, steps: tuple[str, ...], branches: list[Branch]) -> list[Branch]:
        path = ".".join((*steps, OR))
        if not isinstance(alternatives, list | tuple):
            raise PatternError(path, f"{OR} without a list", "write a list of at least two objects")
        if len(alternatives) < 2:
            raise PatternError(path, f"{len(alternatives)} alternatives", "write at least two objects, or none of this")
        result: list[Branch] = []
        for position, alternative in enumerate(alternatives):
            if not isinstance(alternative, Mapping):
                raise PatternError(f"{path}.{position}", "an alternative that is not an object", "write an object")
            result += self.read_object(alternative, steps, branches, in_or=True)
            _bounded(result, path)
        return result

    def _read_leaf(self, path: str, items: object) -> Leaf:
        if not isinstance(items, list | tuple):
            raise PatternError(path, "neither a list nor an object", "put the value in a list")
        if not items:
            raise PatternError(path, "an empty list", "name at least one value, or remove the field")
        if path.count(".") >= MAX_DEPTH:
            raise PatternError(path[:100], f"a name of more than {MAX_DEPTH} steps", "write a flatter pattern")
        leaf = Leaf(path, tuple(items), tuple(read_condition(item, f"{path}.{n}") for n, item in enumerate(items)))
        self._count(leaf)
        return leaf

    def _count(self, leaf: Leaf) -> None:
        self._leaves += 1
        if self._leaves > MAX_LEAVES:
            raise PatternError(leaf.path, f"more than {MAX_LEAVES} leaves", "split the rule")
        self._tried += _tried_one_by_one(leaf.conditions)
        if self._tried > MAX_TRIED:
            reason = f"more than {MAX_TRIED} conditions that must be tried one by one, such as wildcards"
            raise PatternError(leaf.path, reason, "use prefixes or suffixes, or split the rule")


def _tried_one_by_one(conditions: Sequence[Condition]) -> int:
    """How many of the conditions no look-up decides: each adds to the cost of every value of the field."""
    negations = [condition for condition in conditions if isinstance(condition, AnythingBut)]
    plain = [*conditions, *(inner for negation in negations for inner in negation.excluded)]
    tried = sum(isinstance(one, Wildcard) or (isinstance(one, IgnoringCase) and not is_foldable(one.text)) for one in plain)
    return tried + max(0, len(negations) - 1)


def _bounded(branches: list[Branch], path: str) -> list[Branch]:
    if sum(leaf.size for branch in branches for leaf in branch.values()) > MAX_EXPANDED_CONDITIONS:
        reason = f"more than {MAX_EXPANDED_CONDITIONS} conditions once every {OR} is expanded"
        raise PatternError(path, reason, f"move the long list into the {OR}, or split the rule")
    if sum(map(len, branches)) > MAX_EXPANDED_LEAVES:
        reason = f"more than {MAX_EXPANDED_LEAVES} leaves once every {OR} is expanded"
        raise PatternError(path, reason, f"multiply fewer {OR} lists, or split the rule")
    return branches


def _read_text(text: str | bytes) -> object:
    _check_size(text)
    try:
        return read_json(text)
    except ValueError as error:
        raise PatternError("", f"not valid JSON: {error}", "correct the text") from None


def _check_size(text: str | bytes) -> None:
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_TEXT:
        raise PatternError("", f"{size} bytes of text", f"keep it within {MAX_TEXT}, for instance as several rules")


def _written(body: Mapping[str, object]) -> str:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str)
    except (RecursionError, TypeError, ValueError) as error:
        raise PatternError("", f"not a JSON value: {error}", "write strings, numbers, true, false and null") from None
