"""A row of every tenant table, for what must be shown of each of them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from signalops import clock

Row = dict[str, Any]
_MONTH = "2026-01-01"


def rows_of(tenant: UUID) -> dict[str, Row]:
    """Return a valid row of each table, parents first; all belong to one tenant and to one another."""
    event, batch, rule, channel, delivery, grant = (clock.new_id() for _ in range(6))
    now = clock.now()
    own = {"tenant_id": tenant}
    decided = {"event_id": event, "rule_id": rule, "rule_version": 1}
    slot = {"meter": "events", "period": _MONTH, "hour": now, "grp": "[]"}
    counted = slot | {"is_late": False, "events": 1, "value": 1}
    invoice, billed = clock.new_id(), {"period": _MONTH, "starts_at": now, "ends_at": now + timedelta(days=31)}
    told = {"type": "user.signup", "occurred_at": now, "received_at": now, "payload": Jsonb({})}
    return {
        "tenants": {"id": tenant, "slug": f"t-{tenant}", "name": "Tenant"},
        "api_keys": own
        | {
            "id": clock.new_id(),
            "prefix": "test_api_key_xyz",
            "hash": "$2b$04$",
            "label": "l",
            "scopes": ["events:read"],
        },
        "events": own | {"id": event, "batch": batch} | told,
        "idempotency_keys": own | {"key": "k", "event_id": event, "body_hash": b"h"},
        "event_types": own
        | {"type": "user.signup", "first_seen_at": now, "last_seen_at": now, "count": 1, "fields": Jsonb({})},
        "event_schemas": own | {"type": "user.signup", "mode": "warn", "schema": Jsonb({})},
        "limits": own | {"meter": "events", "origin": "tenant", "starts_on": _MONTH, "hard": 1},
        "quotas": own | {"period": _MONTH, "accepted": 1},
        "inbox": own | {"event_id": event, "batch": batch},
        "channels": own
        | {"id": channel, "name": "c", "kind": "webhook", "config": Jsonb({"url": "http://127.0.0.1:9/"})},
        "rules": own | {"id": rule, "name": "r", "active_version": 1},
        "rule_versions": own
        | {
            "rule_id": rule,
            "version": 1,
            "grammar": 2,
            "pattern": Jsonb({}),
            "channel_id": channel,
            "template": Jsonb({}),
        },
        "silences": own
        | {
            "id": clock.new_id(),
            "grammar": 2,
            "pattern": Jsonb({}),
            "starts_at": now,
            "ends_at": now + timedelta(hours=1),
            "reason": "r",
        },
        "backtests": own
        | {"id": clock.new_id(), "asked": Jsonb({}), "starts_at": now, "ends_at": now + timedelta(hours=1)},
        "replays": own | {"id": clock.new_id(), "reason": "r", "events": 1, "batches": [batch]},
        "rule_groups": own | {"rule_id": rule, "since": 1, "group_key": "[]", "labels": Jsonb({}), "forget_at": now},
        "window_events": own
        | {"rule_id": rule, "since": 1, "group_key": "[]", "at": now, "event_id": event, "weight": 1},
        "digests": own
        | {
            "rule_id": rule,
            "rule_version": 1,
            "channel_id": channel,
            "due_at": now,
            "matched": 1,
            "events": [event],
            "depth": 0,
        },
        "outlets": own | {"id": channel},
        "channel_queues": own | {"channel_id": channel, "tokens": 0, "refilled_at": now},
        "rulesets": own | {"version": 1},
        "matches": own | decided,
        "deliveries": own | {"id": delivery, "channel_id": channel} | decided,
        "delivery_attempts": own
        | {"delivery_id": delivery, "attempt": 1, "started_at": now, "duration_ms": 1, "outcome": "sent"},
        "suppressions": own
        | {"id": clock.new_id(), "address": "a@example.com", "reason": "bounce", "delivery_id": delivery},
        "dead_letters": own | {"id": event, "kind": "event", "event_id": event, "error": "e"},
        "meters": own
        | {
            "key": "m",
            "since": 1,
            "name": "M",
            "aggregation": "count",
            "grammar": 2,
            "pattern": Jsonb({}),
            "origin": "tenant",
        },
        "usage_entries": own | counted | {"id": clock.new_id(), "batch": batch, "event_ids": [event]},
        "usage_counters": own | counted | {"aggregation": "count"},
        "usage_items": own | slot | {"item": "1"},
        "usage_adjustments": own
        | slot
        | {"id": clock.new_id(), "is_late": False, "quantity": 1, "reason": "r", "author": "a"},
        "subscriptions": own
        | {
            "id": clock.new_id(),
            "plan": "free",
            "version": 1,
            "terms": Jsonb({}),
            "starts_on": _MONTH,
            "author": "a",
        },
        "billing_periods": own | billed,
        "usage_days": own
        | {"period": _MONTH, "day": _MONTH, "meter": "events", "grp": "[]", "is_late": False}
        | {"aggregation": "count", "events": 1, "quantity": 1},
        "usage_seals": own | {"period": _MONTH, "digest": b"d" * 32, "days": 1},
        "invoices": own
        | billed
        | {"id": invoice, "kind": "invoice", "number": 1, "customer": "c", "currency": "USD", "author": "a"}
        | {"subtotal": 1, "credited": 0, "total": 1},
        "invoice_lines": own
        | {"id": clock.new_id(), "invoice_id": invoice, "position": 1, "kind": "base", "starts_at": now, "ends_at": now}
        | {"amount": 1, "description": "d", "details": Jsonb({})},
        "credit_grants": own | {"id": grant, "amount": 1, "currency": "USD", "reason": "r", "author": "a"},
        "credit_entries": own | {"id": clock.new_id(), "grant_id": grant, "kind": "granted", "amount": 1},
        "batches": own
        | {"batch": batch, "job_id": 1, "worker": "w", "ruleset": 1, "rules": 1, "events": 1, "billed": 1},
    }


def insert(connection: psycopg.Connection, table: str, row: Row) -> int:
    """Insert a row, as whoever the connection is; return how many were."""
    statement = sql.SQL("insert into signalops.{} ({}) values ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    return connection.execute(statement, row).rowcount


def fill(owner: psycopg.Connection, tenant: UUID) -> dict[str, Row]:
    """Store a row of each table; return them."""
    rows = rows_of(tenant)
    with owner.transaction():
        # Without triggers: the rule would count its own change into rulesets.
        owner.execute("set local session_replication_role = replica")
        for table, row in rows.items():
            insert(owner, table, row)
    return rows
