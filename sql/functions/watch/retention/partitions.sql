-- Partitions by month: made ahead, and dropped when no tenant needs them.

create or replace function signalops.partition_storage(parent name) returns text
language sql immutable as $$
  select case parent
    -- Each of its rows is updated twice or more.
    when 'deliveries' then 'autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0, '
      'autovacuum_analyze_scale_factor = 0.02'
    -- Written once: vacuum comes to set the visibility map, and statistics must keep up with a partition that begins empty.
    else 'autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02' end
$$;
comment on function signalops.partition_storage is 'The storage parameters of the partitions of a table; a partitioned table itself takes none.';

create or replace function signalops.make_partitions(months_ahead integer default 3) returns setof text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  parent regclass;
  month date;
  part text;
  guard record;
begin
  -- Several processes may find the month missing at once.
  perform pg_advisory_xact_lock(hashtext('signalops.make_partitions'));
  for parent in
    select c.oid from pg_class c
    where c.relkind = 'p' and c.relnamespace = 'signalops'::regnamespace order by c.relname
  loop
    for month in
      select generate_series(
        date_trunc('month', now() at time zone 'UTC'),
        date_trunc('month', now() at time zone 'UTC') + make_interval(months => months_ahead), '1 month')::date
    loop
      part := format('%s_%s', (select relname from pg_class where oid = parent), to_char(month, 'YYYY_MM'));
      continue when to_regclass(format('signalops.%I', part)) is not null;
      -- Attached, not made in place: that would wait for every query of the table, a dump for instance, and all traffic behind it.
      execute format('create table signalops.%I (like %s including defaults including constraints)', part, parent);
      execute format('alter table signalops.%I set (%s)', part, signalops.partition_storage((select relname from pg_class where oid = parent)));
      execute format('alter table %s attach partition signalops.%I for values from (%L) to (%L)', parent, part,
        signalops.uuid7_floor(month::timestamp at time zone 'UTC'),
        signalops.uuid7_floor((month + interval '1 month') at time zone 'UTC'));
      -- Policies of the parent do not apply to a query on the partition itself: with none of its own it shows nothing.
      execute format('alter table signalops.%I enable row level security', part);
      execute format('alter table signalops.%I force row level security', part);
      execute format('comment on table signalops.%I is %L', part, format('%s made in %s (UTC)', parent, to_char(month, 'YYYY-MM')));
      -- Of the parent's triggers a partition has those for rows alone.
      for guard in
        select g.tgname, g.tgfoid::regproc as runs, obj_description(g.oid, 'pg_trigger') as purpose from pg_trigger g
        where g.tgrelid = parent and g.tgtype & 32 <> 0 and not g.tgisinternal
      loop
        execute format('create trigger %I before truncate on signalops.%I for each statement execute function %s()',
          guard.tgname, part, guard.runs);
        execute format('comment on trigger %I on signalops.%I is %L', guard.tgname, part, guard.purpose);
      end loop;
      return next part;
    end loop;
  end loop;
end
$$;
comment on function signalops.make_partitions is
  'Makes the monthly partitions of every partitioned table, from this month to some months ahead; returns the names of new ones.';

create or replace function signalops.global_retention_cutoff(retention_days integer) returns timestamptz
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select coalesce(min(k.since), now() - make_interval(days => retention_days)) from signalops.retention_cutoffs(retention_days) k
$$;
comment on function signalops.global_retention_cutoff is
  'The time before which no tenant''s data has to be kept; the retention is the installation''s default, tenants and plans can have others.';

create or replace function signalops.expired_partitions(retention_days integer, audit_log_days integer) returns table (part name, ended_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select c.relname, e.ended_at
  from unnest(array['delivery_attempts', 'deliveries', 'matches', 'batch_results', 'usage_entries', 'events', 'audit_log']) with ordinality
    as p (parent, place)
  join pg_inherits i on i.inhparent = format('signalops.%I', p.parent)::regclass
  join pg_class c on c.oid = i.inhrelid
  cross join lateral (
    select (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC' as ended_at
  ) e
  where e.ended_at <= case p.parent when 'audit_log' then now() - make_interval(days => audit_log_days)
    else signalops.global_retention_cutoff(retention_days) end
  -- What refers to others before them, month by month.
  order by e.ended_at, p.place
$$;
comment on function signalops.expired_partitions is
  'The expired partitions, by the retention in days of events and of the audit log, in the order to drop them.';

create or replace function signalops.detach_partition(retention_days integer, audit_log_days integer) returns name
language plpgsql volatile security definer
-- While this lock is waited for, every later statement on the table waits behind it: give up after this time.
set lock_timeout = '100ms' set search_path = pg_catalog, pg_temp as $$
declare
  expired name;
begin
  if not pg_try_advisory_xact_lock(hashtext('signalops.detach_partition')) then
    return null;
  end if;
  select e.part into expired from signalops.expired_partitions(retention_days, audit_log_days) e limit 1;
  if expired is not null then
    -- Not dropped here: the files of a large partition take a second to remove, in which every statement on the table would wait.
    execute format('alter table signalops.%I detach partition signalops.%I', left(expired, -8), expired);
  end if;
  return expired;
end
$$;
comment on function signalops.detach_partition is
  'Detaches the first of the expired partitions, for drop_detached; returns its name, NULL when there is none or another process is at it. Raises '
  'lock_not_available when the table is busy, a dump for instance: try again later.';

create or replace function signalops.drop_detached() returns name
language plpgsql volatile security definer set lock_timeout = '100ms' set search_path = pg_catalog, pg_temp as $$
declare
  detached name;
begin
  select c.relname into detached
  from pg_class c
  where c.relnamespace = 'signalops'::regnamespace and c.relkind = 'r' and not c.relispartition and c.relname ~ '_[0-9]{4}_[0-9]{2}$'
    and to_regclass(format('signalops.%I', left(c.relname, -8))) in (select p.partrelid from pg_partitioned_table p)
  order by c.relname limit 1;
  if detached is not null then
    execute format('drop table signalops.%I', detached);
  end if;
  return detached;
end
$$;
comment on function signalops.drop_detached is
  'Drops a partition that was detached; returns its name, NULL: there is none. Raises lock_not_available when it is in use: try again later.';
