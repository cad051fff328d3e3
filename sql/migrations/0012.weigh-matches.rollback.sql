-- Takes back windows, absences, cooldowns and digests: what they have collected is lost, what waits for active hours is sent at once.

drop trigger arm_absence on signalops.rules;
drop function signalops.arm_absence();
drop function signalops.forget_groups(integer);
drop function signalops.tell_absences(integer);
drop function signalops.tell_digests(integer);

create or replace function signalops.enqueue_lost_deliveries(older_than interval, at_most integer) returns bigint
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

create or replace function signalops.enqueue_due_deliveries(at_most integer) returns bigint
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

create or replace function signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) returns void
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

drop function signalops.weigh(jsonb);
drop function signalops.cross_window(uuid, uuid, integer, text, text, numeric, interval, interval, jsonb, tstzmultirange);

drop policy owner_acts on signalops.matches;
drop policy owner_acts on signalops.rule_versions;
drop policy owner_acts on signalops.rules;
drop table signalops.digests;
drop table signalops.window_events;
drop table signalops.rule_groups;

drop index signalops.deliveries_in_hand;
-- Serves enqueue_lost_deliveries.
create index deliveries_in_hand on signalops.deliveries (updated_at) where status in ('pending', 'sending');
drop index signalops.deliveries_by_due;
-- Serves enqueue_due_deliveries: what waits is found by when it is due, however much waits.
create index deliveries_by_due on signalops.deliveries (next_attempt_at) where status = 'retrying';

update signalops.deliveries set next_attempt_at = null where status = 'pending' and next_attempt_at is not null;
alter table signalops.deliveries
  drop constraint waits_or_is_in_hand,
  add constraint deliveries_check check ((next_attempt_at is not null) = (status = 'retrying')),
  drop column replay_id,
  drop column context;
comment on column signalops.deliveries.status is
  'pending (has a job) -> sending -> sent; or -> retrying (waits, has no job) -> pending; or -> dead (has a dead letter).';
comment on column signalops.deliveries.next_attempt_at is 'When the sweep enqueues it again; only while retrying.';

alter table signalops.matches drop column outcome;
