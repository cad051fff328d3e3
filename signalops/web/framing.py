"""HTTP/1.1 framing: which heads are refused, and the headers of an answer that ends the connection."""

import re
from collections.abc import Sequence

from signalops import correlation
from signalops.errors import Malformed, Problem
from signalops.web.headers import SECURE

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.vV]+\])(?::[0-9]*)?")
"""RFC 3986, section 3.2.2; empty where the target has no authority."""


def check_framing(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse what RFC 9112, sections 3.2 and 6.1, has a server refuse, since others read it otherwise."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 and (version != "1.0" or hosts):
        raise Malformed("A request has one header Host: send it once.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise Malformed("The header Host is no name or address with or without a port: check the client.")
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and version == "1.0":
        raise Malformed("HTTP/1.0 has no Transfer-Encoding: send Content-Length, or HTTP/1.1.")
    if codings and codings != [b"chunked"]:
        raise Malformed("The only Transfer-Encoding here is chunked: compress by Content-Encoding.")


def closes(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return any(name == b"connection" for name, _ in headers)


def problem_headers(problem: Problem, body: bytes) -> list[tuple[bytes, bytes]]:
    own = {name.lower().encode(): value.encode() for name, value in problem.headers.items()}
    return [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        (b"x-request-id", correlation.new().encode()),
        *SECURE,
        *own.items(),
    ]
