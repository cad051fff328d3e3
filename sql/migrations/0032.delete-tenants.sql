-- Deletes a tenant with all that is stored of it, in slices that a crash does not undo, and keeps the proof.

create table signalops.tenant_deletions (
  id uuid primary key,
  slug text not null,
  begun_at timestamptz not null default now(),
  begun_by jsonb,
  removed jsonb not null default '{}' check (jsonb_typeof(removed) = 'object'),
  remaining jsonb check (jsonb_typeof(remaining) = 'object'),
  finished_at timestamptz,
  check ((finished_at is null) = (remaining is null))
);
comment on table signalops.tenant_deletions is 'The tenants that were deleted or are being deleted: all that is left of them.';
comment on column signalops.tenant_deletions.id is 'The id that the tenant had.';
comment on column signalops.tenant_deletions.slug is 'Its slug, which another tenant may have by now.';
comment on column signalops.tenant_deletions.begun_at is 'When it was asked for.';
comment on column signalops.tenant_deletions.begun_by is 'Who asked, as the audit log names him: {actor: {kind, name}, address, operation}; NULL: by SQL.';
comment on column signalops.tenant_deletions.removed is 'How many rows were removed, by table.';
comment on column signalops.tenant_deletions.remaining is
  'How many were left, by table, counted in the transaction that removed the tenant itself: 0 of each; NULL: it is not finished.';
comment on column signalops.tenant_deletions.finished_at is 'When nothing was left; NULL: it is being deleted.';
alter table signalops.tenant_deletions enable row level security, force row level security;
call signalops.admit_owner('signalops.tenant_deletions', 'Deleting is done by functions of the owner.');
create policy operators_read on signalops.tenant_deletions for select to signalops_platform using (true);
comment on policy operators_read on signalops.tenant_deletions is 'Operators of the installation read what was deleted.';
grant select on signalops.tenant_deletions to signalops_platform;
-- Serves find-deletion: by slug, the newest.
create index tenant_deletions_by_slug on signalops.tenant_deletions (slug, begun_at);
-- Serves enqueue_deletions.
create index tenant_deletions_unfinished on signalops.tenant_deletions (begun_at) where finished_at is null;

create table signalops.deleted_numbers (
  series text not null check (series in ('invoice', 'credit_note')),
  number bigint not null check (number > 0),
  primary key (series, number)
);
comment on table signalops.deleted_numbers is 'The numbers of documents that went with their tenants: no other document is given one, and none is missing.';
comment on column signalops.deleted_numbers.series is 'invoice or credit_note.';
comment on column signalops.deleted_numbers.number is 'The number that the document had.';
alter table signalops.deleted_numbers enable row level security, force row level security;
call signalops.admit_owner('signalops.deleted_numbers', 'The deletion of a tenant notes them, and the audit of all numbers reads them.');

create function signalops.keep_number() returns trigger
language plpgsql
as $$
begin
  insert into signalops.deleted_numbers (series, number) values (old.kind, old.number);
  return null;
end
$$;
comment on function signalops.keep_number() is 'Notes that the number of a document was given, when the document goes with its tenant.';
create trigger keep_number after delete on signalops.invoices for each row execute function signalops.keep_number();
comment on trigger keep_number on signalops.invoices is 'Numbers stay without gaps.';

create function signalops.tenant_tables() returns setof regclass
language sql stable
as $$
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
comment on function signalops.tenant_tables() is
  'Every table that has a tenant_id, as the catalogue knows them, with their partitions in them: what refers to others first.';

create function signalops.delete_rows(tenant uuid, target regclass, at_most bigint) returns bigint
language plpgsql volatile
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
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
comment on function signalops.delete_rows(uuid, regclass, bigint) is 'Removes up to so many rows of a tenant from a table; returns how many.';
revoke all on function signalops.delete_rows(uuid, regclass, bigint) from public;

create function signalops.drop_jobs(tenant uuid, at_most bigint) returns bigint
language plpgsql volatile set search_path = procrastinate, pg_temp
as $$
declare
  one record;
  dropped bigint := 0;
