"""What expires before its partition: which tenant's, how much, what stays; and an audit of what is left finds nothing wrong."""

from collections import Counter
from datetime import datetime
from uuid import UUID

import psycopg

from signalops import clock, db
from signalops.config import Settings
from signalops.usage.reconciliation.reconcile import audit
from signalops.watch import retention
from tests.support.rules import make_rule
from tests.support.tenants import Tenant
from tests.usage.reconciliation.conftest import UsageHistory

TABLES = (
    "events",
    "matches",
    "deliveries",
    "delivery_attempts",
    "batch_results",
    "dead_letters",
    "idempotency_keys",
    "backtests",
)
EXPIRED_TABLES = ("backtests", "dead_letters", "idempotency_keys")
AGE = "update signalops.tenants set created_at = now() - interval '900 days', closed_until = now() - interval '9 days'"


async def expire(settings: Settings, retention_days: int = 400, at_most: int = 7) -> Counter[str]:
    """Let a worker remove all that has expired, a few rows a transaction; return how many of which tables."""
    removed: Counter[str] = Counter()
    async with db.pool(settings, "worker", 1) as pool, pool.connection() as connection:
        while slices := await retention.expire(connection, retention_days, at_most):
            for relation, rows in slices:
                assert rows <= at_most or relation in EXPIRED_TABLES, relation
                removed[relation] += rows
    return +removed


def stored(owner: psycopg.Connection, tenant: Tenant) -> dict[str, int]:
    """Return how many rows a tenant has in each of the tables from which something expires."""
    counts = (f"(select count(*) from signalops.{t} where tenant_id = %(tenant)s)" for t in TABLES)
    row = owner.execute(f"select {', '.join(counts)}".encode(), {"tenant": tenant.id}).fetchone()
    assert row is not None
    return dict(zip(TABLES, row, strict=True))


def expired_until(owner: psycopg.Connection, tenant: Tenant, moment: datetime) -> None:
    """Have all that a tenant has from before a moment expire, and every sweep be due."""
    owner.execute(
        "insert into signalops.retention_watermarks (tenant_id, kept_since) values (%s, %s) on conflict (tenant_id) do update "
        "set kept_since = excluded.kept_since, is_expiring = true",
        [tenant.id, moment],
    )
    owner.execute("update signalops.sweep_cursors set begun_at = '-infinity', ended_at = '-infinity'")


def send(history: UsageHistory) -> None:
    """Have one attempt made at each delivery that waits, which ends it."""
    with history.owner.transaction():
        history.owner.execute(
            "insert into signalops.delivery_attempts (tenant_id, delivery_id, attempt, started_at, duration_ms, outcome) "
            "select tenant_id, id, 1, now(), 1, 'permanent' from signalops.deliveries where status = 'pending'"
        )
        history.owner.execute("update signalops.deliveries set status = 'cancelled' where status = 'pending'")


def older(owner: psycopg.Connection, tenant: Tenant, moment: datetime) -> list[tuple[str, UUID]]:
    """Return table and event or delivery of all that a tenant has from before a moment."""
    keys = {
        "events": "id",
        "matches": "event_id",
        "deliveries": "id",
        "delivery_attempts": "delivery_id",
        "batch_results": "batch",
    }
    keys |= dict.fromkeys(("dead_letters", "idempotency_keys"), "event_id")
    parts = (
        f"select '{t}', {key} from signalops.{t} where tenant_id = %(tenant)s and {key} < signalops.uuid7_floor(%(moment)s)"
        for t, key in keys.items()
    )
    query = " union all ".join(parts).encode()
    return owner.execute(query, {"tenant": tenant.id, "moment": moment}).fetchall()


async def differences(history: UsageHistory) -> list[object]:
    """Return what an audit of everything finds."""
    tenants = {t.id: t.slug for t in (history.acme, history.globex)}
    async with db.as_owner(history.settings) as connection:
        report = await audit(connection, tenants, is_whole=True)
    return [*report.differences]


