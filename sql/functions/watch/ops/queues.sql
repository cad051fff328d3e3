-- Schema ops: queues are paused and drained, jobs retried and cancelled.

create or replace function ops.queues() returns text[]
language sql immutable parallel safe
return array['events', 'deliveries', 'backtests', 'deletions', 'maintenance'];
comment on function ops.queues is 'The queues there are.';

create or replace function ops.pause_queue(queue text, reason text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  earlier ops.paused_queues;
begin
  if queue = 'maintenance' then
    raise 'the queue maintenance can''t be paused, since it gives back the jobs of dead workers and what is due: stop the workers instead'
      using errcode = 'invalid_parameter_value';
  elsif (queue = any (ops.queues())) is not true then
    raise 'there is no queue %: it is one of %', quote_nullable(queue), array_to_string(array_remove(ops.queues(), 'maintenance'), ', ')
      using errcode = 'invalid_parameter_value';
  end if;
  perform ops.require_reason(reason);
  insert into ops.paused_queues as q (queue, reason) values (pause_queue.queue, trim(pause_queue.reason)) on conflict do nothing;
  if not found then
    select * into earlier from ops.paused_queues q where q.queue = pause_queue.queue;
    raise 'the queue % has been paused by % since %: %; resume it first', queue, earlier.paused_by, earlier.paused_at, earlier.reason
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  perform ops.log_installation_action('queue.paused', queue, jsonb_build_object('reason', trim(reason)));
end
$$;
comment on function ops.pause_queue is
  'Pauses a queue other than maintenance, with a reason: workers start none of its jobs. Running jobs end as usual, and new ones wait: nothing is lost '
  'or refused. Each fetch of another queue''s job steps over those that wait, so don''t leave events paused for hours.';

create or replace function ops.resume_queue(queue text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from ops.paused_queues q where q.queue = resume_queue.queue;
  if not found then
    raise 'the queue % is not paused: see select queue, paused_at from ops.queue_health', quote_nullable(queue)
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  perform ops.log_installation_action('queue.resumed', queue, null);
end
$$;
comment on function ops.resume_queue is 'Resumes a paused queue within half a second.';

create or replace function ops.drain_queue(queue text, at_most interval default '10 seconds', out is_paused boolean, out ready bigint, out doing bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  deadline timestamptz := clock_timestamp() + at_most;
begin
  if (queue = any (ops.queues())) is not true then
    raise 'there is no queue %: it is one of %', quote_nullable(queue), array_to_string(ops.queues(), ', ')
      using errcode = 'invalid_parameter_value';
  elsif (at_most between '0' and '1 minute') is not true then
    raise 'wait at most a minute at a time, since a transaction that lasts slows the queue: repeat it while something is left'
      using errcode = 'invalid_parameter_value';
  elsif current_setting('transaction_isolation') <> 'read committed' then
    raise 'a transaction that is % does not see jobs end: call it in one that is read committed', current_setting('transaction_isolation')
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  loop
    select exists (select from ops.paused_queues q where q.queue = drain_queue.queue),
      count(*) filter (where j.status = 'todo' and coalesce(j.scheduled_at <= now(), true)), count(*) filter (where j.status = 'doing')
    into is_paused, ready, doing
    from procrastinate.procrastinate_jobs j where j.queue_name = drain_queue.queue and j.status in ('todo', 'doing');
    exit when doing = 0 and (is_paused or ready = 0) or clock_timestamp() >= deadline;
    perform pg_sleep(0.1);
  end loop;
end
$$;
comment on function ops.drain_queue is
  'Waits, up to a minute, until no job of a queue runs and none is ready; while it is paused, until none runs. Returns what is left: repeat it '
  'until doing is 0, with \watch in psql.';

create or replace function ops.retry_job(job bigint) returns void
language plpgsql volatile security definer set search_path = procrastinate, pg_temp as $$
declare
  found_job procrastinate_jobs;
begin
  select * into found_job from procrastinate_jobs j where j.id = job for update;
  if found_job.id is null then
    raise 'there is no job %: jobs that succeed are deleted', job using errcode = 'no_data_found';
  elsif found_job.status <> 'failed' then
    raise 'job % is %, and only one that failed can be retried', job, found_job.status using errcode = 'object_not_in_prerequisite_state';
  end if;
  perform procrastinate_retry_job_v2(job, null, null, null, null);
  perform ops.log_installation_action('job.retried', job::text, jsonb_build_object('queue', found_job.queue_name, 'task', found_job.task_name));
end
$$;
comment on function ops.retry_job is 'Retries a failed job.';

create or replace function ops.cancel_job(job bigint, reason text) returns void
language plpgsql volatile security definer set search_path = procrastinate, pg_temp as $$
declare
  found_job procrastinate_jobs;
begin
  perform ops.require_reason(reason);
  select * into found_job from procrastinate_jobs j where j.id = job for update;
  if found_job.id is null then
    raise 'there is no job %: jobs that succeed are deleted', job using errcode = 'no_data_found';
  elsif found_job.status <> 'todo' then
    raise 'job % is %, and only one that waits can be cancelled', job, found_job.status using errcode = 'object_not_in_prerequisite_state';
  elsif found_job.task_name = 'process_batch' then
    raise 'what was accepted is processed, by another job if not by this one: suspend the tenant or pause the queue instead'
      using errcode = 'object_not_in_prerequisite_state';
  elsif found_job.task_name = 'send_delivery' then
    raise 'a delivery that waits gets another job: cancel it with ops.cancel_deliveries, or pause the queue'
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  perform procrastinate_cancel_job_v1(job, false, false);
  perform ops.log_installation_action('job.cancelled', job::text,
    jsonb_build_object('queue', found_job.queue_name, 'task', found_job.task_name, 'reason', trim(reason)));
end
$$;
comment on function ops.cancel_job is 'Cancels a job that waits, with a reason; not one by which accepted events or deliveries go on.';
