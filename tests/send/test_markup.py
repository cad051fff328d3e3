"""What hostile values become in each markup: data, whatever they pretend to be."""

import html
import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalops.send.channels import CHANNELS
from signalops.send.engine import write
from signalops.send.markup import ENTITIES, NEUTRALISERS, Markup

Z = "\u200b"
ANY = st.text(st.characters(exclude_categories=["Cs"]))


def test_each_markup_has_its_function_and_each_channel_its_markup() -> None:
    assert set(NEUTRALISERS) == set(get_args(Markup))
    own = {"telegram": "telegram", "whatsapp": "whatsapp", "slack": "slack", "http": "json"}
    assert {kind: channel.markup for kind, channel in CHANNELS.items()} == {"email": "text", "webhook": "text", **own}


@pytest.mark.parametrize(
    ("markup", "value", "written"),
    [
        ("text", '<b>"it\'s"</b> & *x*', '<b>"it\'s"</b> & *x*'),
        ("text", "a\0b\x1b[31mc\x7fd\x85e\r\nf\tg", "ab[31mcde\nf\tg"),
        ("text", "invoice\u202efdp.exe\u2066", "invoicefdp.exe"),
        ("text", "סכום\u200f: 5", "סכום\u200f: 5"),
        ("line", "Hello\r\nBcc: victim@example.com", "Hello Bcc: victim@example.com"),
        ("line", "a\t\u2028\u2029b\x85c", "a bc"),
        ("html", "<script>alert('x')</script>", "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;"),
        ("html", '" onmouseover="x', "&quot; onmouseover=&quot;x"),
        ("html", "&lt;\u202e\x00", "&amp;lt;"),
        ("telegram", "</b><a href='tg://user?id=1'>", "&lt;/b&gt;&lt;a href=&#x27;tg://user?id=1&#x27;&gt;"),
        ("telegram", '"&"', "&quot;&amp;&quot;"),
        ("slack", "<!channel>", "&lt;!channel&gt;"),
        ("slack", "<https://evil.example|click>", "&lt;https://evil.example|click&gt;"),
        ("slack", '&lt;!here&gt; "it\'s"', '&amp;lt;!here&amp;gt; "it\'s"'),
        ("slack", "*x*", f"{Z}*{Z}x{Z}*{Z}"),
        ("slack", "_i_ snake_case", f"{Z}_{Z}i{Z}_{Z} snake_case"),
        ("slack", "~~", f"{Z}~{Z}~{Z}"),
        ("slack", "a```b", f"a{Z}`{Z}`{Z}`{Z}b"),
        ("whatsapp", "*x* _y_ ~z~", f"{Z}*{Z}x{Z}*{Z} {Z}_{Z}y{Z}_{Z} {Z}~{Z}z{Z}~{Z}"),
        ("whatsapp", "```c``` 2*3", f"{Z}`{Z}`{Z}`{Z}c{Z}`{Z}`{Z}`{Z} 2*3"),
        ("whatsapp", "<b> & \x07", "<b> & "),
        ("json", '"}, "admin": true, "x": "', '\\"}, \\"admin\\": true, \\"x\\": \\"'),
        ("json", "a\\b\nc\0", "a\\\\b\\nc\\u0000"),
    ],
)
def test_a_hostile_value_is_written_as_data(markup: Markup, value: str, written: str) -> None:
    assert NEUTRALISERS[markup](value) == written
    assert write("{{ payload }}", {"payload": value}, markup) == written


@given(ANY)
def test_in_json_any_value_stays_the_same_string(value: str) -> None:
    assert json.loads(write('{"a": "{{ payload }}"}', {"payload": value}, "json")) == {"a": value}


@given(ANY)
def test_in_html_any_value_is_text_and_reads_as_it_was(value: str) -> None:
    written = NEUTRALISERS["html"](value)
    assert not set("<>\"'") & set(written)
    assert html.unescape(written) == NEUTRALISERS["text"](value)


@given(ANY)
def test_for_slack_no_value_holds_a_mention_or_an_opening_mark(value: str) -> None:
    written = NEUTRALISERS["slack"](value)
    assert not set("<>") & set(written)
    assert html.unescape(written.replace(Z, "")) == html.unescape(html.escape(NEUTRALISERS["text"](value).replace(Z, "")))
    for mark in "*_~`":
        assert not any(f"{before}{mark}a" in f" {written}" for before in ' \n"(')


@given(ANY)
def test_a_subject_s_value_is_one_line(value: str) -> None:
    assert len(NEUTRALISERS["line"](f"x{value}").splitlines()) == 1


