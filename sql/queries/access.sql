-- Station access: keys and tenants.

-- find-keys: the usable keys with a prefix, before any tenant is known
select tenant_id, key_id, hash, scopes, expires_at, tenant_status from signalops.find_keys(%(prefix)s);

-- add-tenant: makes a tenant
insert into signalops.tenants (id, slug, name, time_zone) values (%(id)s, %(slug)s, %(name)s, %(time_zone)s);

-- set-time-zone: sets the time zone of a tenant of which nothing was counted yet
update signalops.tenants set time_zone = %(time_zone)s where id = %(tenant)s;

-- list-tenants: every tenant with its plan and its limits of events, for the owner's command line
select t.id, t.slug, t.name, c.plan, t.status, t.time_zone,
  ceil(l.soft)::bigint as soft_limit, floor(l.hard)::bigint as hard_limit, t.created_at
from signalops.tenants t
left join lateral (
  select s.plan from signalops.subscriptions s
  where s.tenant_id = t.id and s.starts_on <= (now() at time zone t.time_zone)::date order by s.starts_on desc limit 1
) c on true
left join lateral signalops.limit_of(t.id, 'events', (now() at time zone t.time_zone)::date) l on true
order by t.slug;

-- tenant-by-slug: one tenant, for the owner's command line
select id, slug, name, status, created_at from signalops.tenants where slug = %(slug)s;

-- add-key: stores a key's hash
insert into signalops.api_keys (tenant_id, id, prefix, hash, label, scopes)
values (%(tenant)s, %(id)s, %(prefix)s, %(hash)s, %(label)s, %(scopes)s);

-- list-keys: a tenant's keys, oldest first
select id, prefix, label, scopes, created_at, expires_at, revoked_at from signalops.api_keys
where tenant_id = %(tenant)s order by id;

-- revoke-key: refuses a key from now on; returns it unless it was revoked before
update signalops.api_keys set revoked_at = now()
where tenant_id = %(tenant)s and id = %(id)s and revoked_at is null returning id;
