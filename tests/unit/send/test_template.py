"""Templates: what they read, what they may cost, and how they are refused."""

from typing import Any

import pytest

from signalops.errors import Invalid
from signalops.send.model import Message
from signalops.send.template import TEXT_LIMIT, check, render

RULE = {"id": "r1", "name": "Welcome", "version": 3}


def event(**payload: Any) -> dict[str, Any]:
    occurred = "2026-11-23T12:00:00+00:00"
    return {"id": "e1", "type": "user.signup", "source": None, "occurredAt": occurred, "payload": payload}


def test_a_template_reads_the_event_and_the_rule() -> None:
    subject = "{{ rule.name }} v{{ rule.version }}: {{ payload.user.email }}\n"
    body = "{{ type }}|{{ source }}|{{ occurredAt }}|{{ event_id }}|{{ payload.tags | json }}"
    message = render({"subject": subject, "body": body}, event(user={"email": "a@example.com"}, tags=["x", "y"]), RULE)
    assert message == Message("Welcome v3: a@example.com", 'user.signup||2026-11-23T12:00:00+00:00|e1|["x", "y"]')


def test_what_a_template_lacks_gets_a_readable_default() -> None:
    message = render({}, event(email="a@example.com", plan={"name": "prö"}), RULE)
    assert message.subject == "user.signup"
    assert message.body == ('user.signup at 2026-11-23T12:00:00+00:00\n\nemail: a@example.com\nplan: {"name": "prö"}\n')


def test_a_missing_field_fails_by_name_unless_the_template_provides_for_it() -> None:
    with pytest.raises(Invalid, match=r"payload\.nmae is undefined; .* default"):
        render({"body": "{{ payload.nmae }}"}, event(name="A"), RULE)
    text = "{{ payload.nmae | default: 'you' }}{% if payload.nmae %}!{% endif %}"
    assert render({"body": text}, event(name="A"), RULE).body == "you"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ({"body": "{% if x %}"}, "body is not valid Liquid"),
        ({"subject": "{{ x | nosuchfilter"}, "subject is not valid Liquid"),
        ({"body": "{% include 'file' %}"}, "include"),
        ({"body": "{% render 'file' %}"}, "render"),
        ({"text": "hello"}, "remove 'text'"),
        ({"body": 7}, "must be a text"),
        ({"body": "x" * 20_000}, "at most 16384"),
    ],
)
def test_a_template_that_could_never_be_rendered_is_refused(template: dict[str, object], reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        check(template)


def test_a_valid_template_passes_the_check() -> None:
    check({})
    check({"subject": "{{ type }}", "body": "{% for line in payload.lines %}{{ line.name | upcase }}\n{% endfor %}"})


@pytest.mark.parametrize(
    "source", ["{{ payload.__class__ }}", "{{ payload.user.__class__.__mro__ }}", "{{ rule.keys }}"]
)
def test_nothing_of_python_is_in_reach(source: str) -> None:
    with pytest.raises(Invalid, match="undefined"):
        render({"body": source}, event(user="x"), RULE)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% for a in (1..200) %}{% for b in (1..200) %}.{% endfor %}{% endfor %}", "loop iteration limit"),
        ("{% for a in (1..5000) %}{{ payload.text }}{% endfor %}", "output stream limit"),
        ("{{ (1..20000000) | reverse }}", "reverse is given too much"),
        ("{{ (1..20000000) | join: '' }}", "join is given too much"),
        ("{{ payload.text | replace: 'x', payload.text }}", "replace is given too much"),
        ("{{ payload.text | replace: 'x', payload }}", "replace is given too much"),
        ("{{ payload.text | split: '' | join: payload.text }}", "join is given too much"),
        ("{{ payload.text" + " | append: payload.text" * 600 + " }}", "append makes too much"),
        ("{% assign a = 'x' %}{% for i in (1..50) %}{% assign a = a | append: a %}{% endfor %}", "limit|too much"),
        ("{{ 9 | divided_by: 0 }}", "divided_by"),
        ("{{ 9 | slice: payload.digits }}", "integer string conversion"),
    ],
)
def test_a_template_that_costs_too_much_or_can_t_be_computed_fails(source: str, reason: str) -> None:
    with pytest.raises(Invalid, match=f"({reason}).*; correct the rule's template"):
        render({"body": source}, event(text="x" * 10_000, digits="9" * 5_000), RULE)


def test_the_largest_text_that_is_allowed_is_rendered() -> None:
    half = "x" * (TEXT_LIMIT // 2)
    assert len(render({"body": "{{ payload.half | append: payload.half }}"}, event(half=half), RULE).body) == TEXT_LIMIT
