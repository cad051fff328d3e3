-- Keys are made and revoked by the owner alone again; networks, successors and last uses are forgotten.

drop trigger announce_key_change on signalops.api_keys;
create trigger announce_key_change after update or delete on signalops.api_keys
  for each statement execute function signalops.announce_key_change();
comment on trigger announce_key_change on signalops.api_keys is 'A revoked key is refused at once everywhere.';

drop function signalops.note_key_uses(uuid[], uuid[], timestamptz[]);

drop function signalops.find_keys(text);
create function signalops.find_keys(wanted text)
returns table (tenant_id uuid, key_id uuid, hash text, scopes text[], expires_at timestamptz, tenant_status text)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.expires_at, t.status
  from signalops.api_keys k join signalops.tenants t on t.id = k.tenant_id
  where k.prefix = wanted and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;
comment on function signalops.find_keys(text) is
  'The usable keys with a prefix, with hash and tenant: the one look-up that happens before a tenant is known.';
revoke all on function signalops.find_keys(text) from public;
grant execute on function signalops.find_keys(text) to signalops_api;

-- A key that only some networks might use would be accepted from everywhere.
update signalops.api_keys set revoked_at = now() where allowed_cidrs <> '{}' and revoked_at is null;
revoke insert (tenant_id, id, prefix, hash, label, scopes, expires_at, allowed_cidrs, replaces), update (expires_at, revoked_at)
  on signalops.api_keys from signalops_api;
alter table signalops.api_keys drop column last_used_at, drop column replaces, drop column allowed_cidrs;
