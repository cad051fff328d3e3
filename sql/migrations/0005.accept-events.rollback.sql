-- Removes the functions that accept, and what they may see; the events stay.

drop function signalops.accept(jsonb, jsonb, uuid, integer);
drop function signalops.give_back(jsonb, date);
drop function signalops.store(jsonb, uuid);
drop function signalops.admit(uuid, date, jsonb);
drop function signalops.count_in(jsonb, date);
drop function signalops.emit(uuid, uuid, text, jsonb, smallint);
drop policy tenant_group_signalops_api on signalops.inbox;
drop policy tenant_group_signalops_api on signalops.events;
drop policy tenant_group_signalops_api on signalops.idempotency_keys;
drop policy tenant_group_signalops_api on signalops.quotas;
drop policy tenant_group_signalops_api on signalops.tenants;
drop procedure signalops.admit_group(regclass, text, text);
drop function signalops.act_for(uuid[]);
drop function signalops.current_group();
