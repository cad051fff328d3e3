"""The audit: nothing is found where nothing is wrong; and each kind of damage is found, by the checks that it must break."""

import asyncio

import pytest

from signalops import db
from signalops.usage.reconciliation import reconciliation_queries
from signalops.usage.reconciliation.reconcile import audit
from signalops.usage.reconciliation.reconciliation_models import Difference
from signalops.usage.reconciliation.recount import Recount
from signalops.usage.reconciliation.reprice import mispriced
from tests.support.tenants import Tenant
from tests.usage.reconciliation.conftest import UsageHistory
from tests.usage.reconciliation.seeded_damage import DAMAGES, Damage

HAPPENED = {
    "late entries": "select from signalops.usage_entries where is_late",
    "entries in three periods": "select from signalops.usage_entries group by tenant_id having count(distinct period) = 3",
    "a dead event": "select from signalops.dead_letters where kind = 'event' and resolved_at is null",
    "a discarded event": "select from signalops.dead_letters where resolution = 'discarded'",
    "a retried event": "select from signalops.dead_letters where resolution = 'retried'",
    "a replay": "select from signalops.replays",
    "an operational event": "select from signalops.events where causation_depth > 0",
    "a waiting event": "select from signalops.inbox",
    "a bisected batch": "select from signalops.batch_results where events > 0 and dead > 0",
    "a voided invoice": "select from signalops.invoices where voided_at is not null",
    "a credit note": "select from signalops.invoices where kind = 'credit_note'",
    "credit that came back": "select from signalops.credit_entries where kind = 'returned'",
    "a late line": "select from signalops.invoice_lines where kind = 'late'",
    "a figure of each aggregation": "select from signalops.usage_daily having count(distinct aggregation) = 7",
    "two links of a chain": "select from signalops.usage_hash_chain where previous is not null",
}


async def found(connection: db.Connection, tenant: Tenant) -> list[Difference]:
    """Return what all checks find, within the transaction that the connection is in."""
    what = await reconciliation_queries.audited(connection, tenant.id, tenant.slug, None)
    rows = [*await reconciliation_queries.differences(connection, what), *await reconciliation_queries.number_gaps(connection)]
    counted = (
        await reconciliation_queries.all_meters(connection, tenant.id),
        await reconciliation_queries.limited_months(connection, tenant.id),
    )
    recount = Recount(connection, what, *counted)
    computed = [d async for d in recount.differences()] + [d async for d in mispriced(connection, what)]
    return [Difference.of(tenant.slug, row) for row in rows] + computed


@pytest.mark.parametrize("what", HAPPENED)
def test_what_the_audit_is_proven_with_has_happened(proven: UsageHistory, what: str) -> None:
    assert proven.owner.execute(HAPPENED[what].encode()).fetchall() != []


async def test_nothing_is_found_where_nothing_is_wrong(proven: UsageHistory) -> None:
    tenants = {t.id: t.slug for t in (proven.acme, proven.globex)}
    async with db.as_owner(proven.settings) as connection:
        report = await audit(connection, tenants, is_whole=True)
    assert report.differences == []
    stored = proven.owner.execute("select sum(events) from signalops.usage_counters where meter = 'events'").fetchone()
    assert stored == (report.checked.events,)
    assert report.checked.recounted > 0
    assert proven.owner.execute("select from signalops.reconciliation_differences").fetchall() == []


async def test_nothing_is_found_while_events_come_in_and_are_counted(history: UsageHistory) -> None:
    await history.equip()
    audited = asyncio.Event()

    async def trade() -> None:
        while not audited.is_set():
            await history.trade()

    async with asyncio.TaskGroup() as tasks:
        trading = tasks.create_task(trade())
        for _ in range(3):
            async with db.as_owner(history.settings) as connection:
                assert (await audit(connection, {history.acme.id: "acme", history.globex.id: "globex"})).differences == []
        assert not trading.done()
        audited.set()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
async def test_each_damage_is_found_by_name(proven: UsageHistory, damage: Damage) -> None:
    async with db.as_owner(proven.settings) as connection:
        await connection.execute("set local role none; set local session_replication_role = replica")
        for statement in damage.done.split(";"):
            done = await connection.execute(statement.encode(), {"tenant": proven.acme.id})
            assert done.rowcount > 0, "nothing is damaged"
        await connection.execute("set local role signalops_owner")
        differences = await found(connection, proven.acme)
        assert {d.check for d in differences} == damage.found_by, differences
        if "number" not in damage.found_by:  # which belongs to nobody
            assert await found(connection, proven.globex) == [], "another tenant's figures"
        await connection.rollback()
