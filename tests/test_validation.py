"""Messages are about the field: no name of a library's, none of another field."""

import json
import re
from typing import Any

import pytest
from pydantic import BaseModel, Field

from signalops.errors import Invalid
from signalops.http import validated
from signalops.ingest.cloudevents import from_structured
from signalops.ingest.event_models import Printable
from signalops.send.channels import configured
from signalops.validation import has_sentence
from tests.support.api import Client, assert_problem
from tests.support.tenants import Tenant

LIBRARY = re.compile(r"function-|Input should|\[_|valid_|pydantic|constrained|instance of")


class Inner(BaseModel):
    number: int | bool | Printable | None
    named: dict[str, Printable] | list[int] = Field(default_factory=dict)


def faults(model: type[BaseModel], value: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refusal:
        validated(model, value)
    return {fault["path"]: fault["message"] for fault in refusal.value.members["errors"]}


def test_a_union_is_one_field_with_one_message() -> None:
    assert faults(Inner, {"number": {}}) == {"number": "must be an integer, true or false or a string"}
    assert list(faults(Inner, {"number": 1, "named": {"str": []}})) == ["named.str", "named"]
    assert list(faults(Inner, {})) == ["number"]
    assert list(faults(Inner, [])) == [""]


def test_paths_are_those_of_what_was_sent() -> None:
    with pytest.raises(Invalid) as refusal:
        from_structured({"specversion": "1.0", "id": "1", "source": "s", "type": "a", "extension": {"a": 1}})
    assert [fault["path"] for fault in refusal.value.members["errors"]] == ["extension"]
    assert not LIBRARY.search(json.dumps(refusal.value.document()))


@pytest.mark.parametrize(
    ("kind", "config", "path", "part"),
    [
        ("whatsapp", {"to": "015112345678"}, "config.to", "country code"),
        ("whatsapp", {"to": "15112345678"}, "config.to", "country code"),
        ("whatsapp", {"phoneNumberId": "a"}, "config.phoneNumberId", "digits"),
        ("whatsapp", {"template": {"name": "A B", "language": "en"}}, "config.template.name", "lower-case"),
        ("whatsapp", {"template": {"name": "a", "language": "English"}}, "config.template.language", "en_US"),
        ("telegram", {"chatId": "acme"}, "config.chatId", "@"),
        ("email", {"to": "a@example.com", "server": {"host": "a b", "sender": "a@example.com"}}, "config.server.host", "host"),
        ("email", {"to": "ops@b\u00fccher.example"}, "config.to", "ops@xn--bcher-kva.example"),
        ("email", {"to": "j\u00f6rg@example.com"}, "config.to", "SMTPUTF8"),
    ],
)
def test_each_field_says_how_it_must_look(kind: Any, config: dict[str, Any], path: str, part: str) -> None:
    with pytest.raises(Invalid) as refusal:
        configured(kind, config)
    messages = {fault["path"]: fault["message"] for fault in refusal.value.members["errors"]}
    assert part in messages[path]
    assert "user.signup" not in messages[path]


async def test_every_pattern_of_the_api_has_a_sentence(api: Client) -> None:
    patterns: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("pattern"), str) and value.get("type") == "string":
                patterns.add(value["pattern"])
            for member in value.values():
                collect(member)
        elif isinstance(value, list):
            for member in value:
                collect(member)

    collect(await api.described())
    own = {"^[a-z][a-z0-9_]{0,62}$"}  # of a meter's key, which a function of its own checks
    assert len(patterns) >= 3
    assert {pattern for pattern in patterns - own if not has_sentence(pattern)} == set()


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ('{"type":"caf\u00e9"}'.encode("latin-1"), "not UTF-8 (byte 13)"),
        ('{"type":"a"}'.encode("utf-16"), "UTF-16"),
        ('{"type":"a"}'.encode("utf-16-le"), "UTF-16"),
        ('{"type":"a"}'.encode("utf-32"), "UTF-16 or UTF-32"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"", "empty"),
        (b'{"a":\n 1 2}', "line 2, column 4"),
        (b'{"a":"\\ud800"}', "surrogate"),
    ],
)
async def test_what_is_no_json_is_answered_in_words_of_ours(api: Client, acme: Tenant, body: bytes, part: str) -> None:
    detail = assert_problem(await api.post(body, acme), 400, "malformed")["detail"]
    assert part in detail
    assert "surrogates not allowed" not in detail


async def test_an_api_key_as_a_bearer_token_is_told_where_it_belongs(api: Client, acme: Tenant) -> None:
    for scheme in ("Bearer ", "bearer ", "ApiKey ", ""):
        answer = await api.request("GET", "/api/events", headers={"authorization": scheme + acme.headers["x-api-key"]})
        assert "x-api-key" in assert_problem(answer, 401, "unauthenticated")["detail"]
        assert "issuer" not in answer.json["detail"]


async def test_a_plus_in_an_address_is_named(api: Client, acme: Tenant) -> None:
    for path in ("/api/events", "/api/deliveries", "/api/dead-letters"):
        answer = await api.request("GET", f"{path}?from=2026-11-23T12:00:00%2001:00", acme)
        assert "%2B" in assert_problem(answer, 422, "invalid")["detail"]
