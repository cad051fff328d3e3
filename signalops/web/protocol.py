"""uvicorn's HTTP protocol with bounds on size and time, which uvicorn lacks.

A client holds a connection only while it makes progress: slow heads, slow bodies, endless chunk extensions and trailers, floods
of pipelined requests and responses that nobody reads all end with 4xx and the connection, or with the connection alone.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

import httptools
import orjson
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from signalops.config import Settings
from signalops.errors import HeadTooLarge, Malformed, Overloaded, Problem, TooSlow, UrlTooLong
from signalops.types import JsonObject
from signalops.web.framing import check_framing, closes, problem_headers

MAX_URL_BYTES = 8 * 1024
MAX_HEAD_BYTES = 32 * 1024
MAX_FIELDS = 100
_MAX_PIPELINED = 100
_SPARE_CONNECTIONS = 100
_FRAMING = 7
"""Bytes of framing that each byte of a body excuses: in chunks of one byte there are five."""

_LONG_HEAD = f"The head of the request is larger than {MAX_HEAD_BYTES} bytes or {MAX_FIELDS} fields: send less."
_LONG_FRAMING = "The body comes in too much framing: send larger chunks, without extensions and trailers."


def server_options(settings: Settings) -> JsonObject:
    """Return uvicorn's options for this protocol."""
    return {
        "http": BoundedProtocol,
        "ws": "none",
        "limit_concurrency": settings.max_connections,
        "server_header": False,
        # Load balancers keep an idle connection for a minute; were we the first to close it, their next POST would fail.
        "timeout_keep_alive": 75,
    }


