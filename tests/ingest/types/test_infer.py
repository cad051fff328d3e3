"""What is learned of a type's fields, one event after the other."""

from typing import Any

from signalops.ingest.types.infer import DEPTH, MAX_FIELDS, Field, Structure


def learned(*payloads: dict[str, Any], attributes: dict[str, Any] | None = None) -> Structure:
    structure = Structure()
    for payload in payloads:
        structure.learn({"payload": payload, "attributes": attributes})
    return structure


def fields(*payloads: dict[str, Any]) -> dict[str, Field]:
    return learned(*payloads).fresh


def test_paths_are_those_of_patterns_and_types_those_of_json() -> None:
    payload = {"n": 1, "x": 1.5, "ok": True, "none": None, "customer": {"plan": "pro"}, "empty": {}}
    assert fields(payload) == {
        "payload.n": {"types": ["number"], "example": 1},
        "payload.x": {"types": ["number"], "example": 1.5},
        "payload.ok": {"types": ["boolean"], "example": True},
        "payload.none": {"types": ["null"]},
        "payload.customer.plan": {"types": ["string"], "example": "pro"},
        "payload.empty": {"types": ["object"]},
    }


def test_what_is_in_arrays_has_the_path_of_the_array() -> None:
    assert fields({"items": [{"sku": "a"}, {"sku": None, "qty": 2}], "tags": [["x"], 1], "none": []}) == {
        "payload.items": {"types": ["array"]},
        "payload.items.sku": {"types": ["string", "null"], "example": "a"},
        "payload.items.qty": {"types": ["number"], "example": 2},
        "payload.tags": {"types": ["array", "string", "number"], "example": "x"},
        "payload.none": {"types": ["array"]},
    }


def test_only_what_is_new_is_fresh() -> None:
    structure = learned({"a": None})
    structure.fresh = {}
    structure.learn({"payload": {"a": None}, "attributes": None})
    assert structure.fresh == {}
    structure.learn({"payload": {"a": "x", "b": 1}, "attributes": {"subject": "s"}})
    assert structure.fresh == {
        "payload.a": {"types": ["string"], "example": "x"},
        "payload.b": {"types": ["number"], "example": 1},
        "subject": {"types": ["string"], "example": "s"},
    }


def test_a_type_has_so_many_fields_and_says_when_there_are_more() -> None:
    exactly = learned({f"f{n}": n for n in range(MAX_FIELDS)})
    assert (len(exactly.fresh), exactly.cut) == (MAX_FIELDS, False)
    exactly.learn({"payload": {"f0": "another type"}, "attributes": None})
    assert (exactly.fresh["payload.f0"]["types"], exactly.cut) == (["number", "string"], False)
    exactly.learn({"payload": {"one more": 1}, "attributes": None})
    assert (len(exactly.fresh), exactly.cut) == (MAX_FIELDS, True)


def test_names_and_examples_are_bounded() -> None:
    structure = learned({"n" * 500: 1, "long": "x" * 500})
    assert structure.fresh == {"payload.long": {"types": ["string"], "example": "x" * 200}}
    assert structure.cut


def test_depth_and_length_are_bounded() -> None:
    deep: Any = "bottom"
    for _ in range(DEPTH + 1):
        deep = {"d": deep}
    assert fields(deep) == {"payload" + ".d" * DEPTH: {"types": ["object"]}}
    nested: Any = "bottom"
    for _ in range(60):
        nested = [nested]
    assert fields({"a": nested}) == {"payload.a": {"types": ["array"]}}
    assert fields({"a": [1] * 100 + ["too far"]})["payload.a"]["types"] == ["array", "number"]
