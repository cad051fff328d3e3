"""A database with tenants and rules, a gate in the middle of processing, and the questions that the tests ask."""

from uuid import UUID

import psycopg
import pytest

from signalops import db
from tests.support.invariants import violations
from tests.support.rules import make_rule
from tests.support.tenants import Tenant, make_tenant
from tests.support.worlds.base import Row, World, accept_placed, event_of

GATE = """
  create function signalops.wait_at_gate() returns trigger language plpgsql set lock_timeout = 0 as
    $$ begin perform pg_advisory_xact_lock_shared(1); return null; end $$;
  create trigger wait_at_gate after insert or update or delete on signalops.{table}
    for each statement execute function signalops.wait_at_gate();
"""


class Traffic(World):
    """Events of some tenants, of which one in ten is notified; and the invariants that must be true of them."""

    def __init__(self, owner: psycopg.Connection, api: db.Pool, tenants: list[Tenant]) -> None:
        super().__init__(owner)
        self.tenants = tenants
        self.acknowledged: list[tuple[UUID, UUID]] = []
        self._api = api

    async def accept(self, batches: int) -> None:
        """Store batches of ten events of each tenant."""
        for _ in range(batches):
            events = [event_of(tenant, self.payload(n)) for tenant in self.tenants for n in range(10)]
            _, ids = await accept_placed(self._api, events)
            self.acknowledged += [(event.tenant, stored) for event, stored in zip(events, ids, strict=True)]

    async def accept_apart(self, batches: int) -> None:
        """Store batches that are processed in a transaction each, as what was requeued is: their jobs are scheduled."""
        await self.accept(batches)
        self.owner.execute("set search_path = procrastinate")  # procrastinate's triggers name no schema
        self.owner.execute("update procrastinate_jobs set scheduled_at = now() where status = 'todo'")
        self.owner.execute("reset search_path")

    def payload(self, number: int) -> Row:
        """Return the payload of one of the ten events."""
        return {"rare": number == 0}

    def workers(self) -> int:
        """Return how many worker processes are registered: each is twice, since it has slots of its own for maintenance."""
        return self.number_of("select from procrastinate.procrastinate_workers") // 2

    def waiting_batches(self) -> int:
        """Return how many batches stand at the gate."""
        return self.number_of(
            "select from pg_locks where locktype = 'advisory' and objid = 1 and not granted and database = "
            "(select oid from pg_database where datname = current_database())"
        )

    def jobs(self, status: str) -> int:
        """Return how many batches have a job in a state."""
        query = "select from procrastinate.procrastinate_jobs where task_name = 'process_batch' and status = '{}'"
        return self.number_of(query.format(status))

    def remove_gate(self) -> None:
        """Let go what stands at the gate, and hold nothing any more."""
        self.owner.execute("drop function signalops.wait_at_gate() cascade")

    def is_done(self) -> bool:
        """Tell whether nothing waits to be processed."""
        return not self.number_of("select from signalops.inbox limit 1")

    def close_gate(self, table: str = "batch_results") -> None:
        """Hold every transaction where it has written to a table, batches being the last but one, until the gate opens."""
        self.owner.execute(GATE.replace("{table}", table).encode())
        self.owner.execute("select pg_advisory_lock(1)")

    def open_gate(self) -> None:
        """Let go what stands at the gate."""
        self.owner.execute("select pg_advisory_unlock(1)")

    def check(self) -> None:
        """Assert every invariant."""
        assert self.acknowledged, "a test without events proves nothing"
        found = violations(self.owner, self.acknowledged)
        assert not found, found


@pytest.fixture
def traffic(owner: psycopg.Connection, api_pool: db.Pool) -> Traffic:
    tenants = [make_tenant(owner, slug) for slug in ("acme", "globex", "initech")]
    for tenant in tenants:
        make_rule(owner, tenant, {"payload": {"rare": [True]}})
    # Deliveries end at once, and without a notice: an event of its own, which could come in after all is done.
    owner.execute("update signalops.channels set enabled = false")
    return Traffic(owner, api_pool, tenants)
