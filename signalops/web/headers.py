"""The headers with which every answer goes out: no browser may guess, frame, keep or leak what it holds; no CORS by default."""

from collections.abc import Iterable, Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signalops.web.operations import Operation

SECURE: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""What an answer has unless its handler said otherwise, as OWASP's REST Security Cheat Sheet lists it."""
_BY_TLS = (*SECURE, (b"strict-transport-security", b"max-age=31536000"))
_EXPOSED = ("ETag", "Idempotent-Replayed", "Location", "RateLimit", "RateLimit-Policy", "Retry-After")


class SecureHeaders:
    """ASGI middleware that adds what is missing of SECURE, and Strict-Transport-Security to what came by https."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with(message["headers"], _BY_TLS if scope["scheme"] == "https" else SECURE)
            await send(message)

        await self._app(scope, receive, secured if scope["type"] == "http" else send)


def _with(headers: Sequence[tuple[bytes, bytes]], more: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    given = {name for name, _ in headers}
    if b"last-modified" in given:
        given.add(b"cache-control")  # a file of the installation, the same for everybody
    return [*headers, *(header for header in more if header[0] not in given)]


def middleware(operations: Iterable[Operation], origins: Sequence[str]) -> list[Middleware]:
    """Return the middleware of an application; browsers may call it from these origins alone, and never with cookies."""
    secure = Middleware(SecureHeaders)
    if not origins:
        return [secure]
    listed = list(operations)
    names = {"authorization", "content-type", "x-api-key", *(name for one in listed for name in one.headers)}
    shared = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=sorted({one.method for one in listed}),
        allow_headers=sorted(names),
        expose_headers=_EXPOSED,
        max_age=600,
    )
    return [secure, shared]
