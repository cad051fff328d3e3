"""Telegram's configuration, and messages cut to what it takes."""

import html
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalops.errors import Invalid
from signalops.send.channels import configured
from signalops.send.channels.telegram import MAX_TEXT_LENGTH, cut


def units(text: str) -> int:
    """The length as Telegram counts it: without tags, entities resolved, in UTF-16."""
    return len(html.unescape(re.sub(r"</?[a-z]+>", "", text)).encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("text", "longest", "left"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("<b>abcdef</b>", 6, "<b>abcdef</b>"),
        ("<b>abcdefg</b>", 6, "<b>abcde…</b>"),
        ("<b>ab<i>cdefg</i></b>", 4, "<b>ab<i>c…</i></b>"),
        ("<b>abc</b>defg", 4, "<b>abc…</b>"),
        ("abc&amp;def", 5, "abc&amp;…"),
        ("ab&lt;&gt;", 4, "ab&lt;&gt;"),
        ("ab&#128512;cd", 4, "ab…"),
        ("ab😀cd", 5, "ab😀…"),
        ("ab😀cd", 4, "ab…"),
        ('<a href="https://example.com/?a=1&amp;b=2">abcdef</a>', 3, '<a href="https://example.com/?a=1&amp;b=2">ab…</a>'),
        ("a < b & c", 20, "a < b & c"),
        ("", 4, ""),
    ],
)
def test_a_message_is_cut_after_a_character_and_its_tags_closed(text: str, longest: int, left: str) -> None:
    assert cut(text, longest) == left


def test_a_long_text_is_looked_at_no_further_than_can_be_shown() -> None:
    began = time.thread_time()
    for text in ("<" + "a" * 500_000, "<a" * 250_000, "&#" * 250_000, "<b></b>" * 70_000, "<b" * 9 + "&amp" * 100_000):
        assert units(cut(text)) <= MAX_TEXT_LENGTH
    assert time.thread_time() - began < 3  # quadratic time took minutes
    assert units(cut("<b>&#128512;</b>" * 2100)) == MAX_TEXT_LENGTH - 1


PIECES = st.sampled_from(["<b>", "</b>", "<i>", "</i>", "&amp;", "&lt;", "😀", "x", "ä", "\n"])


@given(st.lists(PIECES, max_size=40).map("".join), st.integers(1, 20))
def test_a_cut_message_is_short_enough_and_begins_as_it_did(text: str, longest: int) -> None:
    left = cut(text, longest)
    assert units(left) <= max(longest, 1)
    if units(text) <= longest:
        assert left == text
    else:
        assert text.startswith(left.partition("…")[0])
        assert left.count("…") == 1


@pytest.mark.parametrize("bad", [None, "", "token", "123:short", "123456:ABC-DEF1234ghIkl-zyx57/../../x", "1:" + "a" * 200])
def test_what_is_no_token_is_refused(bad: str | None) -> None:
    channel = configured("telegram", {"chatId": 1})
    with pytest.raises(Invalid, match="bot's token"):
        channel.normalize_secret(bad)


@pytest.mark.parametrize("chat", ["ops", "@a", "@ops/x", 2**60, 1.5, None])
def test_what_is_no_chat_is_refused(chat: object) -> None:
    with pytest.raises(Invalid, match="chatId"):
        configured("telegram", {"chatId": chat})


def test_a_configuration_is_kept_in_telegram_s_words() -> None:
    config = {"chatId": "@ops_channel", "messageThreadId": 3, "disableNotification": True}
    assert configured("telegram", config).model_dump(mode="json") == config
    assert configured("telegram", {"chatId": -1001}).model_dump()["chatId"] == -1001
