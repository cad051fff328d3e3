"""The endpoints that read, change and test channels."""

import asyncio

from signalops import db, errors
from signalops.config import Settings
from signalops.endpoint import endpoint
from signalops.errors import Overloaded
from signalops.http import Response, answer
from signalops.locks import Places
from signalops.send.channel_admin import channel_queries, channel_service
from signalops.send.channel_admin.channel_models import (
    ChangedChannel,
    ChannelChange,
    ChannelList,
    ChannelPatch,
    ChannelsPage,
    ChannelTestResult,
    NewChannel,
    RotatedSecret,
    SecretRotation,
    StoredChannel,
)
from signalops.send.channel_admin.channel_service import ChannelRegistry, Expected
from signalops.send.channel_admin.channel_test import try_out
from signalops.send.transport import Transport
from signalops.types import Caller, ChannelId, TenantId

AT_ONCE = 8
"""Tests of channels that one process runs at once: a provider that hangs must not collect them."""
MAX_TESTS = 2
"""Tests of channels that one tenant may run at once in a process."""
_ONE = "/api/channels/{id}"
_IF_MATCH = {"If-Match": "Change only if the channel is as it was read (its ETag); else 412."}


class Channels:
    """The endpoints of channels. Close them at the end."""

    def __init__(self, settings: Settings) -> None:
        self._registry = ChannelRegistry(settings)
        self._transport = Transport(settings)
        self._testing = asyncio.Semaphore(AT_ONCE)
        self._tests = Places[TenantId](MAX_TESTS, "tests of channels")

    async def close(self) -> None:
        """Close the outgoing connections."""
        await self._transport.close()

    @endpoint("GET /api/channels", "listChannels", "List channels, newest first", "channels:*", answers={200: ChannelList})
    async def list_channels(self, connection: db.Connection, caller: Caller, query: ChannelsPage) -> Response:
        """List a tenant's channels, newest first, without their secrets."""
        filters = query.model_dump(include={"kind", "enabled", "name"})
        filters |= {"upwards": query.upwards, **query.window(await db.settled(connection))}
        return query.listed(
            await channel_queries.list_channels(connection, caller.tenant, **filters), StoredChannel.model_validate
        )

    @endpoint(
        "POST /api/channels",
        "addChannel",
        "Add a channel",
        "channels:*",
        answers={201: ChangedChannel},
        problems=(errors.Conflict,),
    )
    async def add_channel(self, connection: db.Connection, caller: Caller, body: NewChannel) -> Response:
        """Add a channel. What of its secret is made here, such as a webhook's, is in this answer and in no other."""
        added = await self._registry.add(connection, caller.tenant, body)
        shown = await channel_service.show(connection, caller.tenant, added.id)
        return _answer(ChangedChannel(**shown.model_dump(), secret=added.secret), 201)

    @endpoint(f"GET {_ONE}", "getChannel", "Show a channel", "channels:*", answers={200: StoredChannel})
    async def get_channel(self, connection: db.Connection, caller: Caller, channel: ChannelId) -> Response:
        """Show a channel, without its secret."""
        return _answer(await channel_service.show(connection, caller.tenant, channel))

    @endpoint(
        f"PUT {_ONE}",
        "changeChannel",
        "Change a channel",
        "channels:*",
        answers={200: ChangedChannel},
        problems=(errors.Conflict,),
        headers=_IF_MATCH,
    )
    async def change_channel(
        self, connection: db.Connection, caller: Caller, channel: ChannelId, body: ChannelChange, if_match: Expected
    ) -> Response:
        """Change a channel; its secret, name and whether it is enabled stay when they are left out, its kind always."""
        made = await self._registry.change(connection, caller.tenant, channel, body, if_match)
        shown = await channel_service.show(connection, caller.tenant, channel)
        return _answer(ChangedChannel(**shown.model_dump(), secret=made))

    @endpoint(
        f"PATCH {_ONE}",
        "patchChannel",
        "Change some fields of a channel",
        "channels:*",
        answers={200: ChangedChannel},
        problems=(errors.Conflict,),
        headers=_IF_MATCH,
    )
    async def patch_channel(
        self, connection: db.Connection, caller: Caller, channel: ChannelId, body: ChannelPatch, if_match: Expected
    ) -> Response:
        """Change the fields that are named; null sets the installation's default. The rest stays as it is."""
        made = await self._registry.patch(connection, caller.tenant, channel, body, if_match)
        shown = await channel_service.show(connection, caller.tenant, channel)
        return _answer(ChangedChannel(**shown.model_dump(), secret=made))

    @endpoint(
        f"DELETE {_ONE}",
        "deleteChannel",
        "Delete a channel",
        "channels:*",
        answers={200: StoredChannel},
        problems=(errors.Conflict,),
        headers=_IF_MATCH,
    )
    async def delete_channel(self, connection: db.Connection, caller: Caller, channel: ChannelId, if_match: Expected) -> Response:
        """Delete a channel and its secret, and show it for the last time; its name is free again."""
        return _answer(await channel_service.delete(connection, caller.tenant, channel, if_match))

    @endpoint(
        f"POST {_ONE}/enable", "enableChannel", "Enable a channel", "channels:*", answers={200: StoredChannel}, headers=_IF_MATCH
    )
    async def enable_channel(self, connection: db.Connection, caller: Caller, channel: ChannelId, if_match: Expected) -> Response:
        """Let a channel send, also one that SignalOps itself had disabled."""
        await channel_service.enable(connection, caller.tenant, channel, if_match)
        return _answer(await channel_service.show(connection, caller.tenant, channel))

    @endpoint(
        f"POST {_ONE}/disable",
        "disableChannel",
        "Disable a channel",
        "channels:*",
        answers={200: StoredChannel},
        headers=_IF_MATCH,
    )
    async def disable_channel(
        self, connection: db.Connection, caller: Caller, channel: ChannelId, if_match: Expected
    ) -> Response:
        """Disable a channel: its deliveries become dead letters, to be retried once it is enabled."""
        await channel_service.disable(connection, caller.tenant, channel, if_match)
        return _answer(await channel_service.show(connection, caller.tenant, channel))

    @endpoint(
        f"POST {_ONE}/test",
        "testChannel",
        "Send a test notification now",
        "channels:*",
        problems=(errors.Invalid, errors.Overloaded),
    )
    async def test_channel(self, caller: Caller, transaction: db.Transaction, channel: ChannelId) -> ChannelTestResult:
        """Send a test notification through a channel right now, also a disabled one; it is no delivery and is not stored.

        When it arrives, a pause that the receiver had asked for ends (pausedUntil).
        """
        if self._testing.locked():
            raise Overloaded("Too many tests of channels run just now: try again.", headers={"Retry-After": "5"})
        with self._tests.of(caller.tenant):
            async with self._testing:
                return await self._tested(caller.tenant, transaction, channel)

    async def _tested(self, tenant: TenantId, transaction: db.Transaction, channel: ChannelId) -> ChannelTestResult:
        async with transaction() as connection:
            opened = await self._registry.open(connection, tenant, channel)
        result = await try_out(tenant, opened, self._transport)
        if result.outcome == "sent":
            async with transaction() as connection:
                await channel_queries.close_circuit(connection, tenant, channel)
        return result

    @endpoint(
        f"POST {_ONE}/rotate-secret",
        "rotateSecret",
        "Replace a webhook's signing secret, with an overlap",
        "channels:*",
        problems=(errors.Conflict,),
    )
    async def rotate_secret(
        self, connection: db.Connection, caller: Caller, channel: ChannelId, body: SecretRotation
    ) -> RotatedSecret:
        """Replace a webhook's signing secret; a new one that is made here is in this answer and in no other.

        Until the overlap ends the old one signs as well: each request carries a signature by either, so the receiver may
        change over at any moment in between.
        """
        secret, until = await self._registry.rotate(connection, caller.tenant, channel, body)
        return RotatedSecret(secret=secret, old_secret_until=until)


def _answer(shown: StoredChannel, status: int = 200) -> Response:
    headers = {"etag": f'"{shown.tag}"'} | ({"location": f"/api/channels/{shown.id}"} if status == 201 else {})
    return answer(shown, status, headers)
