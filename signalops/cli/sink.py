"""The local sink: a mail server and a webhook receiver that print what they receive."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Say = Callable[[str], None]


class _Mailbox:
    """What aiosmtpd calls with each mail."""

    def __init__(self, say: Say) -> None:
        self._say = say

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        text = mail.get_body(("plain",))
        body = text.get_content().strip() if text else ""
        self._say(f"mail to {', '.join(envelope.rcpt_tos)}: {mail['subject']}\n{_indented(body)}")
        return "250 received"


class _Web(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the one who runs us."""
        yield


class Sink:
    """Both servers, on loopback."""

    def __init__(self, smtp_port: int, http_port: int, say: Say) -> None:
        self._mailbox = _Mailbox(say)
        self._smtp_port = smtp_port
        self._say = say
        receiver = Starlette(routes=[Route("/{path:path}", self._receive, methods=["POST"])])
        self._http_port = http_port
        config = uvicorn.Config(receiver, log_level="warning", access_log=False, lifespan="off")
        self._web = _Web(config)

    async def run(self) -> None:
        """Receive until `stop`; an OSError when a port is taken."""
        loop = asyncio.get_running_loop()
        mail = await loop.create_server(
            lambda: SMTP(self._mailbox, enable_SMTPUTF8=True, hostname="localhost", loop=loop), "127.0.0.1", self._smtp_port
        )
        try:
            # A socket of ours: uvicorn would answer a taken port by ending the process.
            with socket.create_server(("127.0.0.1", self._http_port)) as listening:
                await self._web.serve(sockets=[listening])
        finally:
            mail.close()

    def stop(self) -> None:
        """End `run` soon."""
        self._web.should_exit = True

    async def _receive(self, request: Request) -> Response:
        signed = {name: value for name, value in request.headers.items() if name.startswith("webhook-")}
        body = (await request.body()).decode(errors="replace")
        self._say(f"webhook to {request.url.path} {signed}\n{_indented(body)}")
        return Response(status_code=204)


def _indented(text: str) -> str:
    return "\n".join(f"      {line}" for line in text.splitlines())
