-- API keys: how they are looked up, and which caches are invalidated when one changes.

create or replace function signalops.find_keys(key_prefix text) returns table (tenant_id uuid, key_id uuid, hash text, scopes text[],
  allowed_cidrs cidr[], expires_at timestamptz, tenant_status text, digest bytea, buckets text[], status_reason text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.allowed_cidrs, k.expires_at, t.status, k.digest, (
      -- A key that is made pays from the buckets of those that it came of: else many of them would be faster together.
      with recursive line as (
        select k.id, k.made_by, k.rate_per_second
        union
        select m.id, m.made_by, m.rate_per_second from line l join signalops.api_keys m on m.tenant_id = k.tenant_id and m.id = l.made_by
      )
      select coalesce(array_agg(l.id::text) filter (where l.rate_per_second is not null), '{}') from line l
    ) || case when t.rate_per_second is not null then '{tenant}'::text[] else '{}' end,
    t.status_reason
  from signalops.api_keys k join signalops.tenants t on t.id = k.tenant_id
  where k.prefix = key_prefix and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;
comment on function signalops.find_keys is
  'The usable keys with a prefix, with hash, tenant, and the names of the rate limits that apply: the one look-up that happens before a '
  'tenant is known.';

create or replace function signalops.record_key_uses(tenants uuid[], keys uuid[], moments timestamptz[]) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  with due as materialized (
    select k.tenant_id, k.id, u.moment
    from unnest(tenants, keys, moments) as u (tenant, key, moment)
    join signalops.api_keys k on k.tenant_id = u.tenant and k.id = u.key
    where k.last_used_at is null or k.last_used_at <= u.moment - interval '1 minute'
    -- The row is locked by another process that records the same, or ends the key: neither is worth waiting for.
    for no key update of k skip locked
  )
  update signalops.api_keys k set last_used_at = d.moment from due d where k.tenant_id = d.tenant_id and k.id = d.id
$$;
comment on function signalops.record_key_uses is 'Records when keys of any tenants were used, at most once a minute per key.';

create or replace function signalops.notify_key_change() returns trigger
language plpgsql as $$
begin
  perform pg_notify('signalops_access', old.id::text);
  return null;
end
$$;
comment on function signalops.notify_key_change is
  'Has every API process invalidate one cached key, or the cache of one tenant: a revoked key or suspended tenant is refused from then on.';

-- For each row that has changed: for each statement, whoever revoked a revoked key again made all processes look up all keys.
create or replace trigger notify_key_change after update on signalops.api_keys for each row
when ((old.hash, old.scopes, old.allowed_cidrs, old.expires_at, old.revoked_at, old.rate_per_second, old.rate_burst)
  is distinct from (new.hash, new.scopes, new.allowed_cidrs, new.expires_at, new.revoked_at, new.rate_per_second, new.rate_burst))
execute function signalops.notify_key_change();
comment on trigger notify_key_change on signalops.api_keys is 'A revoked key is refused at once everywhere.';

create or replace trigger notify_key_change after update on signalops.tenants for each row
when ((old.status, old.rate_per_second, old.rate_burst) is distinct from (new.status, new.rate_per_second, new.rate_burst))
execute function signalops.notify_key_change();
comment on trigger notify_key_change on signalops.tenants is 'A suspended tenant is refused at once everywhere.';

create or replace trigger announce_key_deletion after delete on signalops.api_keys for each row execute function signalops.notify_key_change();
comment on trigger announce_key_deletion on signalops.api_keys is 'Nor is one let in that is gone.';

create or replace trigger announce_key_deletion after delete on signalops.tenants for each row execute function signalops.notify_key_change();
comment on trigger announce_key_deletion on signalops.tenants is 'Nor is one let in that is gone.';
