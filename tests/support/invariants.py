"""What must be true after any fault, once the work is done: one query each for what breaks it."""

from collections.abc import Iterable
from typing import LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

Acknowledged = Iterable[tuple[UUID, UUID]]
"""(tenant, event) of each acknowledged event."""

INVARIANTS: dict[str, LiteralString] = {
    "every acknowledged event is stored once": """
        select a.id from unnest(%(tenants)s::uuid[], %(events)s::uuid[]) as a (tenant_id, id)
        left join signalops.events e on e.tenant_id = a.tenant_id and e.id = a.id
        group by a.id having count(e.id) <> 1""",
    "nothing is stored but what was acknowledged": """
        select e.id from signalops.events e where e.causation_depth = 0 and not e.id = any (%(events)s::uuid[])""",
    "every event is processed": "select id from signalops.event_status where status <> 'processed'",
    "the inbox is empty": "select event_id from signalops.inbox",
    "usage is the events processed, and those are the events accepted": """
        select t.slug, u.used, q.accepted, e.events from signalops.tenants t,
          lateral (select coalesce(sum(events), 0) as used from signalops.usage_counters
            where tenant_id = t.id and meter = 'events') as u,
          lateral (select coalesce(sum(accepted), 0) as accepted from signalops.accepted_counters
            where tenant_id = t.id and meter = 'events') as q,
          lateral (select count(*) as events from signalops.events where tenant_id = t.id and causation_depth = 0) as e
        where u.used <> e.events or q.accepted <> e.events""",
    "every counter is the sum of its entries": """
        select tenant_id, meter, hour, group_key, period, c.events, sum(e.events) from signalops.usage_counters c
        full join signalops.usage_entries e using (tenant_id, meter, hour, group_key, period)
        group by 1, 2, 3, 4, 5, 6
        having c.events is distinct from sum(e.events) or sum(e.events) <> sum(cardinality(e.event_ids))""",
    "every event is in one entry of the meter of all": """
        select e.tenant_id, e.id, count(u.id) from (select * from signalops.events where causation_depth = 0) e
        full join (select tenant_id, unnest(event_ids) as id from signalops.usage_entries where meter = 'events') u
          using (tenant_id, id)
        group by e.tenant_id, e.id having count(e.id) <> 1 or count(u.id) <> 1""",
    "every batch is on record with as many events as it has": """
        select tenant_id, batch, b.events, count(e.id) from signalops.batch_results b
        full join signalops.events e using (tenant_id, batch)
        where not exists (select from signalops.replays r where r.tenant_id = b.tenant_id and b.batch = any (r.batches))
        group by 1, 2, 3 having b.events is distinct from count(e.id)""",
    "every replay is on record with as many events as it has": """
        select r.id, r.events, sum(b.events) from signalops.replays r
        left join signalops.batch_results b on b.tenant_id = r.tenant_id and b.batch = any (r.batches)
        group by r.tenant_id, r.id having r.events <> coalesce(sum(b.events), 0)""",
    "each match has exactly one delivery": """
        select event_id, rule_id, count(d.id) from (select * from signalops.matches where outcome = 'notified') m
        full join (select * from signalops.deliveries where replay_id is null) d using (tenant_id, event_id, rule_id)
        group by 1, 2 having count(d.id) <> 1 or count(m.rule_version) <> 1""",
    "no job failed or was lost": """
        select id, task_name, status from procrastinate.procrastinate_jobs where status in ('failed', 'aborted', 'cancelled')""",
}
SENDING: dict[str, LiteralString] = {
    "every delivery has ended": """
        select id, status, attempts from signalops.deliveries
        where next_attempt_at is not null or status not in ('sent', 'delivered', 'read', 'dead', 'cancelled', 'suppressed')""",
    "every dead delivery has a dead letter, and no other delivery has one": """
        select d.id, d.status, l.error from signalops.deliveries d
        full join (select * from signalops.dead_letters where kind = 'delivery' and resolved_at is null) l
          on l.tenant_id = d.tenant_id and l.delivery_id = d.id
        where (d.status = 'dead') is distinct from (l.id is not null)""",
    "no attempt has a number beyond those that were made": """
        select d.id, d.attempts, a.attempt from signalops.deliveries d
        join signalops.delivery_attempts a on a.tenant_id = d.tenant_id and a.delivery_id = d.id where a.attempt > d.attempts""",
    "what is sent has a success on record": """
        select d.id from signalops.deliveries d where d.status = 'sent' and not exists (
          select from signalops.delivery_attempts a
          where a.tenant_id = d.tenant_id and a.delivery_id = d.id and a.outcome = 'sent')""",
}
TABLES = ("events", "inbox", "matches", "deliveries", "batch_results", "usage_entries", "usage_counters", "accepted_counters")


def violations(owner: psycopg.Connection, acknowledged: Acknowledged) -> list[str]:
    """Return a sentence for each invariant that does not hold; none when all is well."""
    pairs = list(acknowledged)
    parameters = {"tenants": [tenant for tenant, _ in pairs], "events": [event for _, event in pairs]}
    broken = {name: owner.execute(query, parameters).fetchall() for name, query in INVARIANTS.items()}
    broken["no tenant sees another's rows"] = _leaks(owner)
    return [f"{name}: {len(rows)} break it, such as {rows[0]}" for name, rows in broken.items() if rows]


def unsettled(owner: psycopg.Connection) -> list[str]:
    """Return a sentence for each invariant of sending that does not hold; for when all is sent that can be."""
    broken = {name: owner.execute(query).fetchall() for name, query in SENDING.items()}
    return [f"{name}: {len(rows)} break it, such as {rows[0]}" for name, rows in broken.items() if rows]


def _leaks(owner: psycopg.Connection) -> list[tuple[str, str, str]]:
    """Return (role, table, tenant) wherever a tenant sees a row that is not its own."""
    leaks = []
    for (tenant,) in owner.execute("select id from signalops.tenants").fetchall():
        for role in ("signalops_api", "signalops_worker"):
            with owner.transaction():
                owner.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
                owner.execute("select signalops.set_tenant(%s)", [tenant])
                for table in TABLES:
                    seen = sql.SQL("select from signalops.{} where tenant_id <> %s").format(sql.Identifier(table))
                    if owner.execute(seen, [tenant]).rowcount:
                        leaks.append((role, table, str(tenant)))
    return leaks
