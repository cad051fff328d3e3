-- Takes back what the processes never needed: any job at all, and giving spent credit back.

create or replace function signalops.enqueue(queue text, task text, priority integer, args jsonb) returns bigint
language plpgsql volatile security definer set search_path = procrastinate, pg_temp
as $$
begin
  if ((queue, task) = ('events', 'process_batch') and priority <= 0 and args - 'batch' = '{}'
      and args ->> 'batch' ~ '^[0-9a-f-]{36}$') is not true then
    raise insufficient_privilege using message = format('only the processing of a batch is enqueued so, not %s', task);
  end if;
  return (procrastinate_defer_jobs_v1(array[
    row(queue, task, priority, null, null, args, null)::procrastinate_job_to_defer_v1]))[1];
end
$$;
comment on function signalops.enqueue(text, text, integer, jsonb) is
  'Enqueues the processing of one batch in the current transaction and returns the job. All other jobs have functions of their own, '
  'which make up their arguments themselves.';

-- Whoever voids an invoice gives back what it spent: an operator, never a worker.
revoke execute on function signalops.return_credits(uuid, uuid) from signalops_worker;
