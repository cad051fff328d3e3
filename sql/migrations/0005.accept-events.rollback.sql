-- Removes the functions that accept, and what they may see; the events stay.

drop function signalops.accept(jsonb, jsonb, uuid, integer);
drop function signalops.store(jsonb, uuid);
drop function signalops.admit(uuid, date, jsonb);
drop function signalops.count_in(jsonb, date);
drop function signalops.emit(uuid, uuid, text, jsonb, smallint);
drop policy flush_tenants on signalops.inbox;
drop policy flush_tenants on signalops.events;
drop policy flush_tenants on signalops.idempotency_keys;
drop policy flush_tenants on signalops.quotas;
drop policy flush_tenants on signalops.tenants;
drop procedure signalops.admit_flush(regclass, text);
drop function signalops.flush_tenants();
