"""The local sink: a mail server and a webhook receiver that print what they receive, so that a first try shows something."""

from collections.abc import Callable
from email import message_from_bytes, policy

import uvicorn
from aiosmtpd.controller import Controller
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


class Sink:
    """Both servers, on loopback."""

    def __init__(self, smtp_port: int, http_port: int, say: Say) -> None:
        self._mail = Controller(_Mailbox(say), hostname="127.0.0.1", port=smtp_port)
        self._say = say
        receiver = Starlette(routes=[Route("/{path:path}", self._receive, methods=["POST"])])
        config = uvicorn.Config(receiver, port=http_port, log_level="warning", access_log=False, lifespan="off")
        self._web = uvicorn.Server(config)

    async def run(self) -> None:
        """Receive until `stop`."""
        self._mail.start()
        try:
            await self._web.serve()
        finally:
            self._mail.stop()

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
