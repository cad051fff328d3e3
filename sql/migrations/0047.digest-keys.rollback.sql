-- Station access: keys are verified by a digest, end and are limited with the key that made them, and each change concerns one key.

drop trigger announce_key_change on signalops.api_keys;
drop trigger announce_key_deletion on signalops.api_keys;
drop trigger announce_key_change on signalops.tenants;
drop trigger announce_key_deletion on signalops.tenants;
create or replace function signalops.announce_key_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  perform pg_notify('signalops_access', '');
  return null;
end
$$;

create trigger announce_key_change after update of tenant_id, id, prefix, hash, scopes, allowed_cidrs, expires_at, revoked_at, rate_per_second, rate_burst or delete
on signalops.api_keys for each statement execute function signalops.announce_key_change();
create trigger announce_key_change after update of status, rate_per_second, rate_burst or delete
on signalops.tenants for each statement execute function signalops.announce_key_change();
drop function signalops.find_keys(text);
alter table signalops.api_keys drop column digest, drop column made_by;
alter table signalops.api_keys add column fingerprint bytea constraint api_keys_fingerprint_check check (octet_length(fingerprint) = 4);
grant insert (fingerprint), update (fingerprint) on signalops.api_keys to signalops_api;
grant insert (fingerprint) on signalops.api_keys to signalops_platform;
drop trigger log_action on signalops.api_keys;
create trigger log_action after insert or delete or update on signalops.api_keys
for each row execute function signalops.log_action('key', 'id', 'label', 'last_used_at,fingerprint', 'hash');
create function signalops.find_keys(wanted text) RETURNS TABLE(tenant_id uuid, key_id uuid, hash text, scopes text[], allowed_cidrs cidr[], expires_at timestamp with time zone, tenant_status text, fingerprint bytea, buckets text[], status_reason text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.allowed_cidrs, k.expires_at, t.status, k.fingerprint,
    array_remove(array[case when k.rate_per_second is not null then k.id::text end, case when t.rate_per_second is not null then 'tenant' end], null),
    t.status_reason
  from signalops.api_keys k join signalops.tenants t on t.id = k.tenant_id
  where k.prefix = wanted and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;

revoke all on function signalops.find_keys(text) from public;
grant execute on function signalops.find_keys(text) to signalops_api;
