-- A job that will be rescued is not replaced besides: its deliveries would be sent twice.
-- Stage: pre

create or replace function signalops.enqueue_lost_deliveries(older_than interval, at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
