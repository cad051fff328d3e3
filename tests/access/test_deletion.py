"""A tenant is deleted whole: nothing of it is left in any table, nobody else's row is touched, and a kill loses nothing."""

import asyncio
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from signalops import clock, db
from signalops.access.deletion import deleter, deletion_queries, deletion_service
from signalops.config import Settings
from signalops.errors import Conflict, Invalid, NotFound
from signalops.types import Actor, DeliveryId
from tests.support.rows import insert
from tests.support.rules import make_rule
from tests.support.tenant_rows import rows_of
from tests.support.tenants import Tenant
from tests.support.worlds.pipeline import Pipeline

PLANTED = "xylophone-payload"
_OURS = ("tenant_deletions", "retired_invoice_numbers", "audit_log")


@pytest.fixture
async def platform(settings: Settings) -> AsyncIterator[db.Pool]:
    """Connections as operators have them."""
    async with db.pool(settings, "platform", 2) as pool:
        yield pool


def become(owner: psycopg.Connection, tenant: Tenant, *statuses: str) -> None:
    """Move a tenant from status to status."""
    for status in statuses:
        owner.execute("update signalops.tenants set status = %s where id = %s", [status, tenant.id])


async def ask(platform: db.Pool, tenant_slug: str, confirmed: str) -> Any:
    """Ask for a deletion, as an operator by HTTP."""
    db.acting.set(db.Action(Actor("operator", "olga"), "192.0.2.1", "deleteTenant"))
    try:
        async with db.as_platform(platform) as connection:
            return await deletion_service.begin(connection, tenant_slug, confirmed)
    finally:
        db.acting.set(None)


def dump(owner: psycopg.Connection) -> dict[str, list[str]]:
    """Return every row of every table of the database, as text, by table."""
    tables = owner.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where c.relkind in ('r', 'p') and not c.relispartition and n.nspname in ('signalops', 'procrastinate', 'public', 'yoyo')"
    ).fetchall()
    rows = {}
    for schema, table in tables:
        query = sql.SQL("select t::text from {} t").format(sql.Identifier(schema, table))
        rows[table] = sorted(row for (row,) in owner.execute(query))
    return rows


async def live(pipeline: Pipeline, tenant: Tenant) -> None:
    """Give a tenant a row in every table, and traffic with deliveries, digests, absences, usage and what waits."""
    fill(pipeline.owner, tenant)
    overs: list[dict[str, Any]] = [{}, {"digest": {"every": "1h"}}, {"absent": {"after": "15m"}}]
    for conditions in overs:
        make_rule(pipeline.owner, tenant, {"type": ["user.signup"]}, **conditions)
    await pipeline.handlers.process_batch(await pipeline.accept(*[(tenant, {"word": PLANTED, "n": n}) for n in range(20)]), 1)
    await pipeline.accept((tenant, {"word": PLANTED}))
    pipeline.owner.execute(
        "insert into signalops.backtests (tenant_id, id, request, starts_at, ends_at) "
        "values (%s, %s, %s, now(), now() + interval '1 h')",
        [tenant.id, clock.new_id(), Jsonb({"word": PLANTED})],
    )


def fill(owner: psycopg.Connection, tenant: Tenant) -> None:
    """Give a tenant a row of each table, as they may be without triggers."""
    with owner.transaction():
        owner.execute("set local session_replication_role = replica")
        for table, row in rows_of(tenant.id, clock.now()).items():
            if table != "tenants":
                insert(owner, table, row)


def names(rows: dict[str, list[str]], tenant: Tenant) -> set[str]:
    """Return the tables in which a tenant's id, slug, key or payload is found."""
    telling = (str(tenant.id), tenant.slug, tenant.key[:16], PLANTED)
    return {table for table, texts in rows.items() for text in texts if any(word in text for word in telling)}


