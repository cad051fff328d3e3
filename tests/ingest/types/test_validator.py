"""Schemas of tenants: what they say of payloads, and what they may cost."""

import asyncio
import time
from typing import Any

import orjson
import pytest

from signalops import clock, sandbox
from signalops.errors import Invalid
from signalops.ingest.types.complexity import MAX_COMPLEXITY, complexity_of
from signalops.ingest.types.schema_cache import PayloadValidator, StoredSchema
from signalops.ingest.types.validator import MAX_BYTES, MAX_FAULTS, Schema
from signalops.types import TenantId

FAR_ABOVE = 3.0
"""Seconds; what is bounded takes a tenth of a second at most, what is not takes minutes."""
ORDER = {
    "type": "object",
    "required": ["plan"],
    "properties": {"plan": {"enum": ["free", "pro"]}, "items": {"type": "array", "items": {"$ref": "#/$defs/item"}}},
    "$defs": {"item": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}}}},
}


def faults(schema: dict[str, Any], payload: dict[str, Any]) -> list[tuple[str, str]]:
    checked = Schema(schema, rejects=False)
    checked.check()
    return [(fault.path, fault.message) for fault in checked.faults(payload, len(orjson.dumps(payload)))]


def refused(schema: dict[str, Any]) -> tuple[str, str]:
    began = time.perf_counter()
    with pytest.raises(Invalid) as caught:
        Schema(schema, rejects=False).check()
    assert time.perf_counter() - began < FAR_ABOVE
    assert caught.value.detail.endswith(".")
    (error,) = caught.value.members["errors"]
    return error["path"], error["message"]


def test_faults_name_their_paths() -> None:
    assert faults(ORDER, {"plan": "pro", "items": [{"sku": "a"}]}) == []
    assert faults(ORDER, {"plan": "x", "items": [{"sku": 1}, {}]}) == [
        ("payload.plan", '"x" is not one of "free" or "pro"'),
        ("payload.items.0.sku", '1 is not of type "string"'),
        ("payload.items.1", '"sku" is a required property'),
    ]
    many = faults(ORDER, {"plan": "pro", "items": [{}] * 50})
    assert len(many) == MAX_FAULTS


def test_both_drafts_are_read_as_they_are() -> None:
    pair = {"properties": {"a": {"items": [{"type": "string"}]}}}
    seventh = {"$schema": "http://json-schema.org/draft-07/schema#", **pair}
    assert faults(seventh, {"a": [1]}) == [("payload.a.0", '1 is not of type "string"')]
    assert refused(pair)[0] == "schema.properties.a.items"
    assert refused({"$schema": "http://json-schema.org/draft-04/schema#"})[0] == "schema.$schema"


def test_formats_are_checked() -> None:
    schema = {"properties": {"email": {"format": "email"}, "at": {"format": "date-time"}}}
    assert faults(schema, {"email": "user@example.com", "at": "2026-11-23T12:00:00Z"}) == []
    assert [path for path, _ in faults(schema, {"email": "x", "at": "x"})] == ["payload.email", "payload.at"]


@pytest.mark.parametrize(
    ("schema", "path", "words"),
    [
        ({"type": "strng"}, "schema.type", "not valid"),
        ({"properties": {"a": {"minLength": -1}}}, "schema.properties.a.minLength", "minimum"),
        ({"properties": {"a": {"pattern": "("}}}, "schema.properties.a.pattern", "linear time"),
        ({"pattern": "(?=a)b"}, "schema.pattern", "look-around"),
        ({"pattern": r"(a)\1"}, "schema.pattern", "back references"),
        ({"pattern": "(a{1000}){1000}"}, "schema.pattern", "large repetitions"),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "schema.$ref", "outside"),
        ({"$ref": "file:///etc/passwd"}, "schema.$ref", "outside"),
        ({"$ref": "http://json-schema.org/draft-07/schema#"}, "schema.$ref", "outside"),
        ({"$ref": "#/$defs/a"}, "schema.$ref", "not there"),
        ({"$ref": "#/required/x", "required": ["a"]}, "schema.$ref", "not there"),
        ({"$defs": {"a": {"$id": "http://other/", "$ref": "#/x"}}}, "schema.$defs.a.$id", "not supported"),
        ({"properties": {"a": {"$dynamicRef": "#a"}}}, "schema.properties.a.$dynamicRef", "not supported"),
        ({"properties": {"tree": {"$ref": "#"}}}, "schema.properties.tree.$ref", "itself"),
        ({"description": "x" * MAX_BYTES}, "schema", "larger than"),
        ({"anyOf": [{"type": "string"}] * (MAX_COMPLEXITY + 1)}, "schema", "too costly"),
        ({"enum": ["x" * 20_000]}, "schema", "too costly"),
    ],
)
def test_what_cannot_be_held_against_is_refused_with_its_path(schema: dict[str, Any], path: str, words: str) -> None:
    messages = refused(schema)
    assert messages[0] == path
    assert words in messages[1]


def test_references_that_multiply_or_turn_in_circles_are_refused_at_once() -> None:
    doubling: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, 25)}
    assert "too costly" in refused({"$ref": "#/$defs/d24", "$defs": {"d0": {}, **doubling}})[1]
    circle = {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"properties": {"x": {"$ref": "#/$defs/a"}}}}
    assert "refers to itself" in refused({"$ref": "#/$defs/a", "$defs": circle})[1]
    chain = {f"c{n}": {"$ref": f"#/$defs/c{n - 1}"} for n in range(1, 1500)}
    assert "deeper" in refused({"$ref": "#/$defs/c1499", "$defs": {"c0": {}, **chain}})[1]
    unevaluated: dict[str, Any] = {"properties": {"a": {}}}
    for _ in range(20):
        unevaluated = {"anyOf": [unevaluated], "unevaluatedProperties": False}
    assert "too costly" in refused(unevaluated)[1]


