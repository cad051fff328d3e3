-- Closes what the isolation check found: a tenant's job could be enqueued by whoever acts for another, and the API could send.

create or replace function signalops.enqueue_backtest(tenant uuid, backtest uuid) returns bigint
language plpgsql volatile security definer set search_path = procrastinate, pg_temp
as $$
begin
  perform signalops.require_tenant(tenant);
  -- The lock: one slice at a time in the whole installation, in turn, so that looking back takes one core from the present and no
  -- tenant's long backtest keeps another's short one waiting.
  return (procrastinate_defer_jobs_v1(array[row('backtests', 'run_backtest', -20, 'backtests', null,
    jsonb_build_object('tenant', tenant, 'backtest', backtest), null)::procrastinate_job_to_defer_v1]))[1];
end
$$;
comment on function signalops.enqueue_backtest(uuid, uuid) is
  'Enqueues the next slice of a backtest of the tenant that the transaction acts for, below all other jobs; returns the job.';

-- These act for the tenant that a job names, whoever was acted for before: nobody but the worker has such jobs.
revoke all on function signalops.claim_delivery(uuid, uuid, uuid[]) from public;
revoke all on function signalops.claim_deliveries(jsonb, uuid[]) from public;
revoke all on function signalops.settle_delivery(uuid, uuid, smallint, jsonb) from public;
revoke all on function signalops.settle_deliveries(jsonb) from public;
grant execute on function signalops.claim_delivery(uuid, uuid, uuid[]) to signalops_worker;
grant execute on function signalops.claim_deliveries(jsonb, uuid[]) to signalops_worker;
grant execute on function signalops.settle_delivery(uuid, uuid, smallint, jsonb) to signalops_worker;
grant execute on function signalops.settle_deliveries(jsonb) to signalops_worker;
