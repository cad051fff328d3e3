"""What one request is found again by: in its answer, in the logs, with its events, and in the requests that follow from these.

An id of the client's (`X-Request-Id`), or else the trace-id of the trace that it is part of, or else one of ours.
Traces: W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header.
"""

import os
import re
from collections.abc import Iterable
from contextvars import ContextVar
from typing import NamedTuple

_ID = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")
_TRACE = re.compile(rb"(?!ff)(?!00.{53}.)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?:-.*)?")


class Correlation(NamedTuple):
    """An id of 1 to 128 characters, whether the client sent it, the traceparent that came with it, and our span of that trace."""

    id: str
    is_sent: bool = False
    trace: str | None = None
    span: str | None = None


current: ContextVar[Correlation | None] = ContextVar("correlation", default=None)
"""What this task works for; lines of the logs and outbound requests carry it."""


def correlation_of(headers: Iterable[tuple[bytes, bytes]]) -> Correlation:
    """Return what a request's headers (ASGI's, names in lower case) say, or a new one; what is not valid is not there."""
    sent = trace = None
    for name, value in headers:
        if name == b"x-request-id" and sent is None and _ID.fullmatch(value):
            sent = value.decode()
        elif name == b"traceparent" and trace is None and (found := _TRACE.fullmatch(value)):
            trace = f"00-{found[1].decode()}"
    if sent or trace:
        return Correlation(sent or (trace or "")[3:35], True, trace, span())
    return Correlation(new())


def new() -> str:
    """Return an id of ours: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def span() -> str:
    """Return the id of a new span: 16 hexadecimal digits."""
    return os.urandom(8).hex()


def outbound() -> dict[str, str]:
    """Return the headers of a request that follows from the current one: its id, and our span of its trace."""
    correlation = current.get()
    if correlation is None:
        return {}
    headers = {"X-Request-Id": correlation.id}
    if correlation.trace:
        headers["traceparent"] = f"{correlation.trace[:36]}{correlation.span}{correlation.trace[52:]}"
    return headers
