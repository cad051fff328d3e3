-- Station access: keys and tenants.

-- find-keys: the usable keys with a prefix, before any tenant is known
select tenant_id, key_id, hash, scopes, allowed_cidrs, expires_at, tenant_status, digest, buckets, status_reason
from signalops.find_keys(%(prefix)s);

-- find-tenant: the tenant that a token names by its id or its slug, before any tenant is known
select tenant_id as id, status, status_reason as reason, buckets from signalops.find_tenant(%(id)s, %(slug)s);

-- add-key: stores a key's hash
insert into signalops.api_keys
  (tenant_id, id, prefix, hash, label, scopes, expires_at, allowed_cidrs, replaces, rate_per_second, rate_burst, digest,
  made_by)
values (%(tenant)s, %(id)s, %(prefix)s, %(hash)s, %(label)s, %(scopes)s, %(expires_at)s, %(allowed_cidrs)s::cidr[], %(replaces)s,
  %(rate)s, %(burst)s, %(digest)s, %(made_by)s);

-- list-keys: a tenant's keys between two ids, or one of them, without their hashes
select id, case left(prefix, 8) when 'so_live_' then 'live' when 'so_test_' then 'test' else 'legacy' end as kind, prefix,
  label, scopes, allowed_cidrs::text[] as "allowedCidrs", case when rate_burst is not null then
    jsonb_build_object('eventsPerSecond', rate_per_second, 'burst', rate_burst) end as "rateLimit", replaces, made_by as "madeBy", created_at as "createdAt", expires_at as "expiresAt",
  revoked_at as "revokedAt", last_used_at as "lastUsedAt"
from signalops.api_keys
where tenant_id = %(tenant)s and id > %(lower)s and id < %(upper)s and (%(id)s::uuid is null or id = %(id)s)
order by case when %(upwards)s then id end, id desc
limit %(limit)s;

-- count-usable-keys: how many keys a tenant has that are neither revoked nor expired
select count(*) from signalops.api_keys
where tenant_id = %(tenant)s and revoked_at is null and (expires_at is null or expires_at > now());

-- end-key: has a usable key expire after some seconds, unless it does so before; returns it
update signalops.api_keys set expires_at = least(expires_at, now() + make_interval(secs => %(seconds)s))
where tenant_id = %(tenant)s and id = %(id)s and revoked_at is null and (expires_at is null or expires_at > now())
returning id;

-- change-key: stores what can be changed of a usable key; returns it
update signalops.api_keys set label = %(label)s, expires_at = %(expires_at)s, allowed_cidrs = %(allowed_cidrs)s::cidr[],
  rate_per_second = %(rate_per_second)s, rate_burst = %(rate_burst)s
where tenant_id = %(tenant)s and id = %(id)s and revoked_at is null and (expires_at is null or expires_at > now())
returning id;

-- revoke-key: refuses a key from now on, and perhaps all that came of it: made by it, or in its place
with recursive doomed as (
  select %(id)s::uuid as id
  union
  select k.id from doomed d join signalops.api_keys k on k.tenant_id = %(tenant)s and d.id in (k.made_by, k.replaces)
  where %(with_children)s
)
update signalops.api_keys k set revoked_at = now()
from doomed d where k.tenant_id = %(tenant)s and k.id = d.id and k.revoked_at is null;

-- store-key-digest: notes the digest of a key that has none, or one by an earlier secret
update signalops.api_keys set digest = %(digest)s where tenant_id = %(tenant)s and id = %(key)s and digest is distinct from %(digest)s;

-- record-key-uses: notes when keys were used, at most once a minute
select signalops.record_key_uses(%(tenants)s, %(keys)s, %(moments)s);
