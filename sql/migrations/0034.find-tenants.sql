-- Station access: a token names a tenant by its id or its slug.

create function signalops.find_tenant(wanted_id uuid, wanted_slug text)
returns table (tenant_id uuid, status text, status_reason text, buckets text[])
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select t.id, t.status, t.status_reason, case when t.rate_per_second is null then '{}'::text[] else array['tenant'] end
  from signalops.tenants t
  -- An index for either: one condition for both would scan the table.
  where t.id = (
    select i.id from signalops.tenants i where i.id = wanted_id
    union all
    select s.id from signalops.tenants s where s.slug = wanted_slug
    limit 1
  )
$$;
comment on function signalops.find_tenant(uuid, text) is
  'The tenant with an id or a slug, one of which is NULL, and the names of the rate limits that its users are held to: '
  'the look-up for a token whose signature was verified.';
revoke all on function signalops.find_tenant(uuid, text) from public;
grant execute on function signalops.find_tenant(uuid, text) to signalops_api;
