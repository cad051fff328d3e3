-- Backtests: how one is enqueued.

create or replace function signalops.enqueue_backtest(tenant uuid, backtest uuid) returns bigint
language plpgsql volatile security definer set search_path = procrastinate, pg_temp as $$
begin
  perform signalops.require_tenant(tenant);
  -- The lock: one slice at a time in the whole installation, in turn, so that looking back takes one core from the present and no
  -- tenant's long backtest keeps another's short one waiting.
  return (procrastinate_defer_jobs_v1(array[row('backtests', 'run_backtest', signalops.priority_backtest(), 'backtests', null,
    jsonb_build_object('tenant', tenant, 'backtest', backtest), null)::procrastinate_job_to_defer_v1]))[1];
end
$$;
comment on function signalops.enqueue_backtest is
  'Enqueues the next slice of a backtest of the tenant that the transaction acts for, below all other jobs; returns the job.';