begin
  for one in
    select j.id, (
      -- Deliveries of several tenants may share a job.
      select jsonb_agg(told.one order by told.place)
      from (
        select j.args - 'more' as one, 0 as place
        union all select m.one, m.place from jsonb_array_elements(j.args -> 'more') with ordinality as m (one, place)
      ) told
      where told.one ->> 'tenant' is distinct from tenant::text
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
comment on function signalops.drop_jobs(uuid, bigint) is
  'Takes a tenant out of up to so many of the jobs that are not being done; returns of how many. The job that deletes it is not one of them.';
revoke all on function signalops.drop_jobs(uuid, bigint) from public;

create function signalops.enqueue_deletion(tenant uuid) returns bigint
language plpgsql volatile set search_path = procrastinate, pg_temp
as $$
begin
  -- Below all other jobs, and one at a time in the whole installation: nobody waits for it.
  return (procrastinate_defer_jobs_v1(array[row('deletions', 'delete_tenant', -30, 'deletions', null,
    jsonb_build_object('tenant', tenant), null)::procrastinate_job_to_defer_v1]))[1];
end
$$;
comment on function signalops.enqueue_deletion(uuid) is 'Enqueues the deletion of a tenant; returns the job.';
revoke all on function signalops.enqueue_deletion(uuid) from public;

create function signalops.begin_deletion(wanted text, confirmed text) returns table (tenant uuid, verdict text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  doomed record;
begin
  select t.id, t.slug, t.status into doomed from signalops.tenants t
  where wanted in (t.id::text, t.slug) order by t.id::text = wanted desc limit 1 for no key update;
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
comment on function signalops.begin_deletion(text, text) is
  'Begins to delete a tenant, given by id or slug, and enqueues the job that does it. Verdict: deleting; unconfirmed, when what was confirmed '
  'is not its slug; or the status of one that must be closed first. No row: there is no such tenant.';
revoke all on function signalops.begin_deletion(text, text) from public;
grant execute on function signalops.begin_deletion(text, text) to signalops_platform;

create function signalops.delete_slice(tenant uuid, at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  target regclass;
  gone bigint;
  removed bigint := 0;
begin
  perform from signalops.tenant_deletions d where d.id = tenant and d.finished_at is null for update skip locked;
  if not found or not exists (select from signalops.tenants t where t.id = tenant and t.status = 'deleting') then
    return 0;
  end if;
  perform signalops.act_as(tenant);
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
  -- Last, since it reads the whole job table; a job whose row is gone finds nothing to do meanwhile.
  if removed < at_most then
    removed := removed + signalops.drop_jobs(tenant, at_most - removed);
  end if;
  return removed;
end
$$;
comment on function signalops.delete_slice(uuid, integer) is
  'Removes about so many rows of a tenant that is being deleted, and takes it out of the jobs; returns how many. 0: nothing is left, or another '
  'worker is at it.';
revoke all on function signalops.delete_slice(uuid, integer) from public;
grant execute on function signalops.delete_slice(uuid, integer) to signalops_worker;

create function signalops.finish_deletion(tenant uuid) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
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
  -- From here on nothing can refer to it; what does not refer to it looks whether it is there (accept, note_types, settle_deliveries).
  perform from signalops.tenants t where t.id = tenant and t.status = 'deleting' for update;
  if not found then
    return null;
  end if;
  perform signalops.act_as(tenant);
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
comment on function signalops.finish_deletion(uuid) is
  'Removes a tenant of which nothing is left, and notes the proof: what is left in every table, counted in the same transaction. Returns how '
  'many rows were removed; NULL: something is left, or another worker was first. It is called when whoever may write for the tenant has ended.';
revoke all on function signalops.finish_deletion(uuid) from public;
grant execute on function signalops.finish_deletion(uuid) to signalops_worker;

create function signalops.enqueue_deletions() returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select count(signalops.enqueue_deletion(d.id))
  from signalops.tenant_deletions d
  where d.finished_at is null and not exists (
    select from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'delete_tenant' and j.args ->> 'tenant' = d.id::text)
$$;
comment on function signalops.enqueue_deletions() is 'Gives a job to deletions that are not finished and have none; returns how many.';
revoke all on function signalops.enqueue_deletions() from public;
grant execute on function signalops.enqueue_deletions() to signalops_worker;

create or replace function signalops.count_in(asked jsonb, moment timestamptz) returns table (tenant uuid, of_meter text, is_calm boolean)
language plpgsql volatile
as $$
begin
  -- In one order, rows that a month lacks yet included: two flushes that share some can't lock each other out.
  return query
    insert into signalops.quotas as q (tenant_id, period, meter, accepted, scales)
    select a.tenant, signalops.period_of(moment, t.time_zone), a.meter, a.amount, a.scales
    from (
      select * from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric, scales bigint) order by a.tenant, a.meter
    ) a
    cross join lateral (select t.time_zone from signalops.tenants t where t.id = a.tenant and t.status <> 'deleting' limit 1) t
    on conflict (tenant_id, period, meter) do update set accepted = q.accepted + excluded.accepted
    where q.scales = excluded.scales and q.accepted + excluded.accepted < q.calm_until
    returning q.tenant_id, q.meter, q.accepted < q.calm_until;
end
$$;
comment on function signalops.count_in(jsonb, timestamptz) is
  'Counts [{tenant, meter, amount, scales}] and locks their quotas. Returns what it counted: calm where that was all there was to do, and '
  'not calm where the row is the first of its month; what is missing had something to tell or refuse, or was weighed by old scales.';

create or replace function signalops.admit(wanted uuid, moment timestamptz, asked jsonb, offered jsonb, counted text[], made text[])
returns table (event jsonb, refused_by text, period_end timestamptz)
language plpgsql volatile
as $$
declare
  zone text;
  month date;
  version bigint;
  meters text[];
  rooms numeric[];
  refuses boolean[];
  enough boolean;
  place record;
  blocked text;
  verdicts text[] := '{}';
begin
  select t.time_zone, signalops.period_of(moment, t.time_zone), t.scales into zone, month, version
  from signalops.tenants t where t.id = wanted and t.status <> 'deleting';
  -- What count_in has counted already is counted again by what comes in; and the row that it made may hold for newer scales.
  update signalops.quotas q set accepted = q.accepted - a.amount, scales = case when q.meter = any (made) then version else q.scales end
  from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric)
  where a.tenant = wanted and a.meter = any (counted)
    and q.tenant_id = wanted and q.period = month and q.meter = a.meter;

  if not exists (
    select from jsonb_to_recordset(asked) as a (tenant uuid, meter text, scales bigint)
    join signalops.quotas q on q.tenant_id = wanted and q.period = month and q.meter = a.meter
    where a.tenant = wanted and a.meter = 'events' and a.scales = q.scales
  ) then
    return;
  end if;

  select array_agg(q.meter order by q.meter), array_agg(r.room order by q.meter),
    array_agg(coalesce(l.overage = 'refuse', false) order by q.meter), bool_and(a.amount <= r.room)
  into meters, rooms, refuses, enough
  from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric)
  join signalops.quotas q on q.tenant_id = wanted and q.period = month and q.meter = a.meter
  left join lateral signalops.limit_of(wanted, q.meter, (moment at time zone zone)::date) l on true
  cross join lateral (select coalesce(l.hard - q.accepted, 'Infinity') as room) r
  where a.tenant = wanted;

  for place in
    select i.item, i.ord::integer, i.stored, min(i.ord) over (partition by coalesce(i.item ->> 'key', E'\n' || i.ord))::integer as first,
      array(select signalops.weight(i.item, m) from unnest(meters) with ordinality as u (m, n) order by u.n) as needs
    from (
      select o.item, o.ord, k.key is not null as stored
      from jsonb_array_elements(offered) with ordinality as o (item, ord)
      left join lateral (
        select k.key from signalops.idempotency_keys k where k.tenant_id = wanted and k.key = o.item ->> 'key' limit 1
      ) k on not enough
      where o.item ->> 'tenant' = wanted::text
    ) i
    order by i.ord
  loop
    event := place.item;
    -- What is stored already needs no room; a repeat within the flush shares the place of its first.
    if enough or place.stored then
      refused_by := null;
    elsif place.first < place.ord then
      refused_by := verdicts[place.first];
    else
      select min(x.meter) filter (where x.refuses),
        case when bool_or(not x.refuses) then event || '{"over_limit": true}' else event end
      into refused_by, event
      from unnest(meters, place.needs, rooms, refuses) as x (meter, need, room, refuses) where x.need > greatest(x.room, 0);
      if refused_by is null then
        rooms := array(select x.room - x.need from unnest(rooms, place.needs) with ordinality as x (room, need, n) order by x.n);
      end if;
      verdicts[place.ord] := refused_by;
    end if;
    period_end := signalops.starts_at((month + interval '1 month')::date, zone);
    return next;
  end loop;