async def test_nothing_is_left_but_the_proof_and_nobody_else_is_touched(
    pipeline: Pipeline, acme: Tenant, globex: Tenant, platform: db.Pool
) -> None:
    await live(pipeline, globex)
    before = dump(pipeline.owner)
    await live(pipeline, acme)
    shared = await pipeline.accept((acme, {}), (globex, {}))
    become(pipeline.owner, acme, "closed")
    await ask(platform, acme.slug, acme.slug)
    await pipeline.handlers.process_batch(shared, 1)
    pipeline.owner.execute("set search_path = procrastinate")  # the triggers there rely on it
    pipeline.owner.execute("delete from procrastinate.procrastinate_jobs where args ->> 'batch' = %s", [str(shared)])
    await pipeline.handlers.delete_tenant(acme.id)
    pipeline.owner.execute("delete from procrastinate.procrastinate_jobs where task_name = 'delete_tenant'")

    after = dump(pipeline.owner)
    assert names(after, acme) <= {"tenant_deletions", "audit_log"} | names(before, globex)
    words = (str(acme.id), acme.key[:16])
    assert {t for t, rows in after.items() for row in rows if any(w in row for w in words)} == {"tenant_deletions", "audit_log"}
    ((actor, action, target),) = pipeline.rows(
        "select actor, action, target from signalops.audit_log where target_id = %s", str(acme.id)
    )
    assert (actor, action, target) == ("olga", "tenant.deleted", "acme")
    mine = str(globex.id)
    for table, rows in before.items():
        remaining = {row for row in rows if mine in row}
        assert remaining - {row for row in after[table] if mine in row} <= (
            # what the shared batch changed
            remaining
            if table in ("accepted_counters", "usage_counters", "rule_states", "digests", "channel_schedules", "send_targets")
            else set()
        ), table

    async with db.as_platform(platform) as connection:
        proof = await deletion_service.show(connection, acme.slug)
    assert (proof.status, {table.left for table in proof.tables}) == ("deleted", {0})
    removed = {table.table: table.removed for table in proof.tables}
    assert removed["events"] >= 22
    assert {table for table, count in removed.items() if count == 0} == set()
    with pytest.raises(NotFound):
        await ask(platform, str(acme.id), acme.slug)


async def test_only_what_is_closed_and_confirmed_is_deleted(acme: Tenant, platform: db.Pool, owner: psycopg.Connection) -> None:
    for statuses, confirmed, refusal in (
        ((), "acme", Conflict),
        (("suspended",), "acme", Conflict),
        (("closed",), "globex", Invalid),
        ((), "", Invalid),
    ):
        become(owner, acme, *statuses)
        with pytest.raises(refusal):
            await ask(platform, str(acme.id), confirmed)
    with pytest.raises(NotFound):
        await ask(platform, "no-such", "no-such")
    assert (await ask(platform, str(acme.id), "acme")).status == "deleting"
    assert (await ask(platform, "acme", "acme")).status == "deleting"
    jobs = owner.execute("select args from procrastinate.procrastinate_jobs where task_name = 'delete_tenant'").fetchall()
    assert jobs == [({"tenant": str(acme.id)},)]


WORKER = textwrap.dedent("""
    import asyncio, sys
    from uuid import UUID
    from psycopg_pool import AsyncConnectionPool
    from signalops import db
    from signalops.access.deletion import deleter

    deleter.SLICE = 3

    async def main():
        async with AsyncConnectionPool(sys.argv[1], min_size=1, configure=db.autocommit, open=False) as pool:
            await deleter.Deleter(pool).run(UUID(sys.argv[2]))

    asyncio.run(main())
""")


async def killed(settings: Settings, tenant: Tenant, moment: Callable[[], bool]) -> None:
    """Have a process of its own delete a tenant, and kill it at a moment."""
    arguments = ("-c", WORKER, db.dsn(settings, "worker"), str(tenant.id))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    try:
        async with asyncio.timeout(30):
            while not moment():
                assert process.returncode is None, "the moment never came"
                await asyncio.sleep(0)
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def doomed(pipeline: Pipeline, acme: Tenant, platform: db.Pool) -> Tenant:
    """A tenant with rows that is being deleted."""
    await live(pipeline, acme)
    become(pipeline.owner, acme, "closed")
    await ask(platform, acme.slug, acme.slug)
    return acme


async def test_a_worker_killed_between_slices_loses_nothing(pipeline: Pipeline, doomed: Tenant, settings: Settings) -> None:
    stored = len(pipeline.rows("select from signalops.events where tenant_id = %s", doomed.id))
    await killed(settings, doomed, lambda: pipeline.rows("select from signalops.tenant_deletions where removed <> '{}'") != [])
    assert pipeline.rows("select from signalops.tenants where id = %s", doomed.id) != []
    pipeline.owner.execute("truncate procrastinate.procrastinate_jobs cascade")
    await pipeline.handlers.enqueue_lost()
    assert pipeline.jobs("delete_tenant") == [{"tenant": str(doomed.id)}]
    await finished(pipeline, doomed)
    ((removed,),) = pipeline.rows(
        "select (removed ->> 'signalops.events')::int from signalops.tenant_deletions where finished_at is not null"
    )
    assert removed == stored


