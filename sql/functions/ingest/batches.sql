-- Processing a batch: it is taken, read and recorded.

create or replace function signalops.take_batch(first_batch uuid, job bigint, at_most integer)
returns table (tenant_id uuid, event_id uuid, batch uuid, replay_id uuid)
-- The triggers of procrastinate's tables name no schema.
language plpgsql volatile security definer set search_path = procrastinate, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off as $$
declare
  batches uuid[] := array[first_batch];
  jobs bigint[] := '{}';
  own procrastinate.procrastinate_jobs;
  other record;
  room integer;
  -- A quarter of an hour is of one billing period in every time zone: the usage of its batches may share entries.
  slot timestamptz := date_bin('15 minutes', signalops.uuid7_time(first_batch), '2000-01-01Z');
begin
  -- The job ends with this transaction: finishing it apart would be one more commit.
  delete from procrastinate.procrastinate_jobs j
  where j.id = job and j.task_name = 'process_batch' and j.args ->> 'batch' = first_batch::text returning j.* into own;
  -- What is scheduled was requeued: it may be the rest of a batch, whose first events are on record as counted without others.
  if own.status = 'doing' and own.scheduled_at is null and at_most > 0 then
    room := at_most - (select count(*) from signalops.inbox i where i.batch = first_batch and not i.is_parked);
    -- A loop locks a few rows more than it takes, where a set would lock all that it considers: those are other workers'.
    for other in
      select j.id, (j.args ->> 'batch')::uuid as batch
      from procrastinate.procrastinate_jobs j
      where j.status = 'todo' and j.priority = own.priority and j.queue_name = own.queue_name and j.task_name = own.task_name
        and j.scheduled_at is null and not exists (select from ops.paused_queues p where p.queue = own.queue_name)
      order by j.priority desc, j.id limit 50 for update of j skip locked
    loop
      room := room - (select count(*) from (
        select from signalops.inbox i where i.batch = other.batch and not i.is_parked limit at_most) e);
      exit when room < 0;
      if other.batch >= signalops.uuid7_floor(slot) and other.batch < signalops.uuid7_floor(slot + interval '15 minutes') then
        batches := batches || other.batch;
        jobs := jobs || other.id;
      end if;
    end loop;
    delete from procrastinate.procrastinate_jobs j where j.id = any (jobs);
  end if;
  -- Usually no tenant is suspended: then this reads an empty index.
  if exists (select from signalops.tenants t where t.status in ('suspended', 'deleting')) then
    update signalops.inbox i set is_parked = true where i.batch = any (batches) and not i.is_parked and i.tenant_id = any (
      signalops.lock_suspended_tenants(array(
        select distinct i.tenant_id from signalops.inbox i where i.batch = any (batches) and not i.is_parked)));
  end if;
  return query
    delete from signalops.inbox i where i.batch = any (batches) and not i.is_parked
    returning i.tenant_id, i.event_id, i.batch, i.replay_id;
end
$$;
comment on function signalops.take_batch is
  'Takes a batch out of the inbox, and with it others whose jobs wait, with up to at_most events together (0: no others); deletes their jobs. '
  'A worker that falls behind so works in larger batches. Events of suspended tenants are parked. A second worker with the same batch '
  'waits for the first one''s commit and then finds nothing: that is what makes processing exactly-once.';

create or replace function signalops.read_batch(first_batch uuid, job bigint, at_most integer)
returns table (tenant uuid, ruleset_version bigint, meters_version bigint, time_zone text, closed_until timestamptz, events text)
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off set timezone = 'UTC' as $$
declare
  tenants uuid[];
  ids uuid[];
  batches uuid[];
  replays uuid[];
begin
  -- A worker that freezes, or whose machine is gone, must not keep the batch from others: its session ends, and all is undone.
  perform set_config('idle_in_transaction_session_timeout', '10s', true);
  select array_agg(t.tenant_id), array_agg(t.event_id), array_agg(t.batch), array_agg(t.replay_id) into tenants, ids, batches, replays
  from signalops.take_batch(first_batch, job, at_most) t;
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
        'batch', t.batch, 'replay', t.replay_id, 'replay_rules', p.rules) order by t.batch, e.id)::text
    from unnest(tenants, ids, batches, replays) as t (tenant_id, event_id, batch, replay_id)
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
  'Takes a batch, as take_batch does, and returns the events by tenant, with the versions of the rules and meters to use, the time zone, and until when the tenant''s '
  'billing periods are closed: [{id, causation_depth, type, source, occurredAt, payload, attributes, batch, replay, replay_rules}].';

create or replace function signalops.record_batch(job bigint, worker text, results jsonb) returns void
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
  insert into signalops.batch_results as b
    (tenant_id, batch, counted_in, job_id, worker, ruleset_version, rules, meters_version, events, billed, dead)
  select p.tenant, p.batch, p.counted_in, job, worker, p.ruleset_version, p.rules, p.meters_version, p.events, p.billed, p.dead
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, batch uuid, counted_in uuid, ruleset_version bigint, rules integer,
    meters_version bigint, events integer, billed integer, dead integer)
  on conflict (tenant_id, batch) do update set events = b.events + excluded.events, billed = b.billed + excluded.billed,
    dead = b.dead + excluded.dead, processed_at = clock_timestamp()
  where b.meters_version = excluded.meters_version and b.counted_in = excluded.counted_in;
  get diagnostics recorded = row_count;
  if recorded < jsonb_array_length(results -> 'parts') then
    raise 'a part of this batch was counted by other meters, or in another batch' using errcode = 'serialization_failure';
  end if;

  -- Lock order: rule_states, digests, dead_letters, batches, channel_schedules, usage; the last two stay locked until the commit.
  if decided <> '[]' then
    perform signalops.enqueue_new_deliveries(decided, place);
  end if;
  if results -> 'metered' <> '[]' then
    perform signalops.count_usage(results -> 'metered');
  end if;

  perform signalops.set_tenant_group(null);
end
$$;
comment on function signalops.record_batch is
  'Records what was decided about a batch: matches, deliveries with their jobs, dead events, usage. {parts: [{tenant, batch, counted_in, ruleset_version, rules, meters_version, '
  'events, billed, dead}], matches: [{tenant, event, rule, version, channel, delivery, outcome, not_before, window_context, replay}], groups: what '
  'signalops.evaluate_stateful_rules takes, dead: [{tenant, event, error}], metered: what count_usage takes}.';
