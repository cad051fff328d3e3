-- Station queue: a job that is due long after now is none: a worker whose clock was ahead had put it off.

create or replace function signalops.enqueue_lost_batches(older_than interval, at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with recursive waiting as (
    -- Hops from batch to batch along the index: a select distinct would read the whole backlog.
    (select batch from signalops.inbox where not is_held order by batch limit 1)
    union all
    select (select i.batch from signalops.inbox i where not i.is_held and i.batch > w.batch order by i.batch limit 1)
    from waiting w where w.batch < signalops.id_at(now() - older_than)
  ), old as (
    select batch from waiting where batch < signalops.id_at(now() - older_than) limit at_most
  )
  select count(signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', batch)))
  from old,
    -- Whoever processes a batch holds its rows. That a job is `doing` says less: procrastinate leaves it so, under a worker that
    -- lives on, when it could not write down how the job ended.
    lateral (select from signalops.inbox i where i.batch = old.batch and not i.is_held limit 1 for update skip locked) as idle
  where not exists (
    select from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'process_batch' and j.args ->> 'batch' = old.batch::text)
$$;

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
    union all
    select m ->> 'delivery' from procrastinate.procrastinate_jobs j, jsonb_array_elements(j.args -> 'more') m
    where j.status = 'todo' and j.task_name = 'send_delivery' and exists (select from old)
  ), lost as (
    update signalops.deliveries d set updated_at = now()
    from old where d.tenant_id = old.tenant_id and d.id = old.id
      and not exists (select from waiting w where w.delivery = old.id::text)
    returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id) as job
  )
  select coalesce((select signalops.enqueue_deliveries(jobs) from (select jsonb_agg(job) as jobs from lost) l where jobs is not null), 0)
$$;