def test_a_chain_that_was_weighed_from_its_end_is_held_against_without_harm() -> None:
    chain = {f"c{n}": {"$ref": f"#/$defs/c{n - 1}"} for n in range(1, 1000)}
    schema = {"$defs": {"c0": {"required": ["a"]}, **chain}, "allOf": [{"$ref": f"#/$defs/c{n}"} for n in range(0, 60, 5)]}
    assert [path for path, _ in faults(schema, {})] == ["payload"] * MAX_FAULTS


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        ({"properties": {"a": {"pattern": "^(a+)+$"}}}, {"a": "a" * 250_000 + "!"}),
        ({"properties": {"a": {"pattern": "[ab]*a[ab]{60}c"}}}, {"a": "ab" * 125_000}),
        ({"properties": {"a": {"format": "regex"}}}, {"a": "(a{1000}){1000}" * 16_000}),
        ({"items": {}, "properties": {"a": {"items": {"anyOf": [{"const": -n} for n in range(1, 101)]}}}}, {"a": [1] * 120_000}),
        ({"anyOf": [{"properties": {"a": {"items": {"const": n}}}} for n in range(2, 102)]}, {"a": [1] * 120_000}),
        ({"properties": {"a": {"items": {"enum": [{"x": n} for n in range(300)]}}}}, {"a": [{"x": -1}] * 30_000}),
        ({"properties": {"a": {"items": {"required": [f"n{n}" for n in range(1900)]}}}}, {"a": [{}] * 3}),
        ({"properties": {"a": {"items": {"required": [f"n{n}" for n in range(1900)]}}}}, {"a": [{}] * 1600}),
        ({"properties": {"a": {"items": {"anyOf": [False] * 40}}}}, {"a": [1] * 200}),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [{"x": n} for n in range(20_000)]}),
        ({"additionalProperties": {"type": "string"}}, {f"n{n}": n for n in range(20_000)}),
        ({"properties": {"a": {"items": {"dependentRequired": {f"n{n}": [] for n in range(300)}}}}}, {"a": [{}] * 80_000}),
    ],
)
def test_hostile_schemas_and_payloads_cost_little(schema: dict[str, Any], payload: dict[str, Any]) -> None:
    began = time.perf_counter()
    assert len(faults(schema, payload)) <= MAX_FAULTS
    assert time.perf_counter() - began < FAR_ABOVE


def test_a_payload_too_large_for_its_schema_is_a_fault_that_says_so() -> None:
    heavy = {"properties": {"a": {"items": {"anyOf": [{"const": n} for n in range(200)]}}}}
    (fault,) = faults(heavy, {"a": [1] * 120_000})
    assert fault[0] == "payload"
    assert "too large" in fault[1]
    assert faults(heavy, {"a": [1] * 100}) == []


def test_messages_are_short_whatever_the_payload() -> None:
    ((_, message),) = faults({"properties": {"a": {"type": "integer"}}}, {"a": "x" * 5_000})
    assert len(message) == 200


async def test_the_events_of_one_request_are_held_for_so_long_and_no_longer() -> None:
    stored = StoredSchema(TenantId(clock.new_id()), {"type": "a", "mode": "warn", "schema": ORDER})
    hold = PayloadValidator({"a": stored}, seconds=1e-9)
    assert await hold.faults("a", {"plan": "pro"}, b'{"plan":"pro"}') == []
    (fault,) = await hold.faults("a", {"plan": "pro"}, b'{"plan":"pro"}')
    assert "smaller batches" in fault.message
    assert await hold.faults("b", {"plan": "pro"}, b'{"plan":"pro"}') == ()


NUMBERS = ("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "const")


@pytest.mark.parametrize("number", [5e-324, 3e-308, 1e-300, 1e-16, 1e20, 1.7e308])
@pytest.mark.parametrize("keyword", [*NUMBERS, "enum"])
def test_numbers_of_extreme_size_are_refused_in_schemas(keyword: str, number: float) -> None:
    value = [1, number] if keyword == "enum" else number
    with pytest.raises(Invalid, match=rf"properties\.v\.items\.{keyword}: is .*between 1e-15"):
        Schema({"properties": {"v": {"items": {keyword: value}}}}, rejects=False).check()


@pytest.mark.parametrize("number", [0.3, 5e-324, 1.7e308, 2**64 - 1, 0])
@pytest.mark.parametrize("keyword", NUMBERS)
async def test_a_large_payload_of_any_numbers_does_not_keep_the_event_loop(keyword: str, number: float) -> None:
    schema = {"properties": {"v": {"items": {keyword: 0.01}}}}
    stored = StoredSchema(TenantId(clock.new_id()), {"type": "a", "mode": "warn", "schema": schema})
    await sandbox.warm()
    payload = {"v": [number] * 40_000}
    row = orjson.dumps({"payload": payload})
    assert stored.is_usable
    gaps, ended = [], asyncio.Event()

    async def tick() -> None:
        last = time.perf_counter()
        while not ended.is_set():
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - last)
            last = time.perf_counter()

    ticking = asyncio.create_task(tick())
    faults = await PayloadValidator({"a": stored}).faults("a", payload, row)
    ended.set()
    await ticking
    assert len(faults) <= MAX_FAULTS
    assert max(gaps) < 0.2  # beyond 1.5 s on the loop for the worst of them


def test_a_common_schema_weighs_little() -> None:
    assert complexity_of(ORDER) < 20
    wide = {"properties": {f"p{n}": {"type": "string", "maxLength": 20} for n in range(500)}}
    assert complexity_of(wide) < 300
