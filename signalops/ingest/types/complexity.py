"""The upper bound of the cost of validating against a JSON Schema, computed before the schema is stored.

The complexity of a schema is the number of its parts that one value of a payload, including its children, can be validated by: a
payload of n bytes costs at most about n times the complexity. Rejected, since no bound is known: recursive references, whose cost
is exponential in the depth of a payload, and keywords that change what a reference means ($id inside, $dynamicRef).
"""

from typing import Any
from urllib.parse import unquote

import orjson

from signalops.errors import Invalid
from signalops.types import JsonObject

MAX_COMPLEXITY = 2000
_DEPTH = 64
# Measured: how many times of what other keywords cost; a regular expression takes up to a microsecond a byte.
_COSTLY = {"pattern": 32, "multipleOf": 16, "enum": 4, "const": 4}
_NUMBERS = {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "const", "enum"}
_MIN_NUMBER, _MAX_NUMBER = 1e-15, 2**64
_UNEVALUATED = 3  # measured: each level of unevaluatedProperties around another makes it 2.7 times as slow
_DATA = {"enum", "const"}
_SILENT = {"$defs", "definitions", "default", "examples", "title", "description", "$comment"}
_MAPS = {"properties", "patternProperties", "dependentSchemas", "dependentRequired", "dependencies"}
_MOVING = {"$dynamicRef", "$recursiveRef"}


class _ComplexityMeasure:
    """Measures the parts of one schema, each part once, since references can reach it exponentially often."""

    def __init__(self, schema: JsonObject) -> None:
        self._schema = schema
        self._complexities: dict[int, int] = {}

    def measure(self, part: Any, path: str, depth: int = 0) -> int:
        if isinstance(part, list):
            return sum(self.measure(inner, path, depth) for inner in part)
        if not isinstance(part, dict):
            return 1
        if depth > _DEPTH:
            raise Invalid.at(
                path, f"nests deeper than {_DEPTH} levels, or refers to itself; write the levels out, or leave it open"
            )
        if id(part) not in self._complexities:
            complexity = 1 + sum(self._keyword(name, value, f"{path}.{name}", depth + 1) for name, value in part.items())
            self._complexities[id(part)] = complexity * (_UNEVALUATED if any(k.startswith("unevaluated") for k in part) else 1)
        return self._complexities[id(part)]

    def _keyword(self, name: str, value: Any, path: str, depth: int) -> int:
        if name == "$ref":
            return self.measure(self._resolve(value, path), path, depth)
        if name in _NUMBERS:
            _require_plain(value, path)
        if name in _COSTLY:
            return _COSTLY[name] + (len(orjson.dumps(value)) // 4 if name in _DATA else 0)
        if name in _SILENT:
            return 0
        if name in _MAPS and isinstance(value, dict):
            return self._map(name, value, path, depth)
        return self.measure(value, path, depth)

    def _map(self, name: str, parts: JsonObject, path: str, depth: int) -> int:
        complexities = [self.measure(part, f"{path}.{key}", depth) for key, part in parts.items()]
        if name == "properties":  # each is looked up, and a value is only one of them
            return max(complexities, default=0) + len(complexities) // 2
        return sum(complexities) + len(complexities) * _COSTLY["pattern" if name == "patternProperties" else "const"]

    def _resolve(self, reference: Any, path: str) -> Any:
        """Follow a JSON Pointer (RFC 6901) as a fragment."""
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise Invalid.at(path, "refers to something outside of this schema or to itself; refer to #/$defs/... of this schema")
        found: Any = self._schema
        try:
            for step in unquote(reference[2:]).split("/"):
                name = step.replace("~1", "/").replace("~0", "~")
                found = found[int(name)] if isinstance(found, list) else found[name]
        except (LookupError, TypeError, ValueError):
            raise Invalid.at(path, f"refers to {reference[:100]}, which is not there; define it") from None
        return found


def complexity_of(schema: JsonObject) -> int:
    """Return the complexity of a schema; raise Invalid when it exceeds MAX_COMPLEXITY, or has no bound."""
    _refuse_identities(schema, "schema")
    complexity = _ComplexityMeasure(schema).measure(schema, "schema")
    if complexity > MAX_COMPLEXITY:
        raise Invalid.at("schema", "is too costly to validate each event against; leave out alternatives and nesting")
    return complexity


def _require_plain(value: Any, path: str) -> None:
    """Refuse a number of extreme size: to divide by 5e-324 takes fractions of 300 digits."""
    if isinstance(value, list):
        for one in value:
            _require_plain(one, path)
    if isinstance(value, int | float) and value != 0 and not _MIN_NUMBER <= abs(value) <= _MAX_NUMBER:
        raise Invalid.at(path, f"is {value!r:.40}; write a number between 1e-15 and 2^64, or 0")


def _refuse_identities(value: Any, path: str) -> None:
    """Refuse what would make references inside of it mean something else, also where nothing leads to it yet."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inner:
        if name in _MOVING | {"$id"} and isinstance(part, str) and (path, name) != ("schema", "$id"):
            raise Invalid.at(f"{path}.{name}", "is not supported; refer to #/$defs/...")
        _refuse_identities(part, f"{path}.{name}")
