"""Channels are added here, checked before they are stored: a delivery should not be the first to find the mistake."""

from dataclasses import replace

from signalops import clock
from signalops.db import Connection
from signalops.errors import Invalid
from signalops.send import store
from signalops.send.channels import configured
from signalops.send.model import NewChannel
from signalops.send.secrets import Keyring
from signalops.terms import ChannelId, TenantId


async def add_channel(
    connection: Connection, tenant: TenantId, keyring: Keyring, new: NewChannel
) -> tuple[ChannelId, str | None]:
    """Add a channel in a transaction of the tenant; return its id and its secret, which can't be read again later.

    Invalid if the name is taken, or the configuration or the secret does not fit the kind.
    """
    if not 1 <= len(new.name) <= 200:
        raise Invalid("A channel's name has 1 to 200 characters: choose another.")
    channel = configured(new.kind, new.config)
    secret = channel.keep_secret(new.secret)
    channel_id = ChannelId(clock.new_id())
    sealed = keyring.seal(secret) if secret is not None else None
    if not await store.add_channel(
        connection, tenant, channel_id, replace(new, config=channel.model_dump(mode="json")), sealed
    ):
        raise Invalid(f"There is a channel named {new.name!r}: choose another name.")
    return channel_id, secret
