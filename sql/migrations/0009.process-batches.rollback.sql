-- Removes the functions that process; what waits in the inbox stays there.

drop view signalops.event_status;
drop function signalops.enqueue_lost_batches(interval, integer);
drop function signalops.enqueue_lost_deliveries(interval, integer);
drop function signalops.enqueue_due_deliveries(integer);
drop function signalops.record_batch(uuid, bigint, text, jsonb);
drop function signalops.enqueue_deliveries(jsonb);
drop function signalops.read_batch(uuid);
drop function signalops.take_batch(uuid);
drop policy tenant_group_signalops_worker on signalops.usage_counters;
drop policy tenant_group_signalops_worker on signalops.batches;
drop policy tenant_group_signalops_worker on signalops.dead_letters;
drop policy tenant_group_signalops_worker on signalops.deliveries;
drop policy tenant_group_signalops_worker on signalops.matches;
drop policy tenant_group_signalops_worker on signalops.rulesets;
drop policy tenant_group_signalops_worker on signalops.events;
