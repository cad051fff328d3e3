-- Processing: what a worker's job does in one transaction; and the sweeps that find what has no job.

-- As accepting does, processing handles the events of many tenants in one statement each: while it reads and while it records,
-- the rows of exactly the batch's tenants are visible. One statement per tenant cost 102 microseconds an event of PostgreSQL's time.
call signalops.admit_group('signalops.events', 'signalops_worker');
call signalops.admit_group('signalops.rulesets', 'signalops_worker');
call signalops.admit_group('signalops.matches', 'signalops_worker');
call signalops.admit_group('signalops.deliveries', 'signalops_worker');
call signalops.admit_group('signalops.dead_letters', 'signalops_worker');
call signalops.admit_group('signalops.batches', 'signalops_worker');
call signalops.admit_group('signalops.usage_counters', 'signalops_worker');

create function signalops.take_batch(wanted uuid) returns table (tenant_id uuid, event_id uuid)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query delete from signalops.inbox i where i.batch = wanted returning i.tenant_id, i.event_id;
end
$$;
comment on function signalops.take_batch(uuid) is
  'Takes a batch out of the inbox. A second worker with the same batch waits for the first one''s commit and then finds nothing: '
  'that is what makes processing exactly-once.';
revoke all on function signalops.take_batch(uuid) from public;
grant execute on function signalops.take_batch(uuid) to signalops_worker;

create function signalops.read_batch(wanted uuid) returns table (tenant uuid, ruleset bigint, events text)
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set timezone = 'UTC'
as $$
declare
  tenants uuid[];
  ids uuid[];
begin
  -- A worker that freezes, or whose machine is gone, must not keep the batch from others: its session ends, and all is undone.
  perform set_config('idle_in_transaction_session_timeout', '10s', true);
  select array_agg(t.tenant_id), array_agg(t.event_id) into tenants, ids from signalops.take_batch(wanted) t;
  perform signalops.act_for(tenants);
  return query
    select t.tenant_id, coalesce((select r.version from signalops.rulesets r where r.tenant_id = t.tenant_id), 0),
      -- One text per tenant: parsing it costs a third of loading as many rows.
      json_agg(json_build_object('id', e.id, 'depth', e.depth, 'attributes', e.attributes,
        'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload) order by e.id)::text
    from unnest(tenants, ids) as t (tenant_id, event_id)
    -- The limit keeps the planner from joining: a join planned while the partition was empty reads all of it for each batch.
    cross join lateral (
      select * from signalops.events e where e.tenant_id = t.tenant_id and e.id = t.event_id limit 1
    ) e
    group by t.tenant_id;
  perform signalops.act_for(null);
end
$$;
comment on function signalops.read_batch(uuid) is
  'Takes a batch and returns its events by tenant, with the version of the rules to use: '
  '[{id, depth, type, source, occurredAt, payload, attributes}].';

create function signalops.enqueue_deliveries(wanted jsonb) returns bigint
language plpgsql volatile security definer set search_path = procrastinate, pg_temp
as $$
begin
  return cardinality(procrastinate_defer_jobs_v1((
    select array_agg(row('deliveries', 'send_delivery', 0, null, null, job, null)::procrastinate_job_to_defer_v1)
    from jsonb_array_elements(wanted) as jobs (job))));
end
$$;
comment on function signalops.enqueue_deliveries(jsonb) is 'Enqueues one attempt each: [{tenant, delivery}], not empty.';
revoke all on function signalops.enqueue_deliveries(jsonb) from public;
grant execute on function signalops.enqueue_deliveries(jsonb) to signalops_worker;

create function signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) returns void
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  perform signalops.act_for((select array_agg(p.tenant) from jsonb_to_recordset(results -> 'parts') as p (tenant uuid)));

  if results -> 'matches' <> '[]' then
    with matched as materialized (
      select * from jsonb_to_recordset(results -> 'matches')
        as m (tenant uuid, event uuid, rule uuid, version integer, channel uuid, delivery uuid)
    ), noted as (
      insert into signalops.matches (tenant_id, event_id, rule_id, rule_version) select tenant, event, rule, version from matched
    )
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id)
    select tenant, delivery, event, rule, version, channel from matched;

    perform signalops.enqueue_deliveries((
      select jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery))
      from jsonb_to_recordset(results -> 'matches') as m (tenant uuid, delivery uuid)));
  end if;
  if results -> 'dead' <> '[]' then
    insert into signalops.dead_letters (tenant_id, id, kind, event_id, error)
    select d.tenant, d.event, 'event', d.event, left(d.error, 500)
    from jsonb_to_recordset(results -> 'dead') as d (tenant uuid, event uuid, error text);
  end if;

  -- A batch that was bisected around a poisonous event is recorded in several parts.
  insert into signalops.batches as b (tenant_id, batch, job_id, worker, ruleset, rules, events, dead)
  select p.tenant, in_batch, job, worker, p.ruleset, p.rules, p.events, p.dead
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, ruleset bigint, rules integer, events integer, dead integer)
  on conflict (tenant_id, batch) do update
    set events = b.events + excluded.events, dead = b.dead + excluded.dead, processed_at = clock_timestamp();

  -- Last, since the counters stay locked until the commit; and in one order, so that two workers can't lock each other out.
  insert into signalops.usage_counters as u (tenant_id, meter, day, quantity)
  select p.tenant, 'events', (signalops.time_of(in_batch) at time zone 'UTC')::date, p.billed
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, billed bigint) where p.billed > 0 order by p.tenant
  on conflict (tenant_id, meter, day) do update set quantity = u.quantity + excluded.quantity;

  perform signalops.act_for(null);
