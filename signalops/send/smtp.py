"""Connections to mail servers (RFC 5321), opened on demand and reused."""

import asyncio
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal
from weakref import WeakValueDictionary

import aiosmtplib

from signalops.config import Settings
from signalops.send.mail import Mail
from signalops.send.ssrf_guard import Guard
from signalops.send.tls import verifying_context
from signalops.supervise import watched

Security = Literal["starttls", "tls", "none"]

MAX_MAILS = 100
"""Mails on one connection: servers end those that never end, and new ones spread over all of a server's machines."""
MAX_IDLE = 15.0
"""Seconds without a mail after which a connection is ended."""
SURE = 1.0
"""Seconds for which a connection is taken to live without asking."""


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server with its credentials. For a tenant's own (`theirs`) the address is checked before connecting."""

    host: str
    port: int
    security: Security
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    theirs: bool = False


class Busy(ConnectionError):
    """A mail was not sent: the connections to its server were in use for too long."""


@dataclass(slots=True)
class _IdleConnection:
    smtp: aiosmtplib.SMTP
    mails: int = 0
    since: float = 0.0
    expiry: asyncio.TimerHandle | None = None

    async def is_fit(self, sure: float) -> bool:
        """Return whether the connection can be reused: the server may have closed it."""
        if self.mails >= MAX_MAILS or not self.smtp.is_connected:
            return False
        if time.monotonic() - self.since > sure:
            with suppress(aiosmtplib.SMTPException, OSError):
                return (await self.smtp.rset()).code == aiosmtplib.SMTPStatus.completed
            return False
        return True

    async def end(self) -> None:
        with suppress(aiosmtplib.SMTPException, OSError):
            await self.smtp.quit(timeout=1)
        self.smtp.close()


class Mailer:
    """The SMTP connections of one process: a configured maximum per server, and one owner who closes them."""

    def __init__(self, guard: Guard, settings: Settings, most_idle: float = MAX_IDLE, sure: float = SURE) -> None:
        self._guard = guard
        self._timeout = settings.send_timeout
        self._most = settings.smtp_connections
        self._places: WeakValueDictionary[Server, asyncio.Semaphore] = WeakValueDictionary()
        self._most_idle = most_idle
        self._sure = sure
        self._idle: defaultdict[Server, list[_IdleConnection]] = defaultdict(list)
        self._ending: set[asyncio.Task[None]] = set()

    async def send(self, server: Server, mail: Mail) -> str:
        """Send a mail; return the server's answer, or raise Busy or what aiosmtplib raises.

        To wait for a connection and to send have the time of one answer each: a mail that waited is not cut off in the middle.
        """
        place = self._places.setdefault(server, asyncio.Semaphore(self._most))
        try:
            await asyncio.wait_for(place.acquire(), self._timeout)
        except TimeoutError:
            raise Busy("All connections to the mail server are in use.") from None
        try:
            async with asyncio.timeout(self._timeout):
                idle_connection = await self._take(server)
                return await self._sent(server, idle_connection, mail)
        finally:
            place.release()

    async def _sent(self, server: Server, idle_connection: _IdleConnection, mail: Mail) -> str:
        try:
            _, answer = await idle_connection.smtp.sendmail(mail.sender, [mail.recipient], mail.content)
        except (aiosmtplib.SMTPResponseException, aiosmtplib.SMTPRecipientsRefused):
            self._keep(server, idle_connection)  # it said no to this mail, and was reset
            raise
        except BaseException:
            idle_connection.smtp.close()  # in the middle of a command: its answer would be taken for the next one's
            raise
        self._keep(server, idle_connection)
        return answer

    async def close(self) -> None:
        """Close the idle connections."""
        idle = [idle_connection for connections in self._idle.values() for idle_connection in connections]
        self._idle.clear()
        for idle_connection in idle:
            if idle_connection.expiry:
                idle_connection.expiry.cancel()
        await asyncio.gather(*self._ending, *(idle_connection.end() for idle_connection in idle))

    async def _take(self, server: Server) -> _IdleConnection:
        while idle_connection := self._newest(server):
            if await idle_connection.is_fit(self._sure):
                return idle_connection
            await idle_connection.end()
        return _IdleConnection(await self._opened(server))

    def _newest(self, server: Server) -> _IdleConnection | None:
        """Pop the one used last, so that the surplus connections of a burst become idle and expire."""
        if server not in self._idle:
            return None
        idle_connection = self._idle[server].pop()
        self._forget_empty(server)
        if idle_connection.expiry:
            idle_connection.expiry.cancel()
        return idle_connection

    def _keep(self, server: Server, idle_connection: _IdleConnection) -> None:
        if not idle_connection.smtp.is_connected:
            return
        idle_connection.mails += 1
        idle_connection.since = time.monotonic()
        idle_connection.expiry = asyncio.get_running_loop().call_later(self._most_idle, self._expire, server, idle_connection)
        self._idle[server].append(idle_connection)

    def _expire(self, server: Server, idle_connection: _IdleConnection) -> None:
        self._idle[server].remove(idle_connection)
        self._forget_empty(server)
        task = watched(asyncio.create_task(idle_connection.end(), name="end an idle connection"))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _forget_empty(self, server: Server) -> None:
        if not self._idle[server]:
            del self._idle[server]

    async def _opened(self, server: Server) -> aiosmtplib.SMTP:
        smtp = aiosmtplib.SMTP(
            hostname=server.host,
            port=None if server.theirs else server.port,
            sock=await self._guard.connected(server.host, server.port) if server.theirs else None,
            username=server.username,
            password=server.password,
            timeout=self._timeout,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=None if server.security == "none" else await asyncio.to_thread(verifying_context),
        )
        await smtp.connect()
        return smtp
