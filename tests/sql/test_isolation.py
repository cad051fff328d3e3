"""What many tenants share opens exactly their rows and closes again. `signalops isolation-check` proves the rest by table."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from signalops import clock, db
from signalops.contracts import MatchRow, MeteredRow, PartRow
from signalops.inbox import inbox_queries as inbox
from signalops.ingest import event_queries
from signalops.ingest.event_models import EventIn, incoming
from signalops.types import BatchId, TenantId
from tests.sql.catalogue import TABLES
from tests.support.rows import fill
from tests.support.rules import make_rule
from tests.support.tenant_rows import Row
from tests.support.tenants import Tenant

Sides = tuple[dict[str, Row], dict[str, Row]]


@pytest.fixture
def sides(owner: psycopg.Connection) -> Sides:
    """The rows of two tenants: ours, and the other's."""
    return fill(owner, clock.new_id()), fill(owner, clock.new_id())


@contextmanager
def acting(owner: psycopg.Connection, role: str, tenant: UUID | None) -> Iterator[None]:
    """What follows is done in a role for a tenant; undone at the end."""
    with owner.transaction(force_rollback=True):
        owner.execute(sql.SQL("set local role {}").format(sql.Identifier(f"signalops_{role}")))
        if tenant is not None:
            owner.execute("select signalops.set_tenant(%s)", [tenant])
        yield


TAKEN_IN = ("tenants", "accepted_counters", "idempotency_keys", "events", "inbox")
PROCESSED = (
    *("tenants", "events", "ruleset_versions", "matches", "deliveries", "batch_results"),
    *("usage_entries", "usage_counters", "usage_distinct_values", "usage_row_counts"),
)


async def seen(connection: db.Connection, tables: tuple[str, ...] = TAKEN_IN) -> dict[str, int]:
    """How many rows of each table a session sees."""
    counts = {}
    for table in tables:
        statement = sql.SQL("select from {}").format(sql.Identifier("signalops", table))
        counts[table] = (await connection.execute(statement)).rowcount
    return counts


async def test_the_tenants_of_a_flush_are_visible_in_it_and_never_after(api_pool: db.Pool, acme: Tenant, globex: Tenant) -> None:
    events = [incoming(t.id, EventIn(type="a.b", idempotency_key="k")) for t in (acme, globex)]
    batch = BatchId(clock.new_id())
    async with api_pool.connection() as connection:
        nothing = dict.fromkeys(TAKEN_IN, 0)
        async with connection.transaction():
            await event_queries.accept(connection, events, batch, 0)
            assert await seen(connection) == nothing, "in the same transaction"
            await db.set_tenant(connection, acme.id)
            assert await seen(connection) == dict.fromkeys(nothing, 1), "the positive control: one's own"
        assert await seen(connection) == nothing, "in the same session"
        twin = incoming(acme.id, EventIn(type="a.b"))
        with pytest.raises(psycopg.errors.UniqueViolation):
            await event_queries.accept(connection, [twin, twin], BatchId(clock.new_id()), 0)
        assert await seen(connection) == nothing, "after a flush that failed"


def metered_of(tenant: TenantId, event: UUID, batch: BatchId) -> MeteredRow:
    """Return what a batch adds to a counter."""
    return {
        "tenant": tenant,
        "id": clock.new_id(),
        "batch": str(batch),
        "meter": "m",
        "aggregation": "unique_count",
        "period": date(2026, 11, 1),
        "hour": datetime(2026, 11, 23, tzinfo=UTC),
        "group_key": "[]",
        "is_late": False,
        "events": 1,
        "event_ids": [str(event)],
        "items": ["1"],
    }


def part_of(tenant: TenantId, batch: BatchId) -> PartRow:
    return PartRow(
        tenant=tenant,
        batch=str(batch),
        counted_in=str(batch),
        ruleset_version=1,
        rules=1,
        meters_version=0,
        events=1,
        dead=0,
        billed=1,
    )


