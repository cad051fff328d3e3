-- Schema ops: workers, jobs and queues.

create or replace view ops.workers as
select w.id as worker_id, w.last_heartbeat, now() - w.last_heartbeat as silent_for,
  w.last_heartbeat > now() - signalops.worker_timeout() as is_alive, coalesce(d.jobs, 0) as doing
from procrastinate.procrastinate_workers w
left join (
  select j.worker_id, count(*) as jobs from procrastinate.procrastinate_jobs j where j.status = 'doing' group by j.worker_id
) d on d.worker_id = w.id;
comment on view ops.workers is 'The workers that are known. The jobs of one that is silent for 5 seconds are given to others.';
comment on column ops.workers.worker_id is 'Its number, new with each start.';
comment on column ops.workers.last_heartbeat is 'Its last heartbeat; it sends one each second.';
comment on column ops.workers.silent_for is 'How long ago that is.';
comment on column ops.workers.is_alive is 'Whether it is less than 5 seconds.';
comment on column ops.workers.doing is 'Jobs that it is at.';

create or replace view ops.running_jobs as
select j.id as job_id, j.queue_name::text as queue, j.task_name::text as task, j.args as about, j.attempts, s.started_at,
  clock_timestamp() - s.started_at as running_for, j.worker_id,
  coalesce(w.last_heartbeat > now() - signalops.worker_timeout(), false) as is_worker_alive
from procrastinate.procrastinate_jobs j
left join procrastinate.procrastinate_workers w on w.id = j.worker_id
cross join lateral (
  select max(e.at) as started_at from procrastinate.procrastinate_events e where e.job_id = j.id and e.type = 'started'
) s
where j.status = 'doing';
comment on view ops.running_jobs is
  'The jobs that workers are at. One that runs for minutes under a worker that lives is stuck: procrastinate could not write down its end.';
comment on column ops.running_jobs.job_id is 'The job.';
comment on column ops.running_jobs.queue is 'Its queue.';
comment on column ops.running_jobs.task is 'What it does.';
comment on column ops.running_jobs.about is 'Its arguments, which are ids.';
comment on column ops.running_jobs.attempts is 'How often it was begun before.';
comment on column ops.running_jobs.started_at is 'When it was begun.';
comment on column ops.running_jobs.running_for is 'How long ago that is.';
comment on column ops.running_jobs.worker_id is 'The worker; NULL: it is known no longer.';
comment on column ops.running_jobs.is_worker_alive is 'Whether that sent a heartbeat in the last 5 seconds.';

create or replace view ops.queue_health as
select q.queue, coalesce(j.ready, 0) as ready, coalesce(j.scheduled, 0) as scheduled, coalesce(j.doing, 0) as doing,
  coalesce(j.failed, 0) as failed,
  now() - (select min(e.at) from procrastinate.procrastinate_events e where e.job_id = j.first_ready) as oldest_ready,
  (select max(r.running_for) from ops.running_jobs r where r.queue = q.queue) as oldest_doing,
  coalesce(j.workers, 0) as workers_busy,
  (select count(*) from ops.workers w where w.is_alive) as workers_alive, p.paused_at, p.reason as paused_because
from (
  select unnest(ops.queues()) as queue union select distinct o.queue from ops.paused_queues o
) q
left join (
  select n.queue_name::text as queue,
    count(*) filter (where n.status = 'todo' and coalesce(n.scheduled_at <= now(), true)) as ready,
    count(*) filter (where n.status = 'todo' and n.scheduled_at > now()) as scheduled,
    count(*) filter (where n.status = 'doing') as doing,
    count(*) filter (where n.status in ('failed', 'aborted')) as failed,
    min(n.id) filter (where n.status = 'todo' and coalesce(n.scheduled_at <= now(), true)) as first_ready,
    count(distinct n.worker_id) filter (where n.status = 'doing') as workers
  from procrastinate.procrastinate_jobs n group by n.queue_name
) j on j.queue = q.queue
left join ops.paused_queues p on p.queue = q.queue;
comment on view ops.queue_health is
  'The queues: what waits, runs and was given up, and for how long. Reads the job table once, which is small when all is well.';
comment on column ops.queue_health.queue is 'The queue.';
comment on column ops.queue_health.ready is 'Jobs that any worker may begin now.';
comment on column ops.queue_health.scheduled is 'Jobs that are to run later; only retries of jobs that failed are.';
comment on column ops.queue_health.doing is 'Jobs that workers are at.';
comment on column ops.queue_health.failed is 'Jobs that were given up, failed or aborted: ops.job_history lists them.';
comment on column ops.queue_health.oldest_ready is 'How long ago the first of those that are ready was enqueued; NULL: none is ready.';
comment on column ops.queue_health.oldest_doing is 'For how long the longest has been running; NULL: none is.';
comment on column ops.queue_health.workers_busy is 'Workers that are at a job of it.';
comment on column ops.queue_health.workers_alive is 'Workers that live, whatever their queue: which queues a worker serves is not stored.';
comment on column ops.queue_health.paused_at is 'Since when it has been paused; NULL: it is not.';
comment on column ops.queue_health.paused_because is 'Why it is paused.';

create or replace view ops.job_history as
select j.id as job_id, j.queue_name::text as queue, j.task_name::text as task, j.status::text as status, j.args as about, j.attempts,
  e.enqueued_at, e.started_at, e.ended_at, case when e.started_at <= e.ended_at then e.ended_at - e.started_at end as duration
from procrastinate.procrastinate_jobs j
cross join lateral (
  select min(h.at) as enqueued_at, max(h.at) filter (where h.type = 'started') as started_at,
    max(h.at) filter (where h.type in ('failed', 'succeeded', 'cancelled', 'aborted')) as ended_at
  from procrastinate.procrastinate_events h where h.job_id = j.id
) e
where j.status in ('failed', 'aborted', 'cancelled', 'succeeded');
comment on view ops.job_history is
  'Jobs that are over and still stored: those that were given up or cancelled. Workers delete what succeeded; of a batch remains its row in '
  'signalops.batch_results, of a delivery its attempts. Why a job failed is not stored: the worker logs it with the number of the job.';
comment on column ops.job_history.job_id is 'The job.';
comment on column ops.job_history.queue is 'Its queue.';
comment on column ops.job_history.task is 'What it did.';
comment on column ops.job_history.status is
  'failed; aborted: cut off; cancelled: before it was begun; succeeded, where workers are configured to keep those.';
comment on column ops.job_history.about is 'Its arguments, which are ids.';
comment on column ops.job_history.attempts is 'How often it was begun.';
comment on column ops.job_history.enqueued_at is 'When it was enqueued.';
comment on column ops.job_history.started_at is 'When it was begun the last time; NULL: never.';
comment on column ops.job_history.ended_at is 'When it ended.';
comment on column ops.job_history.duration is 'How long its last run took.';
