-- Pins the plans of the queue's hot functions. A jobs table that is vacuumed while empty leaves cached generic plans that scan it as
-- if it still were (8,000 jobs: 3.1 s a fetch). Planning anew each time cures it, and costs more than the work itself: 762 us a
-- fetch, 375 with a kept plan. So the one right plan is kept: along the indexes, nested loops, no sort.

do $$
declare
  hot regprocedure;
begin
  for hot in
    select p.oid from pg_proc p
    where p.pronamespace = 'procrastinate'::regnamespace and p.proname in ('procrastinate_fetch_job_v2',
      'procrastinate_finish_job_v1', 'procrastinate_defer_jobs_v1', 'procrastinate_defer_periodic_job_v2', 'procrastinate_retry_job_v1',
      'procrastinate_retry_job_v2', 'procrastinate_update_heartbeat_v1')
  loop
    execute format('alter function %s set plan_cache_mode = force_generic_plan', hot);
    execute format('alter function %s set enable_seqscan = off', hot);
    execute format('alter function %s set enable_bitmapscan = off', hot);
    execute format('alter function %s set enable_sort = off', hot);
    execute format('alter function %s set enable_hashjoin = off', hot);
    execute format('alter function %s set enable_mergejoin = off', hot);
    execute format('alter function %s set enable_material = off', hot);
  end loop;
end
$$;
