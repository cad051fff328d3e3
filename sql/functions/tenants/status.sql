-- Tenants: how a token names one, and how a status or a time zone may change.

create or replace function signalops.find_tenant(wanted_id uuid, wanted_slug text)
returns table (tenant_id uuid, status text, status_reason text, buckets text[])
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
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
comment on function signalops.find_tenant is
  'The tenant with an id or a slug, one of which is NULL, and the names of its rate limits: the look-up for a token '
  'whose signature was verified.';

create or replace function signalops.check_status_change() returns trigger
language plpgsql as $$
begin
  if (old.status, new.status) not in (('active', 'suspended'), ('suspended', 'active'), ('active', 'closed'), ('suspended', 'closed'),
    ('closed', 'deleting')) then
    raise 'a tenant that is % can''t become %: it goes from active to suspended and back, from either to closed, and then to deleting',
      old.status, new.status using errcode = 'check_violation';
  end if;
  new.status_since := now();
  if new.status = 'active' then
    new.status_reason := null;
  end if;
  return new;
end
$$;
comment on function signalops.check_status_change is
  'Allows only valid transitions of a tenant''s status, sets status_since, and clears the reason when it becomes active.';

create or replace trigger check_status_change before update of status on signalops.tenants
  for each row when (new.status <> old.status) execute function signalops.check_status_change();
comment on trigger check_status_change on signalops.tenants is 'A closed tenant stays closed, and only a closed tenant can be deleted.';

create or replace function signalops.start_draining() returns trigger
language plpgsql as $$
begin
  -- Closed right after it was resumed, it can still have parked work.
  new.is_draining := (old.status = 'suspended' or old.is_draining) and new.status in ('active', 'closed');
  return new;
end
$$;
comment on function signalops.start_draining is 'Starts draining parked work when a tenant is no longer suspended.';

create or replace trigger start_draining before update of status on signalops.tenants
  for each row when (old.status is distinct from new.status) execute function signalops.start_draining();
comment on trigger start_draining on signalops.tenants is 'Resuming is a change of status, also in SQL.';

create or replace function signalops.refuse_time_zone_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- What a worker has in hand is still in the inbox for us, until it commits what it counted.
  if new.closed_until > '-infinity' or exists (select from signalops.usage_counters u where u.tenant_id = new.id)
    or exists (select from signalops.usage_adjustments a where a.tenant_id = new.id)
    or exists (select from signalops.inbox i where i.tenant_id = new.id) then
    raise 'the tenant % has usage in the time zone %, which is fixed by that: make another tenant', old.slug, old.time_zone
      using errcode = 'check_violation', constraint = 'tenants_fixed_time_zone';
  end if;
  return new;
end
$$;
comment on function signalops.refuse_time_zone_change is
  'Keeps the time zone of a tenant once something of it was or will be counted: its hours and periods lie in it.';

create or replace trigger refuse_time_zone_change before update of time_zone on signalops.tenants
  for each row when (new.time_zone <> old.time_zone) execute function signalops.refuse_time_zone_change();
comment on trigger refuse_time_zone_change on signalops.tenants is 'An hour that was counted in one time zone may not exist in another.';
