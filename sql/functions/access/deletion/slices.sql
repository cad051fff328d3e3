-- Deleting a tenant: slices that a crash does not undo, and the proof that remains.

create or replace function signalops.may_delete(tenant uuid) returns boolean
language sql stable
return current_user = 'signalops_owner' and exists (select from signalops.tenants t where t.id = tenant and t.status = 'deleting');
comment on function signalops.may_delete is
  'Whether what is never deleted may be: all of a tenant that is being deleted, by the function of the owner which does that.';

create or replace function signalops.tenant_tables() returns setof regclass
language sql stable as $$
  with recursive tables as (
    select c.oid from pg_class c
    where c.relnamespace = 'signalops'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and exists (
      select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
  ), levels as (
    select t.oid, 0 as level from tables t
    union all
    select f.conrelid, l.level + 1 from levels l
    join pg_constraint f on f.confrelid = l.oid and f.contype = 'f' and f.conrelid <> f.confrelid and f.conparentid = 0
    join tables t on t.oid = f.conrelid
  )
  select l.oid::regclass from levels l group by l.oid order by max(l.level) desc, l.oid::regclass::text
$$;
comment on function signalops.tenant_tables is
  'Every table that has a tenant_id, as the catalogue knows them, with their partitions in them: what refers to others first.';

create or replace function signalops.delete_rows(tenant uuid, target regclass, at_most bigint) returns bigint
language plpgsql volatile set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  keys text[] := (
    select array_agg(quote_ident(a.attname) order by k.place) from pg_index i
    cross join lateral unnest(i.indkey::smallint[]) with ordinality as k (attnum, place)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indrelid = target and i.indisprimary);
  removed bigint;
begin
  if keys is null then
    execute format('delete from %1$s where tenant_id = $1 and ctid = any (array(select ctid from %1$s where tenant_id = $1 limit $2))', target)
    using tenant, at_most;
  else
    -- Newest first: what refers to another of its own table is the younger one.
    execute format('delete from %1$s t using (select %2$s from %1$s where tenant_id = $1 order by %3$s limit $2) d where t.tenant_id = $1 and %4$s',
      target, array_to_string(keys, ', '), array_to_string(keys, ' desc, ') || ' desc',
      (select string_agg(format('t.%1$s = d.%1$s', k), ' and ') from unnest(keys) as k))
    using tenant, at_most;
  end if;
  get diagnostics removed = row_count;
  return removed;
end
$$;
comment on function signalops.delete_rows is 'Removes up to so many rows of a tenant from a table; returns how many.';

create or replace function signalops.delete_slice(tenant uuid, at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  target regclass;
  gone bigint;
  removed bigint := 0;
begin
  perform from signalops.tenant_deletions d where d.id = tenant and d.finished_at is null for update skip locked;
  if not found or not exists (select from signalops.tenants t where t.id = tenant and t.status = 'deleting') then
    return 0;
  end if;
  perform signalops.set_tenant(tenant);
  for target in select * from signalops.tenant_tables() loop
    gone := signalops.delete_rows(tenant, target, at_most - removed);
    removed := removed + gone;
    if gone > 0 then
      update signalops.tenant_deletions d
      set removed = d.removed || jsonb_build_object(target::text, coalesce((d.removed ->> target::text)::bigint, 0) + gone)
      where d.id = tenant;
    end if;
    exit when removed >= at_most;
  end loop;
  -- Last, since it reads the whole job table; a job whose row is gone finds nothing to do.
  if removed < at_most then
    removed := removed + signalops.drop_jobs(tenant, at_most - removed);
  end if;
  return removed;
end
$$;
comment on function signalops.delete_slice is
  'Removes about so many rows of a tenant that is being deleted, and takes it out of the jobs; returns how many. 0: nothing is left, or another '
  'worker is at it.';

create or replace function signalops.finish_deletion(tenant uuid) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  deletion record;
  target regclass;
  counted bigint;
  rests jsonb := '{}';
begin
  select * into deletion from signalops.tenant_deletions d where d.id = tenant and d.finished_at is null for update skip locked;
  if not found then
    return null;
  end if;
  -- From here on nothing can refer to it; what does not refer to it looks whether it is there (accept, record_event_types, settle_deliveries).
  perform from signalops.tenants t where t.id = tenant and t.status = 'deleting' for update;
  if not found then
    return null;
  end if;
  perform signalops.set_tenant(tenant);
  for target in select * from signalops.tenant_tables() loop
    execute format('select count(*) from %s where tenant_id = $1', target) into counted using tenant;
    rests := rests || jsonb_build_object(target::text, counted);
  end loop;
  select count(*) into counted from procrastinate.procrastinate_jobs j
  where j.task_name <> 'delete_tenant' and j.args::text like '%' || tenant || '%';
  if counted > 0 or exists (select from jsonb_each_text(rests) as r (name, rows) where r.rows <> '0') then
    return null;
  end if;
  perform set_config('signalops.action', coalesce(deletion.begun_by::text, ''), true);
  delete from signalops.tenants t where t.id = tenant;
  update signalops.tenant_deletions d set finished_at = clock_timestamp(), remaining = rests where d.id = tenant;
  return (select coalesce(sum(r.rows::bigint), 0) from jsonb_each_text(deletion.removed) as r (name, rows));
end
$$;
comment on function signalops.finish_deletion is
  'Deletes a tenant without remaining rows, and stores the proof: the rows left in every table, counted in the same transaction. Returns how many '
  'rows were removed; NULL: something is left, or another worker was first. It is called when every transaction that may write for the tenant has ended.';
