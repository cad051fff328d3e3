"""Which fields of the event a template is found to refer to."""

import pytest

from signalops.send import fields_of


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("nothing", set()),
        ("{{ payload.email }} {{ source | default: type }}", {"payload.email", "source", "type"}),
        ("{{ payload }} {{ occurredAt | date: '%Y' }}", {"payload", "occurredAt"}),
        ("{{ 'a' | append: payload.b.c }}", {"payload.b.c"}),
        ("{% if payload.a == payload.b or payload['c d'] %}{% endif %}", {"payload.a", "payload.b", "payload.c d"}),
        ("{% unless payload.a contains source %}{% endunless %}", {"payload.a", "source"}),
        ("{% case payload.a %}{% when payload.b %}{{ payload.c }}{% endcase %}", {"payload.a", "payload.b", "payload.c"}),
        ("{% echo payload.a %}{% cycle payload.b, payload.c %}", {"payload.a", "payload.b", "payload.c"}),
        ("{% liquid assign x = payload.a\n echo payload.b %}", {"payload.a", "payload.b"}),
        ("{% capture x %}{{ payload.a }}{% endcapture %}", {"payload.a"}),
        # items of lists
        ("{% for i in payload.items %}{{ i.sku }}{% endfor %}", {"payload.items", "payload.items.sku"}),
        ("{% tablerow i in payload.items %}{{ i.sku }}{% endtablerow %}", {"payload.items", "payload.items.sku"}),
        (
            "{% for i in payload.items %}{% for t in i.tags %}{{ t.name }}{% endfor %}{% endfor %}",
            {"payload.items", "payload.items.tags", "payload.items.tags.name"},
        ),
        ("{% for i in payload.a limit: payload.n %}{{ forloop.index }}{% endfor %}", {"payload.a", "payload.n"}),
        ("{% for i in payload.items %}{% endfor %}{{ i.sku }}", {"payload.items"}),
        ("{{ payload.items[0].sku }}", {"payload.items.sku"}),
        # what only Liquid knows
        ("{{ payload.items.size }} {{ payload.items.first.sku }}", {"payload.items"}),
        ("{{ payload.size }} {{ payload.first.last }}", {"payload.size", "payload.first"}),
        ("{{ payload[rule.name].x }} {{ payload.a[payload.b] }}", {"payload", "payload.a", "payload.b"}),
        # not the event's
        ("{{ event_id }} {{ rule.name }} {{ window.value }} {{ count }}", set()),
        ("{% for event in events %}{{ event.payload.a }}{% endfor %}", set()),
        ("{% for i in (1..3) %}{{ i }}{% endfor %}{{ nosuch.field }}", set()),
        ("{% assign payload = rule %}{{ payload.name }}", set()),
        ("{% assign source = payload.a %}{{ source }}", {"payload.a"}),
        ("{% for type in events %}{{ type.id }}{% endfor %}{{ type }}", {"type"}),
        ("{% increment source %}{{ source }}", set()),
    ],
)
def test_the_fields_of_a_part(source: str, fields: set[str]) -> None:
    assert fields_of({"body": source}) == fields


def test_the_fields_of_all_parts_together() -> None:
    template = {"subject": "{{ type }}", "body": "{{ payload.a }}", "html": "<b>{{ payload.b }}</b>"}
    assert fields_of(template) == {"type", "payload.a", "payload.b"}


def test_what_one_part_assigns_is_unknown_to_the_others() -> None:
    assert fields_of({"subject": "{% assign type = 'x' %}", "body": "{{ type }}"}) == {"type"}