async def test_the_tenants_of_a_batch_are_visible_in_it_and_never_after(
    api_pool: db.Pool, worker_pool: db.Pool, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    rule = make_rule(owner, acme, {"type": ["a.b"]})
    events = [incoming(t.id, EventIn(type="a.b")) for t in (acme, globex)]
    batch, nothing = BatchId(clock.new_id()), dict.fromkeys(PROCESSED, 0)
    async with api_pool.connection() as connection:
        await event_queries.accept(connection, events, batch, 0)
    match: MatchRow = {
        "tenant": acme.id,
        "event": str(events[0].id),
        "rule": rule,
        "version": 1,
        "channel": rule,
        "delivery": clock.new_id(),
    }
    parts = [part_of(tenant.id, batch) for tenant in (acme, globex)]
    async with worker_pool.connection() as connection:
        async with connection.transaction():
            read = await inbox.read_batch(connection, batch, 1, 0)
            assert {part.tenant for part in read} == {acme.id, globex.id}
            assert await seen(connection, PROCESSED) == nothing, "between reading and recording"
            metered = [metered_of(t.id, events[0].id, batch) for t in (acme, globex)]
            results = inbox.Results(parts, [match], metered=metered)
            await inbox.record_batch(connection, 1, "w", results)
            assert await seen(connection, PROCESSED) == nothing, "in the same transaction"
            await db.set_tenant(connection, acme.id)
            assert await seen(connection, PROCESSED) == dict.fromkeys(PROCESSED, 1), "the positive control: one's own"
        assert await seen(connection, PROCESSED) == nothing, "in the same session"


async def test_a_flush_opens_exactly_its_own_tenants(api_pool: db.Pool, owner: psycopg.Connection, sides: Sides) -> None:
    ours = sides[0]["tenants"]["id"]
    owner.execute("delete from signalops.events where tenant_id = %s", [ours])
    async with api_pool.connection() as connection, connection.transaction():
        await connection.execute("select set_config('signalops.tenant_group', %s, true)", [f"{{{ours}}}"])
        assert await seen(connection) == {"tenants": 1, "accepted_counters": 1, "idempotency_keys": 1, "events": 0, "inbox": 1}


def test_keys_of_a_prefix_are_found_before_a_tenant_is_known_and_nothing_else(owner: psycopg.Connection, acme: Tenant) -> None:
    with acting(owner, "api", None):
        found = owner.execute("select tenant_id from signalops.find_keys(%s)", [acme.key[:16]]).fetchall()
        assert found == [(acme.id,)]
    with acting(owner, "worker", None), pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute("select from signalops.find_keys('x')")


def test_the_api_reaches_no_job(owner: psycopg.Connection) -> None:
    with acting(owner, "api", None), pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute("select from procrastinate.procrastinate_jobs")
    with acting(owner, "worker", None):
        owner.execute("select from procrastinate.procrastinate_jobs")


def test_the_worker_deletes_itself_only_what_windows_hold_no_longer(owner: psycopg.Connection) -> None:
    deletable = f"select relname from ({TABLES}) as t where has_table_privilege(%s, oid, 'delete')"
    assert owner.execute(deletable, ["signalops_worker"]).fetchall() == [("window_events",)]
    assert owner.execute(deletable, ["signalops_api"]).fetchall() != []


@pytest.mark.parametrize(
    ("queue_name", "task", "priority", "args"),
    [
        ("events", "delete_tenant", 0, {"batch": str(clock.new_id())}),
        ("deliveries", "process_batch", 0, {"batch": str(clock.new_id())}),
        ("events", "process_batch", 1, {"batch": str(clock.new_id())}),
        ("events", "process_batch", 0, {"batch": str(clock.new_id()), "payload": "much"}),
        ("events", "process_batch", 0, {"batch": "no id"}),
        ("events", "process_batch", 0, {}),
        ("events", "process_batch", None, {"batch": str(clock.new_id())}),
        ("events", "process_batch", 0, None),
    ],
)
async def test_nothing_is_enqueued_by_hand_but_the_processing_of_a_batch(
    api_pool: db.Pool, queue_name: str, task: str, priority: int | None, args: dict[str, str] | None
) -> None:
    enqueue = "select signalops.enqueue(%s, %s, %s, %s)"
    async with api_pool.connection() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(enqueue, [queue_name, task, priority, None if args is None else Jsonb(args)])
        batch = Jsonb({"batch": str(clock.new_id())})
        row = await (await connection.execute(enqueue, ["events", "process_batch", -10, batch])).fetchone()
        assert row is not None
