"""The other end of every channel, and a tenant with something to send."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from signalops import clock, db
from signalops.config import Settings
from signalops.terms import TenantId
from tests.people import Tenant
from tests.station.send.receivers import Mailbox, Receiver, World


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    mailbox = Mailbox()
    await mailbox.start()
    yield mailbox
    await mailbox.stop()


@pytest.fixture
async def world(
    settings: Settings, worker_pool: db.Pool, api_pool: db.Pool, owner: psycopg.Connection
) -> AsyncIterator[World]:
    tenant = TenantId(clock.new_id())
    owner.execute("insert into signalops.tenants (id, slug, name) values (%s, 'sender', 'Sender')", [tenant])
    world = World(settings, worker_pool, api_pool, owner, tenant)
    yield world
    for sender in world.senders:
        await sender.close()


@pytest.fixture
async def acmes(
    settings: Settings, worker_pool: db.Pool, api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant
) -> AsyncIterator[World]:
    """The world of acme, who has a key."""
    world = World(settings, worker_pool, api_pool, owner, acme.id)
    yield world
    for sender in world.senders:
        await sender.close()