end
$$;
comment on function signalops.admit(uuid, timestamptz, jsonb, jsonb, text[], text[]) is
  'The careful path of accept, for a tenant whose quotas have something to tell or refuse: undoes what count_in counted, and returns each '
  'of its events with the meter that refuses it, or marked when it is over a limit. Nothing at all when it was weighed by old scales.';

create or replace function signalops.note_types(seen jsonb) returns void
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  perform signalops.act_for((select array_agg(distinct s.tenant) from jsonb_to_recordset(seen) as s (tenant uuid)));

  with noted as (
    -- In one order, so that two workers can't lock each other out.
    select s.*, k.fields as known, k.type is null as is_new,
      count(*) filter (where k.type is null) over (partition by s.tenant order by s.type) as place
    from jsonb_to_recordset(seen)
      as s (tenant uuid, type text, first uuid, last uuid, count bigint, fields jsonb, cut boolean, example jsonb)
    left join lateral (
      select e.type, e.fields from signalops.event_types e where e.tenant_id = s.tenant and e.type = s.type limit 1
    ) k on true
    -- What is deleted meanwhile must not come back.
    where exists (select from signalops.tenants t where t.id = s.tenant and t.status <> 'deleting')
    order by s.tenant, s.type
  ), room as (
    select n.tenant, 1000 - (select count(*) from signalops.event_types e where e.tenant_id = n.tenant) as places
    from noted n where n.is_new group by n.tenant
  )
  insert into signalops.event_types as t (tenant_id, type, first_seen_at, last_seen_at, count, fields, fields_cut, example)
  select n.tenant, n.type, signalops.time_of(n.first), signalops.time_of(n.last), n.count, n.fields, n.cut, n.example
  from noted n left join room r on r.tenant = n.tenant
  where not n.is_new or n.place <= r.places
  order by n.tenant, n.type
  on conflict (tenant_id, type) do update set
    first_seen_at = least(t.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(t.last_seen_at, excluded.last_seen_at),
    count = t.count + excluded.count,
    fields = case when excluded.fields = '{}' then t.fields else signalops.merge_fields(t.fields, excluded.fields) end,
    fields_cut = t.fields_cut or excluded.fields_cut,
    example = coalesce(excluded.example, t.example);

  perform signalops.act_for(null);
end
$$;
comment on function signalops.note_types(jsonb) is
  'Adds what a worker has seen to the catalogue: [{tenant, type, first, last, count, fields, cut, example}], first and last being ids of '
  'events. A tenant''s types beyond 1,000 are not catalogued: whoever puts ids into types fills nothing.';

create or replace function signalops.settle_deliveries(said jsonb) returns setof uuid
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  one jsonb;
begin
  -- What a crash of the server takes back is sent again, with the same id, as after a crash of the worker.
  perform set_config('synchronous_commit', 'off', true);
  for one in select * from jsonb_array_elements(said) loop
    perform signalops.act_as((one ->> 'tenant')::uuid);
    -- Deleted while it was on its way. `attempts`: as in claim_deliveries.
    continue when not exists (
      select from signalops.deliveries d
      where d.tenant_id = (one ->> 'tenant')::uuid and d.id = (one ->> 'delivery')::uuid and d.attempts >= 0);
    if signalops.settle_delivery((one ->> 'tenant')::uuid, (one ->> 'delivery')::uuid, (one ->> 'attempt')::smallint, one) then
      return next (one ->> 'delivery')::uuid;
    end if;
  end loop;
end
$$;
comment on function signalops.settle_deliveries(jsonb) is
  'Records attempts in their order, each with its tenant, delivery and attempt beside what settle_delivery takes; returns which deliveries '
  'died. What fails belongs to one outlet, and what succeeds comes in the order of the outlets: no two of them lock each other out.';

create or replace function signalops.refuse_change() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'DELETE' then
    -- Not every table that has this trigger is a tenant's.
    if signalops.may_delete((to_jsonb(old) ->> 'tenant_id')::uuid) then
      return old;
    end if;
  end if;
  raise 'a row of % is never changed: %', tg_table_name, tg_argv[0] using errcode = 'check_violation';
end
$$;
comment on function signalops.refuse_change() is
  'Keeps what was agreed upon as it was, but for a tenant that is being deleted; its argument is the remedy.';

create or replace function signalops.audit_numbers()
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable
as $$
  select null::uuid, null::date, 'number', format('%s %s', s.kind, n.number), case when n.number <= s.last then 'one' else 'none' end,
    count(i.number)::text
  from (
    select k.kind, coalesce(max(l.last), 0) as last,
      greatest(max(l.last), (select max(i.number) from signalops.invoices i where i.kind = k.kind), 0) as most
    from (values ('invoice'), ('credit_note')) k (kind) left join signalops.invoice_numbers l on l.series = k.kind
    group by k.kind
  ) s
  cross join lateral generate_series(1, s.most) as n (number)
  left join (
    select i.kind, i.number from signalops.invoices i union all select d.series, d.number from signalops.deleted_numbers d
  ) i on i.kind = s.kind and i.number = n.number
  group by s.kind, s.last, n.number having count(i.number) <> (n.number <= s.last)::int
$$;
comment on function signalops.audit_numbers() is
  'Check number: each number of a series is one document''s, of whatever tenant, also a deleted one, up to the last that was given.';
