"""Security headers of every response: no sniffing, framing, caching or leaking; no CORS by default.

The response also has the request id and the version of SignalOps.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signalops import correlation
from signalops.endpoint import Endpoint

_VERSION = (b"x-signalops-version", version("signalops").encode())
SECURE: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""The headers of every response unless its handler sets them, as OWASP's REST Security Cheat Sheet lists them."""
_BY_TLS = (*SECURE, (b"strict-transport-security", b"max-age=31536000"))
_EXPOSED = (
    *("ETag", "Idempotent-Replayed", "Location", "RateLimit", "RateLimit-Policy"),
    *("Retry-After", "X-Request-Id", "X-SignalOps-Version"),
)


class CommonHeaders:
    """ASGI middleware that sets a request's correlation and adds the common headers to its response; while draining, also
    Connection: close, so that the client's next connection is to another process."""

    def __init__(self, app: ASGIApp, is_draining: Callable[[], bool]) -> None:
        self._app = app
        self._is_draining = is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = common(scope, message["headers"])
                if self._is_draining():
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        scope["correlation"] = found = correlation.correlation_of(scope["headers"])
        correlation.current.set(found)
        await self._app(scope, receive, complete)


def common(scope: Scope, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers with the request's id and what is missing of SECURE; by https with Strict-Transport-Security."""
    names = {name for name, _ in headers}
    if b"last-modified" in names:
        names.add(b"cache-control")  # a file of the installation, the same for everybody
    more = _BY_TLS if scope["scheme"] == "https" else SECURE
    named = (b"x-request-id", scope["correlation"].id.encode())
    return [*headers, named, _VERSION, *(header for header in more if header[0] not in names)]


def middleware(endpoints: Iterable[Endpoint], origins: Sequence[str], is_draining: Callable[[], bool]) -> list[Middleware]:
    """Return the middleware of an application; browsers may call it from these origins alone, and never with cookies."""
    all_have = Middleware(CommonHeaders, is_draining)
    if not origins:
        return [all_have]
    listed = list(endpoints)
    names = {
        "authorization",
        "content-encoding",
        "content-type",
        "traceparent",
        "x-api-key",
        "x-request-id",
        *(name for one in listed for name in one.headers),
    }
    shared = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=sorted({one.method for one in listed}),
        allow_headers=sorted(names),
        expose_headers=_EXPOSED,
        max_age=600,
    )
    return [all_have, shared]
