"""What the tries must know of functions and tables beyond what the product declares to cross tenants."""

from signalops.watch.isolation import FUNCTIONS, INDEXES, OPERATORS

__all__ = ["ARGUMENTS", "ECHOES", "FORESTALLED", "FUNCTIONS", "INDEXES", "OF_TYPE", "OPERATORS", "SWITCHES"]
FORESTALLED = {("limits", "platform"): "its trigger, which finds no such meter, speaks before the policy does"}
"""Table and role where a check refuses what is written for another tenant, before the policy would."""
SWITCHES = {"set_tenant", "set_tenant_group", "claim_delivery", "claim_deliveries", "settle_delivery", "settle_deliveries"}
"""After these the other is seen: that is what they are for."""
ECHOES = {"digest_days"}
"""What these answer is made of their arguments as well: a digest of another id is another one."""

ARGUMENTS: dict[str, dict[str, str]] = {
    "begin_deletion": {"slug_or_id": "{id}", "confirmed": "x"},
    "log_tenant_action": {"action": "x", "target_id": "x", "target": "x", "details": "{{}}"},
    "log_bulk_action": {"action": "x", "details": "{{}}"},
    "emit_and_enqueue": {"event_type": "signalops.isolation", "about": '{{"tenant": "{id}"}}'},
    "apply_provider_status": {"provider": "x", "to_status": "delivered", "because": "x"},
    "requeue_events": {"events": '[{{"id": "{id}"}}]', "wait": "1 second"},
    "burn_credits": {"of_currency": "USD"},
    "subscribe": {"new_plan": "free", "author": "x"},
    "grant_credit": {"in_currency": "USD", "reason": "x", "author": "x", "idempotency_key": "x"},
    "issue_invoice": {
        "issued": '{{"tenant_id": "{id}", "id": "{id}", "kind": "invoice", "period": "2026-01-01"}}',
        "lines": "[]",
    },
    "add_adjustment": {"of_meter": "events", "of_grp": "[]", "reason": "x", "author": "x", "idempotency_key": "x"},
}
"""Function to argument to text, where the type does not say what reaches a row; {id} is the tenant that is tried."""
OF_TYPE = {
    "uuid": "{id}",
    "uuid[]": "{{{{{id}}}}}",
    "regclass": "signalops.events",
    "jsonb": '[{{"tenant": "{id}", "tenant_id": "{id}", "id": "{id}", "event": "{id}", "delivery": "{id}", "channel": "{id}"}}]',
    "text": "events",
    "text[]": "{{}}",
    "integer": "0",
    "smallint": "0",
    "bigint": "0",
    "numeric": "1",
    "double precision": "1",
    "boolean": "true",
    "interval": "1 day",
    "timestamp with time zone[]": "{{2026-01-15}}",
    "date": "2026-01-01",
    "timestamp with time zone": "2026-01-15",
    "bytea": "\\x78",
}
