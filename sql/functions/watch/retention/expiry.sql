-- Retention by tenant: rows that are older go before their partitions do.

create or replace function signalops.retention_cutoffs(retention_days integer) returns table (tenant uuid, days integer, since timestamptz)
language sql stable as $$
  with needed as materialized (
    -- Two partial indexes cover unsent deliveries.
    select d.tenant_id, min(signalops.uuid7_time(d.event_id)) as at from signalops.deliveries d
    where d.status in ('pending', 'sending') and d.next_attempt_at is null group by d.tenant_id
    union all
    select d.tenant_id, min(signalops.uuid7_time(d.event_id)) from signalops.deliveries d where d.next_attempt_at is not null group by d.tenant_id
    union all
    select g.tenant_id, min(signalops.uuid7_time(e.id)) from signalops.digests g cross join unnest(g.events) as e (id) group by g.tenant_id
  ), oldest as (
    select n.tenant_id, min(n.at) as at from needed n group by n.tenant_id
  )
  select t.id, r.days, least(
    now() - make_interval(days => r.days),
    -- Days before it: the clocks of those who make ids, count and close differ, and an audit begins a day before its period.
    coalesce((select b.starts_at from signalops.billing_periods b where b.tenant_id = t.id and b.closed_at is null order by b.period limit 1),
      case when isfinite(t.closed_until) then t.closed_until else t.created_at end) - interval '2 days',
    o.at,
    signalops.uuid7_time((select i.event_id from signalops.inbox i where i.tenant_id = t.id order by i.event_id limit 1)))
  from signalops.tenants t
  left join oldest o on o.tenant_id = t.id
  cross join lateral (
    select coalesce(t.retention_days, (
      select (s.terms ->> 'retentionDays')::integer from signalops.subscriptions s
      where s.tenant_id = t.id and s.starts_on <= (now() at time zone t.time_zone)::date order by s.starts_on desc limit 1
    ), retention_cutoffs.retention_days) as days
  ) r
  where t.status <> 'deleting'
$$;
comment on function signalops.retention_cutoffs is
  'The retention in days of each tenant, by its own setting, its plan''s or the installation''s default; and the time since which events must be kept: at '
  'the latest since the oldest that waits, is still to be sent, or belongs to a billing period that is not closed.';

create or replace function signalops.begin_expiry(retention_days integer) returns void
language sql volatile as $$
  insert into signalops.retention_watermarks as x (tenant_id, kept_since)
  select k.tenant, k.since from (
    select s.*, max(s.days) over () as longest from signalops.retention_cutoffs(retention_days) s
  ) k
  left join signalops.retention_watermarks b on b.tenant_id = k.tenant
  join signalops.tenants t on t.id = k.tenant
  -- The events of those that keep them longest go with their partitions, whole months at once.
  where k.days < k.longest and k.since > coalesce(b.kept_since, t.created_at) + interval '1 hour'
  order by k.tenant
  on conflict (tenant_id) do update set kept_since = greatest(x.kept_since, excluded.kept_since), is_expiring = true
$$;
comment on function signalops.begin_expiry is
  'Advances the retention watermark of each tenant with a shorter retention than another one.';

create or replace function signalops.expire_rows(tenant uuid, target text, key text, before uuid, at_most bigint, spared text) returns bigint
language plpgsql volatile set enable_seqscan = off as $$
declare
  removed bigint;
begin
  -- By the bound once more: it leaves out the partitions that came later.
  execute format(
    'delete from signalops.%1$I t where t.tenant_id = $1 and t.%2$I < $2 and t.%2$I = any (array(
      select t.%2$I from signalops.%1$I t where t.tenant_id = $1 and t.%2$I < $2 and not (%3$s) order by t.%2$I limit $3))',
    target, key, spared)
  using tenant, before, at_most;
  get diagnostics removed = row_count;
  return removed;
end
$$;
comment on function signalops.expire_rows is
  'Deletes up to about at_most of a tenant''s rows with keys below a bound, lowest first, except those of a condition; returns how many.';

create or replace function signalops.expire_tenant(tenant uuid, before uuid, at_most bigint) returns jsonb
language plpgsql volatile as $$
declare
  part record;
  gone bigint;
  removed bigint := 0;
  deleted jsonb := '{}';
