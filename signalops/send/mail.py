"""Builds a mail (RFC 5322): we write the header, the standard library writes the body.

The standard library's EmailMessage parses each header that is set: it decodes the encoded-words of a value, including line breaks
in them (CVE-2024-6923), removes blanks between words, and encodes a long URL as if it were prose.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from email import policy
from email.message import EmailMessage
from typing import NamedTuple

# All in seven bits: not every server takes eight.
_POLICY = policy.SMTP.clone(cte_type="7bit")
_BYTES_OF_WORD = 39  # with `Subject: ` a line of 73: RFC 2047, section 2, allows words of 75 and lines of 76 characters
_LINE = 78  # RFC 5322, section 2.1.1
_PLAIN = re.compile(r"[!-~]+( [!-~]+)*")
_HEADER = re.compile(r"[!-9;-~]+:(?: [!-~]+)* ?")


class Mail(NamedTuple):
    """A mail and its envelope: two addresses, and the bytes."""

    sender: str
    recipient: str
    content: bytes


def written(headers: Mapping[str, str], text: str, html: str | None) -> bytes:
    """Return a mail of these headers, whose values are ASCII, with a text and perhaps HTML beside it.

    Raises ValueError if a header would contain a line break, or can't be sent.
    """
    body = EmailMessage(_POLICY)
    body.set_content(text)
    if html is not None:
        body.add_alternative(html, subtype="html")
    head = "".join(_folded(name, value) for name, value in headers.items())
    return head.encode("ascii") + body.as_bytes()


def prose(name: str, text: str) -> str:
    """Return the value of a header that people read, in encoded-words (RFC 2047) unless it reads the same without.

    Raises ValueError for a line break.
    """
    if "\r" in text or "\n" in text:
        raise ValueError(f"the header {name} contains a line break")
    if len(name) + 2 + len(text) <= _LINE and _PLAIN.fullmatch(text) and "=?" not in text:
        return text
    return " ".join(f"=?utf-8?b?{base64.b64encode(part).decode()}?=" for part in _parts(text))


def _parts(text: str) -> Iterator[bytes]:
    """Cut a text between characters, into what one encoded-word takes."""
    part = b""
    for character in map(str.encode, text):
        if len(part) + len(character) > _BYTES_OF_WORD:
            yield part
            part = b""
        part += character
    yield part


def named_address(text: str) -> str:
    """Return an address such as `Acme <ops@example.com>` for a header, its name encoded."""
    match = re.fullmatch(r"\s*(.*?)\s*<([^<>]+)>\s*", text)
    if not match:
        return text.strip()
    name, address = match[1].strip().strip('"'), match[2]
    if not name:
        return f"<{address}>"
    if name.isascii() and re.fullmatch(r"[\w !#$%&'*+/=?^`{|}~-]+", name) and "=?" not in name:
        return f"{name} <{address}>"
    return f"{_quoted(name) if name.isascii() else prose('From', name)} <{address}>"


def _quoted(name: str) -> str:
    escaped = name.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


def _folded(name: str, value: str) -> str:
    """Return a header, folded only where it has a blank (RFC 5322, section 2.2.3)."""
    lines = [f"{name}:"]
    for word in value.split(" "):
        if len(lines[-1]) + 1 + len(word) > _LINE and lines[-1] != f"{name}:":
            lines.append("")
        lines[-1] += f" {word}"
    # One header a line, and nothing in it that could begin another: whatever was encoded before.
    if not _HEADER.fullmatch("".join(lines)):
        raise ValueError(f"the header {name} contains a line break, or what mail can't carry")
    return "\r\n".join(lines) + "\r\n"
