"""The walk of one event through a running system: every station in its order, and a sentence where the way ends."""

import psycopg
import pytest

from signalops import db
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.rules.rule_models import NewRule
from signalops.rules.rule_service import RuleRegistry
from signalops.send import ChannelRegistry, NewChannel
from signalops.templates import SendTemplates
from signalops.watch import smoke
from tests.bench.installation import Installation
from tests.bench.processes import worker
from tests.support.api import running
from tests.support.receivers import Receiver
from tests.support.tenants import Tenant, make_tenant


async def notify(settings: Settings, api_pool: db.Pool, tenant: Tenant, url: str) -> None:
    """Have the smoke's event delivered to a webhook."""
    async with db.as_tenant(api_pool, tenant.id) as connection:
        new = NewChannel(name="hook", kind="webhook", config={"url": url})
        await ChannelRegistry(settings).add(connection, tenant.id, new)
        rule = NewRule(name="signups", pattern={"type": ["user.signup"]}, channel="hook")
        await RuleRegistry(SendTemplates(), settings.max_rules).add(connection, tenant.id, rule)


async def walk(url: str, key: str, settings: Settings) -> list[smoke.Station]:
    return [station async for station in smoke.walk(url, key, settings)]


async def test_each_station_is_told_in_its_order(
    settings: Settings, owner: psycopg.Connection, api_pool: db.Pool, acme: Tenant, receiver: Receiver
) -> None:
    await notify(settings, api_pool, acme, receiver.url)
    async with running(settings) as api:
        with worker(Installation(settings, owner, [acme])):
            stations = await walk(api.url, acme.key, settings)
    assert [station.name for station in stations] == ["received", "answered", "processed", "delivered", "counted"]
    times = {station.name: station.milliseconds for station in stations}
    assert 0 <= times["received"] <= times["answered"]
    assert times["received"] <= times["processed"] <= times["delivered"]
    assert times["processed"] <= times["counted"]
    assert len(receiver.received) == 1


async def test_a_key_that_may_not_is_a_sentence(settings: Settings, owner: psycopg.Connection) -> None:
    writer = make_tenant(owner, "writer", scopes=["events:write"])
    async with running(settings) as api:
        with pytest.raises(Unusable, match="usage:read"):
            await walk(api.url, writer.key, settings)
        with pytest.raises(Unusable, match="401"):
            await walk(api.url, "test_api_key_that_nobody_has", settings)


async def test_a_missing_worker_is_a_sentence(settings: Settings, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "BOUND", 0.1)
    async with running(settings) as api:
        with pytest.raises(Unusable, match="signalops work"):
            await walk(api.url, acme.key, settings)


async def test_a_delivery_that_is_not_made_is_a_sentence_with_its_error(
    settings: Settings, owner: psycopg.Connection, api_pool: db.Pool, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoke, "BOUND", 3.0)
    await notify(settings, api_pool, acme, "http://127.0.0.1:9/")
    async with running(settings) as api:
        with worker(Installation(settings, owner, [acme])), pytest.raises(Unusable, match="can't be reached"):
            await walk(api.url, acme.key, settings)


async def test_nothing_at_the_address_is_a_sentence(settings: Settings) -> None:
    with pytest.raises(Unusable, match="signalops up"):
        await walk("http://127.0.0.1:9", "test_api_key_that_nobody_has", settings)
