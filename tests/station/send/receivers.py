"""What stands at the other end: an HTTP receiver and a mail server on loopback, and a tenant with something to send."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from typing import Any
from uuid import UUID

import psycopg
from aiohttp import web
from aiosmtpd.controller import Controller
from multidict import CIMultiDictProxy
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from signalops import clock, db
from signalops.config import Settings
from signalops.send import ChannelRegistry, NewChannel, Sender
from signalops.terms import ChannelId, DeliveryId, TenantId

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Received:
    """A request as it came in."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes


class Receiver:
    """An HTTP server that keeps what it is sent, and answers what it is told to, 204 otherwise."""

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
        self.held: asyncio.Event | None = None
        self._controller = Controller(
            self, hostname="127.0.0.1", port=port or free_port(), server_hostname="sink", **options
        )

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
        if self.held:
            await self.held.wait()
        self.recipients += envelope.rcpt_tos
        self.received.append(message_from_bytes(envelope.content, EmailMessage, policy=policy.default))
        return self.replies.popleft() if self.replies else "250 kept"


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class World:
    """One tenant with an event, and what it takes to send it."""

    settings: Settings
    worker: db.Pool
    api: db.Pool
    owner: psycopg.Connection
    tenant: TenantId
    senders: list[Sender] = field(default_factory=list)

    def sender(self, **changed: Any) -> Sender:
        """Return a sender with some settings of its own."""
        self.senders.append(Sender(self.worker, self.settings.model_copy(update=changed)))
        return self.senders[-1]

    async def channel(
        self, kind: Any, name: str = "channel", secret: str | None = None, **config: Any
    ) -> tuple[ChannelId, str | None]:
        """Add a channel as the command line does."""
        new = NewChannel(name=name, kind=kind, config=config, secret=secret and SecretStr(secret))
        async with db.as_tenant(self.api, self.tenant) as connection:
            added = await ChannelRegistry(self.settings).add(connection, self.tenant, new)
        return added.id, added.secret or secret

    def event(self, payload: dict[str, Any], type_: str = "user.signup", depth: int = 0) -> UUID:
        """Store an event."""
        event = clock.new_id()
        self.owner.execute(
            "insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload, depth)"
            " values (%s, %s, %s, %s, '2026-11-01T12:00:00Z', now(), %s, %s)",
            [self.tenant, event, clock.new_id(), type_, Jsonb(payload), depth],
        )
        return event

    def rule(self, channel: ChannelId, template: dict[str, str], severity: str = "info") -> UUID:
        """Store a rule with one version."""
        rule = clock.new_id()
        self.owner.execute(
            "insert into signalops.rules (tenant_id, id, name, active_version) values (%s, %s, %s, 1)",
            [self.tenant, rule, f"rule {rule}"],
        )
        self.owner.execute(
            "insert into signalops.rule_versions"
            " (tenant_id, rule_id, version, grammar, pattern, channel_id, template, severity)"
            " values (%s, %s, 1, 1, '{}', %s, %s, %s)",
            [self.tenant, rule, channel, Jsonb(template), severity],
        )
        return rule

    def told(self, channel: ChannelId, event: UUID, rule: UUID, **columns: Any) -> DeliveryId:
        """Store the pending delivery of an event by a rule, with further columns of its own."""
        delivery = clock.new_id()
        values = {"tenant_id": self.tenant, "id": delivery, "event_id": event, "rule_id": rule, "rule_version": 1}
        values |= {"channel_id": channel, **columns}
        self.owner.execute(
            sql.SQL("insert into signalops.deliveries ({}) values ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
            ),
            values,
        )
        return DeliveryId(delivery)

    def delivery(self, channel: ChannelId, **template: str) -> DeliveryId:
        """Store an event, a rule and the pending delivery, as a processed batch leaves them."""
        event = self.event({"email": "user@example.com", "amount": 1e30})
        return self.told(channel, event, self.rule(channel, template))

    def row(self, delivery: DeliveryId) -> dict[str, Any]:
        """Return the delivery with `wait`, the seconds from its last change to its next attempt."""
        return self._rows(
            "select *, extract(epoch from next_attempt_at - updated_at)::float as wait"
            " from signalops.deliveries where id = %s",
            delivery,
        )[0]

    def attempts(self, delivery: DeliveryId) -> list[dict[str, Any]]:
        """Return the attempts on record, in order."""
        return self._rows("select * from signalops.delivery_attempts where delivery_id = %s order by attempt", delivery)

    def letters(self, delivery: DeliveryId) -> list[dict[str, Any]]:
        """Return the delivery's dead letters."""
        return self._rows("select * from signalops.dead_letters where delivery_id = %s", delivery)

    def wake(self, delivery: DeliveryId) -> None:
        """Make a delivery that waits pending, as the sweep does when its time has come."""
        self.owner.execute(
            "update signalops.deliveries set status = 'pending', next_attempt_at = null where id = %s", [delivery]
        )

    def _rows(self, statement: Any, delivery: DeliveryId) -> list[dict[str, Any]]:
        with self.owner.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, [delivery]).fetchall()
