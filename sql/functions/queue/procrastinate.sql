-- What is changed of procrastinate's own functions, as versions 3.4 to 3.10 ship them; a test compares with the installed one.

-- The fetch leaves paused queues alone (ops.pause_queue): one condition more, the last of its WHERE. Everything else is procrastinate's.
create or replace function procrastinate.procrastinate_fetch_job_v2(target_queue_names character varying[], p_worker_id bigint)
returns procrastinate.procrastinate_jobs
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
set enable_sort = off set enable_hashjoin = off
set enable_mergejoin = off set enable_material = off as $$
DECLARE
	found_jobs procrastinate_jobs;
BEGIN
    WITH candidate AS (
        SELECT jobs.*
            FROM procrastinate_jobs AS jobs
            WHERE
                -- reject the job if its lock has earlier or higher priority jobs
                NOT EXISTS (
                    SELECT 1
                        FROM procrastinate_jobs AS other_jobs
                        WHERE
                            jobs.lock IS NOT NULL
                            AND other_jobs.lock = jobs.lock
                            AND (
                                -- job with same lock is already running
                                other_jobs.status = 'doing'
                                OR
                                -- job with same lock is waiting and has higher priority (or same priority but was queued first)
                                (
                                    other_jobs.status = 'todo'
                                    AND (
                                        other_jobs.priority > jobs.priority
                                        OR (
                                        other_jobs.priority = jobs.priority
                                        AND other_jobs.id < jobs.id
                                        )
                                    )
                                )
                            )
                )
                AND jobs.status = 'todo'
                AND (target_queue_names IS NULL OR jobs.queue_name = ANY( target_queue_names ))
                AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now()) AND jobs.queue_name <> ALL (ARRAY(SELECT paused.queue FROM ops.paused_queues AS paused))
            ORDER BY jobs.priority DESC, jobs.id ASC LIMIT 1
            FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE procrastinate_jobs
        SET status = 'doing', worker_id = p_worker_id
        FROM candidate
        WHERE procrastinate_jobs.id = candidate.id
        RETURNING procrastinate_jobs.* INTO found_jobs;

 RETURN found_jobs;
END;
$$;

-- The plans of the queue's hot functions are pinned. A jobs table that is vacuumed while empty leaves cached generic plans that scan it
-- as if it still were (8,000 jobs: 3.1 s a fetch). Planning each time avoids that, and costs more than the work itself: 762 us a
-- fetch, 375 with a kept plan. So the one right plan is kept: along the indexes, nested loops, no sort.
do $$
declare
  hot regprocedure;
begin
  for hot in
    select p.oid from pg_proc p
    where p.pronamespace = 'procrastinate'::regnamespace and p.proname in ('procrastinate_finish_job_v1', 'procrastinate_defer_jobs_v1',
      'procrastinate_defer_periodic_job_v2', 'procrastinate_retry_job_v1', 'procrastinate_retry_job_v2', 'procrastinate_update_heartbeat_v1')
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
