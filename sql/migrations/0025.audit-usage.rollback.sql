-- Takes the proof away; nothing of what it reads.

drop view signalops.audit_differences;
drop function signalops.audit(uuid, date);
drop function signalops.audit_numbers();
drop function signalops.audit_credits(uuid);
drop function signalops.audit_invoices(uuid, date);
drop function signalops.audit_seals(uuid, date);
drop function signalops.audit_entries(uuid, date);
drop function signalops.audit_counters(uuid, date);
drop function signalops.audit_batches(uuid, date);
drop function signalops.audit_accepted(uuid, date);
drop function signalops.audit_acceptance(uuid, date);
drop function signalops.audit_span(uuid, date);
