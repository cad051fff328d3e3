"""The request id: returned in the response, logged, stored with events, and sent on with the requests that follow.

The id is the client's (`X-Request-Id`), else the trace id of its trace, else generated.
Traces: W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header.
"""

import os
import re
from collections.abc import Iterable
from contextvars import ContextVar

_ID = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")
_TRACE = re.compile(rb"(?!ff)(?!00.{53}.)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?:-.*)?")


class Correlation:
    """An id of 1 to 128 characters, whether the client sent it, the traceparent that came with it, and our span of that trace.

    Without an id it makes one when asked: an event's request takes the event's, and a random one costs a system call.
    """

    __slots__ = ("_id", "is_sent", "span", "trace")

    def __init__(
        self, known: str | None = None, *, is_sent: bool = False, trace: str | None = None, span: str | None = None
    ) -> None:
        self._id = known
        self.is_sent = is_sent
        self.trace = trace
        self.span = span

    @property
    def id(self) -> str:
        if self._id is None:
            self._id = new()
        return self._id

    def name(self, known: str) -> None:
        """Take this id, unless there is one: it may be in a line of the logs already."""
        self._id = self._id or known


current: ContextVar[Correlation | None] = ContextVar("correlation", default=None)
"""What this task works for; lines of the logs and outbound requests carry it."""


def correlation_of(headers: Iterable[tuple[bytes, bytes]]) -> Correlation:
    """Return the correlation from a request's headers (ASGI, lower-case names); invalid values are ignored."""
    sent = trace = None
    for name, value in headers:
        if name == b"x-request-id" and sent is None and _ID.fullmatch(value):
            sent = value.decode()
        elif name == b"traceparent" and trace is None and (found := _TRACE.fullmatch(value)):
            trace = f"00-{found[1].decode()}"
    if sent or trace:
        return Correlation(sent or (trace or "")[3:35], is_sent=True, trace=trace, span=span())
    return Correlation()


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
