"""The head of a mail: exactly the headers that were given, whatever stands in their values."""

import base64
import quopri
import re
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signalops.send.mail import named_address, prose, written

WORD = re.compile(r"=\?utf-8\?([bq])\?([^? ]*)\?=", re.IGNORECASE)
HEADERS = {"From": "a@b.example", "To": "c@d.example", "X-Own": "kept"}
FORGED = base64.b64encode(b"Hi\r\nReply-To: x@evil.example\r\n\r\nThe attacker wrote this body.\r\n").decode()
WORDS = ["Grüße", "Österreich", "Überweisung", "où", "été", "заказ", "оплачен", "결제", "완료", "ご注文", "Hello", "order"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=300)


def decoded(value: str) -> str:
    """Read a value as a strict reader of RFC 2047 does: a word is at most 75 characters and decodes by itself."""
    text, position = "", 0
    for match in re.finditer(r"(?:^|(?<= ))=\?[^ ]*\?=(?= |$)", value):
        gap, word = value[position : match.start()], match[0]
        assert len(word) <= 75, word
        read = WORD.fullmatch(word)
        assert read, word
        raw = base64.b64decode(read[2]) if read[1].lower() == "b" else quopri.decodestring(read[2], header=True)
        text += ("" if position and not gap.strip() else gap) + raw.decode()
        position = match.end()
    return text + value[position:]


def sent(subject: str) -> bytes:
    return written({**HEADERS, "Subject": prose("Subject", subject)}, "Our body.", None)


@given(TEXTS)
@example(f"=?utf-8?b?{FORGED}?=")
@example("=?utf-8?q?hello=0ABcc:_evil@x?= tail")
@example("=?utf-8?q?hello_world?=")
@example("New order =?utf-8?b?4oCu?= reversed")
@example("a" * 1000)
@example("a  b   c ")
@example(" " * 200)
@example("😀" * 300)
def test_every_subject_is_read_back_as_it_was_and_adds_nothing(subject: str) -> None:
    head, _, body = sent(subject).partition(b"\r\n\r\n")
    lines = head.decode("ascii").split("\r\n")
    assert all(len(line) <= 998 and line.isprintable() for line in lines)
    names = [line.partition(":")[0] for line in lines if not line.startswith(" ")]
    assert names == [*HEADERS, "Subject", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"]
    value = re.sub(r"\r\n(?= )", "", head.decode()).split("\r\nSubject: ")[1].split("\r\n")[0]
    assert decoded(value) == subject
    assert body == b"Our body.\r\n"


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=40).map(" ".join))
def test_no_blank_between_words_is_lost(subject: str) -> None:
    read = message_from_bytes(sent(subject), policy=policy.default)
    assert isinstance(read, EmailMessage)
    assert str(read["Subject"]) == subject
    assert read.get_content().strip() == "Our body."


@pytest.mark.parametrize("value", ["a\r\nBcc: b@c.example", "a\nb", "a\rb", "a\0b", "ä", "a\x85b", "a\u2028b"])
@pytest.mark.parametrize("name", ["To", "Message-ID", "List-Unsubscribe", "X-Own"])
def test_a_value_that_is_not_encoded_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        written({**HEADERS, name: value}, "Hello", None)
    assert b"X-Own: kept\r\n" in written(HEADERS, "Hello", None)


def test_a_subject_with_a_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="line break"):
        prose("Subject", "Hello\r\nBcc: b@c.example")


def test_a_url_stays_one_word_however_long() -> None:
    url = f"<https://notify.acme-industries.example/unsubscribe/{'x' * 200}>"
    assert f"List-Unsubscribe: {url}\r\n".encode() in written({**HEADERS, "List-Unsubscribe": url}, "Hello", None)


@pytest.mark.parametrize(
    ("given_address", "header"),
    [
        ("ops@example.com", "ops@example.com"),
        ("Ops <ops@example.com>", "Ops <ops@example.com>"),
        (
            "Notifications of Acme Industries Example <ops@example.com>",
            "Notifications of Acme Industries Example <ops@example.com>",
        ),
        ("Acme, Inc. <ops@example.com>", '"Acme, Inc." <ops@example.com>'),
        ('"Acme, Inc." <ops@example.com>', '"Acme, Inc." <ops@example.com>'),
        ("Müller <ops@example.com>", "=?utf-8?b?TcO8bGxlcg==?= <ops@example.com>"),
        ("<ops@example.com>", "<ops@example.com>"),
    ],
)
def test_a_name_beside_an_address(given_address: str, header: str) -> None:
    assert named_address(given_address) == header
