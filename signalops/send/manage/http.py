"""The requests that read, change and try channels."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from signalops import db
from signalops.config import Settings
from signalops.errors import Overloaded
from signalops.http import answer, id_of, read_model
from signalops.locks import Places
from signalops.send.manage import registry, store
from signalops.send.manage.model import (
    ChannelChange,
    ChannelsPage,
    NewChannel,
    RotatedSecret,
    Rotation,
    StoredChannel,
    TrialResult,
    WrittenChannel,
)
from signalops.send.manage.registry import ChannelRegistry, Expected
from signalops.send.manage.trial import try_out
from signalops.send.transport import Transport
from signalops.terms import Caller, ChannelId, TenantId

AT_ONCE = 8
MOST_TESTS = 2
"""Tests of channels that one tenant may run at once in a process."""
"""Tests that one process runs at once: a provider that hangs must not collect them."""
Work = Callable[[db.Connection, TenantId, ChannelId, Expected], Awaitable[None]]


class Channels:
    """The handlers, with what they need. Close them at the end."""

    def __init__(self, connections: db.Pool, settings: Settings) -> None:
        self._connections = connections
        self._registry = ChannelRegistry(settings)
        self._transport = Transport(settings)
        self._testing = asyncio.Semaphore(AT_ONCE)
        self._tests = Places[TenantId](MOST_TESTS, "tests of channels")

    async def close(self) -> None:
        """Close the outgoing connections."""
        await self._transport.close()

    async def list(self, request: Request, caller: Caller) -> Response:
        """List a tenant's channels, newest first, without their secrets."""
        query = ChannelsPage.of(request)
        wanted = query.model_dump(include={"kind", "enabled", "name"})
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            rows = await store.list_channels(
                connection, caller.tenant, upwards=query.upwards, **query.window(await db.settled(connection)), **wanted
            )
        return query.listed(rows, StoredChannel.model_validate)

    async def create(self, request: Request, caller: Caller) -> Response:
        """Add a channel. What of its secret is made here, such as a webhook's, is in this answer and in no other."""
        new = await read_model(request, NewChannel)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            added = await self._registry.add(connection, caller.tenant, new)
            shown = await registry.show(connection, caller.tenant, added.id)
        return _answer(WrittenChannel(**shown.model_dump(), secret=added.secret), 201)

    async def get(self, request: Request, caller: Caller) -> Response:
        """Show a channel, without its secret."""
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return _answer(await registry.show(connection, caller.tenant, _channel(request)))

    async def replace(self, request: Request, caller: Caller) -> Response:
        """Change a channel; its secret, name and whether it is enabled stay when they are left out, its kind always."""
        channel, change = _channel(request), await read_model(request, ChannelChange)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            made = await self._registry.change(connection, caller.tenant, channel, change, _expected(request))
            shown = await registry.show(connection, caller.tenant, channel)
        return _answer(WrittenChannel(**shown.model_dump(), secret=made))

    async def enable(self, request: Request, caller: Caller) -> Response:
        """Let a channel send, also one that SignalOps itself had disabled."""
        return await self._changed(request, caller, registry.enable)

    async def disable(self, request: Request, caller: Caller) -> Response:
        """Let a channel send nothing: what would go through it becomes a dead letter, to be retried when it is enabled."""
        return await self._changed(request, caller, registry.disable)

    async def delete(self, request: Request, caller: Caller) -> Response:
        """Delete a channel and its secret, and show it for the last time; its name is free again."""
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            return _answer(await registry.delete(connection, caller.tenant, _channel(request), _expected(request)))

    async def rotate(self, request: Request, caller: Caller) -> Response:
        """Replace a webhook's signing secret; a new one that is made here is in this answer and in no other.

        Until the overlap ends the old one signs as well: each request carries a signature by either, so the receiver may
        change over at any moment in between.
        """
        rotation = await read_model(request, Rotation)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            secret, until = await self._registry.rotate(connection, caller.tenant, _channel(request), rotation)
        return answer(RotatedSecret(secret=secret, oldSecretUntil=until))

    async def test(self, request: Request, caller: Caller) -> Response:
        """Send a test notification through a channel right now, also a disabled one; it is no delivery and is not stored.

        When it arrives, a pause that the receiver had asked for ends (pausedUntil).
        """
        if self._testing.locked():
            raise Overloaded("Too many tests of channels run just now: try again.", headers={"Retry-After": "5"})
        with self._tests.of(caller.tenant):
            async with self._testing:
                return answer(await self._tested(caller.tenant, _channel(request)))

    async def _tested(self, tenant: TenantId, channel: ChannelId) -> TrialResult:
        async with db.as_tenant(self._connections, tenant) as connection:
            opened = await self._registry.open(connection, tenant, channel)
        result = await try_out(tenant, opened, self._transport)
        if result.outcome == "sent":
            async with db.as_tenant(self._connections, tenant) as connection:
                await store.close_circuit(connection, tenant, channel)
        return result

    async def _changed(self, request: Request, caller: Caller, work: Work) -> Response:
        channel = _channel(request)
        async with db.as_tenant(self._connections, caller.tenant) as connection:
            await work(connection, caller.tenant, channel, _expected(request))
            return _answer(await registry.show(connection, caller.tenant, channel))


def _answer(shown: StoredChannel, status: int = 200) -> Response:
    headers = {"etag": f'"{shown.tag}"'} | ({"location": f"/api/channels/{shown.id}"} if status == 201 else {})
    return answer(shown, status, headers)


def _channel(request: Request) -> ChannelId:
    return ChannelId(id_of(request, "channel"))


def _expected(request: Request) -> Expected:
    """Read If-Match (RFC 9110): the states that may be changed. A tag that is none of ours fits no state."""
    header = request.headers.get("if-match", "*").strip()
    return None if header == "*" else frozenset(tag.strip().strip('"') for tag in header.split(","))