async def test_what_expires_goes_whole_and_the_audit_of_the_rest_is_clean(history: UsageHistory) -> None:
    for tenant in (history.acme, history.globex):
        make_rule(history.owner, tenant, {"type": ["order"]})
    await history.equip()
    await history.trade()
    await history.suffer()
    (first,) = await history.post(history.acme, {"v": 1}, idempotencyKey="once")
    await history.process()
    send(history)
    (waiting, unsent) = await history.post(history.acme, {"v": 2}, {"v": 3})
    await history.process()
    ended = "update signalops.deliveries set status = 'cancelled' where status = 'pending' and event_id %s %%s"
    history.owner.execute((ended % "<>").encode(), [unsent])
    assert (await history.api.post({"events": [waiting], "reason": "again"}, history.acme, "/api/replays")).status == 202
    await history.close()
    moment = clock.now()
    await history.trade()
    untouched = stored(history.owner, history.globex)
    assert {table for table, _ in older(history.owner, history.acme, moment)} == {*TABLES} - {"backtests"}

    expired_until(history.owner, history.acme, moment)
    removed = await expire(history.settings)
    assert {*removed} == {*TABLES} - {"backtests"}
    left = older(history.owner, history.acme, moment)
    assert {str(event) for table, event in left if table == "events"} == {waiting, unsent}
    assert {table for table, _ in left} == {"events", "deliveries"}
    assert stored(history.owner, history.globex) == untouched
    assert (await history.api.get(f"/api/events/{first}", history.acme)).status == 404
    again = await history.api.post({"type": "order", "payload": {"v": 1}, "idempotencyKey": "once"}, history.acme)
    assert (again.status, again.json["id"] == first) == (202, False)

    # Events within an hour of the retention cutoff are not compared, since clocks differ. Here they do not.
    history.owner.execute("update signalops.retention_watermarks set kept_since = kept_since - interval '1 hour'")
    assert await differences(history) == []

    await history.process()
    history.owner.execute((ended % "<>").encode(), [UUID(int=0)])
    expired_until(history.owner, history.acme, moment)
    assert {*await expire(history.settings)} >= {"events", "deliveries"}
    assert older(history.owner, history.acme, moment) == []

    history.owner.execute("update signalops.retention_watermarks set kept_since = kept_since - interval '1 hour'")
    newest = "delete from signalops.events where tenant_id = %(t)s and id = "
    newest += "(select id from signalops.events where tenant_id = %(t)s and causation_depth = 0 order by id desc limit 1)"
    history.owner.execute(newest.encode(), {"t": history.acme.id})
    assert await differences(history) != []


def days_kept(owner: psycopg.Connection, tenant: Tenant) -> float:
    """Return the retention of a tenant's events in days."""
    query = "select extract(epoch from now() - since)::float8 / 86400 from signalops.retention_cutoffs(400) where tenant = %s"
    row = owner.execute(query, [tenant.id]).fetchone()
    assert row is not None
    return round(float(row[0]), 3)


async def test_events_are_kept_while_a_retention_a_period_or_their_work_asks_for_them(history: UsageHistory) -> None:
    owner, acme, globex = history.owner, history.acme, history.globex
    owner.execute(AGE.encode())
    assert days_kept(owner, acme) == 400
    owner.execute("update signalops.tenants set retention_days = 30 where id = %s", [acme.id])
    assert (days_kept(owner, acme), days_kept(owner, globex)) == (30, 400)
    owner.execute("update signalops.tenants set retention_days = 800 where id = %s", [globex.id])
    retained_days = "select extract(epoch from now() - signalops.global_retention_cutoff(400))::float8 / 86400"
    assert owner.execute(retained_days.encode()).fetchone() == (800,)

    # A period that is frozen and not closed, and one that goes on.
    owner.execute("update signalops.tenants set retention_days = 1 where id = %s", [acme.id])
    assert days_kept(owner, acme) == 11
    owner.execute(
        "insert into signalops.billing_periods (tenant_id, period, starts_at, ends_at) "
        "values (%s, '2026-01-01', now() - interval '40 days', now() - interval '9 days')",
        [acme.id],
    )
    assert days_kept(owner, acme) == 42
    park_event = "insert into signalops.inbox (tenant_id, event_id, batch, is_parked) "
    park_event += "values (%s, signalops.uuid7_floor(now() - interval '50 days'), signalops.new_id(), true)"
    owner.execute(park_event.encode(), [acme.id])
    assert days_kept(owner, acme) == 50
    sending = "insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id) "
    sending += "select %s, i, signalops.uuid7_floor(now() - interval '60 days'), i, 1, i from signalops.new_id() as i"
    owner.execute(sending.encode(), [acme.id])
    assert days_kept(owner, acme) == 60

    # Nothing is removed; but the watermark of the tenant with the shorter retention is stored, and never moves back.
    await expire(history.settings)
    since = (
        "select tenant_id, extract(epoch from now() - kept_since)::int / 86400, is_expiring from signalops.retention_watermarks"
    )
    assert owner.execute(since.encode()).fetchall() == [(acme.id, 60, False)]
    owner.execute("update signalops.tenants set retention_days = 100")
    await expire(history.settings)
    assert owner.execute(since.encode()).fetchall() == [(acme.id, 60, False)]
