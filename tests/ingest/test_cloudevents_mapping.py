"""CloudEvents become events: which attributes are stored, which are refused."""

from typing import Any

import pytest

from signalops.errors import Invalid, UnsupportedMedia
from signalops.ingest.cloudevents import from_binary, from_structured

MINIMAL: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.paid"}
HEADERS = {f"ce-{name}": value for name, value in MINIMAL.items()}


def test_source_and_id_are_the_key() -> None:
    event, attributes = from_structured(MINIMAL)
    assert (event.type, event.source, event.payload, event.occurred_at) == ("order.paid", "/shop", {}, None)
    assert event.idempotency_key == "/shop\n1"
    assert attributes == {"id": "1"}


def test_no_two_events_share_a_key_by_the_way_source_and_id_are_joined() -> None:
    keys = {from_structured(MINIMAL | {"source": s, "id": i})[0].idempotency_key for s, i in [("a", "bc"), ("ab", "c")]}
    assert len(keys) == 2


def test_other_attributes_are_kept() -> None:
    more = {"subject": "order 7", "dataschema": "https://example.com/s", "traceparent": "00-1", "n": 7, "ok": True}
    _, attributes = from_structured(MINIMAL | more | {"datacontenttype": "application/json"})
    assert attributes == {"id": "1", **more}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"source": "\U00020000" * 500, "id": "\U00020000" * 20}, "source"),
        ({"id": ""}, "id"),
        ({"id": "a\nb"}, "id"),
        ({"id": "\u0085"}, "id"),
        ({"source": ""}, "source"),
        ({"source": "/a\n"}, "source"),
        ({"type": ""}, "type"),
        ({"type": "com paid"}, "type"),
        ({"time": "yesterday"}, "time"),
        ({"subject": "\0"}, "subject"),
        ({"dataschema": "\0"}, "dataschema"),
        ({"data": [1]}, "data"),
        ({"data": "text"}, "data"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"extension": {"a": 1}}, "extension"),
        ({"extension": "\0"}, "extension"),
    ],
)
def test_what_can_not_be_kept_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        from_structured(MINIMAL | change)
    assert refusal.value.detail.startswith(field)


def test_data_that_is_no_json_is_refused_rather_than_dropped() -> None:
    with pytest.raises(Invalid, match="data_base64"):
        from_structured(MINIMAL | {"data_base64": "aGVsbG8="})


@pytest.mark.parametrize("missing", MINIMAL)
def test_the_four_attributes_are_required(missing: str) -> None:
    with pytest.raises(Invalid, match=f"^{missing}"):
        from_structured({name: value for name, value in MINIMAL.items() if name != missing})


def test_headers_are_percent_decoded() -> None:
    headers = {**HEADERS, "ce-subject": "Gr%C3%BC%C3%9Fe%20100%25", "ce-source": "%2Fshop", "host": "x"}
    event, attributes = from_binary(headers, "application/json", b'{"a":1}')
    assert (event.source, event.payload) == ("/shop", {"a": 1})
    assert attributes == {"id": "1", "subject": "Gr\u00fc\u00dfe 100%"}


def test_a_header_can_not_stand_in_for_the_data() -> None:
    assert from_binary({**HEADERS, "ce-data": "x"}, "", b'{"a":1}')[0].payload == {"a": 1}


@pytest.mark.parametrize("header", ["%00", "a%0ab", "%7f"])
def test_a_control_character_can_not_be_smuggled_through_percent_encoding(header: str) -> None:
    with pytest.raises(Invalid):
        from_binary({**HEADERS, "ce-subject": header}, "application/json", b"")


@pytest.mark.parametrize("media", ["", "application/json", "application/vnd.acme+json"])
def test_the_data_is_json_by_its_media_type(media: str) -> None:
    assert from_binary(HEADERS, media, b'{"a":1}')[0].payload == {"a": 1}


def test_other_data_is_refused() -> None:
    with pytest.raises(UnsupportedMedia):
        from_binary(HEADERS, "text/plain", b"text")
    assert from_binary(HEADERS, "text/plain", b"")[0].payload == {}


@pytest.mark.parametrize("text", ["Gr\u00fc\u00dfe", "a\u00a0b", "\U0001f468\u200d\U0001f469", "\u200fabc"])
def test_text_that_holds_no_control_character_is_kept(text: str) -> None:
    event, attributes = from_structured(MINIMAL | {"source": text, "subject": text})
    assert (event.source, attributes["subject"]) == (text, text)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        # The HTTP binding's own example, section 3.1.3.2
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \u20ac \U0001f600"),
        # Quoted strings are read before, as RFC 9110, section 5.6.4, has them
        ('"Euro%20%E2%82%AC"', "Euro \u20ac"),
        ('"say \\\\"hello\\\\""'.replace("\\\\", "\\"), 'say "hello"'),
        ("%2541", "%41"),
        ("100%", "100%"),
        ("a+b", "a+b"),
    ],
)
def test_headers_are_unescaped_once(sent: str, read: str) -> None:
    assert from_binary({**HEADERS, "ce-subject": sent}, "", b"")[1]["subject"] == read


def test_a_header_that_is_no_utf_8_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="ce-subject"):
        from_binary({**HEADERS, "ce-subject": "%FF"}, "", b"")


@pytest.mark.parametrize("media", ["application/json", "text/json", "application/vnd.acme+json", "image/json", "TEXT/JSON"])
def test_json_is_what_has_such_a_subtype(media: str) -> None:
    """JSON format, section 3.1."""
    assert from_binary(HEADERS, media.lower(), b'{"a":1}')[0].payload == {"a": 1}
    for written in (media, f"{media}; charset=utf-8"):
        assert from_structured(MINIMAL | {"datacontenttype": written, "data": {"a": 1}})[0].payload == {"a": 1}


@pytest.mark.parametrize("media", ["text/xml", "application/jsonp", "application/xml+jsonx", "json"])
def test_what_is_no_json_is_refused(media: str) -> None:
    with pytest.raises(Invalid, match="datacontenttype"):
        from_structured(MINIMAL | {"datacontenttype": media, "data": {}})
    with pytest.raises(UnsupportedMedia):
        from_binary(HEADERS, media, b"{}")


def test_null_is_nothing() -> None:
    nothing = dict.fromkeys(("time", "subject", "dataschema", "datacontenttype", "data", "data_base64", "extension"))
    event, attributes = from_structured(MINIMAL | nothing)
    assert (event.payload, event.occurred_at, attributes) == ({}, None, {"id": "1"})
    assert from_binary(HEADERS, "application/json", b"null")[0].payload == {}


@pytest.mark.parametrize("name", ["com.github.push", "aws.s3.ObjectCreated:Put", "com.example/orders", "io.k8s@v1"])
def test_types_of_others_are_taken(name: str) -> None:
    assert from_structured(MINIMAL | {"type": name})[0].type == name