async def test_a_worker_killed_before_the_last_transaction_loses_nothing(
    pipeline: Pipeline, doomed: Tenant, settings: Settings
) -> None:
    gone = "select where not exists (select from signalops.ruleset_versions where tenant_id = %(id)s) and not exists ("
    gone += "select from signalops.api_keys where tenant_id = %(id)s)"
    with psycopg.connect(db.admin_url(settings)) as other:
        other.execute("select 1")  # it has begun, so it is waited for
        await killed(settings, doomed, lambda: pipeline.owner.execute(gone.encode(), {"id": doomed.id}).rowcount == 1)
    assert pipeline.rows("select from signalops.tenants where id = %s", doomed.id) != []
    await finished(pipeline, doomed)


async def test_a_worker_killed_in_the_last_transaction_loses_nothing(
    pipeline: Pipeline, doomed: Tenant, settings: Settings, worker_pool: db.Pool
) -> None:
    async with worker_pool.connection() as connection:
        while await deletion_queries.delete_slice(connection, doomed.id, deleter.SLICE):
            pass
    worker = psycopg.connect(db.dsn(settings, "worker"))
    assert worker.execute("select signalops.finish_deletion(%s) > 0", [doomed.id]).fetchone() == (True,)
    pipeline.owner.execute("select pg_terminate_backend(%s, 5000)", [worker.info.backend_pid])
    worker.close()
    assert pipeline.rows("select from signalops.tenants where id = %s", doomed.id) != []
    await finished(pipeline, doomed)


async def finished(pipeline: Pipeline, doomed: Tenant) -> None:
    """Have the next jobs delete what is left of a tenant, as soon as the server has noticed who is dead."""
    async with asyncio.timeout(20):
        while pipeline.rows("select from signalops.tenants where id = %s", doomed.id):
            await pipeline.handlers.delete_tenant(doomed.id)
    assert len(pipeline.rows("select from signalops.tenant_deletions where finished_at is not null")) == 1


async def test_events_that_are_posted_meanwhile_leave_nothing(pipeline: Pipeline, doomed: Tenant, globex: Tenant) -> None:
    over = asyncio.Event()

    async def post() -> int:
        posted = 0
        while not over.is_set():
            await pipeline.accept((doomed, {"word": PLANTED}), (globex, {}))
            posted += 1
        return posted

    posting = asyncio.create_task(post())
    await pipeline.handlers.delete_tenant(doomed.id)
    await pipeline.accept((globex, {}))
    over.set()
    posted = await posting
    assert posted > 0
    assert pipeline.rows("select from signalops.tenants where id = %s", doomed.id) == []
    for table in ("events", "inbox", "accepted_counters", "idempotency_keys"):
        assert pipeline.rows(f"select from signalops.{table} where tenant_id = %s", doomed.id) == [], table
    assert len(pipeline.rows("select from signalops.events where tenant_id = %s", globex.id)) == posted + 1


async def test_a_transaction_that_wrote_before_is_waited_for(
    pipeline: Pipeline, doomed: Tenant, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deleter, "_PATIENCE", 0.2)
    with psycopg.connect(db.admin_url(settings)) as late:
        late.execute("insert into signalops.inbox values (%s, %s, %s)", [doomed.id, clock.new_id(), clock.new_id()])
        await pipeline.handlers.delete_tenant(doomed.id)
        assert pipeline.rows("select from signalops.tenants where id = %s", doomed.id) != []
    await pipeline.handlers.delete_tenant(doomed.id)
    await pipeline.handlers.delete_tenant(doomed.id)
    assert pipeline.rows("select from signalops.inbox where tenant_id = %s", doomed.id) == []
    assert pipeline.rows("select from signalops.tenants where id = %s", doomed.id) == []


