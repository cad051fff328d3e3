-- Jobs of the queue: how SQL enqueues one, and when ended ones are removed.

create or replace function signalops.enqueue(queue text, task text, priority integer, args jsonb) returns bigint
language plpgsql volatile security definer set search_path = procrastinate, pg_temp as $$
begin
  if ((queue, task) = ('events', 'process_batch') and priority <= 0 and args - 'batch' = '{}'
      and args ->> 'batch' ~ '^[0-9a-f-]{36}$') is not true then
    raise insufficient_privilege using message = format('only the processing of a batch is enqueued so, not %s', task);
  end if;
  return (procrastinate_defer_jobs_v1(array[
    row(queue, task, priority, null, null, args, null)::procrastinate_job_to_defer_v1]))[1];
end
$$;
comment on function signalops.enqueue is
  'Enqueues the processing of one batch in the current transaction and returns the job. All other jobs have functions of their own, which make up '
  'their arguments themselves.';

create or replace function signalops.prune_jobs(history_days integer, at_most integer) returns bigint
language sql volatile as $$
  with old as materialized (
    select j.id from procrastinate.procrastinate_jobs j
    where j.status in ('failed', 'aborted', 'cancelled', 'succeeded') and not exists (
      select from procrastinate.procrastinate_events e where e.job_id = j.id and e.at > now() - make_interval(days => history_days))
    order by j.id limit at_most
  ), gone as (
    delete from procrastinate.procrastinate_jobs j using old where j.id = old.id returning j.id
  )
  select count(*) from gone
$$;
comment on function signalops.prune_jobs is 'Removes jobs that ended so many days ago, with their events in the queue''s own log; returns how many.';
