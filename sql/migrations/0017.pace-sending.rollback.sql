-- Takes back breakers, rate limits and turns: whatever waits is swept by its time alone, as before.

drop function signalops.mend_queues();
create or replace function signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) returns void
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  decided jsonb := results -> 'matches';
  jobs jsonb;
begin
  perform signalops.act_for((select array_agg(p.tenant) from jsonb_to_recordset(results -> 'parts') as p (tenant uuid)));

  if coalesce(results -> 'groups', '[]') <> '[]' then
    decided := decided || signalops.weigh(results -> 'groups');
  end if;
  if decided <> '[]' then
    with matched as materialized (
      select m.*, coalesce(m.outcome, 'notified') as result from jsonb_to_recordset(decided) as m (tenant uuid, event uuid, rule uuid,
        version integer, channel uuid, delivery uuid, outcome text, not_before timestamptz, context jsonb, replay uuid)
    ), noted as (
      insert into signalops.matches (tenant_id, event_id, rule_id, rule_version, outcome)
      select tenant, event, rule, version, result from matched
      -- Only a replay repeats a match; the first decision stays on record.
      on conflict do nothing
    )
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id, next_attempt_at, context, replay_id)
    select tenant, delivery, event, rule, version, channel, not_before, context, replay from matched where result = 'notified';

    select jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery)) into jobs
    from jsonb_to_recordset(decided) as m (tenant uuid, delivery uuid, outcome text, not_before timestamptz)
    where coalesce(m.outcome, 'notified') = 'notified' and m.not_before is null;
    if jobs is not null then
      perform signalops.enqueue_deliveries(jobs);
    end if;
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

create or replace function signalops.enqueue_lost_deliveries(older_than interval, at_most integer) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  with old as (
    select tenant_id, id from signalops.deliveries
    where status in ('pending', 'sending') and next_attempt_at is null and updated_at < now() - older_than
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

drop function signalops.enqueue_due_deliveries(integer);
create or replace function signalops.enqueue_due_deliveries(at_most integer) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
-- Whatever the statistics say of what is due, it is little of the table.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
  with due as (
    select tenant_id, id from signalops.deliveries
    where next_attempt_at <= now()
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

drop trigger forget_failures on signalops.channels;
drop function signalops.forget_failures();
drop function signalops.settle_deliveries(jsonb);
drop function signalops.claim_deliveries(jsonb, uuid[]);
drop function signalops.settle_delivery(uuid, uuid, smallint, jsonb);
drop function signalops.claim_delivery(uuid, uuid, uuid[]);
create or replace function signalops.bury_delivery(tenant uuid, delivery uuid, because text) returns void
language plpgsql volatile
as $$
declare
  lost record;
begin
  select d.event_id, d.rule_id, d.channel_id, d.attempts, coalesce(e.depth, 0) as depth into lost
  from signalops.deliveries d left join signalops.events e on e.tenant_id = d.tenant_id and e.id = d.event_id
  where d.tenant_id = tenant and d.id = delivery;
  insert into signalops.dead_letters (tenant_id, id, kind, event_id, delivery_id, error)
  values (tenant, delivery, 'delivery', lost.event_id, delivery, left(because, 500))
  on conflict (tenant_id, id) do update
    set error = excluded.error, died_at = now(), ended_at = null, ending = null, reason = null;
  perform signalops.announce('signalops.delivery.dead', jsonb_build_object('delivery', delivery, 'event', lost.event_id,
    'rule', jsonb_build_object('id', lost.rule_id), 'channel', jsonb_build_object('id', lost.channel_id),
    'attempts', lost.attempts, 'error', left(because, 500)), (lost.depth + 1)::smallint);
end
$$;

drop function signalops.disable_channel(uuid, uuid, text);
drop function signalops.note_outcome(uuid, uuid, uuid, text, interval);
drop function signalops.take_turn(uuid, uuid, uuid, integer);
drop function signalops.tokens_at(timestamptz, double precision, timestamptz, integer);
drop function signalops.start_deliveries(jsonb);
drop function signalops.grant_turns(jsonb);
create or replace function signalops.enqueue_deliveries(wanted jsonb) returns bigint
language plpgsql volatile security definer set search_path = procrastinate, pg_temp
as $$
begin
  return cardinality(procrastinate_defer_jobs_v1((
    select array_agg(row('deliveries', 'send_delivery', 0, null, null, job, null)::procrastinate_job_to_defer_v1)
    from jsonb_array_elements(wanted) as jobs (job))));
end
$$;
comment on function signalops.enqueue_deliveries(jsonb) is 'Enqueues one attempt each: [{tenant, delivery}], not empty.';
-- The release before knows jobs of one delivery each.
select signalops.enqueue_deliveries(jobs) from (
  select jsonb_agg(m) as jobs from procrastinate.procrastinate_jobs j, jsonb_array_elements(j.args -> 'more') m
  where j.status = 'todo' and j.task_name = 'send_delivery'
) more where jobs is not null;
update procrastinate.procrastinate_jobs set args = args - 'more' where task_name = 'send_delivery' and args ? 'more' and status = 'todo';

drop function signalops.await_turn(uuid, uuid, timestamptz);
drop index signalops.deliveries_by_turn;
-- Serves enqueue_due_deliveries: what waits is found by when it is due, however much waits.
create index deliveries_by_due on signalops.deliveries (next_attempt_at) where next_attempt_at is not null;
drop table signalops.channel_queues;
drop table signalops.outlets;
alter table signalops.channels
  drop column most_per_minute,
  drop column outlet_id;
