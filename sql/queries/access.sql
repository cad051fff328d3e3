-- Station access: keys and tenants.

-- find-keys: the usable keys with a prefix, before any tenant is known
select tenant_id, key_id, hash, scopes, expires_at, tenant_status from signalops.find_keys(%(prefix)s);

-- add-tenant: makes a tenant
insert into signalops.tenants (id, slug, name, plan, soft_limit, hard_limit)
values (%(id)s, %(slug)s, %(name)s, %(plan)s, %(soft_limit)s, %(hard_limit)s);

-- list-tenants: every tenant, for the owner's command line
select id, slug, name, plan, status, soft_limit, hard_limit, created_at from signalops.tenants order by slug;

-- tenant-by-slug: one tenant, for the owner's command line
select id, slug, name, plan, status, soft_limit, hard_limit, created_at from signalops.tenants where slug = %(slug)s;

-- add-key: stores a key's hash
insert into signalops.api_keys (tenant_id, id, prefix, hash, label, scopes)
values (%(tenant)s, %(id)s, %(prefix)s, %(hash)s, %(label)s, %(scopes)s);

-- list-keys: a tenant's keys, oldest first
select id, prefix, label, scopes, created_at, expires_at, revoked_at from signalops.api_keys
where tenant_id = %(tenant)s order by id;

-- revoke-key: refuses a key from now on; returns it unless it was revoked before
update signalops.api_keys set revoked_at = now()
where tenant_id = %(tenant)s and id = %(id)s and revoked_at is null returning id;
