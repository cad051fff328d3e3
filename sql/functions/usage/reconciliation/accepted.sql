-- Reconciliation: events against batches, accepted counters and usage counters.

create or replace function signalops.reconcilable_range(of_tenant uuid, of_period date)
returns table (tenant_id uuid, time_zone text, since timestamptz, earliest uuid, lower uuid, upper uuid)
language sql stable as $$
  select t.id, t.time_zone, k.since, greatest(
      case when isfinite(k.since) then signalops.uuid7_floor(k.since) else l.least end,
      -- The events of a flush came before it, and an entry may be made by a slower clock.
      coalesce(signalops.uuid7_floor(signalops.period_start(of_period, t.time_zone) - interval '1 day'), l.least)),
    coalesce(signalops.uuid7_floor(signalops.period_start(of_period, t.time_zone)), l.least),
    coalesce(signalops.uuid7_floor(signalops.period_start((of_period + interval '1 month')::date, t.time_zone)), l.most)
  from signalops.tenants t
  cross join (values ('00000000-0000-0000-0000-000000000000'::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)) l (least, most)
  cross join (
    -- The youngest of the oldest months that are stored: before it something is missing, and nothing can be said.
    select max(p.oldest) as oldest
    from (
      select min(to_date(right(c.relname, 7), 'YYYY_MM'))::timestamp at time zone 'UTC' as oldest
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent in ('signalops.events'::regclass, 'signalops.usage_entries'::regclass, 'signalops.batch_results'::regclass)
      group by i.inhparent
    ) p
  ) o
  -- An hour later, since ids are made by several clocks.
  cross join lateral (
    select greatest(case when t.created_at >= o.oldest then '-infinity' else o.oldest + interval '1 hour' end,
      (select x.kept_since + interval '1 hour' from signalops.retention_watermarks x where x.tenant_id = t.id)) as since
  ) k
  where of_tenant is null or t.id = of_tenant
$$;
comment on function signalops.reconcilable_range is
  'Since when a tenant''s events, batches and entries are all stored (-infinity: from its beginning); the earliest id that is of interest to a '
  'period (NULL: all time) and stored; and the ids between which the period lies.';

create or replace function signalops.reconcile_acceptance(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, event uuid, ways bigint)
language sql stable as $$
  with span as materialized (
    select * from signalops.reconcilable_range(of_tenant, of_period)
  ), counted as (
    select n.tenant_id, i.event, count(*) as times
    from span s
    join signalops.usage_entries n on n.tenant_id = s.tenant_id and n.meter = 'events' and n.id >= s.earliest
    cross join unnest(n.event_ids) as i (event)
    group by n.tenant_id, i.event
  )
  select e.tenant_id, signalops.period_of(signalops.uuid7_time(e.batch), s.time_zone), e.id,
    coalesce(c.times, 0) + (i.event_id is not null)::int + (d.id is not null)::int
  from span s
  join signalops.events e on e.tenant_id = s.tenant_id and e.causation_depth = 0
    and e.batch >= s.lower and e.batch < s.upper and e.id >= s.earliest
  left join counted c on c.tenant_id = e.tenant_id and c.event = e.id
  left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id and i.replay_id is null
  left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id and d.kind = 'event'
    and d.resolution is distinct from 'retried'
$$;
comment on function signalops.reconcile_acceptance is
  'The stored events of tenants by the month of acceptance, and how many times each was counted, waits or is dead: once, if all is well.';

