"""A tenant that has one of everything. Its id is in every id and name of what it has: found anywhere, it tells whose that is."""

from hashlib import sha256
from typing import Any, get_args
from uuid import UUID

import psycopg
from psycopg import sql

from signalops import clock
from signalops.access.key_format import PREFIX, hash_key, new_key
from signalops.types import Scope, TenantId
from tests.support.rows import insert
from tests.support.tenant_rows import rows_of
from tests.support.tenants import Tenant

_REAL_TERMS = """
update signalops.subscriptions s set terms = p.document, version = p.version from signalops.plans p
where s.tenant_id = %s and p.plan = s.plan
"""


def settle(owner: psycopg.Connection) -> Tenant:
    """Make a tenant with a row in every table, and a key for all scopes."""
    tenant = clock.new_id()
    rows = rows_of(tenant, clock.now())
    for table, own in _named_for(tenant).items():
        rows[table] |= own
    with owner.transaction():
        # Without triggers: the rule would count its own change into ruleset_versions.
        owner.execute("set local session_replication_role = replica")
        for table, row in rows.items():
            insert(owner, table, row)
        owner.execute(_REAL_TERMS, [tenant])
        key = new_key()
        bearer = {"id": clock.new_id(), "prefix": key[:PREFIX], "hash": hash_key(key), "label": "asks"}
        insert(owner, "api_keys", rows["api_keys"] | bearer | {"scopes": list(get_args(Scope))})
    return Tenant(TenantId(tenant), f"t-{tenant}", key)


def meter_of(tenant: object) -> str:
    """Return the key of the tenant's meter."""
    return f"m_{tenant}".replace("-", "_")


def _named_for(tenant: UUID) -> dict[str, dict[str, Any]]:
    meter, of_type = {"meter": meter_of(tenant)}, {"type": f"of.{tenant}"}
    counted = ("usage_entries", "usage_counters", "usage_distinct_values", "usage_adjustments", "limits")
    return {
        **dict.fromkeys(("event_types", "event_schemas", "events"), of_type),
        **dict.fromkeys(counted, meter),
        "tenants": {"meters_version": 1},
        "meters": {"key": meter_of(tenant), "pattern": of_type | {"type": [of_type["type"]]}},
        "channels": {"name": f"c-{tenant}"},
        "rules": {"name": f"r-{tenant}"},
        "backtests": {"request": {"candidate": {"rule": {"id": tenant, "name": "r", "version": 1}}, "types": None}},
        "rule_versions": {"pattern": {"type": [f"of.{tenant}"]}},
        "silences": {"pattern": {"type": [f"of.{tenant}"]}},
        "audit_log": {"target_id": str(tenant), "change": {"before": None, "after": {}}},
        "suppressions": {"address": f"{tenant}@example.com"},
        "dead_letters": {"error": f"e-{tenant}"},
        "invoice_lines": {"kind": "usage", "aggregation": "count", "events": 1, "quantity": 1, "included": 0, **meter},
    }


def belongings(owner: psycopg.Connection, tenant: Tenant) -> dict[str, str]:
    """Return a digest of each table's rows of a tenant and of its jobs, without the last use of keys."""
    tables = owner.execute(
        "select c.relname, case when c.relname = 'tenants' then 'id' else 'tenant_id' end from pg_class c "
        "where c.relnamespace = 'signalops'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition "
        "and exists (select from pg_attribute where attrelid = c.oid and (c.relname = 'tenants' or attname = 'tenant_id'))"
    ).fetchall()
    parts = [_rows_of(table, key, tenant) for table, key in tables]
    jobs = sql.SQL("select 'jobs', args::text from procrastinate.procrastinate_jobs where args::text like {}")
    parts.append(jobs.format(sql.Literal(f"%{tenant.id}%")))
    found: dict[str, list[str]] = {}
    for table, row in owner.execute(sql.SQL(" union all ").join(parts)).fetchall():
        found.setdefault(table, []).append(row)
    return {table: sha256("\n".join(sorted(rows)).encode()).hexdigest() for table, rows in found.items()}


def _rows_of(table: str, key: str, tenant: Tenant) -> sql.Composed:
    return sql.SQL("select {}, (to_jsonb(t) - '{{last_used_at,digest}}'::text[])::text from {} t where {} = {}").format(
        sql.Literal(table), sql.Identifier("signalops", table), sql.Identifier(key), sql.Literal(tenant.id)
    )
