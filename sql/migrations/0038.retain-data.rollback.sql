-- Station watch: everything is kept for ever.

drop function signalops.prune_jobs(integer, integer);
drop function signalops.drop_partition(integer, integer);
drop function signalops.expired_partitions(integer, integer);
drop function signalops.kept_from(integer);

alter table signalops.usage_days reset (autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor);
alter table signalops.usage_items reset (autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor);
alter table signalops.dead_letters reset (autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor);
alter table signalops.rate_buckets reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_cost_delay);
alter table signalops.idempotency_keys reset (autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_scale_factor,
  autovacuum_analyze_scale_factor);
do $$
declare
  part record;
begin
  for part in
    select i.inhrelid::regclass as child from pg_inherits i join pg_class c on c.oid = i.inhparent
    where c.relnamespace = 'signalops'::regnamespace and c.relkind = 'p'
  loop
    execute format('alter table %s reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_cost_delay, '
      'autovacuum_analyze_scale_factor, autovacuum_vacuum_insert_scale_factor)', part.child);
  end loop;
end
$$;

create or replace function signalops.make_partitions(months_ahead integer default 3) returns setof text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
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
      execute format('alter table %s attach partition signalops.%I for values from (%L) to (%L)', parent, part,
        signalops.id_at(month::timestamp at time zone 'UTC'),
        signalops.id_at((month + interval '1 month') at time zone 'UTC'));
      -- Policies of the parent do not hold for a query on the partition itself: with none of its own it shows nothing.
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

drop function signalops.storage_of(name);
