"""A row of every table of tenants, for what must be shown of each of them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.support.isolation.model import Relation

Row = dict[str, Any]
"""Column to value, as JSON has it."""
_MONTH = "2026-01-01"
_OF_TYPE: dict[str, Any] = {
    "boolean": False,
    "integer": 1,
    "bigint": 1,
    "smallint": 1,
    "numeric": 1,
    "text": "x",
    "text[]": [],
    "bytea": "\\x64",
    "date": _MONTH,
    "jsonb": {},
}


def rows_of(tenant: UUID, now: datetime) -> dict[str, Row]:
    """Return a valid row of each table, parents first. Every id in them is the tenant's own: any id tells whose row it is."""
    own = {"tenant_id": tenant}
    decided = {"event_id": tenant, "rule_id": tenant, "rule_version": 1}
    slot = {"meter": "events", "period": _MONTH, "hour": now, "group_key": "[]"}
    counted = slot | {"is_late": False, "events": 1, "value": 1}
    billed = {"period": _MONTH, "starts_at": now, "ends_at": now + timedelta(days=31)}
    event = {"type": "user.signup", "occurred_at": now, "received_at": now, "payload": {}}
    return {
        "tenants": {"id": tenant, "slug": f"t-{tenant}", "name": "Tenant"},
        "api_keys": own
        | {"id": tenant, "prefix": "test_api_key_xyz", "hash": "$2b$04$", "label": "l", "scopes": ["events:read"]},
        "events": own | {"id": tenant, "batch": tenant} | event,
        "idempotency_keys": own | {"key": "k", "event_id": tenant, "body_hash": "\\x68"},
        "event_types": own | {"type": "user.signup", "first_seen_at": now, "last_seen_at": now, "count": 1, "fields": {}},
        "event_schemas": own | {"type": "user.signup", "mode": "warn", "schema": {}},
        "limits": own | {"meter": "m", "origin": "tenant", "starts_on": _MONTH, "hard": 1},
        "accepted_counters": own | {"period": _MONTH, "accepted": 1},
        "rate_buckets": own | {"bucket": "tenant", "level": 1, "at": now},
        "inbox": own | {"event_id": tenant, "batch": tenant},
        "channels": own | {"id": tenant, "name": "c", "kind": "webhook", "config": {"url": "http://127.0.0.1:9/"}},
        "ruleset_versions": own | {"version": 1},
        "rules": own | {"id": tenant, "name": "r", "active_version": 1},
        "rule_versions": own
        | {"rule_id": tenant, "version": 1, "grammar": 2, "pattern": {}, "channel_id": tenant, "template": {}},
        "silences": own
        | {"id": tenant, "grammar": 2, "pattern": {}, "starts_at": now, "ends_at": now + timedelta(hours=1), "reason": "r"},
        "backtests": own | {"id": tenant, "request": {}, "starts_at": now, "ends_at": now + timedelta(hours=1)},
        "replays": own | {"id": tenant, "reason": "r", "events": 1, "batches": [tenant]},
        "rule_states": own | {"rule_id": tenant, "state_version": 1, "group_key": "[]", "labels": {}, "expires_at": now},
        "window_events": own
        | {"rule_id": tenant, "state_version": 1, "group_key": "[]", "at": now, "event_id": tenant, "value": 1},
        "digests": own
        | {
            "rule_id": tenant,
            "rule_version": 1,
            "channel_id": tenant,
            "due_at": now,
            "matched": 1,
            "events": [tenant],
            "causation_depth": 0,
        },
        "send_targets": own | {"id": tenant},
        "channel_schedules": own | {"channel_id": tenant, "tokens": 0, "refilled_at": now},
        "matches": own | decided,
        "deliveries": own | {"id": tenant, "channel_id": tenant} | decided,
        "delivery_attempts": own | {"delivery_id": tenant, "attempt": 1, "started_at": now, "duration_ms": 1, "outcome": "sent"},
        "suppressions": own | {"id": tenant, "address": "a@example.com", "reason": "bounce", "delivery_id": tenant},
        "dead_letters": own | {"id": tenant, "kind": "event", "event_id": tenant, "error": "e"},
        "meters": own
        | {"key": "m", "first_version": 1, "name": "M", "aggregation": "count", "grammar": 2, "pattern": {}, "origin": "tenant"},
        "usage_entries": own | counted | {"id": tenant, "batch": tenant, "event_ids": [tenant]},
        "usage_counters": own | counted | {"aggregation": "count"},
        "usage_row_counts": own | {"period": _MONTH, "rows": 1},
        "usage_distinct_values": own | slot | {"distinct_value": "1"},
        "usage_adjustments": own | slot | {"id": tenant, "is_late": False, "quantity": 1, "reason": "r", "author": "a"},
        "subscriptions": own | {"id": tenant, "plan": "free", "version": 1, "terms": {}, "starts_on": _MONTH, "author": "a"},
        "billing_periods": own | billed,
        "usage_daily": own
        | {"period": _MONTH, "day": _MONTH, "meter": "events", "group_key": "[]", "is_late": False}
        | {"aggregation": "count", "events": 1, "quantity": 1},
        "usage_hash_chain": own | {"period": _MONTH, "digest": "\\x" + "64" * 32, "days": 1},
        "invoices": own
        | billed
        | {"id": tenant, "kind": "invoice", "number": 1, "customer": "c", "currency": "USD", "author": "a"}
        | {"subtotal": 1, "credited": 0, "total": 1},
        "invoice_lines": own
        | {"id": tenant, "invoice_id": tenant, "position": 1, "kind": "base", "starts_at": now, "ends_at": now}
        | {"amount": 1, "description": "d", "details": {}},
        "credit_grants": own | {"id": tenant, "amount": 1, "currency": "USD", "reason": "r", "author": "a"},
        "credit_entries": own | {"id": tenant, "grant_id": tenant, "kind": "granted", "amount": 1},
        "audit_log": own | {"id": tenant, "actor_kind": "sql", "actor": "a", "action": "rule.created", "change": {}},
        "retention_watermarks": own | {"kept_since": now},
        "batch_results": own
        | {
            "batch": tenant,
            "counted_in": tenant,
            "job_id": 1,
            "worker": "w",
            "ruleset_version": 1,
            "rules": 1,
            "events": 1,
            "billed": 1,
        },
    }


def simple_row(relation: Relation, tenant: UUID, now: datetime) -> Row:
    """Return a row by the types of the columns alone, for a table that rows_of does not know; its checks may refuse it."""
    values = _OF_TYPE | {"uuid": tenant, "uuid[]": [tenant], "timestamp with time zone": now}
    return {column: values.get(type_) for column, type_ in relation.required.items()} | {str(relation.key): tenant}
