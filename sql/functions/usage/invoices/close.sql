-- Closing a billing period: frozen, sealed.

create or replace function signalops.freeze_periods(closing_after interval, at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  frozen bigint;
begin
  with due as materialized (
    -- All of it follows from the row that is locked: of two workers the second finds the tenant advanced, or locked.
    select t.id, p.period, signalops.period_start(p.period, t.time_zone) as starts_at, e.ends_at
    from signalops.tenants t
    cross join lateral (select case when t.closed_until = '-infinity' then signalops.first_period(t.id, t.time_zone, t.created_at)
      else signalops.period_of(t.closed_until, t.time_zone) end as period) p
    cross join lateral (select signalops.period_start((p.period + interval '1 month')::date, t.time_zone) as ends_at) e
    where e.ends_at <= now() - closing_after and t.status <> 'deleting' and not exists (
      select from signalops.inbox i
      where i.tenant_id = t.id and i.event_id < signalops.uuid7_floor(e.ends_at) and i.replay_id is null
        -- Parked events may wait for years; then they are late, as everything counted after the closing.
        and not i.is_parked)
    order by t.id limit at_most for update of t skip locked
  ), noted as (
    insert into signalops.billing_periods (tenant_id, period, starts_at, ends_at)
    select d.id, d.period, d.starts_at, d.ends_at from due d returning *
  ), advanced as (
    update signalops.tenants t set closed_until = n.ends_at from noted n where t.id = n.tenant_id returning t.id
  )
  select count(*) into frozen from advanced;
  return frozen;
end
$$;
comment on function signalops.freeze_periods is
  'Freezes the next period of tenants whose month ended some time ago and which have no waiting events from before its end; returns how many. It '
  'must be committed before record_barriers.';

create or replace function signalops.record_barriers() returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  noted bigint;
begin
  if pg_current_xact_id_if_assigned() is not null then
    raise 'record_barriers must be a transaction of its own: commit first' using errcode = 'active_sql_transaction';
  end if;
  -- This transaction gets its number now, after it saw the freezing committed. Whoever counts by the old closed_until had its number
  -- before it read that. The xmax of a snapshot would not do: it lies behind the last that has ended, not behind the last that began.
  -- A barrier of the future is another cluster's, out of a dump.
  update signalops.billing_periods b set barrier = pg_current_xact_id()::text::bigint
  where b.closed_at is null and (b.barrier is null or b.barrier >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint);
  get diagnostics noted = row_count;
  return noted;
end
$$;
comment on function signalops.record_barriers is
  'Records for frozen periods which transactions have to end before they can be closed; returns how many.';

create or replace function signalops.oldest_transaction_id() returns bigint
language sql volatile as $$
  -- The xmin of a snapshot would wait for the transactions of every database of the cluster. A transaction holds the lock on its number
  -- before it reads anything else, and until what it did can be seen; the number of the lock lacks the epoch.
  select coalesce(min(n.latest + ((l.transactionid::text::bigint - n.latest + 3 * 2147483648) % 4294967296) - 2147483648), min(n.latest))
  from (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as latest) n
  left join pg_locks l on l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted and not exists (
    select from pg_stat_activity a join pg_database d on d.oid = a.datid where a.pid = l.pid and d.datname <> current_database())
$$;
comment on function signalops.oldest_transaction_id is
  'The number of the oldest transaction of this database that has one and has not ended; without any, one that is not given yet.';

create or replace function signalops.periods_ready(at_most integer) returns table (tenant uuid, period date)
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  select o.tenant_id, o.period
  from (
    select distinct on (b.tenant_id) b.tenant_id, b.period, b.barrier
    from signalops.billing_periods b where b.closed_at is null order by b.tenant_id, b.period
  ) o
  where o.barrier <= (select signalops.oldest_transaction_id())
  -- Workers that ask at once begin at different ends.
  order by random() limit at_most
$$;
comment on function signalops.periods_ready is 'Frozen periods that no transaction can count into any more, the first of each tenant: they can be closed.';

create or replace function signalops.digest_days(tenant uuid, of_period date, before bytea) returns bytea
language sql stable
return sha256(coalesce(before, '') || convert_to(json_build_array(tenant, of_period)::text || coalesce((
  select string_agg(E'\n' || json_build_array(d.day, d.meter, d.group_key, d.is_late, d.aggregation, d.events, d.quantity::text)::text,
    '' order by d.day, d.meter collate "C", d.group_key collate "C")
  from signalops.usage_daily d where d.tenant_id = tenant and d.period = of_period), ''), 'UTF8'));
comment on function signalops.digest_days is
  'The digest of a sealed period: SHA-256 of the digest before (none: nothing), the line [tenant, period], and for each row of usage_daily, by day, '
  'meter and group (in the order of bytes), a line [day, meter, group_key, is_late, aggregation, events, quantity], as JSON in UTF-8 with line feeds '
  'between.';

create or replace function signalops.seal_period(tenant uuid, of_period date) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  closing record;
  before bytea;
  sealed integer;
begin
  perform signalops.require_tenant(tenant);
  select b.starts_at, b.ends_at, t.time_zone into closing
  from signalops.billing_periods b join signalops.tenants t on t.id = b.tenant_id
  where b.tenant_id = tenant and b.period = of_period and b.closed_at is null
    and b.barrier <= (select signalops.oldest_transaction_id())
  for update of b skip locked;
  if not found then
    return false;
  end if;

  insert into signalops.usage_daily (tenant_id, period, day, meter, group_key, is_late, aggregation, events, quantity)
  select tenant, of_period, (u.bucket at time zone closing.time_zone)::date, m.key, u.group_key, u.bucket < closing.starts_at,
    m.aggregation, u.events, u.quantity
  from (
    select 'events' as key, 'count' as aggregation
    union select k.key, k.aggregation from signalops.meters k where k.tenant_id = tenant
  ) m
  cross join lateral signalops.usage_by(tenant, m.key, '-infinity', closing.ends_at, 'day', true, of_period) u;
  get diagnostics sealed = row_count;

  select s.digest into before from signalops.usage_hash_chain s
  where s.tenant_id = tenant and s.period < of_period order by s.period desc limit 1;
  insert into signalops.usage_hash_chain (tenant_id, period, digest, previous, days)
  values (tenant, of_period, signalops.digest_days(tenant, of_period, before), before, sealed);

  -- Lock order: billing_periods, tenants. Locked before looking, as subscribe does: a plan that is given at the same time may need the meters of the one before.
  perform from signalops.tenants t where t.id = tenant for no key update;
  perform signalops.end_unneeded_meters(tenant);
  update signalops.billing_periods b set closed_at = now() where b.tenant_id = tenant and b.period = of_period;
  return true;
end
$$;
comment on function signalops.seal_period is
  'Writes down the figures of a frozen period of the tenant that the transaction acts for, seals them, and closes it; the transaction goes on to '
  'invoice it. False: it is closed, being closed, or somebody may still count into it.';
