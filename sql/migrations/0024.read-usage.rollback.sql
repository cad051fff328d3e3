-- Takes back the reading and correcting of usage; corrections that were made stay on record, without their idempotency keys.

drop trigger fix_time_zone on signalops.tenants;
drop function signalops.fix_time_zone();
drop function signalops.add_adjustment(uuid, uuid, text, timestamptz, text, numeric, text, text, uuid, text, bytea);
grant insert on signalops.usage_adjustments to signalops_api;
alter table signalops.usage_adjustments drop column idempotency_key, drop column body_hash;
drop function signalops.usage_by(uuid, text, timestamptz, timestamptz, text, boolean, date, date);
