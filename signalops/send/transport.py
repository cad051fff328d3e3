"""All outgoing connections of channels, with one owner that closes them."""

import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import aiohttp
from aiohttp.abc import AbstractResolver

from signalops.config import Settings
from signalops.correlation import outbound
from signalops.send.message_models import Outcome
from signalops.send.response import Answer, classify, retry_after
from signalops.send.response_size import BoundedConnector
from signalops.send.smtp import Mailer
from signalops.send.ssrf_guard import Blocked, Guard
from signalops.send.tls import verifying_context

BODY_LIMIT = 64 * 1024
"""Bytes of an answer that are read; the rest is left, and the connection with it."""

_REQUEST_IDS = ("X-Request-Id", "X-Slack-Req-Id", "X-Fb-Request-Id", "X-Amzn-RequestId")

_TRIED_AGAIN: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "The receiver did not answer in time."),
    (aiohttp.ClientConnectorDNSError, "The receiver's name can't be resolved."),
    (aiohttp.ClientConnectorCertificateError, "The receiver's certificate can't be verified."),
    (aiohttp.ClientSSLError, "The receiver can't be reached: TLS failed."),
    (aiohttp.ClientConnectorError, "The receiver can't be reached."),
    (aiohttp.ClientPayloadError, "The receiver's answer is too long."),
    (aiohttp.ClientResponseError, "The receiver's answer can't be read: it is not HTTP."),
)


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request that makes one attempt; `secret` is removed from the stored response."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    secret: str | None = None


class Transport:
    """The outgoing connections of one process. The HTTP session is opened by the first that needs it."""

    def __init__(self, settings: Settings, resolver: AbstractResolver | None = None) -> None:
        self.settings = settings
        self.guard = Guard(settings, resolver)
        self.mailer = Mailer(self.guard, settings)
        self._http: aiohttp.ClientSession | None = None

    def http(self) -> aiohttp.ClientSession:
        """Return the shared HTTP session of the running event loop: it goes nowhere that the guard forbids."""
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=self._connector(),
                middlewares=(self._checked,),
                timeout=aiohttp.ClientTimeout(total=self.settings.send_timeout),
                # The session serves all tenants: one receiver's cookie must not reach another tenant's request.
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"SignalOps/{version('signalops')}", "Accept-Encoding": "identity"},
                # Some compress anyhow: an answer is kept as it came rather than unpacked to any size.
                auto_decompress=False,
                trust_env=False,  # no proxy and no password from the environment
            )
        return self._http

    async def call(self, request: Request, judge: Callable[[Answer], Outcome] = classify) -> Outcome:
        """Make a request; return what `judge` makes of the response, or why there is none.

        No error quotes the URL: it may be a secret.
        """
        try:
            async with self.http().request(
                request.method,
                request.url,
                data=io.BytesIO(request.body),
                headers={**outbound(), **request.headers},
                allow_redirects=False,
            ) as response:
                body = await _start_of(response)
        except Blocked as refusal:
            return Outcome("misconfigured", error=str(refusal))
        except (aiohttp.ClientError, OSError) as error:
            return _unanswered(error)
        if request.secret:
            body = body.replace(request.secret.encode(), b"***")
        named = next((response.headers[name] for name in _REQUEST_IDS if name in response.headers), None)
        return judge(Answer(response.status, body, retry_after(response.headers.get("Retry-After")), named))

    async def close(self) -> None:
        """Close what was opened."""
        await self.mailer.close()
        if self._http is not None:
            await self._http.close()
            self._http = None
        await self.guard.close()

    def _connector(self) -> aiohttp.TCPConnector:
        return BoundedConnector(
            resolver=self.guard,
            socket_factory=self.guard.new_socket,
            ttl_dns_cache=10,
            ssl=verifying_context(),
            limit=0,  # the worker's concurrency is the limit: receivers that hang must not take others' connections
            keepalive_timeout=4,  # many servers hang up after 5 s: a POST on a connection about to close is lost
        )

    async def _checked(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        self.guard.check_url(request.url)
        return await handler(request)


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    read = bytearray()
    # The status has decided already: an answer that breaks off must not make a success a failure.
    with suppress(aiohttp.ClientError, TimeoutError):
        while len(read) < BODY_LIMIT and (part := await response.content.read(BODY_LIMIT - len(read))):
            read += part
    return bytes(read)


def _unanswered(error: Exception) -> Outcome:
    if isinstance(error, aiohttp.InvalidURL):
        return Outcome("misconfigured", error="The channel's url can't be called: correct it.")
    sentences = (sentence for kind, sentence in _TRIED_AGAIN if isinstance(error, kind))
    return Outcome("transient", error=next(sentences, "The receiver broke off the connection."))
