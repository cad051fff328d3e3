"""A compiled JSON Schema: validates payloads of tenants at a bounded cost.

jsonschema-rs instead of jsonschema, since a schema runs in the API process, on its event loop, for each event. Measured with a
schema of five properties: 0.35 microseconds an event against 35. Its regular expressions run in linear time (Rust's regex,
without look-around and back references): `^(a+)+$` takes 0.2 ms for 100,000 letters, where Python's takes 0.4 s for 24 and
doubles with each more. It fetches nothing. Unbounded is the list of errors: it builds all of them, alternatives included, before
it returns the first (100 alternatives for an array of 100,000: 92 s and gigabytes, where the verdict alone takes less than
0.1 ms). So the verdict comes first, and errors are listed only where there can be few.
"""

import re
from functools import cached_property, lru_cache
from itertools import islice

import jsonschema_rs
import orjson
from pydantic import Field

from signalops.errors import Invalid
from signalops.ingest.types.complexity import complexity_of
from signalops.models import ApiModel
from signalops.types import JsonObject

MAX_BYTES = 64 * 1024
MAX_FAULTS = 10
_MAX_WORK = 10_000_000
"""Bytes of a payload times the complexity of its schema: 0.2 s in the worst case that was found."""
_LIGHT = 100_000
"""The same bound for validation on the event loop: 4 ms in the worst case measured, or a tenth of it with numbers such as
5e-324, which cost fifteen times as much."""
_EXTREME = re.compile(rb"[0-9]e[-+]?[0-9]{2}")
_NAMED = 20_000
"""The same, up to which faults are named: 0.1 s in the worst case that was found."""
_MAX_MESSAGE = 200
# Some 30,000 bytes of automaton are enough for every pattern that people write; at 250 KB of text a worse one takes 0.1 s.
_PATTERNS = jsonschema_rs.RegexOptions(size_limit=30_000)
_DRAFTS: dict[str, type[jsonschema_rs.Draft202012Validator] | type[jsonschema_rs.Draft7Validator]] = {
    "https://json-schema.org/draft/2020-12/schema": jsonschema_rs.Draft202012Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
}
_NEWEST = next(iter(_DRAFTS))


class Fault(ApiModel):
    """Where a payload breaks the schema of its type, and how."""

    path: str = Field(examples=["payload.items.0.sku"])
    message: str


class Schema:
    """A schema that was stored; it is compiled when it is first used."""

    def __init__(self, schema: JsonObject, rejects: bool) -> None:
        self._schema = schema
        self.rejects = rejects

    @cached_property
    def size(self) -> int:
        """Its length as text."""
        return len(self.text)

    @cached_property
    def complexity(self) -> int:
        """How costly it is; Invalid when it is too costly."""
        return complexity_of(self._schema)

    @cached_property
    def _validator(self) -> jsonschema_rs.Draft202012Validator | jsonschema_rs.Draft7Validator:
        draft = _DRAFTS.get(str(self._schema.get("$schema", _NEWEST)).removesuffix("#"))
        if draft is None:
            raise Invalid.at("schema.$schema", f"must be {' or '.join(_DRAFTS)}; the first is the default")
        try:
            return draft(self._schema, validate_formats=True, pattern_options=_PATTERNS, offline=True)
        except jsonschema_rs.ValidationError as error:
            path, message = ".".join(["schema", *map(str, error.instance_path)]), error.message[:_MAX_MESSAGE]
            if message.endswith('is not a "regex"'):
                message += " that runs in linear time; leave out look-around, back references and large repetitions"
            raise Invalid.at(path, message) from error

    def is_light(self, row: bytes) -> bool:
        """Return whether an event of this JSON can be validated on the event loop."""
        work = len(row) * self.complexity
        return work <= _LIGHT // 10 or (work <= _LIGHT and not _EXTREME.search(row))

    @cached_property
    def text(self) -> bytes:
        """The schema as JSON."""
        return orjson.dumps(self._schema)

    def check(self) -> None:
        """Raise Invalid, naming the path, if the schema can't validate events."""
        if self.size > MAX_BYTES:
            raise Invalid.at("schema", f"is larger than {MAX_BYTES} bytes; shorten it")
        assert self.complexity, (
            "the complexity is measured before the schema is compiled: an endless reference must not reach the library"
        )
        assert self._validator

    def faults(self, payload: JsonObject, size: int) -> list[Fault]:
        """Return the first faults of a payload with about `size` bytes of JSON; none when it is valid."""
        work = size * self.complexity
        if work > _MAX_WORK:
            return [whole("is too large to be validated against its schema: send less, or simplify the schema")]
        if self._validator.is_valid(payload):
            return []
        if work > _NAMED:
            return [whole("does not match its schema, and is too large for each fault to be named")]
        return [_fault(error) for error in islice(self._validator.iter_errors(payload), MAX_FAULTS)]


def faults_apart(schema: bytes, payload: bytes, size: int) -> list[Fault]:
    """Return what Schema.faults does, of a schema and a payload as JSON: for another process, which keeps what it compiled."""
    return _compiled(schema).faults(orjson.loads(payload), size)


@lru_cache(maxsize=32)
def _compiled(schema: bytes) -> Schema:
    return Schema(orjson.loads(schema), rejects=False)


def _fault(error: jsonschema_rs.ValidationError) -> Fault:
    path = ".".join(["payload", *map(str, error.instance_path)])
    return Fault(path=path[: 2 * _MAX_MESSAGE], message=error.message[:_MAX_MESSAGE])


def whole(message: str) -> Fault:
    """Return the fault of a whole payload."""
    return Fault(path="payload", message=message)
