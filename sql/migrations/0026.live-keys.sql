-- Station access: keys are made and ended by the tenants themselves, held to networks, rotated with an overlap, and show when they were used.

alter table signalops.api_keys
  add column allowed_cidrs cidr[] not null default '{}' check (cardinality(allowed_cidrs) <= 50),
  add column replaces uuid,
  add column last_used_at timestamptz,
  add foreign key (tenant_id, replaces) references signalops.api_keys (tenant_id, id);
-- Serves add-key: a key has one successor, also when two ask for it at once. Partial, and so none that the planner probes in find_keys.
create unique index api_keys_by_replaced on signalops.api_keys (tenant_id, replaces) where replaces is not null;
comment on column signalops.api_keys.allowed_cidrs is 'Networks from which it is accepted; none: from everywhere.';
comment on column signalops.api_keys.replaces is 'The key that was rotated to this one; NULL: it was made anew.';
comment on column signalops.api_keys.last_used_at is
  'When it was last let in, to the minute: it may have been used up to a minute later. NULL: it was not used since this is written.';
grant insert (tenant_id, id, prefix, hash, label, scopes, expires_at, allowed_cidrs, replaces), update (expires_at, revoked_at)
  on signalops.api_keys to signalops_api;

drop function signalops.find_keys(text);
create function signalops.find_keys(wanted text)
returns table (
  tenant_id uuid, key_id uuid, hash text, scopes text[], allowed_cidrs cidr[], expires_at timestamptz, tenant_status text
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.allowed_cidrs, k.expires_at, t.status
  from signalops.api_keys k join signalops.tenants t on t.id = k.tenant_id
  where k.prefix = wanted and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;
comment on function signalops.find_keys(text) is
  'The usable keys with a prefix, with hash and tenant: the one look-up that happens before a tenant is known.';
revoke all on function signalops.find_keys(text) from public;
grant execute on function signalops.find_keys(text) to signalops_api;

create function signalops.note_key_uses(tenants uuid[], keys uuid[], moments timestamptz[]) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  with due as materialized (
    select k.tenant_id, k.id, u.moment
    from unnest(tenants, keys, moments) as u (tenant, key, moment)
    join signalops.api_keys k on k.tenant_id = u.tenant and k.id = u.key
    where k.last_used_at is null or k.last_used_at <= u.moment - interval '1 minute'
    -- Whoever holds the row is noting the same in another process, or ends the key: neither is worth waiting for.
    for no key update of k skip locked
  )
  update signalops.api_keys k set last_used_at = d.moment from due d where k.tenant_id = d.tenant_id and k.id = d.id
$$;
comment on function signalops.note_key_uses(uuid[], uuid[], timestamptz[]) is
  'Notes when keys of any tenants were used, unless that of a key was noted less than a minute before.';
revoke all on function signalops.note_key_uses(uuid[], uuid[], timestamptz[]) from public;
grant execute on function signalops.note_key_uses(uuid[], uuid[], timestamptz[]) to signalops_api;

-- That a key was used is nothing to tell: every process would look every key up again.
drop trigger announce_key_change on signalops.api_keys;
create trigger announce_key_change
  after delete or update of tenant_id, id, prefix, hash, scopes, allowed_cidrs, expires_at, revoked_at on signalops.api_keys
  for each statement execute function signalops.announce_key_change();
comment on trigger announce_key_change on signalops.api_keys is 'A revoked key is refused at once everywhere.';
