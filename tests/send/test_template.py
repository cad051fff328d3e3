"""Templates: what they read, what they may cost, and how they are refused."""

import json
import time
from typing import Any

import pytest

from signalops.errors import Invalid
from signalops.send.message_models import Message, Notification
from signalops.send.output import TEXT_LIMIT
from signalops.send.template import PARTS, check, render

RULE = {"id": "r1", "name": "Welcome", "version": 3, "severity": "warning"}


def notification_of(**payload: Any) -> Notification:
    return Notification(event(**payload), RULE)


def event(**payload: Any) -> dict[str, Any]:
    occurred = "2026-11-23T12:00:00+00:00"
    return {"id": "e1", "type": "user.signup", "source": None, "occurredAt": occurred, "payload": payload}


def test_a_template_reads_the_event_and_the_rule() -> None:
    subject = "{{ rule.name }} v{{ rule.version }} ({{ rule.severity }}): {{ payload.user.email }}\n"
    body = "{{ type }}|{{ source }}|{{ occurredAt }}|{{ event_id }}|{{ payload.tags | json }}"
    message = render({"subject": subject, "body": body}, notification_of(user={"email": "a@example.com"}, tags=["x", "y"]))
    assert message == Message("Welcome v3 (warning): a@example.com", 'user.signup||2026-11-23T12:00:00+00:00|e1|["x", "y"]')


def test_what_a_template_lacks_gets_a_readable_default() -> None:
    message = render({}, notification_of(email="a@example.com", plan={"name": "prö"}))
    assert message.subject == "user.signup"
    assert message.body == ('user.signup at 2026-11-23T12:00:00+00:00\n\nemail: a@example.com\nplan: {"name": "prö"}\n')


def test_a_missing_field_fails_by_name_unless_the_template_provides_for_it() -> None:
    with pytest.raises(Invalid, match=r"payload\.nmae is undefined; .* default"):
        render({"body": "{{ payload.nmae }}"}, notification_of(name="A"))
    text = "{{ payload.nmae | default: 'you' }}{% if payload.nmae %}!{% endif %}"
    assert render({"body": text}, notification_of(name="A")).body == "you"


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


@pytest.mark.parametrize("source", ["{{ payload.__class__ }}", "{{ payload.user.__class__.__mro__ }}", "{{ rule.keys }}"])
def test_nothing_of_python_is_in_reach(source: str) -> None:
    with pytest.raises(Invalid, match="undefined"):
        render({"body": source}, notification_of(user="x"))