begin
  -- What was given another chance since is spared until that is over.
  for part in
    select * from (values
      ('delivery_attempts', 'delivery_id', 'false'),
      ('deliveries', 'id', $spared$t.status in ('pending', 'sending', 'retrying')$spared$),
      ('matches', 'event_id', 'false'),
      ('batch_results', 'batch', 'false'),
      ('events', 'id', $spared$exists (select from signalops.inbox i where i.tenant_id = t.tenant_id and i.event_id = t.id)
        or exists (select from signalops.deliveries d where d.tenant_id = t.tenant_id and d.event_id = t.id
          and d.status in ('pending', 'sending', 'retrying'))$spared$)
    ) as p (target, key, spared)
  loop
    gone := signalops.expire_rows(tenant, part.target, part.key, before, at_most - removed, part.spared);
    removed := removed + gone;
    if gone > 0 then
      deleted := deleted || jsonb_build_object(part.target, gone);
    end if;
    exit when removed >= at_most;
  end loop;
  if removed < at_most then
    update signalops.retention_watermarks x set is_expiring = false where x.tenant_id = tenant;
  end if;
  return deleted;
end
$$;
comment on function signalops.expire_tenant is
  'Deletes up to about at_most of a tenant''s rows before an id, referencing tables first; returns {table: rows}.';

create or replace function signalops.expire_blocks(target text, at_most integer) returns bigint
language plpgsql volatile set enable_seqscan = off as $$
declare
  step constant bigint := greatest(at_most / 100, 1); -- of blocks: a row of any of these tables takes more than 80 bytes
  deadline constant timestamptz := clock_timestamp() + interval '200 ms';
  sweep signalops.sweep_cursors;
  blocks bigint;
  oldest uuid;
  gone bigint;
  removed bigint := 0;
begin
  select * into strict sweep from signalops.sweep_cursors s where s.relation = target for update;
  if sweep.ended_at >= sweep.begun_at then
    if sweep.begun_at > now() - interval '1 day' then
      return null;
    end if;
    sweep.next_block := 0;
    sweep.begun_at := now();
  end if;
  blocks := pg_relation_size(format('signalops.%I', target)::regclass) / current_setting('block_size')::bigint;
  select signalops.uuid7_floor(min(to_date(right(c.relname, 7), 'YYYY_MM'))::timestamp at time zone 'UTC') into oldest
  from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'signalops.events'::regclass;
  while sweep.next_block < blocks and removed < at_most and clock_timestamp() < deadline loop
    execute format(
      'delete from signalops.%1$I t where t.ctid >= $1 and t.ctid < $2 and %2$s < greatest($3, (
        select signalops.uuid7_floor(x.kept_since) from signalops.retention_watermarks x where x.tenant_id = t.tenant_id))',
      target, case target when 'backtests' then 'case when t.status not in (''queued'', ''running'') then t.id end' else 't.event_id' end)
    using format('(%s,0)', sweep.next_block)::tid, format('(%s,0)', sweep.next_block + step)::tid, oldest;
    get diagnostics gone = row_count;
    removed := removed + gone;
    sweep.next_block := sweep.next_block + step;
  end loop;
  update signalops.sweep_cursors s set next_block = sweep.next_block, begun_at = sweep.begun_at,
    ended_at = case when sweep.next_block >= blocks then clock_timestamp() else s.ended_at end
  where s.relation = target;
  return removed;
end
$$;
comment on function signalops.expire_blocks is
  'Continues the sweep of a table for 200 ms or up to about at_most rows: deletes rows of expired events, of tenants and of dropped '
  'partitions. Returns how many rows were removed; NULL: it was swept less than a day ago.';

create or replace function signalops.expire(retention_days integer, at_most integer) returns table (relation text, rows bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  one record;
  swept text;
  gone bigint;
  deleted jsonb;
begin
  if not pg_try_advisory_xact_lock(hashtext('signalops.expire')) then
    return;
  end if;
  -- Looking at every tenant takes its time: not for each slice.
  if not exists (select from signalops.retention_watermarks x where x.is_expiring)
      and not exists (select from signalops.sweep_cursors s where s.ended_at < s.begun_at) then
    perform signalops.begin_expiry(retention_days);
  end if;
  for one in select x.tenant_id, signalops.uuid7_floor(x.kept_since) as before from signalops.retention_watermarks x where x.is_expiring order by x.tenant_id loop
    deleted := signalops.expire_tenant(one.tenant_id, one.before, at_most);
    if deleted <> '{}' then
      return query select t.key, t.value::bigint from jsonb_each_text(deleted) t;
      return;
    end if;
  end loop;
  for swept in select s.relation from signalops.sweep_cursors s order by s.begun_at <= s.ended_at, s.relation loop
    gone := signalops.expire_blocks(swept, at_most);
    if gone is not null then
      return query select swept, gone;
      return;
    end if;
  end loop;
end
$$;
comment on function signalops.expire is
  'Removes a slice of what has expired before its partition goes: of one tenant''s rows, or by the sweep of one table. Returns from where how much '
  'was removed; a table with 0: there may be more to do. Nothing: all is done, or another process is at it.';
