-- What the database exports as metrics, in one call for each scrape.

create or replace function ops.measurements() returns table (name text, labels jsonb, value double precision)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set jit = off as $$
#variable_conflict use_column
declare
  -- Beyond it the server's estimate is good enough, and counting would be dear just when the installation is behind.
  exactly constant integer := 100000;
begin
  return query
  select m.name, m.labels || jsonb_build_object('queue', h.queue), m.value::double precision
  from ops.queue_health h
  cross join lateral (values
    ('signalops_jobs', '{"state": "ready"}'::jsonb, h.ready::numeric),
    ('signalops_jobs', '{"state": "scheduled"}', h.scheduled),
    ('signalops_jobs', '{"state": "doing"}', h.doing),
    ('signalops_jobs', '{"state": "failed"}', h.failed),
    ('signalops_oldest_job_seconds', '{}', coalesce(extract(epoch from h.oldest_ready), 0)),
    ('signalops_queue_paused', '{}', (h.paused_at is not null)::integer)
  ) as m (name, labels, value);

  return query
  select 'signalops_workers', jsonb_build_object('state', s.state), count(w.worker_id)::double precision
  from (values ('alive', true), ('silent', false)) as s (state, is_alive)
  left join ops.workers w on w.is_alive = s.is_alive group by s.state;

  return query
  select m.name, '{}'::jsonb, m.value::double precision
  from (
    select (select count(*) from (select from signalops.inbox limit exactly) i) as inbox,
      (select count(*) from (select from signalops.inbox where is_parked limit exactly) i) as parked,
      (select count(*) from (select from signalops.dead_letters where resolved_at is null limit exactly) l) as letters,
      pg_stat_get_live_tuples('signalops.inbox'::regclass) as inbox_estimate,
      -- Of the batch, whose id has the time of the insert; a replayed event is older.
      (select signalops.uuid7_time(i.batch) from signalops.inbox i where not i.is_parked order by i.batch limit 1) as oldest,
      (select max(s.transaction_age) from ops.sessions s where s.pid <> pg_backend_pid()) as transaction_age
  ) c
  cross join lateral (values
    ('signalops_inbox_events', case when c.inbox < exactly then c.inbox else greatest(c.inbox, c.inbox_estimate) end),
    ('signalops_inbox_parked_events', c.parked),
    ('signalops_inbox_oldest_seconds', greatest(extract(epoch from now() - c.oldest), 0)),
    ('signalops_dead_letters', c.letters),
    ('signalops_oldest_transaction_seconds', coalesce(extract(epoch from c.transaction_age), 0))
  ) as m (name, value);

  return query
  select 'signalops_deliveries', jsonb_build_object('kind', k.kind, 'state', u.status), sum(n.waiting)::double precision
  from (
    select distinct v.tenant_id, v.rule_id, v.channel_id, c.kind
    from signalops.rule_versions v join signalops.channels c on c.tenant_id = v.tenant_id and c.id = v.channel_id
  ) k
  cross join unnest(array['pending', 'sending', 'retrying']) as u (status)
  -- As in ops.delivery_health: reads of deliveries_by_rule what it counts, and nothing else.
  cross join lateral (
    select count(*) as waiting from signalops.deliveries d
    where d.tenant_id = k.tenant_id and d.rule_id = k.rule_id and d.channel_id = k.channel_id and d.status = u.status
  ) n
  group by k.kind, u.status;

  return query
  select m.name, m.labels || jsonb_build_object('kind', k.kind), m.value::double precision
  from (
    select c.kind, count(*) filter (where not c.enabled) as disabled, count(*) filter (where o.circuit_open_until is not null) as opened,
      count(*) filter (where o.circuit_open_until is null) as closed
    from signalops.channels c
    left join signalops.send_targets o on o.tenant_id = c.tenant_id and o.id = coalesce(c.send_target_id, c.id)
    where c.deleted_at is null group by c.kind
  ) k
  cross join lateral (values
    ('signalops_channels_disabled', '{}'::jsonb, k.disabled),
    ('signalops_circuit_breakers', '{"state": "open"}', k.opened),
    ('signalops_circuit_breakers', '{"state": "closed"}', k.closed)
  ) as m (name, labels, value);

  return query
  select 'signalops_limit_used_ratio', jsonb_build_object('tenant', t.slug, 'meter', q.meter),
    (q.accepted / coalesce(l.hard, l.soft))::double precision as used
  from signalops.tenants t
  cross join lateral (
    select signalops.period_of(now(), t.time_zone) as period, (now() at time zone t.time_zone)::date as today
  ) p
  join signalops.accepted_counters q on q.tenant_id = t.id and q.period = p.period
  cross join lateral (
    select n.soft, n.hard from signalops.limits n where n.tenant_id = t.id and n.meter = q.meter and n.starts_on <= p.today
    order by n.origin desc, n.starts_on desc limit 1
  ) l
  where coalesce(l.hard, l.soft) > 0 order by used desc limit 100;

  return query
  select m.name, jsonb_build_object('table', s.relation), m.value::double precision
  from (
    select coalesce(parent.relname, r."table")::text as relation, sum(r.bytes + r.index_bytes) as bytes, sum(r.live_rows) as live,
      sum(r.dead_rows) as dead
    from ops.tables r
    left join pg_inherits i on i.inhrelid = format('%I.%I', r.schema, r."table")::regclass
    left join pg_class parent on parent.oid = i.inhparent
    group by 1
  ) s
  cross join lateral (values
    ('signalops_table_bytes', s.bytes), ('signalops_table_live_rows', s.live), ('signalops_table_dead_rows', s.dead)
  ) as m (name, value);

  return query
  select 'signalops_partition_months_ahead', jsonb_build_object('table', p.parent), min(p.months_ahead)::double precision
  from ops.partitions p group by p.parent;

  return query
  select 'signalops_replication_lag_seconds', jsonb_build_object('replica', r.application_name),
    max(coalesce(extract(epoch from r.replay_lag), 0))::double precision
  from pg_stat_replication r group by r.application_name;

  return query
  select 'signalops_db_connections', jsonb_build_object('role', b.role), count(*)::double precision
  from (
    -- Whoever connects can call itself anything; what is not ours is one series.
    select coalesce(substring(s.application from '^signalops (api|worker|platform|owner)$'), 'other') as role
    from ops.sessions s where s.kind = 'client backend'
  ) b
  group by b.role;
end
$$;
comment on function ops.measurements is
  'The metrics of the database, each with its labels. Counts rows only where few are expected, and reads the rest from statistics '
  'and the catalogue. Names no tenant but in signalops_limit_used_ratio.';