async def test_what_was_on_its_way_is_not_written_afterwards(pipeline: Pipeline, doomed: Tenant, worker_pool: db.Pool) -> None:
    ((delivery,),) = pipeline.rows("select id from signalops.deliveries where tenant_id = %s limit 1", doomed.id)
    await pipeline.handlers.delete_tenant(doomed.id)
    attempt = {"tenant": doomed.id, "delivery": delivery, "attempt": 1, "started_at": clock.now(), "duration_ms": 1}
    attempt |= {"outcome": "sent", "status": "sent"}
    seen = {"tenant": doomed.id, "type": PLANTED, "first": delivery, "last": delivery, "count": 1, "fields": {}, "cut": False}
    async with worker_pool.connection() as connection:
        await connection.execute("select signalops.settle_deliveries(%s)", [orjson.dumps([attempt]).decode()])
        await connection.execute("select signalops.record_event_types(%s)", [orjson.dumps([seen]).decode()])
    assert names(dump(pipeline.owner), doomed) <= {"tenant_deletions", "audit_log", "procrastinate_jobs"}


async def test_a_rate_limited_key_that_is_remembered_leaves_no_bucket(
    pipeline: Pipeline, doomed: Tenant, api_pool: db.Pool
) -> None:
    await pipeline.handlers.delete_tenant(doomed.id)
    tenant_slug = orjson.dumps([{"tenant": doomed.id, "bucket": "tenant", "amount": 1}]).decode()
    flush = orjson.dumps([{"id": clock.new_id(), "tenant": doomed.id, "buckets": [1]}]).decode()
    async with api_pool.connection() as connection, connection.transaction():
        await connection.execute("select signalops.set_tenant_group(array[%s::uuid])", [doomed.id])
        await connection.execute("select signalops.take_tokens(%s, %s)", [flush, tenant_slug])
    assert pipeline.rows("select from signalops.rate_buckets where tenant_id = %s", doomed.id) == []


async def test_a_table_that_nobody_thought_of_is_found(pipeline: Pipeline, doomed: Tenant) -> None:
    pipeline.owner.execute("create table signalops.later (tenant_id uuid, word text)")
    pipeline.owner.execute("grant all on signalops.later to signalops_owner")
    pipeline.owner.execute("insert into signalops.later values (%s, %s)", [doomed.id, PLANTED])
    await pipeline.handlers.delete_tenant(doomed.id)
    assert pipeline.rows("select from signalops.later") == []
    assert pipeline.rows(
        "select removed ->> 'signalops.later', remaining ->> 'signalops.later' from signalops.tenant_deletions"
    ) == [("1", "0")]


async def test_a_job_that_it_shares_with_others_stays_for_them(
    pipeline: Pipeline, acme: Tenant, globex: Tenant, platform: db.Pool
) -> None:
    tenants = [acme, globex, acme, globex]
    send_jobs = [{"tenant": tenant.id, "delivery": DeliveryId(clock.new_id())} for tenant in tenants]
    pipeline.owner.execute("select signalops.enqueue_deliveries(%s)", [orjson.dumps(send_jobs).decode()])
    become(pipeline.owner, acme, "closed")
    await ask(platform, acme.slug, acme.slug)
    await pipeline.handlers.delete_tenant(acme.id)
    assert [job["tenant"] for job in pipeline.jobs("send_delivery")] == [str(globex.id)] * 2


async def test_ledgers_are_deleted_with_their_tenant_alone(pipeline: Pipeline, acme: Tenant, settings: Settings) -> None:
    fill(pipeline.owner, acme)
    ledgers = ("usage_daily", "usage_hash_chain", "credit_entries", "credit_grants", "invoice_lines", "invoices", "audit_log")
    for statuses in ((), ("suspended", "active"), ("closed",), ("deleting",)):
        become(pipeline.owner, acme, *statuses)
        for table in ledgers:
            with pytest.raises(psycopg.errors.CheckViolation):
                pipeline.owner.execute(f"delete from signalops.{table} where tenant_id = %s".encode(), [acme.id])


async def test_the_numbers_of_its_invoices_are_not_missing(pipeline: Pipeline, acme: Tenant, platform: db.Pool) -> None:
    fill(pipeline.owner, acme)
    pipeline.owner.execute("insert into signalops.invoice_numbers values ('invoice', 1)")
    become(pipeline.owner, acme, "closed")
    await ask(platform, acme.slug, acme.slug)
    await pipeline.handlers.delete_tenant(acme.id)
    assert pipeline.rows("select * from signalops.retired_invoice_numbers") == [("invoice", 1)]
    assert pipeline.rows("select * from signalops.reconcile_numbers()") == []
