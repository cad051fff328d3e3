-- Deliveries that a batch starts, and their jobs.

create or replace function signalops.enqueue_new_deliveries(decided jsonb, place text) returns void
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  waiting jsonb;
  jobs jsonb;
begin
  with turns as materialized (
    select * from signalops.assign_slots(decided)
  )
  select
    jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery, 'channel', m.channel, 'due', m.due)) filter (where m.due is not null),
    jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery, 'priority', m.priority)) filter (where m.due is null)
  into waiting, jobs
  from (
    select d.tenant, signalops.repositioned_id(place, d.delivery) as delivery, d.channel, t.priority, coalesce(d.not_before, case when t.granted < row_number() over (
      partition by d.channel, d.not_before is null order by d.delivery) then clock_timestamp() end) as due
    from jsonb_to_recordset(decided) as d (tenant uuid, delivery text, channel uuid, outcome text, not_before timestamptz)
    left join turns t on t.channel = d.channel
    where coalesce(d.outcome, 'notified') = 'notified'
  ) m;
  if jobs is not null then
    perform signalops.enqueue_deliveries(jobs);
  end if;
  if waiting is null then
    return;
  end if;
  update signalops.deliveries d set next_attempt_at = w.due
  from jsonb_to_recordset(waiting) as w (tenant uuid, delivery uuid, due timestamptz)
  where d.tenant_id = w.tenant and d.id = w.delivery and d.next_attempt_at is null;
  perform signalops.schedule_channel(w.tenant, w.channel, w.due)
  from (
    select w.tenant, w.channel, min(w.due) as due from jsonb_to_recordset(waiting) as w (tenant uuid, channel uuid, due timestamptz)
    group by w.tenant, w.channel order by w.tenant, w.channel
  ) w;
end
$$;
comment on function signalops.enqueue_new_deliveries is
  'Gives the new deliveries of a batch their jobs, as far as their channels have a turn; the others wait. Locks the channels until the commit.';

create or replace function signalops.enqueue_deliveries(requested jsonb) returns bigint
language plpgsql volatile security definer set search_path = procrastinate, pg_temp as $$
begin
  perform procrastinate_defer_jobs_v1((
    select array_agg(row('deliveries', 'send_delivery', j.priority, null, null,
      case when jsonb_array_length(j.args) = 1 then j.args -> 0
        else (j.args -> 0) || jsonb_build_object('more', j.args - 0) end, null)::procrastinate_job_to_defer_v1 order by j.priority desc, j.part)
    from (
      select p.priority, p.part, jsonb_agg(p.job - 'priority' order by p.place) as args
      from (
        select w.job, w.place, r.priority, (row_number() over (partition by r.priority order by w.place) - 1) / signalops.deliveries_per_job() as part
        from jsonb_array_elements(requested) with ordinality as w (job, place),
          lateral (select coalesce((w.job ->> 'priority')::integer, signalops.priority_delivery())) as r (priority)
      ) p
      group by p.priority, p.part
    ) j));
  return jsonb_array_length(requested);
end
$$;
comment on function signalops.enqueue_deliveries is
  'Enqueues one attempt each: [{tenant, delivery, priority}], not empty; returns how many. Several share a job: fetching and finishing one costs a '
  'worker more than sending.';

create or replace function signalops.enqueue_lost_deliveries(older_than interval, at_most integer) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  with old as (
    select tenant_id, id, channel_id from signalops.deliveries
    where status in ('pending', 'sending') and updated_at < now() - older_than and next_attempt_at is null
    order by updated_at limit at_most for update skip locked
  ), waiting as materialized (
    select j.args ->> 'delivery' as delivery from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'send_delivery' and exists (select from old)
      and (j.scheduled_at is null or j.scheduled_at < now() + interval '2 minutes')
    union all
    select m ->> 'delivery' from procrastinate.procrastinate_jobs j, jsonb_array_elements(j.args -> 'more') m
    where j.status = 'todo' and j.task_name = 'send_delivery' and exists (select from old)
      and (j.scheduled_at is null or j.scheduled_at < now() + interval '2 minutes')
    union all
    -- Begun a moment ago, or its worker is dead and the rescue gives it back: after all workers were down, both find it at once.
    select m ->> 'delivery' from ops.running_jobs j, jsonb_array_elements(j.about || coalesce(j.about -> 'more', '[]')) m
    where j.task = 'send_delivery' and (not j.is_worker_alive or j.started_at > now() - older_than) and exists (select from old)
  ), lost as (
    update signalops.deliveries d set updated_at = now()
    from old where d.tenant_id = old.tenant_id and d.id = old.id
      and not exists (select from waiting w where w.delivery = old.id::text)
    returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id) as job
  )
  select coalesce((select signalops.enqueue_deliveries(jobs) from (select jsonb_agg(job) as jobs from lost) l where jobs is not null), 0)
$$;
comment on function signalops.enqueue_lost_deliveries is
  'Gives a new job to deliveries in hand whose job is gone (deleted, aborted, stuck); returns how many.';
