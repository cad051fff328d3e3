-- Lets the API and the workers enqueue any job again, and the workers give spent credit back.

create or replace function signalops.enqueue(queue text, task text, priority integer, args jsonb) returns bigint
language plpgsql volatile security definer set search_path = procrastinate, pg_temp
as $$
begin
  return (procrastinate_defer_jobs_v1(array[
    row(queue, task, priority, null, null, args, null)::procrastinate_job_to_defer_v1]))[1];
end
$$;
comment on function signalops.enqueue(text, text, integer, jsonb) is
  'Enqueues one job in the current transaction and returns its id. Arguments are ids, never payloads.';

grant execute on function signalops.return_credits(uuid, uuid) to signalops_worker;