end
$$;
comment on function signalops.record_batch(uuid, bigint, text, jsonb) is
  'Records what was decided about a batch: matches, deliveries with their jobs, dead events, usage. {parts: [{tenant, ruleset, '
  'rules, events, billed, dead}], matches: [{tenant, event, rule, version, channel, delivery}], dead: [{tenant, event, error}]}.';

create function signalops.enqueue_due_deliveries(at_most integer) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  with due as (
    select tenant_id, id from signalops.deliveries
    where status = 'retrying' and next_attempt_at <= now()
    order by next_attempt_at limit at_most for update skip locked
  ), woken as (
    update signalops.deliveries d set status = 'pending', next_attempt_at = null, updated_at = now()
    from due where d.tenant_id = due.tenant_id and d.id = due.id
    returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id) as job
  )
  select coalesce((select signalops.enqueue_deliveries(jobs) from (select jsonb_agg(job) as jobs from woken) w where jobs is not null), 0)
$$;
comment on function signalops.enqueue_due_deliveries(integer) is
  'Gives a job to the deliveries whose time to be tried again has come; returns how many.';
revoke all on function signalops.enqueue_due_deliveries(integer) from public;
grant execute on function signalops.enqueue_due_deliveries(integer) to signalops_worker;

create function signalops.enqueue_lost_deliveries(older_than interval, at_most integer) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  with old as (
    select tenant_id, id from signalops.deliveries
    where status in ('pending', 'sending') and updated_at < now() - older_than
    order by updated_at limit at_most for update skip locked
  ), lost as (
    update signalops.deliveries d set updated_at = now()
    from old where d.tenant_id = old.tenant_id and d.id = old.id and not exists (
      select from procrastinate.procrastinate_jobs j
      where j.status = 'todo' and j.task_name = 'send_delivery' and j.args ->> 'delivery' = old.id::text)
    returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id) as job
  )
  select coalesce((select signalops.enqueue_deliveries(jobs) from (select jsonb_agg(job) as jobs from lost) l where jobs is not null), 0)
$$;
comment on function signalops.enqueue_lost_deliveries(interval, integer) is
  'Gives a new job to deliveries in hand whose job is gone (deleted, aborted, stuck); returns how many.';
revoke all on function signalops.enqueue_lost_deliveries(interval, integer) from public;
grant execute on function signalops.enqueue_lost_deliveries(interval, integer) to signalops_worker;

create function signalops.enqueue_lost_batches(older_than interval, at_most integer) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  with recursive waiting as (
    -- Hops from batch to batch along the index: a select distinct would read the whole backlog.
    (select batch from signalops.inbox order by batch limit 1)
    union all
    select (select i.batch from signalops.inbox i where i.batch > w.batch order by i.batch limit 1)
    from waiting w where w.batch < signalops.id_at(now() - older_than)
  ), old as (
    select batch from waiting where batch < signalops.id_at(now() - older_than) limit at_most
  )
  select count(signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', batch)))
  from old,
    -- Whoever processes a batch holds its rows. That a job is `doing` says less: procrastinate leaves it so, under a worker that
    -- lives on, when it could not write down how the job ended.
    lateral (select from signalops.inbox i where i.batch = old.batch limit 1 for update skip locked) as idle
  where not exists (
    select from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'process_batch' and j.args ->> 'batch' = old.batch::text)
$$;
comment on function signalops.enqueue_lost_batches(interval, integer) is
  'Gives a new job to batches that wait in the inbox without one (deleted, aborted, stuck): accepted means processed, whatever becomes '
  'of a job. Returns how many.';
revoke all on function signalops.enqueue_lost_batches(interval, integer) from public;
grant execute on function signalops.enqueue_lost_batches(interval, integer) to signalops_worker;

create view signalops.event_status with (security_invoker = true) as
select e.tenant_id, e.id, e.batch, e.type, e.source, e.occurred_at, e.received_at, e.payload, e.attributes, e.depth,
  case when i.event_id is not null then 'pending' when d.id is not null then 'dead' else 'processed' end as status
from signalops.events e
left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id
left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id;
comment on view signalops.event_status is
  'Events with what became of them: pending (in the inbox), processed, or dead (a dead letter).';
comment on column signalops.event_status.status is 'pending, processed or dead.';
grant select on signalops.event_status to signalops_api, signalops_worker;
