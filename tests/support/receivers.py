"""What stands at the other end: an HTTP receiver and a mail server on loopback."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from multidict import CIMultiDictProxy

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Received:
    """A request as it came in."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes


class Receiver:
    """An HTTP server that stores requests, and returns the configured answers, else 204."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: deque[web.Response | Answer] = deque()
        self.url = ""

    async def start(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, 0, ssl_context=tls)
        await site.start()
        self.port: int = self._runner.addresses[0][1]
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}/hook"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.received.append(Received(request.method, request.path, request.headers, await request.read()))
        answer = self.answers.popleft() if self.answers else web.Response(status=204)
        return answer if isinstance(answer, web.Response) else await answer(request)


class Mailbox:
    """A mail server that keeps what it is sent, and answers `replies` first."""

    def __init__(self, port: int = 0, **options: Any) -> None:
        self.received: list[Message] = []
        self.recipients: list[str] = []
        self.replies: deque[str] = deque()
        self.recipient_replies: deque[str] = deque()
        self.blocked: asyncio.Event | None = None
        self._controller = Controller(self, hostname="127.0.0.1", port=port or free_port(), server_hostname="sink", **options)

    async def start(self) -> None:
        await asyncio.to_thread(self._controller.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self._controller.stop)

    @property
    def port(self) -> int:
        port: int = self._controller.port
        return port

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if self.recipient_replies:
            return self.recipient_replies.popleft()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.blocked:
            await self.blocked.wait()
        self.recipients += envelope.rcpt_tos
        self.received.append(message_from_bytes(envelope.content, EmailMessage, policy=policy.default))
        return self.replies.popleft() if self.replies else "250 kept"


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A webhook receiver."""
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    """A mail server without TLS or logins."""
    mailbox = Mailbox()
    await mailbox.start()
    yield mailbox
    await mailbox.stop()