def fill(unit: str, before: str = "", after: str = "", size: int = PARTS["html"]) -> str:
    """Return as many of the unit as a part may hold."""
    return before + unit * ((size - len(before) - len(after)) // len(unit)) + after


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% for a in (1..200) %}{% for b in (1..200) %}.{% endfor %}{% endfor %}", "loop iteration limit"),
        ("{% for a in (1..100) %}" * 6 + "x" + "{% endfor %}" * 6, "loop iteration limit"),
        ("{% for a in (1..999999999999) %}x{% endfor %}", "a range has more"),
        ("{% tablerow a in (1..99999) %}x{% endtablerow %}", "a range has more"),
        ("{% for a in (1..5000) %}{{ payload.text }}{% endfor %}", "output stream limit"),
        ("{% for a in (1..5000) %}{{ payload.unseen }}{% endfor %}", "output stream limit"),
        ("{% for a in (1..5000) %}{% cycle payload.text %}{% endfor %}", "output stream limit"),
        ("{% for a in (1..10000) %}{% capture b %}" + "{{ payload.text }}" * 20 + "{% endcapture %}{% endfor %}", "time limit"),
        ("{{ (1..20000000) | reverse }}", "a range has more"),
        ("{{ (1..20000000) | join: '' }}", "a range has more"),
        ("{{ payload.text | replace: 'x', payload.text }}", "replace is given too much"),
        ("{{ payload.text | replace: 'x', payload }}", "replace is given too much"),
        ("{{ payload.text | split: '' | join: payload.text }}", "join is given too much"),
        ("{{ payload.text | split: '' | uniq }}", "uniq is given too much"),
        ("{{ payload.text | date: '%Y' }}", "date is given too much"),
        ("{{ payload.list | json: 1000000 }}", "json makes too much"),
        ("{{ payload.text" + " | append: payload.text" * 170 + " }}", "append makes too much"),
        ("{% assign a = 'x' %}{% for i in (1..50) %}{% assign a = a | append: a %}{% endfor %}", "limit|too much"),
        ("{% assign a = 9 %}{% for i in (1..50) %}{% assign a = a | times: a %}{% endfor %}", "limit|too much"),
        (fill("{%for i in (1..10000)%}{%endfor%}", size=PARTS["body"]), "time limit reached"),
        (fill("{%if payload.text contains 'xy'%}{%endif%}", "{%for i in (1..10000)%}", "{%endfor%}", 16_384), "time limit"),
        (fill("{%assign a=1%}", "{%for i in (1..10000)%}", "{%endfor%}", 16_384), "time limit reached"),
        ("{{ payload.list" + " | reverse" * 400 + " | size }}", "time limit reached"),
        ("{{ 9 | divided_by: 0 }}", "divided_by"),
        ("{{ 9 | slice: payload.digits }}", "integer string conversion"),
        ("{{ payload.text | base64_decode }}", "base64_decode|utf-8|codec"),
    ],
)
def test_a_template_that_costs_too_much_or_can_t_be_computed_fails(source: str, reason: str, part: str) -> None:
    check({part: source})
    payload = {"text": "x" * 10_000, "unseen": "\0" * 10_000, "digits": "9" * 5_000, "list": [0] * 100_000}
    began = time.thread_time()
    with pytest.raises(Invalid, match=f"{part} failed: .*({reason}).*; correct the rule's template"):
        render({"subject": "s", "body": "b", part: source}, notification_of(**payload))
    assert time.thread_time() - began < 2


@pytest.mark.parametrize("source", [{}, {"body": "{{ payload.deep }}"}, {"body": "{{ payload.deep | json }}"}])
def test_a_value_too_deep_to_be_written_fails(source: dict[str, str]) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Invalid, match="recursion"):
        render(source, notification_of(deep=deep))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("unit", "reason"),
    [
        ("{{", "not closed within 4096"),
        ("{%", "not closed within 4096"),
        ("{{ x }}{{ x", "not closed within 4096"),
        ("{{" + " " * 4000 + "}}", "more than 100 blanks"),
        ("{% liquid" + " \n" * 2000 + "%}", "more than 100 blanks"),
        ("{%raw%}", "more than 100 raw"),
        ("{{ " + "(" * 4000 + " }}", "not valid Liquid"),
        ("{{ " + "a[" * 2000 + " }}", "not valid Liquid"),
        ("{% if a %}", "block nesting limit"),
        ("{% comment %}", "never closed"),
        ("{{ x | safe }}", "filter 'safe', which does not exist"),
        ("{% assign a = x | nosuch %}", "filter 'nosuch', which does not exist"),
    ],
)
def test_a_text_that_would_keep_the_parser_busy_is_refused_at_once(unit: str, reason: str, part: str) -> None:
    began = time.thread_time()
    with pytest.raises(Invalid, match=f"{part} .*{reason}"):
        check({part: fill(unit, size=PARTS[part])})
    assert time.thread_time() - began < 1


def test_the_longest_template_is_rendered() -> None:
    html = fill("<td>{{ payload.name | upcase }}</td>\n")
    check({"html": html})
    rendered = render({"html": html}, notification_of(name="<a>")).html
    assert rendered == html.replace("{{ payload.name | upcase }}", "&lt;A&gt;")


