"""Shops: tenants whose orders are metered in every way; one rule matches rare orders, another every tenth."""

from collections.abc import Sequence
from uuid import UUID

import psycopg
import pytest

from signalops import db
from signalops.ingest.replay.replay_models import ReplayRequest
from signalops.ingest.replay.start import start
from tests.prove.crash.expected_counters import faults, make_meters
from tests.support.rules import make_rule
from tests.support.tenants import make_tenant
from tests.support.worlds.base import Row
from tests.support.worlds.traffic import Traffic

WINDOW = {"count": 10, "within": "1d"}
UNTOLD = """
  select e.id from signalops.events e
  left join signalops.matches m on m.tenant_id = e.tenant_id and m.event_id = e.id and m.rule_id = any (%s)
  where e.causation_depth = 0 and (e.payload ->> 'rare')::boolean <> (m.rule_id is not null)
"""


class Shop(Traffic):
    """A traffic whose events are orders."""

    def __init__(self, owner: psycopg.Connection, api: db.Pool, slugs: Sequence[str]) -> None:
        super().__init__(owner, api, [make_tenant(owner, slug) for slug in slugs])
        self.rules = [make_rule(owner, tenant, {"payload": {"rare": [True]}}) for tenant in self.tenants]
        self.windows = [make_rule(owner, tenant, {"type": ["order.paid"]}, time_window=WINDOW) for tenant in self.tenants]
        for tenant in self.tenants:
            make_meters(owner, tenant)
        owner.execute("update signalops.tenants set time_zone = 'Asia/Kolkata' where slug = 'acme'")
        owner.execute("update signalops.channels set enabled = false")

    def payload(self, number: int) -> Row:
        """Return one of ten orders; the first is rare."""
        return {"rare": number == 0, "key": f"{number}.0{number}"}

    async def replay(self) -> None:
        """Have all that was acknowledged replayed: a batch for each tenant."""
        for tenant in self.tenants:
            events = [event for owner, event in self.acknowledged if owner == tenant.id]
            async with db.as_tenant(self._api, tenant.id) as connection:
                await start(connection, tenant.id, ReplayRequest(reason="A new rule.", events=events), len(events))

    def notified(self, rules: Sequence[UUID]) -> int:
        """Return how many deliveries some rules have."""
        query = "select from signalops.deliveries where rule_id = any (%s)"
        return self.owner.execute(query, [list(rules)]).rowcount

    def check(self) -> None:
        """Assert every invariant, that the books are right, and that the rule matched the rare orders alone."""
        super().check()
        assert faults(self.owner) == []
        assert self.owner.execute(UNTOLD, [self.rules]).fetchall() == []


@pytest.fixture
def shop(owner: psycopg.Connection, api_pool: db.Pool) -> Shop:
    """Two tenants."""
    return Shop(owner, api_pool, ("acme", "globex"))


@pytest.fixture
def hot_shop(owner: psycopg.Connection, api_pool: db.Pool) -> Shop:
    """One tenant that has all the events."""
    return Shop(owner, api_pool, ("acme",))
