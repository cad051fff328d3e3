"""What a tenant sends is in its catalogue after it was processed: counted, with its fields, and bounded."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from signalops import clock, db
from signalops.ingest.types import EventTypeCatalog
from signalops.ingest.types.catalog import MAX_TYPES
from signalops.job_handlers import JobHandlers
from tests.support.api import SIGNUP, Client, Process, assert_problem, capture_log
from tests.support.processes import eventually
from tests.support.rules import make_rule
from tests.support.tenants import Tenant, make_tenant, set_limit
from tests.test_job_handlers import POISON

PAID = {"type": "invoice.paid", "payload": {"amount": 5, "items": [{"sku": "a"}, {"sku": None}]}}


def noted(event_type: str = "a.b", payload: dict[str, Any] | None = None) -> dict[str, Any]:
    """An event as a worker sees it."""
    about = {"id": str(clock.new_id()), "causation_depth": 0, "attributes": None, "type": event_type, "source": None}
    return about | {"occurredAt": "2026-11-23T12:00:00+00:00", "payload": payload or {}}


async def test_types_are_counted_with_their_fields(api: Client, acme: Tenant, globex: Tenant, process: Process) -> None:
    began = clock.now()
    await api.post_batch([SIGNUP, PAID, SIGNUP, {"type": "user.signup", "payload": {"email": None, "age": 7}}], acme)
    await process()
    await api.post(SIGNUP, acme)
    await process()

    page = (await api.get("/api/event-types", acme)).json
    assert page["hasMore"] is False
    paid, signup = page["data"]
    assert (paid["type"], paid["count"], signup["type"], signup["count"]) == ("invoice.paid", 1, "user.signup", 4)
    assert signup["fields"] == [
        {"path": "payload.age", "types": ["number"], "example": 7},
        {"path": "payload.email", "types": ["null", "string"], "example": "user@example.com"},
    ]
    assert paid["fields"] == [
        {"path": "payload.amount", "types": ["number"], "example": 5},
        {"path": "payload.items", "types": ["array"]},
        {"path": "payload.items.sku", "types": ["null", "string"], "example": "a"},
    ]
    assert began.isoformat()[:10] <= signup["firstSeenAt"] < signup["lastSeenAt"]
    assert paid["example"]["payload"] == PAID["payload"]
    assert paid["fieldsCut"] is False
    assert (await api.get("/api/event-types/user.signup", acme)).json == signup

    assert (await api.get("/api/event-types", globex)).json["data"] == []
    assert_problem(await api.get("/api/event-types/user.signup", globex), 404, "not-found")


async def test_what_dies_is_not_counted_and_its_neighbours_are(
    api: Client, owner: psycopg.Connection, acme: Tenant, process: Process
) -> None:
    make_rule(owner, acme, {"type": ["user.signup"]})
    owner.execute(POISON)
    await api.post_batch([{"type": "user.signup", "payload": {"poison": 1} if n == 3 else {}} for n in range(9)], acme)
    await process()
    assert (await api.get("/api/event-types/user.signup", acme)).json["count"] == 8


async def test_what_is_rolled_back_is_not_counted(api: Client, owner: psycopg.Connection, acme: Tenant, process: Process) -> None:
    await api.post(SIGNUP, acme)
    owner.execute("revoke insert on signalops.batch_results from signalops_worker")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await process()
    owner.execute("grant insert on signalops.batch_results to signalops_worker")
    await process()
    assert (await api.get("/api/event-types/user.signup", acme)).json["count"] == 1


async def test_operational_events_are_catalogued_too(
    api: Client, owner: psycopg.Connection, acme: Tenant, process: Process
) -> None:
    set_limit(owner, acme.id, soft=1)
    await api.post(SIGNUP, acme)
    await process()
    shown = (await api.get("/api/event-types/signalops.usage.soft_limit_reached", acme)).json
    assert (shown["count"], shown["example"]["source"]) == (1, "signalops")


async def test_pages_follow_one_another(api: Client, acme: Tenant, worker_pool: db.Pool) -> None:
    catalogue = EventTypeCatalog(worker_pool)
    catalogue.record(acme.id, [noted(f"t{n}") for n in range(5)])
    await catalogue.flush()
    first = (await api.get("/api/event-types", acme, limit=3)).json
    assert ([t["type"] for t in first["data"]], first["hasMore"]) == (["t0", "t1", "t2"], True)
    rest = (await api.get("/api/event-types", acme, limit=3, startingAfter="t2")).json
    assert ([t["type"] for t in rest["data"]], rest["hasMore"]) == (["t3", "t4"], False)
    for query in ("limit=0", "limit=101", "x=1", "startingAfter=%00"):
        assert_problem(await api.get(f"/api/event-types?{query}", acme), 422, "invalid")
    for path in ("%00", "a%20b", "x" * 201, ".."):
        assert (await api.get(f"/api/event-types/{path}", acme)).status == 404


async def test_workers_add_up(api: Client, acme: Tenant, globex: Tenant, worker_pool: db.Pool) -> None:
    workers = [EventTypeCatalog(worker_pool) for _ in range(4)]
    events = [[noted(f"t{n % 7}", {f"f{worker}": n}) for n in range(100)] for worker in range(4)]
    for worker, mine in zip(workers, events, strict=True):
        worker.record(acme.id, mine)
        worker.record(globex.id, mine[:7])
    await asyncio.gather(*(worker.flush() for worker in workers))
    shown = (await api.get("/api/event-types", acme)).json["data"]
    assert sum(t["count"] for t in shown) == 400
    assert [f["path"] for f in shown[0]["fields"]] == [f"payload.f{n}" for n in range(4)]
    ids = [event["id"] for mine in events for event in mine if event["type"] == "t0"]
    times = [clock.uuid7_time(UUID(identity)).timestamp() for identity in (min(ids), max(ids))]
    assert [datetime.fromisoformat(shown[0][name]).timestamp() for name in ("firstSeenAt", "lastSeenAt")] == times


async def test_a_tenant_that_puts_ids_into_types_fills_nothing(
    api: Client, acme: Tenant, globex: Tenant, worker_pool: db.Pool, owner: psycopg.Connection
) -> None:
    first, second = EventTypeCatalog(worker_pool), EventTypeCatalog(worker_pool)
    first.record(acme.id, [noted(f"a{n}") for n in range(MAX_TYPES - 10)])
    await first.flush()
    second.record(acme.id, [noted(f"b{n}") for n in range(MAX_TYPES + 500)] + [noted("a0")])
    second.record(globex.id, [noted("a0")])
    await second.flush()
    counts = owner.execute("select tenant_id, count(*) from signalops.event_types group by 1").fetchall()
    assert sorted(counts) == sorted([(acme.id, MAX_TYPES), (globex.id, 1)])
    first.record(acme.id, [noted("a0")])
    await first.flush()
    assert (await api.get("/api/event-types/a0", acme)).json["count"] == 2


async def test_fields_of_all_workers_together_are_bounded(api: Client, acme: Tenant, worker_pool: db.Pool) -> None:
    for word in ("a", "b"):
        catalogue = EventTypeCatalog(worker_pool)
        catalogue.record(acme.id, [noted(payload={f"{word}{n}": n for n in range(150)})])
        await catalogue.flush()
    shown = (await api.get("/api/event-types/a.b", acme)).json
    assert (len(shown["fields"]), shown["fieldsCut"]) == (200, True)
    assert {f"payload.a{n}" for n in range(150)} <= {field["path"] for field in shown["fields"]}


async def test_a_large_event_is_no_example(api: Client, acme: Tenant, worker_pool: db.Pool) -> None:
    catalogue = EventTypeCatalog(worker_pool)
    catalogue.record(acme.id, [noted(payload={"text": "x" * 20_000})])
    await catalogue.flush()
    shown = (await api.get("/api/event-types/a.b", acme)).json
    assert "example" not in shown
    assert shown["fields"][0]["example"] == "x" * 200


async def test_the_keeper_forgets_idle_tenants_and_no_count(worker_pool: db.Pool, owner: psycopg.Connection) -> None:
    catalogue = EventTypeCatalog(worker_pool, most_kept=5)
    tenants = [make_tenant(owner, f"t{n}") for n in range(12)]
    for _ in range(2):
        for tenant in tenants:
            catalogue.record(tenant.id, [noted()])
        await catalogue.flush()
        assert catalogue.remembered_types == 5
    assert owner.execute("select distinct count from signalops.event_types").fetchall() == [(2,)]


async def test_an_outage_delays_the_catalogue_and_loses_nothing(
    acme: Tenant, worker_pool: db.Pool, owner: psycopg.Connection
) -> None:
    catalogue = EventTypeCatalog(worker_pool)
    catalogue.record(acme.id, [noted()])
    owner.execute(
        "create function signalops.hang_up() returns trigger language plpgsql security definer as "
        "$$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$; "
        "create trigger hang_up before insert on signalops.event_types execute function signalops.hang_up();"
    )
    await catalogue.flush()
    owner.execute("drop trigger hang_up on signalops.event_types")
    catalogue.record(acme.id, [noted()])
    await db.repair(worker_pool)
    await catalogue.flush()
    assert owner.execute("select count from signalops.event_types").fetchall() == [(2,)]


async def test_what_cannot_be_written_is_told_and_stops_nothing(
    acme: Tenant, worker_pool: db.Pool, owner: psycopg.Connection
) -> None:
    catalogue = EventTypeCatalog(worker_pool)
    owner.execute("revoke insert on signalops.event_types from signalops_worker")
    catalogue.record(acme.id, [noted()])
    with capture_log("types.flush_failed") as emitted:
        await catalogue.flush()
        assert emitted.get_nowait()["types"] == 1
    owner.execute("grant insert on signalops.event_types to signalops_worker")
    catalogue.record(acme.id, [noted()])
    await catalogue.flush()
    assert owner.execute("select count from signalops.event_types").fetchall() == [(1,)]


async def test_what_was_seen_is_written_within_a_second(acme: Tenant, handlers: JobHandlers, owner: psycopg.Connection) -> None:
    handlers.catalogue.record(acme.id, [noted()])
    running = asyncio.create_task(handlers.catalogue.run())
    await eventually(lambda: owner.execute("select count from signalops.event_types").fetchall() == [(1,)])
    running.cancel()


async def test_tenants_of_a_flush_are_visible_in_it_and_never_after(acme: Tenant, globex: Tenant, worker_pool: db.Pool) -> None:
    catalogue = EventTypeCatalog(worker_pool)
    for tenant in (acme, globex):
        catalogue.record(tenant.id, [noted()])
    await catalogue.flush()
    async with worker_pool.connection() as connection, connection.transaction():
        visible = "select tenant_id from signalops.event_types"
        assert await (await connection.execute(visible)).fetchall() == []
        await db.set_tenant(connection, acme.id)
        assert await (await connection.execute(visible)).fetchall() == [(acme.id,)]
