-- Processing a batch: it is taken, read, recorded, or put back.

create or replace function signalops.take_batch(wanted uuid) returns table (tenant_id uuid, event_id uuid, replay_id uuid)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off as $$
declare
  held uuid[];
begin
  -- Usually no tenant is suspended: then this reads an empty index.
  if exists (select from signalops.tenants t where t.status in ('suspended', 'deleting')) then
    held := signalops.lock_suspended_tenants(array(
      select distinct i.tenant_id from signalops.inbox i where i.batch = wanted and not i.is_parked));
    update signalops.inbox i set is_parked = true where i.batch = wanted and not i.is_parked and i.tenant_id = any (held);
  end if;
  return query
    delete from signalops.inbox i where i.batch = wanted and not i.is_parked returning i.tenant_id, i.event_id, i.replay_id;
end
$$;
comment on function signalops.take_batch is
  'Takes a batch out of the inbox, except for events of suspended tenants: these are parked. A second worker with the same batch '
  'waits for the first one''s commit and then finds nothing: that is what makes processing exactly-once.';

create or replace function signalops.read_batch(wanted uuid)
returns table (tenant uuid, ruleset_version bigint, meters_version bigint, time_zone text, closed_until timestamptz, events text)
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off set timezone = 'UTC' as $$
declare
  tenants uuid[];
  ids uuid[];
  replays uuid[];
begin
  -- A worker that freezes, or whose machine is gone, must not keep the batch from others: its session ends, and all is undone.
  perform set_config('idle_in_transaction_session_timeout', '10s', true);
  select array_agg(t.tenant_id), array_agg(t.event_id), array_agg(t.replay_id) into tenants, ids, replays
  from signalops.take_batch(wanted) t;
  perform signalops.set_tenant_group(tenants);
  -- From here on, not while another worker has the same batch: counters that somebody has locked must not keep other tenants.
  perform set_config('lock_timeout', '500ms', true);
  -- Closing a period waits for every transaction that may have read an older closed_until. Taking the batch gave this one its
  -- number, by which it is waited for; so closed_until is read after that, in a statement of its own.
  return query
    select t.tenant_id, coalesce((select r.version from signalops.ruleset_versions r where r.tenant_id = t.tenant_id), 0),
      n.meters_version, n.time_zone, n.closed_until,
      -- One text per tenant: parsing it costs a third of loading as many rows.
      json_agg(json_build_object('id', e.id, 'causation_depth', e.causation_depth, 'attributes', e.attributes,
        'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload, 'correlation', e.correlation,
        'replay', t.replay_id, 'replay_rules', p.rules) order by e.id)::text
    from unnest(tenants, ids, replays) as t (tenant_id, event_id, replay_id)
    -- The limit keeps the planner from joining: a join planned while the partition was empty reads all of it for each batch.
    cross join lateral (
      select * from signalops.events e where e.tenant_id = t.tenant_id and e.id = t.event_id limit 1
    ) e
    left join lateral (
      select r.rules from signalops.replays r where r.tenant_id = t.tenant_id and r.id = t.replay_id limit 1
    ) p on true
    cross join lateral (
      select s.meters_version, s.time_zone, s.closed_until from signalops.tenants s where s.id = t.tenant_id limit 1
    ) n
    group by t.tenant_id, n.meters_version, n.time_zone, n.closed_until;
  perform signalops.set_tenant_group(null);
end
$$;
comment on function signalops.read_batch is
  'Takes a batch and returns its events by tenant, with the versions of the rules and meters to use, the time zone, and until when the tenant''s '
  'billing periods are closed: [{id, causation_depth, type, source, occurredAt, payload, attributes, replay, replay_rules}].';

create or replace function signalops.requeue_events(in_batch uuid, tenant uuid, events jsonb, wait interval, priority integer) returns void
language plpgsql security definer set search_path = procrastinate, pg_temp as $$
begin
  perform signalops.require_tenant(tenant);
  insert into signalops.inbox (tenant_id, event_id, batch, replay_id)
  select tenant, e.id, in_batch, e.replay from jsonb_to_recordset(events) as e (id uuid, replay uuid);
  perform procrastinate_defer_jobs_v1(array[
    row('events', 'process_batch', priority, null, null, jsonb_build_object('batch', in_batch), now() + wait)::procrastinate_job_to_defer_v1]);
end
$$;
comment on function signalops.requeue_events is
  'Leaves events [{id, replay}] of a batch in the inbox that the same transaction took out of it, for a job of their own after a while. For a '
  'tenant whose counters somebody has locked.';

create or replace function signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) returns void
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  decided jsonb := results -> 'matches';
  recorded bigint;
  place text := left(signalops.uuid7_floor(signalops.position_time())::text, 13);
