-- Removes the views and functions for who runs the installation; queues that are paused go on.

do $$
declare
  body constant text := pg_get_functiondef('procrastinate.procrastinate_fetch_job_v2(varchar[], bigint)'::regprocedure);
  path constant text := current_setting('search_path');
begin
  perform set_config('search_path', 'procrastinate', true);
  execute replace(body, ' AND jobs.queue_name <> ALL (ARRAY(SELECT paused.queue FROM ops.paused_queues AS paused))', '');
  perform set_config('search_path', path, true);
end
$$;
drop schema ops cascade;
create schema ops authorization signalops_owner;
comment on schema ops is 'For who runs the installation: views of what goes on, and guarded functions for what is dangerous.';
drop policy operations_look on signalops.backtests;

revoke execute on function signalops.time_of(uuid), signalops.id_at(timestamptz), signalops.period_of(timestamptz, text),
  signalops.starts_at(date, text) from signalops_operator;
create policy operator_reads on signalops.audit_log for select to signalops_operator using (true);
comment on policy operator_reads on signalops.audit_log is 'Who runs the installation reads what was done in all of it.';
grant select on signalops.audit_log to signalops_operator;
grant usage on schema procrastinate, signalops, yoyo to signalops_operator;
grant select on all tables in schema procrastinate to signalops_operator;
alter default privileges in schema yoyo grant select on tables to signalops_operator;
grant select on all tables in schema yoyo to signalops_operator;
