-- Deleting a tenant: how it begins, and the jobs of the queue that go with it.

create or replace function signalops.enqueue_deletion(tenant uuid) returns bigint
language plpgsql volatile set search_path = procrastinate, pg_temp as $$
begin
  -- The lowest priority, and one at a time in the whole installation.
  return (procrastinate_defer_jobs_v1(array[row('deletions', 'delete_tenant', -30, 'deletions', null,
    jsonb_build_object('tenant', tenant), null)::procrastinate_job_to_defer_v1]))[1];
end
$$;
comment on function signalops.enqueue_deletion is 'Enqueues the deletion of a tenant; returns the job.';

create or replace function signalops.begin_deletion(slug_or_id text, confirmed text) returns table (tenant uuid, verdict text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  doomed record;
begin
  select t.id, t.slug, t.status into doomed from signalops.tenants t
  where slug_or_id in (t.id::text, t.slug) order by t.id::text = slug_or_id desc limit 1 for no key update;
  if not found then
    return;
  elsif confirmed is distinct from doomed.slug then
    return query select doomed.id, 'unconfirmed';
  elsif doomed.status not in ('closed', 'deleting') then
    return query select doomed.id, doomed.status;
  else
    update signalops.tenants t set status = 'deleting' where t.id = doomed.id and t.status = 'closed';
    -- Also of a tenant whose status was set by hand.
    insert into signalops.tenant_deletions (id, slug, begun_by)
    values (doomed.id, doomed.slug, nullif(current_setting('signalops.action', true), '')::jsonb) on conflict do nothing;
    if found then
      perform signalops.enqueue_deletion(doomed.id);
    end if;
    return query select doomed.id, 'deleting';
  end if;
end
$$;
comment on function signalops.begin_deletion is
  'Begins to delete a tenant, given by id or slug, and enqueues the job that does it. Verdict: deleting; unconfirmed, when what was confirmed is '
  'not its slug; or the status of one that must be closed first. No row: there is no such tenant.';

create or replace function signalops.enqueue_deletions() returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  select count(signalops.enqueue_deletion(d.id))
  from signalops.tenant_deletions d
  where d.finished_at is null and not exists (
    select from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'delete_tenant' and j.args ->> 'tenant' = d.id::text)
$$;
comment on function signalops.enqueue_deletions is 'Gives a job to deletions that are not finished and have none; returns how many.';

create or replace function signalops.drop_jobs(tenant uuid, at_most bigint) returns bigint
language plpgsql volatile set search_path = procrastinate, pg_temp as $$
declare
  one record;
  dropped bigint := 0;
begin
  for one in
    select j.id, (
      -- Deliveries of several tenants may share a job.
      select jsonb_agg(job_args.one order by job_args.place)
      from (
        select j.args - 'more' as one, 0 as place
        union all select m.one, m.place from jsonb_array_elements(j.args -> 'more') with ordinality as m (one, place)
      ) job_args
      where job_args.one ->> 'tenant' is distinct from tenant::text
    ) as others
    from procrastinate.procrastinate_jobs j
    where j.status <> 'doing' and j.task_name <> 'delete_tenant' and j.args::text like '%' || tenant || '%'
    limit at_most for update skip locked
  loop
    if one.others is null then
      delete from procrastinate.procrastinate_jobs j where j.id = one.id;
    else
      update procrastinate.procrastinate_jobs j set args = (one.others -> 0)
        || case when jsonb_array_length(one.others) > 1 then jsonb_build_object('more', one.others - 0) else '{}' end
      where j.id = one.id;
    end if;
    dropped := dropped + 1;
  end loop;
  return dropped;
end
$$;
comment on function signalops.drop_jobs is
  'Takes a tenant out of up to so many of the jobs that are not being done; returns of how many. The job that deletes it is not one of them.';
