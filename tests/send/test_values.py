"""Liquid as Shopify's has it: nothing, numbers, times, names and objects, in every filter."""

import json
from typing import Any

import pytest

from signalops.errors import Invalid
from signalops.send import engine
from signalops.send.markup import Markup
from signalops.send.message_models import Notification
from signalops.send.template import check, render

RULE = {"id": "r1", "name": "Welcome", "version": 3, "severity": "warning"}
PAYLOAD: dict[str, Any] = {
    "null": None,
    "text": "abc",
    "object": {"p": 0.1, "z": None, "l": [1, "a"], "q": '"'},
    "list": [3, None, True, {"a": 1}],
    "limit": 5,
    "offset": 1,
    "for": {"in": "x", "empty": "y"},
    "ms": 1764504000123,
    "seconds": 1764504000,
}
ARGUMENTS = {
    **dict.fromkeys(("append", "prepend", "remove", "remove_first", "remove_last", "where", "reject", "find"), "'x'"),
    **dict.fromkeys(("find_index", "has", "map", "split", "join"), "'x'"),
    **dict.fromkeys(("replace", "replace_first", "replace_last"), "'x', 'y'"),
    **dict.fromkeys(("at_least", "at_most", "divided_by", "minus", "modulo", "plus", "times", "truncate"), "2"),
    "date": "'%Y'",
    "default": "'d'",
    "slice": "0, 2",
    "concat": "events",
    "truncatewords": "1",
}
NUMBERS = {"abs", "at_least", "at_most", "ceil", "divided_by", "floor", "minus", "modulo", "plus", "round", "times"}


def written(source: str, markup: Markup = "text") -> str:
    occurred = "2026-11-23T12:00:00+00:00"
    event = {"id": "e1", "type": "user.signup", "source": None, "occurredAt": occurred, "payload": PAYLOAD}
    return render({"body": source}, Notification(event, RULE, time_zone="Europe/Berlin"), markup).body


def filtered(value: str, name: str, rest: str = "") -> str:
    arguments = f": {ARGUMENTS[name]}" if name in ARGUMENTS else ""
    return written(f"{{{{ {value} | {name}{arguments}{rest} }}}}")


@pytest.mark.parametrize("name", sorted(engine.filter_names() - {"default"}))
def test_what_is_missing_is_nil_to_every_filter(name: str) -> None:
    missing = filtered("payload.missing", name)
    assert missing == filtered("payload.null", name) == filtered("nil", name) == filtered("payload.for.deeper", name)
    assert "None" not in missing
    if name not in NUMBERS | {"json", "append", "prepend", "size", "sum", "has", "concat"}:
        assert missing == "", "as Shopify's"
        assert filtered("payload.missing", name, " | default: 'x'") == "x"


@pytest.mark.parametrize(
    "name", sorted(ARGUMENTS.keys() - {"concat", "date", "slice", "truncatewords", "default", "divided_by", "modulo"})
)
def test_an_argument_that_is_missing_is_nil(name: str) -> None:
    value = "payload.limit" if name in NUMBERS else "payload.text"
    for more in ("", ", 'y'") if name.startswith("replace") else ("",):
        if name.startswith("replace") and not more:
            continue
        missing = written(f"{{{{ {value} | {name}: payload.missing{more} }}}}")
        assert missing == written(f"{{{{ {value} | {name}: nil{more} }}}}")
        assert "None" not in missing