create or replace function signalops.reconcile_accepted(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable as $$
  with known as materialized (
    select * from signalops.reconcile_acceptance(of_tenant, of_period)
  ), stored as (
    select k.tenant_id, k.period, count(*) filter (where k.ways > 0) as events from known k group by k.tenant_id, k.period
  ), accepted as (
    select q.tenant_id, q.period, q.accepted from signalops.accepted_counters q
    where q.meter = 'events' and (of_tenant is null or q.tenant_id = of_tenant) and (of_period is null or q.period = of_period)
  )
  select k.tenant_id, k.period, 'event', k.event::text, 'counted, waiting or dead',
    case k.ways when 0 then 'nothing of it' else format('%s of it at once', k.ways) end
  from known k where k.ways <> 1
  union all
  select s.tenant_id, period, 'accepted', 'events', coalesce(a.accepted, 0)::text,
    format('%s processed, waiting or dead', coalesce(e.events, 0))
  from stored e full join accepted a using (tenant_id, period)
  join signalops.reconcilable_range(of_tenant, of_period) s using (tenant_id)
  where coalesce(a.accepted, 0) <> coalesce(e.events, 0) and signalops.period_start(period, s.time_zone) >= s.since
$$;
comment on function signalops.reconcile_accepted is
  'Checks accepted (what a month accepted = what was processed, waits or is dead) and event (each is exactly one of that).';

create or replace function signalops.reconcile_batches(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable as $$
  with span as materialized (
    select * from signalops.reconcilable_range(of_tenant, of_period)
  ), billed as (
    select b.tenant_id, b.counted_in as batch, sum(b.billed) as billed from span s
    join signalops.batch_results b on b.tenant_id = s.tenant_id and b.batch >= greatest(s.lower, s.earliest) and b.batch < s.upper
    where b.billed > 0
    group by b.tenant_id, b.counted_in
  ), counted as (
    select n.tenant_id, n.batch, sum(n.events) as events from span s
    join signalops.usage_entries n on n.tenant_id = s.tenant_id and n.meter = 'events'
      and n.batch >= greatest(s.lower, s.earliest) and n.batch < s.upper
    group by n.tenant_id, n.batch
  )
  select s.tenant_id, signalops.period_of(signalops.uuid7_time(batch), s.time_zone), 'batch', batch::text,
    format('%s billed', coalesce(b.billed, 0)), format('%s counted', coalesce(c.events, 0))
  from billed b full join counted c using (tenant_id, batch)
  join span s using (tenant_id)
  where b.billed is distinct from c.events
$$;
comment on function signalops.reconcile_batches is 'Check batch: what a batch billed = what the entries of it count.';

create or replace function signalops.reconcile_counters(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable as $$
  with span as materialized (
    select * from signalops.reconcilable_range(of_tenant, of_period)
  ), ledger as (
    select n.tenant_id, n.meter, n.hour, n.group_key, n.period, bool_or(n.is_late) as is_late, sum(n.events) as events,
      sum(n.value) as total, max(n.value) as most, min(n.value) as least,
      (array_agg(n.value order by n.latest_at desc, n.latest_event desc) filter (where n.latest_event is not null))[1] as latest
    from span s
    -- No entry is older than its hour: those of an hour since which all is stored are all there.
    join signalops.usage_entries n on n.tenant_id = s.tenant_id and (of_period is null or n.period = of_period) and n.hour >= s.since
    group by n.tenant_id, n.meter, n.hour, n.group_key, n.period
  ), counters as (
    select c.* from span s
    join signalops.usage_counters c on c.tenant_id = s.tenant_id and (of_period is null or c.period = of_period) and c.hour >= s.since
  ), stored_rows as (
    select tenant_id, period, format('%s %s %s', meter, hour, group_key) as subject, l.events as expected_events, c.events as found_events,
      case c.aggregation when 'max' then l.most when 'min' then l.least when 'latest' then l.latest else l.total end as expected_value,
      c.value as found_value, coalesce(l.is_late = c.is_late, true) as is_placed
    from ledger l full join counters c using (tenant_id, meter, hour, group_key, period)
  )
  select h.tenant_id, h.period, 'counter', h.subject,
    case when h.expected_events is null then 'no entry'
      else format('%s events, %s', h.expected_events, coalesce(trim_scale(h.expected_value)::text, 'no value')) end,
    case when h.found_events is null then 'no counter'
      else format('%s events, %s', h.found_events, coalesce(trim_scale(h.found_value)::text, 'no value')) end
  from stored_rows h
  where (h.expected_events, h.expected_value) is distinct from (h.found_events, h.found_value) or not h.is_placed
$$;
comment on function signalops.reconcile_counters is
  'Check counter: each is the aggregation of its entries. Counters older than the stored entries are checked by the hash chain.';

create or replace function signalops.reconcile_entries(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable as $$
  with span as materialized (
    select * from signalops.reconcilable_range(of_tenant, of_period)
  ), entries as (
    select s.time_zone, s.since, n.* from span s
    join signalops.usage_entries n on n.tenant_id = s.tenant_id and (of_period is null or n.period = of_period)
  ), members as (
    select n.tenant_id, n.period, n.meter, n.id, n.hour, i.event, e.id as stored, e.causation_depth,
      date_trunc('hour', least(e.occurred_at, signalops.uuid7_time(e.id)), n.time_zone) as happened
    from entries n
    cross join unnest(n.event_ids) as i (event)
    left join signalops.events e on e.tenant_id = n.tenant_id and e.id = i.event
    where signalops.uuid7_time(i.event) >= n.since
  )
  select m.tenant_id, m.period, 'entry', format('%s %s', m.meter, m.id), 'events of its hour',
    format('%s of others, such as %s', count(*), min(m.event::text))
  from members m where m.stored is null or m.causation_depth > 0 or m.happened <> m.hour
  group by m.tenant_id, m.period, m.meter, m.id
  union all
  select n.tenant_id, n.period, 'entry', format('%s %s', n.meter, n.id),
    format('%s events, of %s', cardinality(n.event_ids), signalops.period_of(n.hour, n.time_zone)),
    format('%s events, %s, %s %s', n.events, trim_scale(n.value), case when n.is_late then 'late in' else 'in' end, n.period)
  from entries n
  where n.events <> cardinality(n.event_ids) or n.meter = 'events' and n.value is distinct from n.events or case when n.is_late then n.period <= signalops.period_of(n.hour, n.time_zone)
    else n.period <> signalops.period_of(n.hour, n.time_zone) end
  union all
  select n.tenant_id, min(n.period), 'twice', format('%s %s', n.meter, i.event), 'once', format('%s times', count(*))
  from entries n cross join unnest(n.event_ids) as i (event)
  group by n.tenant_id, n.meter, i.event having count(*) > 1
$$;
comment on function signalops.reconcile_entries is
  'Checks entry (its events are stored, and of its hour and period) and twice (no meter counts an event twice).';