begin
  perform signalops.set_tenant_group((select array_agg(p.tenant) from jsonb_to_recordset(results -> 'parts') as p (tenant uuid)));

  if coalesce(results -> 'groups', '[]') <> '[]' then
    decided := decided || signalops.evaluate_stateful_rules(results -> 'groups');
  end if;
  if decided <> '[]' then
    with matched as materialized (
      select m.*, coalesce(m.outcome, 'notified') as result from jsonb_to_recordset(decided) as m (tenant uuid, event uuid, rule uuid,
        version integer, channel uuid, delivery text, outcome text, not_before timestamptz, window_context jsonb, replay uuid)
    ), noted as (
      insert into signalops.matches (tenant_id, event_id, rule_id, rule_version, outcome)
      select tenant, event, rule, version, result from matched
      -- Only a replay repeats a match; the first decision stays on record.
      on conflict do nothing
    )
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id, next_attempt_at, window_context, replay_id)
    select tenant, signalops.repositioned_id(place, delivery), event, rule, version, channel, not_before, window_context, replay from matched where result = 'notified';
  end if;
  if results -> 'dead' <> '[]' then
    insert into signalops.dead_letters (tenant_id, id, kind, event_id, error)
    select d.tenant, d.event, 'event', d.event, left(d.error, 500)
    from jsonb_to_recordset(results -> 'dead') as d (tenant uuid, event uuid, error text)
    -- Somebody had it retried, and it died again.
    on conflict (tenant_id, id) do update
      set error = excluded.error, died_at = signalops.position_time(), resolved_at = null, resolution = null, reason = null;
  end if;

  -- A batch that was bisected around a poisonous event is recorded in several parts.
  insert into signalops.batch_results as b (tenant_id, batch, job_id, worker, ruleset_version, rules, meters_version, events, billed, dead)
  select p.tenant, in_batch, job, worker, p.ruleset_version, p.rules, p.meters_version, p.events, p.billed, p.dead
  from jsonb_to_recordset(results -> 'parts')
    as p (tenant uuid, ruleset_version bigint, rules integer, meters_version bigint, events integer, billed integer, dead integer)
  on conflict (tenant_id, batch) do update set events = b.events + excluded.events, billed = b.billed + excluded.billed,
    dead = b.dead + excluded.dead, processed_at = clock_timestamp()
  where b.meters_version = excluded.meters_version;
  get diagnostics recorded = row_count;
  if recorded < jsonb_array_length(results -> 'parts') then
    raise 'the meters have changed since a part of this batch was counted' using errcode = 'serialization_failure';
  end if;

  -- Lock order: rule_states, digests, dead_letters, batches, channel_schedules, usage; the last two stay locked until the commit.
  if decided <> '[]' then
    perform signalops.enqueue_new_deliveries(decided, place);
  end if;
  if results -> 'metered' <> '[]' then
    perform signalops.count_usage(in_batch, results -> 'metered');
  end if;

  perform signalops.set_tenant_group(null);
end
$$;
comment on function signalops.record_batch is
  'Records what was decided about a batch: matches, deliveries with their jobs, dead events, usage. {parts: [{tenant, ruleset_version, rules, meters_version, '
  'events, billed, dead}], matches: [{tenant, event, rule, version, channel, delivery, outcome, not_before, window_context, replay}], groups: what '
  'signalops.evaluate_stateful_rules takes, dead: [{tenant, event, error}], metered: what count_usage takes}.';

create or replace function signalops.enqueue_lost_batches(older_than interval, at_most integer) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  with recursive waiting as (
    -- Hops from batch to batch along the index: a select distinct would read the whole backlog.
    (select batch from signalops.inbox where not is_parked order by batch limit 1)
    union all
    select (select i.batch from signalops.inbox i where not i.is_parked and i.batch > w.batch order by i.batch limit 1)
    from waiting w where w.batch < signalops.uuid7_floor(now() - older_than)
  ), old as (
    select batch from waiting where batch < signalops.uuid7_floor(now() - older_than) limit at_most
  )
  select count(signalops.enqueue('events', 'process_batch', signalops.priority_event(), jsonb_build_object('batch', batch)))
  from old,
    -- A worker that processes a batch has its rows locked. That a job is `doing` proves less: procrastinate leaves it so, under a worker that
    -- lives on, when it could not write down how the job ended.
    lateral (select from signalops.inbox i where i.batch = old.batch and not i.is_parked limit 1 for update skip locked) as idle
  where not exists (
    select from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'process_batch' and j.args ->> 'batch' = old.batch::text
      -- The longest pause of a retry is a minute.
      and (j.scheduled_at is null or j.scheduled_at < now() + interval '2 minutes'))
$$;
comment on function signalops.enqueue_lost_batches is
  'Enqueues a new job for batches in the inbox without one (deleted, aborted, stuck): an accepted event is processed, whatever happens to a job. '
  'Returns how many.';
