-- Opens the holes again: the code of before does not need them, but its functions were so.

revoke all on function signalops.settle_deliveries(jsonb) from signalops_worker;
revoke all on function signalops.settle_delivery(uuid, uuid, smallint, jsonb) from signalops_worker;
revoke all on function signalops.claim_deliveries(jsonb, uuid[]) from signalops_worker;
revoke all on function signalops.claim_delivery(uuid, uuid, uuid[]) from signalops_worker;
grant execute on function signalops.claim_delivery(uuid, uuid, uuid[]) to public;
grant execute on function signalops.claim_deliveries(jsonb, uuid[]) to public;
grant execute on function signalops.settle_delivery(uuid, uuid, smallint, jsonb) to public;
grant execute on function signalops.settle_deliveries(jsonb) to public;

create or replace function signalops.enqueue_backtest(tenant uuid, backtest uuid) returns bigint
language plpgsql volatile security definer set search_path = procrastinate, pg_temp
as $$
begin
  -- The lock: one slice at a time in the whole installation, in turn, so that looking back takes one core from the present and no
  -- tenant's long backtest keeps another's short one waiting.
  return (procrastinate_defer_jobs_v1(array[row('backtests', 'run_backtest', -20, 'backtests', null,
    jsonb_build_object('tenant', tenant, 'backtest', backtest), null)::procrastinate_job_to_defer_v1]))[1];
end
$$;
comment on function signalops.enqueue_backtest(uuid, uuid) is 'Enqueues the next slice of a backtest, below all other jobs; returns the job.';