def test_each_part_has_its_markup() -> None:
    text = "{{ payload.name }}"
    notification = notification_of(name="<b>\n*x*")
    assert render({"subject": text, "body": text, "html": text}, notification) == Message("<b> *x*", "<b>\n*x*", "&lt;b&gt;\n*x*")
    assert render({"body": text}, notification, "telegram").body == "&lt;b&gt;\n*x*"
    assert render({}, notification, "telegram").body.endswith("name: &lt;b&gt;\n*x*\n")
    assert "*x*" not in render({}, notification, "slack").body


WINDOW = {"value": 5, "group": {"payload.user": "u1"}, "since": "2026-11-23T11:50:00+00:00", "until": "2026-11-23T12:00:00+00:00"}


def test_a_template_reads_why_a_window_fired() -> None:
    body = "{% if window %}{{ window.value }} of {{ window.group['payload.user'] }} since {{ window.since }}{% endif %}"
    notification = Notification(event(), RULE, window=WINDOW)
    assert render({"body": body}, notification).body == "5 of u1 since 2026-11-23T11:50:00+00:00"
    assert render({"body": body}, notification_of()).body == ""
    with pytest.raises(Invalid, match=r"window\.value is undefined"):
        render({"body": "{{ window.value }}"}, notification_of())


def test_one_event_is_a_list_of_one() -> None:
    body = "{{ count }}: {% for event in events %}{{ event.id }} {{ event.payload.n }}{% endfor %}"
    assert render({"body": body}, notification_of(n=7)).body == "1: e1 7"


def digest(count: int, *listed: dict[str, Any]) -> Notification:
    told_of = {"rule": {"id": "r1", "version": 3}, "count": count, "events": [one["id"] for one in listed]}
    notice = event(**told_of) | {"type": "signalops.rule.digest"}
    return Notification(notice, RULE, "digest", listed=listed)


def test_a_digest_s_template_reads_its_events() -> None:
    body = "{{ type }} {{ count }}: {% for event in events %}{{ event.payload.n }},{% endfor %}"
    assert render({"body": body}, digest(3, event(n=1), event(n=2))).body == "signalops.rule.digest 3: 1,2,"


def test_a_digest_without_a_template_lists_its_events_and_counts_the_rest() -> None:
    message = render({}, digest(12, event(n=1), event(n=2)))
    line = "2026-11-23T12:00:00+00:00 user.signup\n"
    assert message == Message("Welcome: 12 events", line * 2 + "and 10 more\n")
    assert render({}, digest(1, event(n=1))) == Message("Welcome: 1 event", line)


@pytest.mark.parametrize(
    ("group", "last", "body"),
    [
        ({}, "2026-11-23T11:00:00Z", "for 15m; the last one was seen at 2026-11-23T11:00:00Z.\n"),
        ({}, None, "for 15m; none was ever seen.\n"),
        ({"payload.host": "web-1"}, None, "for 15m; none was ever seen.\n\npayload.host: web-1\n"),
    ],
)
def test_an_absence_without_a_template_says_since_when(group: dict[str, Any], last: str | None, body: str) -> None:
    payload = {"rule": {"id": "r1", "version": 3}, "group": group, "lastSeenAt": last, "after": "15m"}
    notice = Notification(event(**payload) | {"type": "signalops.rule.absent"}, RULE, "absence")
    assert render({}, notice) == Message("Welcome: no event for 15m", f"No event matched the rule Welcome {body}")


def test_the_largest_text_that_is_allowed_is_rendered() -> None:
    half = "x" * (TEXT_LIMIT // 2)
    assert len(render({"body": "{{ payload.half | append: payload.half }}"}, notification_of(half=half)).body) == TEXT_LIMIT


def test_the_default_body_is_json_where_it_must_be() -> None:
    body = json.loads(render({}, notification_of(text='"}, {"'), "json").body)
    assert body["events"][0]["payload"] == {"text": '"}, {"'}
    assert body["text"].endswith('text: "}, {"\n')
    assert (body["rule"]["name"], body["count"]) == ("Welcome", 1)
