"""A tenant with something to send, and the senders that send it."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr

from signalops import clock, db
from signalops.config import Settings
from signalops.send import ChannelRegistry, NewChannel, Sender, deliver
from signalops.types import ChannelId, DeliveryId, TenantId
from tests.support.rows import add, add_delivery, add_event, add_rule
from tests.support.tenants import Tenant
from tests.support.worlds.base import World


class Outbox(World):
    """One tenant's channels, rules, events and deliveries, and workers' senders for them."""

    def __init__(self, settings: Settings, worker: db.Pool, api: db.Pool, owner: psycopg.Connection, tenant: TenantId) -> None:
        super().__init__(owner)
        self.settings = settings
        self.worker = worker
        self.api = api
        self.tenant = tenant
        self.senders: list[Sender] = []

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

    def event(self, payload: dict[str, Any], type_: str = "user.signup", causation_depth: int = 0) -> UUID:
        """Store an event."""
        return add_event(
            self.owner, self.tenant, payload, type=type_, causation_depth=causation_depth, occurred_at="2026-11-01T12:00:00Z"
        )

    def rule(self, channel: ChannelId, template: dict[str, str], severity: str = "info") -> UUID:
        """Store a rule with one version."""
        return add_rule(self.owner, self.tenant, channel, template=template, severity=severity)

    def add_delivery(self, channel: ChannelId, event: UUID, rule: UUID, **columns: Any) -> DeliveryId:
        """Store the pending delivery of an event by a rule, with further columns of its own."""
        return DeliveryId(add_delivery(self.owner, self.tenant, channel, rule, event, **columns))

    def delivery(self, channel: ChannelId, **template: str) -> DeliveryId:
        """Store an event, a rule and the pending delivery, as a processed batch leaves them."""
        event = self.event({"email": "user@example.com", "amount": 1e30})
        return self.add_delivery(channel, event, self.rule(channel, template))

    def row(self, delivery: DeliveryId) -> dict[str, Any]:
        """Return the delivery with `wait`, the seconds from its last change to its next attempt."""
        return self.dicts(
            "select *, extract(epoch from next_attempt_at - updated_at)::float as wait from signalops.deliveries where id = %s",
            delivery,
        )[0]

    def attempts(self, delivery: DeliveryId) -> list[dict[str, Any]]:
        """Return the attempts on record, in order."""
        return self.dicts("select * from signalops.delivery_attempts where delivery_id = %s order by attempt", delivery)

    def dead_letters(self, delivery: DeliveryId) -> list[dict[str, Any]]:
        """Return the delivery's dead letters."""
        return self.dicts("select * from signalops.dead_letters where delivery_id = %s", delivery)

    def wake(self, delivery: DeliveryId) -> None:
        """Make a delivery that waits pending, as the sweep does when its time has come."""
        self.owner.execute("update signalops.deliveries set status = 'pending', next_attempt_at = null where id = %s", [delivery])


@pytest.fixture
def patient_senders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Senders wait for what they send, however busy the machine is; in production a job goes on after half a second."""
    monkeypatch.setattr(deliver, "LINGER", 20.0)


@pytest.fixture
async def outbox(
    settings: Settings, worker_pool: db.Pool, api_pool: db.Pool, owner: psycopg.Connection, *, patient_senders: None
) -> AsyncIterator[Outbox]:
    """The outbox of a tenant without a key."""
    tenant = TenantId(clock.new_id())
    add(owner, "tenants", tenant, id=tenant, slug="sender", name="Sender")
    outbox = Outbox(settings, worker_pool, api_pool, owner, tenant)
    yield outbox
    for sender in outbox.senders:
        await sender.close()


@pytest.fixture
async def acmes(
    settings: Settings, worker_pool: db.Pool, api_pool: db.Pool, owner: psycopg.Connection, *, acme: Tenant, patient_senders: None
) -> AsyncIterator[Outbox]:
    """The outbox of acme, who has a key."""
    outbox = Outbox(settings, worker_pool, api_pool, owner, acme.id)
    yield outbox
    for sender in outbox.senders:
        await sender.close()
