"""Operations that are not in the audit log, each with the reason; any other one that is not logged is a defect."""

NOT_LOGGED = {
    "audit_log": "is the log",
    "batch_results": "workers write what became of a batch",
    "billing_periods": "closing freezes and closes them",
    "channel_schedules": "turns of channels, written for each delivery",
    "credit_entries": "the ledger of grants, which are logged; invoices and expiry move it",
    "dead_letters": "written by workers; retrying and discarding note themselves",
    "retired_invoice_numbers": "the deletion of a tenant, which is logged, notes them",
    "deliveries": "written for each match; retrying and cancelling note themselves",
    "delivery_attempts": "written for each attempt",
    "digests": "written by workers for each match",
    "event_types": "workers note what a tenant sends",
    "alerts": "what is out of bounds, as workers find it",
    "events": "what is taken in, and no management",
    "retention_watermarks": "how far the removal of what expired has come",
    "idempotency_keys": "written for each event",
    "inbox": "written for each event",
    "invoice_lines": "belong to an invoice, which is logged when a person makes it",
    "invoice_numbers": "a counter",
    "maintenance_runs": "when the installation's own jobs ended",
    "matches": "written for each match",
    "send_targets": "what sending is like: pace and circuit",
    "accepted_counters": "counters, written for each event",
    "rate_buckets": "counters, written for each event",
    "rule_states": "what rules remember, written for each match",
    "ruleset_versions": "counts the changes of rules, which are logged",
    "sweep_cursors": "how far the removal of what expired has come",
    "tenant_deletions": "is the proof of an action that is logged",
    "usage_counters": "written for each batch",
    "usage_daily": "the sealed figures, which closing writes",
    "usage_entries": "the ledger of usage, written for each batch",
    "usage_distinct_values": "written for each batch",
    "usage_row_counts": "counters, written for each batch",
    "usage_hash_chain": "closing writes them",
    "window_events": "what rules remember, written for each match",
}
"""Table to reason."""

NO_MANAGEMENT = {
    "storeEvent": "takes an event in",
    "storeEvents": "takes events in",
    "testRule": "holds one event against one rule, and changes nothing",
    "takeWhatsAppStatuses": "a provider tells what became of messages",
    "takeSesEvents": "a provider tells what became of mails",
}
"""Operation that changes no managed thing to reason."""