class BoundedProtocol(HttpToolsProtocol):
    """One connection. The seconds are of the class: a test may be in more of a hurry."""

    HEAD_SECONDS = 10.0
    """From a request's first byte, or the connection's beginning, to the end of its head; and between looks at progress."""
    BODY_SECONDS = 60.0
    WINDOW_SECONDS = 10.0
    WINDOW_BYTES = 4096
    """What a body must bring in each window, and what a client must read of an answer in each look."""
    ANSWER_SECONDS = 60.0
    """For all of an answer to be read: a page has 4 MiB at most."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: JsonObject, _loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn would answer in plain text.
        self._most_connections, self.limit_concurrency = self.limit_concurrency or math.inf, None
        self._phase: Literal["idle", "head", "body", "answer"] = "idle"
        self._deadline = math.inf
        self._body_deadline = math.inf
        self._resting_since = math.inf
        self._moved = 0
        self._chunk = 0
        self._idle_bytes = 0  # bytes without progress: of an unfinished head, or of framing
        self._head_bytes = 0
        self._unsent = 0
        self._unsent_since = math.inf
        self.owner: object = None
        """Whose the answer is that waits to be read: the tenant that asked."""

    @property
    def unread(self) -> int:
        """How many bytes of answers wait to be read."""
        return self.transport.get_write_buffer_size()

    # The transport's calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._most_connections:
            self._make_room()
        if len(self.connections) > self._most_connections + _SPARE_CONNECTIONS:
            transport.abort()
        self._resting_since = self.loop.time()
        self._deadline = self.loop.time() + self.HEAD_SECONDS
        # One timer looks at the deadline as it then is: one for each head and body would cost each request.
        self._timer = self.loop.call_later(self.HEAD_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._unsent, self._unsent_since = 0, math.inf
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._chunk = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.flow.pause_reading()  # there is nothing to upgrade to: the request is answered, and the connection closed
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Problem) else Malformed("This is not HTTP/1.1: check the client."))
        else:
            self._idle_bytes += len(data)
            if self._idle_bytes > MAX_HEAD_BYTES:
                self._refuse(Malformed(_LONG_FRAMING) if self._phase == "body" else HeadTooLarge(_LONG_HEAD))
            elif len(self.pipeline) > _MAX_PIPELINED:
                self.transport.abort()

    # The parser's calls

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # Behind a request in the same chunk it begins at an unknown place: what came with it is counted as it is understood.
        self._idle_bytes = 0 if self._phase == "idle" else -self._chunk
        self._phase = "head"
        self._deadline = self.loop.time() + self.HEAD_SECONDS
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            raise UrlTooLong(f"The address is longer than {MAX_URL_BYTES} bytes: shorten it.")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase != "head":
            return  # a trailer: among the headers it would be taken for one that a proxy before us has checked
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > MAX_HEAD_BYTES or len(self.headers) >= MAX_FIELDS:
            raise HeadTooLarge(_LONG_HEAD)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        check_framing(self.parser.get_http_version(), self.headers)
        if len(self.connections) > self._most_connections:
            self.app = _overloaded
        now = self.loop.time()
        self._phase = "body"
        self._deadline, self._body_deadline = now + self.WINDOW_SECONDS, now + self.BODY_SECONDS
        self._moved, self._idle_bytes = 0, -self._chunk
        self.scope.setdefault("state", {})["connection"] = self
        super().on_headers_complete()
        if self.expect_100_continue or self.parser.should_upgrade():
            # Whether a refused body follows is not known; taken for one, the next request would go astray.
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._moved += len(body)
        self._idle_bytes -= len(body) * (1 + _FRAMING)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._idle_bytes = -self._chunk
        self._rest()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._phase == "answer":
            self._rest()

    # Responding

    def respond(
        self, scope: Mapping[str, Any], status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes | memoryview
    ) -> bool:
        """Write a whole response, with its Content-Length, at once; return False if ASGI messages must send it instead.

        uvicorn writes head and body apart, each with a system call, and searches each header by two regular expressions.
        """
        cycle = self.cycle  # not kept in the scope, which it refers to: only the garbage collector would free such a pair
        if (
            cycle.scope is not scope
            or cycle.response_started
            or self.flow.write_paused
            or not cycle.keep_alive
            or closes(headers)
        ):
            return False
        lines = [b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)]
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
            raise RuntimeError("A response header contains a line break.")
        if not cycle.disconnected:
            cycle.response_started = cycle.response_complete = True
            cycle.waiting_for_100_continue = False
            self.transport.write(b"".join((STATUS_LINE[status], head, b"\r\n", body)))
            cycle.message_event.set()
            cycle.on_response()
        return True

    def _should_upgrade(self) -> bool:
        return False

    # Time

    def _rest(self) -> None:
        """Wait for a handler, or for the next request."""
        is_idle = self.cycle.response_complete and not self.pipeline
        self._phase = "idle" if is_idle else "answer"
        self._resting_since = self.loop.time()
        self._deadline = self.loop.time() + self.timeout_keep_alive if is_idle else math.inf

    def _look(self) -> None:
        """End what is late; look again at the deadline, or a while later."""
        now = self.loop.time()
        if self._is_unread(now):
            self.transport.abort()
            return
        if now >= self._deadline and self._is_late(now):
            self._refuse(TooSlow("The request came too slowly: send it again.") if self._phase != "idle" else None)
        wait = min(max(self._deadline - now, 0.0) or self.HEAD_SECONDS, self.HEAD_SECONDS)
        self._timer = self.loop.call_later(wait, self._look)

    def _is_unread(self, now: float) -> bool:
        """Say whether nobody reads what we say, or so slowly that it takes memory for too long."""
        before, self._unsent = self._unsent, self.unread
        if not self._unsent:
            self._unsent_since = math.inf
        elif not before:
            self._unsent_since = now
        elif before - self._unsent < self.WINDOW_BYTES or now - self._unsent_since > self.ANSWER_SECONDS:
            return True
        return False

    def _is_late(self, now: float) -> bool:
        """Say whether time is up; a body that moves gets another window, and so does what we are not ready to read."""
        if not self.flow.read_paused:
            if self._phase != "body" or self._moved < self.WINDOW_BYTES or now >= self._body_deadline:
                return True
            self._deadline = min(now + self.WINDOW_SECONDS, self._body_deadline)
        else:
            self._deadline = now + self.WINDOW_SECONDS
        self._moved = 0
        return False

    # Refusing

    def _make_room(self) -> None:
        """Close the connection that has rested the longest: else a client could keep all others out by resting on many."""
        others = (c for c in self.connections if isinstance(c, BoundedProtocol) and c is not self)
        resting = [c for c in others if c._phase == "idle" and not c.transport.is_closing()]
        if resting:
            min(resting, key=lambda c: c._resting_since)._refuse(None)

    def _refuse(self, problem: Problem | None) -> None:
        """End the connection, after an answer unless it would stand where another's is awaited."""
        if problem and self._may_answer() and not self.transport.is_closing():
            self.transport.write(self._rendered(problem))
        if self.cycle:
            self.cycle.disconnected = True
        self.transport.close()

    def _may_answer(self) -> bool:
        if self.cycle is None:
            return True
        if self._phase == "body":
            return not (self.cycle.response_started or self.pipeline)
        return self.cycle.response_complete

    def _rendered(self, problem: Problem) -> bytes:
        status = HTTPStatus(problem.status)
        body = orjson.dumps(problem.document())
        headers = [*self.server_state.default_headers, *problem_headers(problem, body)]
        lines = [f"HTTP/1.1 {status} {status.phrase}".encode(), *(b"%b: %b" % header for header in headers), b"", body]
        return b"\r\n".join(lines)


async def _overloaded(_: Scope, __: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    problem = Overloaded("Too many connections: try again.", headers={"Retry-After": "5"})
    body = orjson.dumps(problem.document())
    headers = problem_headers(problem, body)
    await send({"type": "http.response.start", "status": problem.status, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": body, "more_body": False})
