-- Batches that get another job: requeued in part, or found without one.

create or replace function signalops.requeue_events(tenant uuid, events jsonb, wait interval, priority integer) returns void
language plpgsql security definer set search_path = procrastinate, pg_temp as $$
begin
  perform signalops.require_tenant(tenant);
  insert into signalops.inbox (tenant_id, event_id, batch, replay_id)
  select tenant, e.id, e.batch, e.replay from jsonb_to_recordset(events) as e (id uuid, batch uuid, replay uuid);
  perform procrastinate_defer_jobs_v1(array(
    select row('events', 'process_batch', priority, null, null, jsonb_build_object('batch', b.batch), now() + wait)::procrastinate_job_to_defer_v1
    from (select distinct e.batch from jsonb_to_recordset(events) as e (batch uuid)) b));
end
$$;
comment on function signalops.requeue_events is
  'Leaves events [{id, batch, replay}] in the inbox that the same transaction took out of it, for jobs of their own after a while. For a '
  'tenant whose counters somebody has locked.';

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