@pytest.mark.parametrize("markup", get_args(Markup))
@pytest.mark.parametrize(
    "source",
    [
        "{{ x }}",
        "{% echo x %}",
        "{% cycle x, 'other' %}",
        "{% liquid echo x\n %}",
        "{% assign y = x %}{{ y }}",
        "{% capture y %}{{ x }}{% endcapture %}{{ y }}",
        "{% capture y %}{% capture z %}{{ x }}{% endcapture %}{{ z }}{% endcapture %}{{ y }}",
        "{% capture y %}{% if true %}{{ x }}{% endif %}{% endcapture %}{% echo y %}",
        "{% capture y %}{% ifchanged %}{{ x }}{% endifchanged %}{% endcapture %}{% cycle y %}",
        "{% capture y %}{{ x }}{% endcapture %}{{ y | append: '' }}",
        "{% capture y %}{{ x }}{% endcapture %}{{ '' | append: y }}",
        "{% capture y %}{{ x }}{% endcapture %}{{ y | default: 'nothing' }}",
        "{% capture y %}{{ x }}{% endcapture %}{{ nothing | default: y }}",
        "{% capture y %}{{ x }}{% endcapture %}{{ y | split: ' ' | join: ' ' }}",
        "{% for y in list %}{{ y }}{% endfor %}",
        "{% for y in list %}{% ifchanged %}{{ y }}{% endifchanged %}{% endfor %}",
        "{{ list }}",
        "{{ list | first }}",
        "{{ x | url_encode | url_decode }}",
        "{{ x | base64_encode | base64_decode }}",
    ],
)
def test_every_way_out_neutralises_once(source: str, markup: Markup) -> None:
    value = '<b>"it\'s"</b> & *x* `y` <!channel> &lt; \\'
    assert write(source, {"x": value, "list": [value], "nothing": None}, markup) == NEUTRALISERS[markup](value)


def test_the_template_s_own_text_stays_as_written() -> None:
    source = "<b>*{% capture y %}<i>{{ x }}</i>{% endcapture %}{{ y }}</b>{% raw %}<&>{{ x }}{% endraw %}{% increment n %}"
    assert write(source, {"x": "<"}, "html") == "<b>*<i>&lt;</i></b><&>{{ x }}0"
    assert write("{{ '<b>' }}", {}, "html") == "&lt;b&gt;"


def test_a_captured_text_that_a_filter_has_changed_is_a_value_like_any_other() -> None:
    captured = "{% capture y %}<i>{{ x }}</i>{% endcapture %}"
    for name in ("append: '!'", "truncate: 5", "truncate: 500", "upcase", "replace: '&lt;', '<'", "strip"):
        assert "<" not in write(f"{captured}{{{{ y | {name} }}}}", {"x": "<b>"}, "html")
    assert write(f"{captured}{{{{ y | upcase }}}}", {"x": "<b>"}, "html") == "&lt;I&gt;&lt;B&gt;&lt;/I&gt;"


@pytest.mark.parametrize("markup", sorted(ENTITIES))
def test_escaping_by_hand_does_not_escape_twice(markup: Markup) -> None:
    for filters in ("escape", "escape | escape", "escape_once"):
        assert write(f"{{{{ x | {filters} }}}}", {"x": "<b> & c"}, markup) == "&lt;b&gt; &amp; c"
    assert write("{{ x | escape_once }}", {"x": "&lt;"}, markup) == "&lt;"


@pytest.mark.parametrize("markup", ["text", "json"])
def test_where_html_is_not_the_markup_escaping_by_hand_escapes(markup: Markup) -> None:
    assert write("{{ x | escape }}", {"x": "<b>&lt;"}, markup) == "&lt;b&gt;&amp;lt;"
    assert write("{{ x | escape_once }}", {"x": "<b>&lt;"}, markup) == "&lt;b&gt;&lt;"
    assert "<br />" in write("{{ x | newline_to_br }}", {"x": "a\nb"}, markup)


def test_line_breaks_become_tags_in_html_and_nothing_else_does() -> None:
    assert write("{{ x | newline_to_br }}", {"x": "<i>\r\nb"}, "html") == "&lt;i&gt;<br />\nb"
    assert write("{{ x | newline_to_br | strip }}", {"x": "<i>\nb"}, "html") == "&lt;i&gt;\nb"


def test_json_of_a_value_is_escaped_as_any_text() -> None:
    assert write("<a data-x='{{ x | json }}'>", {"x": {"a": "'><"}}, "html") == (
        "<a data-x='{&quot;a&quot;: &quot;&#x27;&gt;&lt;&quot;}'>"
    )
    assert json.loads(json.loads(write('"{{ x | json }}"', {"x": ['ä"']}, "json"))) == ['ä"']
