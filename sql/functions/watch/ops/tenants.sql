-- Schema ops: tenants are suspended, their deliveries and dead letters retried or ended.

create or replace function ops.suspend_tenant(tenant text, reason text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform ops.require_reason(reason);
  -- The trigger on the status refuses what can't be; that on the table logs who did it.
  update signalops.tenants t set status = 'suspended', status_reason = trim(reason)
  where t.id = ops.find_tenant(tenant) and t.status <> 'suspended';
  if not found then
    raise 'the tenant % is suspended already', tenant using errcode = 'object_not_in_prerequisite_state';
  end if;
end
$$;
comment on function ops.suspend_tenant is
  'Suspends a tenant, by slug or id, with the reason that its refused requests get. Its accepted events wait.';

create or replace function ops.resume_tenant(tenant text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  update signalops.tenants t set status = 'active' where t.id = ops.find_tenant(tenant) and t.status <> 'active';
  if not found then
    raise 'the tenant % is active', tenant using errcode = 'object_not_in_prerequisite_state';
  end if;
end
$$;
comment on function ops.resume_tenant is 'Resumes a suspended tenant, by slug or id: its waiting events are processed within seconds.';

create or replace function ops.retry_dead_letters(tenant text, letters uuid[]) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  of_tenant uuid := ops.find_tenant(tenant);
begin
  perform ops.require_ids(letters);
  perform signalops.set_tenant(of_tenant);
  return signalops.retry_dead_letters(of_tenant, letters);
end
$$;
comment on function ops.retry_dead_letters is
  'Retries dead letters of a tenant, up to 10,000 at a time; returns how many. Resolved ones are skipped.';

create or replace function ops.discard_dead_letters(tenant text, letters uuid[], reason text) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  of_tenant uuid := ops.find_tenant(tenant);
begin
  perform ops.require_ids(letters);
  perform ops.require_reason(reason);
  perform signalops.set_tenant(of_tenant);
  return signalops.discard_dead_letters(of_tenant, letters, trim(reason));
end
$$;
comment on function ops.discard_dead_letters is
  'Discards dead letters of a tenant for good, with a reason, up to 10,000 at a time; returns how many.';

create or replace function ops.retry_deliveries(tenant text, deliveries uuid[]) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  of_tenant uuid := ops.find_tenant(tenant);
begin
  perform ops.require_ids(deliveries);
  perform signalops.set_tenant(of_tenant);
  return (select count(*) from signalops.retry_deliveries(of_tenant, deliveries));
end
$$;
comment on function ops.retry_deliveries is
  'Makes waiting deliveries of a tenant due now, up to 10,000 at a time; returns how many. For dead ones: ops.retry_dead_letters.';

create or replace function ops.cancel_deliveries(tenant text, deliveries uuid[]) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  of_tenant uuid := ops.find_tenant(tenant);
begin
  perform ops.require_ids(deliveries);
  perform signalops.set_tenant(of_tenant);
  return (select count(*) from signalops.cancel_deliveries(of_tenant, deliveries));
end
$$;
comment on function ops.cancel_deliveries is 'Cancels waiting deliveries of a tenant, up to 10,000 at a time; returns how many.';