def test_nothing_reads_as_in_shopifys() -> None:
    assert [filtered("payload.missing", name) for name in ("plus", "minus", "size", "append")] == ["2", "-2", "0", "x"]
    assert written("{{ 'a' | append: payload.missing | append: payload.null }}") == "a"
    assert filtered("''", "date") == ""
    with pytest.raises(Invalid, match=r"payload\.nmae is undefined"):
        written("{{ payload.nmae }}")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        # https://shopify.github.io/liquid/filters/round/ and its neighbours
        ("1.2 | round", "1"),
        ("2.7 | round", "3"),
        ("183.357 | round: 2", "183.36"),
        ("10.5 | round", "11"),
        ("-10.5 | round", "-11"),
        ("0.5 | round", "1"),
        ("2.5 | round", "3"),
        ("2.675 | round: 2", "2.68"),
        ("1.005 | round: 2", "1.01"),
        ("1234.5 | round: -2", "1200"),
        ("'3.5' | round", "4"),
        ("183.357 | ceil", "184"),
        ("183.357 | floor", "183"),
        ("0.1 | plus: 0.2", "0.3"),
        ("20 | divided_by: 7", "2"),
        ("3 | modulo: 2", "1"),
        ("'Ground control to Major Tom.' | truncate: 20", "Ground control to..."),
        ("'apples, oranges' | split: ', ' | last", "oranges"),
        ("'tetsuro.takara@example.com' | url_encode", "tetsuro.takara%40example.com"),
        ("'1 < 2 &amp; 3' | escape_once", "1 &lt; 2 &amp; 3"),
        ("'March 14, 2016' | date: '%b %d, %y'", "Mar 14, 16"),
        ("payload.list | sum", "3"),
        ("'' | sum", "0"),
    ],
)
def test_the_examples_of_shopify(source: str, text: str) -> None:
    assert written(f"{{{{ {source} }}}}") == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("payload.seconds | date: '%Y-%m-%d %H:%M:%S'", "2025-11-30 12:00:00"),
        ("payload.ms | date: '%Y-%m-%d %H:%M:%S.%L'", "2025-11-30 12:00:00.123"),
        ("'1764504000123' | date: '%Y'", "2025"),
        ("occurredAt | date: '%H:%M %z'", "12:00 +0000"),
        ("occurredAt | local | date: '%H:%M %z'", "13:00 +0100"),
        ("occurredAt | date: '%H:%M', 'local'", "13:00"),
        ("occurredAt | date: '%H:%M', timeZone", "13:00"),
        ("occurredAt | local: 'Asia/Tokyo' | date: '%H:%M'", "21:00"),
        ("'2026-10-25T00:30:00Z' | local | date: '%H:%M %z'", "02:30 +0200"),
        ("'2026-10-25T01:30:00Z' | local | date: '%H:%M %z'", "02:30 +0100"),
        ("'2026-03-29T01:00:00Z' | local", "2026-03-29T03:00:00+02:00"),
        ("occurredAt | date", "2026-11-23T12:00:00+00:00"),
        ("'no time' | date: '%Y'", "no time"),
        ("true | date: '%Y'", "true"),
        ("-99999999999 | date: '%Y'", "-99999999999"),
        ("payload.seconds | date: '%s %% %:z'", "1764504000 % +00:00"),
    ],
)
def test_times_by_any_clock(source: str, text: str) -> None:
    assert written(f"{{{{ {source} }}}}") == text


def test_a_zone_that_there_is_not_is_a_reason() -> None:
    with pytest.raises(Invalid, match="Nowhere"):
        written("{{ occurredAt | local: 'Nowhere/X' }}")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ payload.limit }}{{ payload.offset }}{{ payload.for.in }}{{ payload.for.empty }}", "51xy"),
        ("{% for i in (1..payload.limit) limit:2 offset:payload.offset %}{{ i }}{% endfor %}", "23"),
        ("{% if payload.for.empty == empty or payload.for.in contains 'x' %}{{ 'a.limit' }}{% endif %}", "a.limit"),
        ("{% assign most = payload.limit | plus: payload.offset %}{{ most }}", "6"),
        ("{% liquid echo payload.limit\n echo payload.for.in %}", "5x"),
        ("{% raw %}{{ payload.limit }}{% endraw %}.limit", "{{ payload.limit }}.limit"),
        ("{{ payload['limit'] }}{{ payload.for['in'] }}", "5x"),
    ],
)
def test_after_a_dot_any_name_is_a_name(source: str, text: str) -> None:
    check({"body": source})
    assert written(source) == text


def test_objects_are_json_and_lists_their_items() -> None:
    assert json.loads(written("{{ payload.object }}")) == PAYLOAD["object"]
    assert written("{{ payload.list }}") == '3true{"a": 1}'
    assert written("{{ payload.list | join: ',' }}") == '3,,true,{"a": 1}'
    assert json.loads(written("{{ payload.object | strip }}")) == PAYLOAD["object"]


def test_an_object_can_be_embedded_in_json_and_in_a_string_of_it() -> None:
    source = """{"n": {{ payload.limit }}, "o": {{ payload.object | json }}, "p": {{ payload.object }},
      "q": "say \\"{{ payload.object.q }}\\"",
      "s": "{{ payload.object | json }}",
      "l": [{% for i in payload.list %}{{ i | json }}{% unless forloop.last %},{% endunless %}{% endfor %}],
      "t": {{ payload.text | json }}, "m": {{ payload.missing | json }},
      "c": {% capture c %}{{ payload.object | json }}{% endcapture %}{{ c }}}"""
    document = json.loads(written(source, "json"))
    assert document["o"] == document["p"] == document["c"] == json.loads(document["s"]) == PAYLOAD["object"]
    assert (document["n"], document["l"], document["t"], document["m"]) == (5, PAYLOAD["list"], "abc", None)
    assert document["q"] == 'say """'


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ event.payload.email }}", "'event', which does not exist.*payload"),
        ("{{ nosuch.name }}", "'nosuch'"),
        ("{% if type %}{{ nosuch | upcase }}{% endif %}", "'nosuch'"),
        ("{{ payload.x | upcase: 1 }}", "upcase takes other arguments"),
        ("{% assign a = payload.x | round: 1, 2 %}", "round takes other arguments"),
        ("{{ payload.x | replace }}", "replace takes other arguments"),
        ("{% for i in payload.l %}{{ i | upcase: 1 }}{% endfor %}", "upcase takes other arguments"),
    ],
)
def test_what_would_always_fail_is_refused_as_it_is_saved(source: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        check({"body": source})
    check({"body": "{% assign a = 1 %}{% for i in payload.l %}{{ a }}{{ i }}{{ forloop.index }}{% endfor %}"})
