-- Station watch: what runs, waits, fails, grows and blocks, in views for who runs the installation; what is dangerous is done by guarded
-- functions, which are on record. The role signalops_operator has these and nothing else.

-- A view of a table with row-level security shows what its owner may see, and that is every tenant's.
create policy operations_look on signalops.backtests for select to signalops_owner using (true);
comment on policy operations_look on signalops.backtests is 'The view ops.backtests shows how long they take.';

create table ops.paused_queues (
  queue text primary key,
  reason text not null check (length(reason) between 1 and 500),
  paused_by text not null default session_user,
  paused_at timestamptz not null default now()
);
comment on table ops.paused_queues is 'Queues of which no job is begun: workers look here with each fetch. See ops.pause_queue.';
comment on column ops.paused_queues.queue is 'The queue.';
comment on column ops.paused_queues.reason is 'Why, in the words of who paused it.';
comment on column ops.paused_queues.paused_by is 'The login that paused it.';
comment on column ops.paused_queues.paused_at is 'When.';
grant usage on schema ops to signalops_worker, signalops_operator;
grant select (queue) on ops.paused_queues to signalops_worker;

do $$
declare
  body constant text := pg_get_functiondef('procrastinate.procrastinate_fetch_job_v2(varchar[], bigint)'::regprocedure);
  path constant text := current_setting('search_path');
  due constant text := 'AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())';
  unpaused constant text := 'AND jobs.queue_name <> ALL (ARRAY(SELECT paused.queue FROM ops.paused_queues AS paused))';
begin
  if strpos(body, due) = 0 then
    raise 'procrastinate fetches jobs in another way than is known here: have its function leave the queues in ops.paused_queues alone';
  end if;
  -- With its settings, which CREATE OR REPLACE would drop; and where it finds its types.
  perform set_config('search_path', 'procrastinate', true);
  execute replace(body, due, due || ' ' || unpaused);
  perform set_config('search_path', path, true);
end
$$;

create function ops.queues() returns text[]
language sql immutable parallel safe
return array['events', 'deliveries', 'backtests', 'deletions', 'maintenance'];
comment on function ops.queues() is 'The queues there are.';

create view ops.workers as
select w.id as worker_id, w.last_heartbeat, now() - w.last_heartbeat as silent_for,
  w.last_heartbeat > now() - interval '5 seconds' as is_alive, coalesce(d.jobs, 0) as doing
from procrastinate.procrastinate_workers w
left join (
  select j.worker_id, count(*) as jobs from procrastinate.procrastinate_jobs j where j.status = 'doing' group by j.worker_id
) d on d.worker_id = w.id;
comment on view ops.workers is 'The workers that are known. The jobs of one that is silent for 5 seconds are given to others.';
comment on column ops.workers.worker_id is 'Its number, new with each start.';
comment on column ops.workers.last_heartbeat is 'When it last told that it lives; it does each second.';
comment on column ops.workers.silent_for is 'How long ago that is.';
comment on column ops.workers.is_alive is 'Whether it is less than 5 seconds.';
comment on column ops.workers.doing is 'Jobs that it is at.';

create view ops.running_jobs as
select j.id as job_id, j.queue_name::text as queue, j.task_name::text as task, j.args as about, j.attempts, s.started_at,
  clock_timestamp() - s.started_at as running_for, j.worker_id,
  coalesce(w.last_heartbeat > now() - interval '5 seconds', false) as is_worker_alive
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
comment on column ops.running_jobs.is_worker_alive is 'Whether that told in the last 5 seconds that it lives.';

create view ops.queue_health as
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
comment on view ops.queue_health is 'The queues: what waits, runs and was given up, and for how long. Reads the job table once, which is small when all is well.';
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

create view ops.job_history as
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
  'signalops.batches, of a delivery its attempts. Why a job failed is not stored: the worker logs it with the number of the job.';
comment on column ops.job_history.job_id is 'The job.';
comment on column ops.job_history.queue is 'Its queue.';
comment on column ops.job_history.task is 'What it did.';
comment on column ops.job_history.status is 'failed; aborted: cut off; cancelled: before it was begun; succeeded, where workers are told to keep those.';
comment on column ops.job_history.about is 'Its arguments, which are ids.';
comment on column ops.job_history.attempts is 'How often it was begun.';
comment on column ops.job_history.enqueued_at is 'When it was enqueued.';
comment on column ops.job_history.started_at is 'When it was begun the last time; NULL: never.';
comment on column ops.job_history.ended_at is 'When it ended.';
comment on column ops.job_history.duration is 'How long its last run took.';

create view ops.inbox_by_tenant as
select t.slug as tenant, i.tenant_id, t.status, i.waiting, i.held, i.replayed, i.oldest, now() - i.oldest as oldest_age
from (
  select n.tenant_id, count(*) as waiting, count(*) filter (where n.is_held) as held, count(n.replay_id) as replayed,
    min(signalops.time_of(n.event_id)) filter (where n.replay_id is null) as oldest
  from signalops.inbox n group by n.tenant_id
) i
join signalops.tenants t on t.id = i.tenant_id;
comment on view ops.inbox_by_tenant is 'Events that were accepted and are not processed yet, by tenant. Reads the inbox once, which is small when all is well.';
comment on column ops.inbox_by_tenant.tenant is 'The tenant''s slug.';
comment on column ops.inbox_by_tenant.tenant_id is 'Its id.';
comment on column ops.inbox_by_tenant.status is 'active, suspended (then they wait for it to be resumed), closed or deleting.';
comment on column ops.inbox_by_tenant.waiting is 'Its events that wait.';
comment on column ops.inbox_by_tenant.held is 'Those of them that wait for it to be resumed.';
comment on column ops.inbox_by_tenant.replayed is 'Those of them that a replay put there.';
comment on column ops.inbox_by_tenant.oldest is 'When the first of them was accepted, replays apart; NULL: there is no other.';
comment on column ops.inbox_by_tenant.oldest_age is 'How long ago that is.';

create view ops.delivery_health as
select t.slug as tenant, c.tenant_id, c.name as channel, c.id as channel_id, c.kind, c.enabled,
  coalesce(n.pending, 0) as pending, coalesce(n.sending, 0) as sending, coalesce(n.retrying, 0) as retrying, d.dead as dead_in_a_day,
  n.sent as sent_in_an_hour, n.tried as tried_in_an_hour, round(n.sent::numeric / nullif(n.tried, 0), 4) as success_ratio,
  case when o.opened_until > now() then 'open' when o.opened_until is not null then 'half-open' else 'closed' end as breaker,
  o.opened_until, o.failing_since, n.oldest, now() - n.oldest as oldest_age
from signalops.channels c
join signalops.tenants t on t.id = c.tenant_id
left join (
  select p.tenant_id, p.channel_id, sum(w.pending) as pending, sum(w.sending) as sending, sum(w.retrying) as retrying,
    sum(h.sent) as sent, sum(h.tried) as tried, min(w.oldest) as oldest
  from (select distinct v.tenant_id, v.rule_id, v.channel_id from signalops.rule_versions v) p
  -- Each of these reads of deliveries_by_rule what it counts, and nothing else, however much else there is.
  cross join lateral (
    select sum(k.waiting) filter (where u.status = 'pending') as pending, sum(k.waiting) filter (where u.status = 'sending') as sending,
      sum(k.waiting) filter (where u.status = 'retrying') as retrying, min(signalops.time_of(f.id)) as oldest
    from unnest(array['pending', 'sending', 'retrying']) as u (status)
    cross join lateral (
      select count(*) as waiting from signalops.deliveries s
      where s.tenant_id = p.tenant_id and s.rule_id = p.rule_id and s.channel_id = p.channel_id and s.status = u.status
    ) k
    left join lateral (
      select s.id from signalops.deliveries s
      where s.tenant_id = p.tenant_id and s.rule_id = p.rule_id and s.channel_id = p.channel_id and s.status = u.status
      order by s.id limit 1
    ) f on k.waiting > 0
  ) w
  cross join lateral (
    select count(*) filter (where s.status in ('sent', 'delivered', 'read')) as sent, count(*) as tried
    from signalops.deliveries s
    where s.tenant_id = p.tenant_id and s.rule_id = p.rule_id and s.channel_id = p.channel_id
      and s.status in ('sent', 'delivered', 'read', 'retrying', 'dead') and s.id >= signalops.id_at(now() - interval '1 hour')
  ) h
  group by p.tenant_id, p.channel_id
) n on n.tenant_id = c.tenant_id and n.channel_id = c.id
left join signalops.outlets o on o.tenant_id = c.tenant_id and o.id = coalesce(c.outlet_id, c.id)
cross join lateral (
  select count(*) as dead from signalops.dead_letters l
  where l.tenant_id = c.tenant_id and l.channel_id = c.id and l.ended_at is null and l.died_at >= now() - interval '1 day'
) d
where c.deleted_at is null or n.oldest is not null;
comment on view ops.delivery_health is
  'Channels: what waits, what fails, and whether their circuit is open. Counted along deliveries_by_rule: it costs what it counts.';
comment on column ops.delivery_health.tenant is 'The tenant''s slug.';
comment on column ops.delivery_health.tenant_id is 'Its id.';
comment on column ops.delivery_health.channel is 'The channel''s name.';
comment on column ops.delivery_health.channel_id is 'Its id.';
comment on column ops.delivery_health.kind is 'email, telegram, whatsapp, webhook, slack or http.';
comment on column ops.delivery_health.enabled is 'Whether it is in use.';
comment on column ops.delivery_health.pending is 'Deliveries that have a job, or wait for their channel''s turn.';
comment on column ops.delivery_health.sending is 'Deliveries that are being sent.';
comment on column ops.delivery_health.retrying is 'Deliveries that failed, and wait for their next attempt.';
comment on column ops.delivery_health.dead_in_a_day is 'Dead letters of the last 24 hours that wait for somebody to look.';
comment on column ops.delivery_health.sent_in_an_hour is 'Deliveries asked for in the last hour that arrived; NULL: no rule ever used it.';
comment on column ops.delivery_health.tried_in_an_hour is 'Deliveries asked for in the last hour that were tried: that arrived, are retried, or died.';
comment on column ops.delivery_health.success_ratio is 'The former of the latter, from 0 to 1; NULL: none was tried.';
comment on column ops.delivery_health.breaker is 'closed: it is called; open: it is not; half-open: one attempt finds out.';
comment on column ops.delivery_health.opened_until is 'Until when nobody calls it; NULL: its circuit is closed.';
comment on column ops.delivery_health.failing_since is 'Since when every attempt has failed; NULL: it works.';
comment on column ops.delivery_health.oldest is 'When the first of those that are not over was asked for; NULL: all are.';
comment on column ops.delivery_health.oldest_age is 'How long ago that is.';

create view ops.dead_letters as
select t.slug as tenant, l.tenant_id, l.id as letter_id, l.kind, l.died_at, l.error, r.name as rule, c.name as channel, l.event_id,
  l.delivery_id
from signalops.dead_letters l
join signalops.tenants t on t.id = l.tenant_id
left join signalops.rules r on r.tenant_id = l.tenant_id and r.id = l.rule_id
left join signalops.channels c on c.tenant_id = l.tenant_id and c.id = l.channel_id
where l.ended_at is null;
comment on view ops.dead_letters is
  'Events and deliveries that were given up and wait for somebody to look: see ops.retry_letters and ops.discard_letters. One tenant''s are '
  'read along dead_letters_open.';
comment on column ops.dead_letters.tenant is 'The tenant''s slug.';
comment on column ops.dead_letters.tenant_id is 'Its id.';
comment on column ops.dead_letters.letter_id is 'The letter: the id of the event or delivery.';
comment on column ops.dead_letters.kind is 'event or delivery.';
comment on column ops.dead_letters.died_at is 'When it was given up.';
comment on column ops.dead_letters.error is 'Why.';
comment on column ops.dead_letters.rule is 'The rule that asked for the delivery; NULL: it is an event.';
comment on column ops.dead_letters.channel is 'The channel; NULL: it is an event.';
comment on column ops.dead_letters.event_id is 'The event.';
comment on column ops.dead_letters.delivery_id is 'The delivery; NULL: it is an event.';

create view ops.slow_rules as
select t.slug as tenant, r.tenant_id, r.name as rule, r.id as rule_id, r.active_version as version, r.enabled, v.conditions,
  octet_length(v.pattern::text) as pattern_bytes, coalesce(m.matches, 0) as matches_in_an_hour, g.groups, h.held as held_events,
  d.dead as dead_in_a_day
from signalops.rules r
join signalops.tenants t on t.id = r.tenant_id
join signalops.rule_versions v on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.active_version
left join (
  select s.tenant_id, s.rule_id, s.matches
  from signalops.tenants a
  cross join lateral (
    select n.tenant_id, n.rule_id, count(*) as matches from signalops.matches n
    where n.tenant_id = a.id and n.event_id >= signalops.id_at(now() - interval '1 hour') group by n.tenant_id, n.rule_id
  ) s
) m on m.tenant_id = r.tenant_id and m.rule_id = r.id
cross join lateral (
  select count(*) as groups from signalops.rule_groups n where n.tenant_id = r.tenant_id and n.rule_id = r.id
) g
cross join lateral (
  select count(*) as held from signalops.window_events n where n.tenant_id = r.tenant_id and n.rule_id = r.id
) h
cross join lateral (
  select count(*) as dead from signalops.dead_letters n
  where n.tenant_id = r.tenant_id and n.rule_id = r.id and n.ended_at is null and n.died_at >= now() - interval '1 day'
) d
where r.deleted_at is null;
comment on view ops.slow_rules is
  'What makes rules dear: their size, how often they match, what they remember, what comes of them. How long a rule takes to be evaluated '
  'is not stored, since all of a tenant''s are evaluated as one; a backtest times one alone: see ops.backtests.';
comment on column ops.slow_rules.tenant is 'The tenant''s slug.';
comment on column ops.slow_rules.tenant_id is 'Its id.';
comment on column ops.slow_rules.rule is 'The rule''s name.';
comment on column ops.slow_rules.rule_id is 'Its id.';
comment on column ops.slow_rules.version is 'The version that decides now.';
comment on column ops.slow_rules.enabled is 'Whether it is evaluated.';
comment on column ops.slow_rules.conditions is 'Conditions of its pattern once every $or is expanded: what it costs to compile and to hold.';
comment on column ops.slow_rules.pattern_bytes is 'The length of its pattern as JSON.';
comment on column ops.slow_rules.matches_in_an_hour is 'Events of the last hour that it matched.';
comment on column ops.slow_rules.groups is 'Groups that it remembers, each a row which a match locks.';
comment on column ops.slow_rules.held_events is 'Events that its windows hold.';
comment on column ops.slow_rules.dead_in_a_day is 'Its deliveries that died in the last 24 hours and wait for somebody to look, as for a template that fails.';

create view ops.backtests as
select t.slug as tenant, b.tenant_id, b.id as backtest_id, b.status, b.scanned as events, b.created_at as asked_at, b.updated_at as saved_at,
  b.updated_at - b.created_at as took,
  round(b.scanned / nullif(extract(epoch from b.updated_at - b.created_at), 0)) as events_per_second, b.error
from signalops.backtests b join signalops.tenants t on t.id = b.tenant_id;
comment on view ops.backtests is 'Backtests, of which a tenant keeps 50, and how fast they went: rules alone against stored events.';
comment on column ops.backtests.tenant is 'The tenant''s slug.';
comment on column ops.backtests.tenant_id is 'Its id.';
comment on column ops.backtests.backtest_id is 'The backtest.';
comment on column ops.backtests.status is 'queued, running, done, failed or cancelled.';
comment on column ops.backtests.events is 'Events looked through.';
comment on column ops.backtests.asked_at is 'When it was asked for.';
comment on column ops.backtests.saved_at is 'When its work was saved last.';
comment on column ops.backtests.took is 'The time between, in which it may have waited for a worker.';
comment on column ops.backtests.events_per_second is 'Events by that time.';
comment on column ops.backtests.error is 'Why it failed.';

create view ops.tenant_usage as
select t.slug as tenant, t.id as tenant_id, q.meter, q.period, q.accepted, l.soft, l.hard, l.overage,
  round(100 * q.accepted / nullif(coalesce(l.hard, l.soft), 0), 1) as percent, coalesce(c.events, 0) + coalesce(e.events, 0) as counted
from signalops.tenants t
cross join lateral (
  select signalops.period_of(now(), t.time_zone) as period, (now() at time zone t.time_zone)::date as today
) p
join signalops.quotas q on q.tenant_id = t.id and q.period = p.period
left join lateral (
  select * from signalops.limits n where n.tenant_id = t.id and n.meter = q.meter and n.starts_on <= p.today
  order by n.origin desc, n.starts_on desc limit 1
) l on true
cross join lateral (
  select sum(u.events) as events from signalops.usage_counters u
  where u.tenant_id = t.id and u.meter = q.meter and u.period = p.period and not u.is_late
    and u.hour >= signalops.starts_at(p.period, t.time_zone)
) c
cross join lateral (
  select sum(u.events) as events from signalops.usage_counters u
  where u.tenant_id = t.id and u.meter = q.meter and u.period = p.period and u.is_late
) e;
comment on view ops.tenant_usage is 'What each tenant has used of its meters in this month, in its time zone. Reads the month''s counters.';
comment on column ops.tenant_usage.tenant is 'The tenant''s slug.';
comment on column ops.tenant_usage.tenant_id is 'Its id.';
comment on column ops.tenant_usage.meter is 'The meter''s key; events: all events.';
comment on column ops.tenant_usage.period is 'The first day of the month.';
comment on column ops.tenant_usage.accepted is 'The amount accepted, in the meter''s unit.';
comment on column ops.tenant_usage.soft is 'The amount at which it is told; NULL: none.';
comment on column ops.tenant_usage.hard is 'The amount beyond which it is refused, or marked; NULL: none.';
comment on column ops.tenant_usage.overage is 'What becomes of what is beyond hard: refuse or accept; NULL: it never had a limit.';
comment on column ops.tenant_usage.percent is 'Accepted of hard (of soft, without hard); NULL: there is no limit.';
comment on column ops.tenant_usage.counted is 'Events processed and billed in this month, late ones too; what is accepted above it waits, died, or belongs to another month.';

create view ops.partitions as
select p.parent, p.partition, p.holds_from, p.holds_to, p.rows_estimate, pg_total_relation_size(p.part) as bytes,
  (extract(year from a.ahead) * 12 + extract(month from a.ahead))::integer as months_ahead
from (
  select parent.relname as parent, part.relname as partition, part.oid as part, greatest(part.reltuples, 0)::bigint as rows_estimate,
    signalops.time_of(b.bounds[1]::uuid) as holds_from, signalops.time_of(b.bounds[2]::uuid) as holds_to,
    max(signalops.time_of(b.bounds[2]::uuid)) over (partition by parent.oid) as reaches_to
  from pg_inherits i
  join pg_class parent on parent.oid = i.inhparent and parent.relkind = 'p' and parent.relnamespace = 'signalops'::regnamespace
  join pg_class part on part.oid = i.inhrelid
  cross join lateral regexp_match(pg_get_expr(part.relpartbound, part.oid), 'FROM \(''(.+)''\) TO \(''(.+)''\)') as b (bounds)
) p
cross join lateral (
  select age(p.reaches_to at time zone 'UTC', date_trunc('month', now() at time zone 'UTC') + interval '1 month') as ahead
) a;
comment on view ops.partitions is 'The monthly partitions, how large they are, and how far they reach. Reads the catalogue alone.';
comment on column ops.partitions.parent is 'The table.';
comment on column ops.partitions.partition is 'Its partition.';
comment on column ops.partitions.holds_from is 'It holds what was made from then on.';
comment on column ops.partitions.holds_to is 'And before.';
comment on column ops.partitions.rows_estimate is 'Its rows as of the last vacuum or analyze; 0: neither has been, or it is empty.';
comment on column ops.partitions.bytes is 'With its indexes.';
comment on column ops.partitions.months_ahead is 'For how many whole months after this one the table has a place; three, when all is well.';

create view ops.tables as
select s.schemaname as schema, s.relname as "table", s.n_live_tup as live_rows, s.n_dead_tup as dead_rows,
  round(100.0 * s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0), 1) as dead_percent,
  (b.heap * s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0))::bigint as dead_bytes_estimate, v.due as vacuum_due_at, b.heap as bytes,
  pg_indexes_size(s.relid) as index_bytes, greatest(s.last_vacuum, s.last_autovacuum) as last_vacuum,
  s.last_autovacuum, greatest(s.last_analyze, s.last_autoanalyze) as last_analyze, age(c.relfrozenxid) as xid_age
from pg_stat_all_tables s
join pg_class c on c.oid = s.relid and c.relkind = 'r'
cross join lateral (select pg_table_size(s.relid) as heap) b
cross join lateral (
  select (coalesce(max(o.option_value) filter (where o.option_name = 'autovacuum_vacuum_threshold'), current_setting('autovacuum_vacuum_threshold'))::float8
    + coalesce(max(o.option_value) filter (where o.option_name = 'autovacuum_vacuum_scale_factor'), current_setting('autovacuum_vacuum_scale_factor'))::float8
      * greatest(c.reltuples, 0))::bigint as due
  from pg_options_to_table(c.reloptions) o
) v
where s.schemaname in ('signalops', 'procrastinate', 'ops');
comment on view ops.tables is 'Tables and partitions: how much of them is dead, when autovacuum comes, and when it came. Reads statistics alone.';
comment on column ops.tables.schema is 'Its schema.';
comment on column ops.tables."table" is 'The table or partition.';
comment on column ops.tables.live_rows is 'Rows, estimated by the server.';
comment on column ops.tables.dead_rows is 'Rows that were deleted or replaced and not vacuumed yet, estimated by the server.';
comment on column ops.tables.dead_percent is 'Dead rows of all.';
comment on column ops.tables.dead_bytes_estimate is
  'Their share of the table: what a vacuum would free for new rows. What it has freed already, and is not used, only pgstattuple knows.';
comment on column ops.tables.vacuum_due_at is 'At so many dead rows autovacuum comes.';
comment on column ops.tables.bytes is 'Its size without indexes.';
comment on column ops.tables.index_bytes is 'The size of its indexes.';
comment on column ops.tables.last_vacuum is 'When it was vacuumed last, by whomever; NULL: never since statistics were reset.';
comment on column ops.tables.last_autovacuum is 'When autovacuum did; NULL: never.';
comment on column ops.tables.last_analyze is 'When it was analyzed last, by whomever; NULL: never.';
comment on column ops.tables.xid_age is 'Transactions since it was frozen; at autovacuum_freeze_max_age it is vacuumed whatever its settings.';

create function ops.activity() returns table (
  pid integer, login name, application text, address inet, kind text, state text, waits_for text, connected_at timestamptz,
  transaction_at timestamptz, statement_at timestamptz, state_at timestamptz, xmin_age integer, statement text)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select a.pid, a.usename, a.application_name, a.client_addr, a.backend_type, a.state,
    case when a.wait_event is not null and a.state <> 'idle' then a.wait_event_type || ': ' || a.wait_event end,
    a.backend_start, a.xact_start, a.query_start, a.state_change, age(a.backend_xmin),
    -- What follows may be anybody's data.
    regexp_replace(a.query, '(''|\$(?!\d)|(?<![\w$])\d).*$', '...')
  from pg_stat_activity a where a.datname = current_database()
$$;
comment on function ops.activity() is
  'What pg_stat_activity knows of this database, of each statement what stands before its first literal. For others'' statements '
  'signalops_owner needs pg_read_all_stats, which sql/bootstrap.sql grants.';

create view ops.sessions as
select a.pid, a.login, a.application, a.address, a.kind, a.state, a.waits_for, a.connected_at, a.transaction_at,
  clock_timestamp() - a.transaction_at as transaction_age, a.statement_at, a.state_at, a.xmin_age, a.statement
from ops.activity() a;
comment on view ops.sessions is 'The sessions of this database. A transaction that lasts keeps vacuum from what died since, and slows the queue.';
comment on column ops.sessions.pid is 'The process of the server.';
comment on column ops.sessions.login is 'As whom it logged in; NULL: a process of the server itself.';
comment on column ops.sessions.application is 'What it calls itself.';
comment on column ops.sessions.address is 'From where; NULL: from the same machine by a socket.';
comment on column ops.sessions.kind is 'client backend, or what else the server runs.';
comment on column ops.sessions.state is 'active, idle, idle in transaction ...';
comment on column ops.sessions.waits_for is 'What it waits for, such as Lock: transactionid; NULL: for nothing, or for its client.';
comment on column ops.sessions.connected_at is 'When it connected.';
comment on column ops.sessions.transaction_at is 'When its transaction began; NULL: it has none.';
comment on column ops.sessions.transaction_age is 'How long ago that is.';
comment on column ops.sessions.statement_at is 'When its statement began, or the last one.';
comment on column ops.sessions.state_at is 'When its state changed last.';
comment on column ops.sessions.xmin_age is 'How many transactions back its snapshot reaches: what died since can''t be vacuumed. NULL: it has none.';
comment on column ops.sessions.statement is 'Its statement, or the last one, up to its first literal.';

create view ops.connections as
select s.login, s.application, coalesce(s.state, s.kind) as state, count(*) as sessions,
  max(clock_timestamp() - s.state_at) as longest_in_state, max(s.transaction_age) as longest_transaction,
  current_setting('max_connections')::integer as max_connections
from ops.sessions s group by s.login, s.application, coalesce(s.state, s.kind);
comment on view ops.connections is 'The sessions of this database by login, application and state.';
comment on column ops.connections.login is 'As whom they logged in; NULL: processes of the server itself.';
comment on column ops.connections.application is 'What they call themselves.';
comment on column ops.connections.state is 'active, idle, idle in transaction ..., or what else they are.';
comment on column ops.connections.sessions is 'How many.';
comment on column ops.connections.longest_in_state is 'For how long the first has been so.';
comment on column ops.connections.longest_transaction is 'How long the longest of their transactions has lasted; NULL: none has one.';
comment on column ops.connections.max_connections is 'How many the server admits, of all databases.';

create view ops.locks as
select w.pid as waiting_pid, w.login as waiting_login, w.statement as waiting_statement, clock_timestamp() - l.waitstart as waits_since,
  l.locktype as lock, l.mode, l.relation::regclass::text as "table", b.pid as blocking_pid, b.login as blocking_login,
  b.state as blocking_state, b.transaction_age as blocking_transaction_age, b.statement as blocking_statement
from ops.sessions w
cross join lateral (select * from pg_locks n where n.pid = w.pid and not n.granted limit 1) l
cross join lateral (select distinct unnest(pg_blocking_pids(w.pid)) as pid) p
left join ops.sessions b on b.pid = p.pid
where w.waits_for like 'Lock: %';
comment on view ops.locks is 'Who waits for whom: a row for each that waits and each that it waits for. Empty, when nobody waits for a lock.';
comment on column ops.locks.waiting_pid is 'The process that waits.';
comment on column ops.locks.waiting_login is 'As whom it logged in.';
comment on column ops.locks.waiting_statement is 'What it would do, up to its first literal.';
comment on column ops.locks.waits_since is 'How long it has been waiting.';
comment on column ops.locks.lock is 'What kind of thing it would lock: transactionid (a row that another changes), relation, tuple, advisory ...';
comment on column ops.locks.mode is 'In which mode.';
comment on column ops.locks."table" is 'Of which table; NULL: it waits for a transaction to end.';
comment on column ops.locks.blocking_pid is 'The process that it waits for.';
comment on column ops.locks.blocking_login is 'As whom that logged in.';
comment on column ops.locks.blocking_state is 'active, or idle in transaction: then its client is away with the lock.';
comment on column ops.locks.blocking_transaction_age is 'How long its transaction has lasted.';
comment on column ops.locks.blocking_statement is 'What it does, or did last, up to its first literal.';

create view ops.actions as
select l.id as action_id, signalops.time_of(l.id) as done_at, t.slug as tenant, l.actor_kind, l.actor, l.address, l.operation, l.action,
  l.target_id, l.target
from signalops.audit_log l left join signalops.tenants t on t.id = l.tenant_id;
comment on view ops.actions is 'Who did what, without what it changed. The newest, by action_id, are found along audit_log_by_id.';
comment on column ops.actions.action_id is 'UUIDv7: in the order in which they were done.';
comment on column ops.actions.done_at is 'When.';
comment on column ops.actions.tenant is 'The slug of whose it was; NULL: the installation''s.';
comment on column ops.actions.actor_kind is 'key, user, operator, command_line, sql or system.';
comment on column ops.actions.actor is 'Who.';
comment on column ops.actions.address is 'From which address; NULL: it was no request.';
comment on column ops.actions.operation is 'By which operation or command; NULL: by SQL.';
comment on column ops.actions.action is 'What, such as rule.created.';
comment on column ops.actions.target_id is 'To what; NULL: to several.';
comment on column ops.actions.target is 'What it is called.';

create function ops.find_tenant(named text) returns uuid
language plpgsql stable
as $$
declare
  wanted uuid := (select t.id from signalops.tenants t where t.slug = named or t.id::text = named);
begin
  if wanted is null then
    raise 'there is no tenant %: give its slug or id, as in select distinct tenant from ops.tenant_usage', quote_nullable(named)
      using errcode = 'no_data_found';
  end if;
  return wanted;
end
$$;
comment on function ops.find_tenant(text) is 'The tenant of a slug or an id, or an error.';

create function ops.require_reason(reason text) returns void
language plpgsql immutable
as $$
begin
  if coalesce(length(trim(reason)), 0) not between 1 and 500 then
    raise 'say why in 1 to 500 characters: it stays on record' using errcode = 'invalid_parameter_value';
  end if;
end
$$;
comment on function ops.require_reason(text) is 'Refuses what is done without a reason.';

create function ops.require_some(ids uuid[]) returns void
language plpgsql immutable
as $$
begin
  if coalesce(cardinality(ids), 0) not between 1 and 10000 then
    raise 'these are %: give 1 to 10,000 ids at a time, and repeat it for more', coalesce(cardinality(ids), 0)
      using errcode = 'invalid_parameter_value';
  end if;
end
$$;
comment on function ops.require_some(uuid[]) is 'Refuses no ids, and more than a short transaction has time for.';

create function ops.note(action text, target text, about jsonb) returns void
language sql volatile
as $$
  select signalops.note('00000000-0000-0000-0000-000000000000', action, target, target, jsonb_build_object('before', null, 'after', about))
$$;
comment on function ops.note(text, text, jsonb) is 'Notes in the audit log what was done to the installation''s own.';

create function ops.pause_queue(queue text, reason text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  earlier ops.paused_queues;
begin
  if queue = 'maintenance' then
    raise 'the queue maintenance can''t be paused, since it gives back the jobs of dead workers and what is due: stop the workers instead'
      using errcode = 'invalid_parameter_value';
  elsif (queue = any (ops.queues())) is not true then
    raise 'there is no queue %: it is one of %', quote_nullable(queue), array_to_string(array_remove(ops.queues(), 'maintenance'), ', ')
      using errcode = 'invalid_parameter_value';
  end if;
  perform ops.require_reason(reason);
  insert into ops.paused_queues as q (queue, reason) values (pause_queue.queue, trim(pause_queue.reason)) on conflict do nothing;
  if not found then
    select * into earlier from ops.paused_queues q where q.queue = pause_queue.queue;
    raise 'the queue % has been paused by % since %: %; resume it first', queue, earlier.paused_by, earlier.paused_at, earlier.reason
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  perform ops.note('queue.paused', queue, jsonb_build_object('reason', trim(reason)));
end
$$;
comment on function ops.pause_queue(text, text) is
  'Has workers begin no job of a queue other than maintenance, with a reason. Jobs that run go on to their end, and new ones wait: '
  'nothing is lost or refused. Each fetch of another queue''s job steps over those that wait, so don''t leave events paused for hours.';

create function ops.resume_queue(queue text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  delete from ops.paused_queues q where q.queue = resume_queue.queue;
  if not found then
    raise 'the queue % is not paused: see select queue, paused_at from ops.queue_health', quote_nullable(queue)
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  perform ops.note('queue.resumed', queue, null);
end
$$;
comment on function ops.resume_queue(text) is 'Has workers go on with a queue that was paused, within half a second.';

create function ops.drain_queue(queue text, at_most interval default '10 seconds', out is_paused boolean, out ready bigint, out doing bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  deadline timestamptz := clock_timestamp() + at_most;
begin
  if (queue = any (ops.queues())) is not true then
    raise 'there is no queue %: it is one of %', quote_nullable(queue), array_to_string(ops.queues(), ', ')
      using errcode = 'invalid_parameter_value';
  elsif (at_most between '0' and '1 minute') is not true then
    raise 'wait at most a minute at a time, since a transaction that lasts slows the queue: repeat it while something is left'
      using errcode = 'invalid_parameter_value';
  elsif current_setting('transaction_isolation') <> 'read committed' then
    raise 'a transaction that is % does not see jobs end: call it in one that is read committed', current_setting('transaction_isolation')
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  loop
    select exists (select from ops.paused_queues q where q.queue = drain_queue.queue),
      count(*) filter (where j.status = 'todo' and coalesce(j.scheduled_at <= now(), true)), count(*) filter (where j.status = 'doing')
    into is_paused, ready, doing
    from procrastinate.procrastinate_jobs j where j.queue_name = drain_queue.queue and j.status in ('todo', 'doing');
    exit when doing = 0 and (is_paused or ready = 0) or clock_timestamp() >= deadline;
    perform pg_sleep(0.1);
  end loop;
end
$$;
comment on function ops.drain_queue(text, interval) is
  'Waits, up to a minute, until no job of a queue runs and none is ready; while it is paused, until none runs. Returns what is left: repeat '
  'it until doing is 0, with \watch in psql.';

create function ops.suspend_tenant(tenant text, reason text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform ops.require_reason(reason);
  -- The trigger on the status refuses what can't be; that on the table notes who did it.
  update signalops.tenants t set status = 'suspended', status_reason = trim(reason)
  where t.id = ops.find_tenant(tenant) and t.status <> 'suspended';
  if not found then
    raise 'the tenant % is suspended already', tenant using errcode = 'object_not_in_prerequisite_state';
  end if;
end
$$;
comment on function ops.suspend_tenant(text, text) is
  'Suspends a tenant, by slug or id, with the reason that its refused requests are told. What was accepted of it waits.';

create function ops.resume_tenant(tenant text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update signalops.tenants t set status = 'active' where t.id = ops.find_tenant(tenant) and t.status <> 'active';
  if not found then
    raise 'the tenant % is active', tenant using errcode = 'object_not_in_prerequisite_state';
  end if;
end
$$;
comment on function ops.resume_tenant(text) is 'Has a suspended tenant, by slug or id, go on: what waits of it is processed within seconds.';

create function ops.retry_letters(tenant text, letters uuid[]) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  of_tenant uuid := ops.find_tenant(tenant);
begin
  perform ops.require_some(letters);
  perform signalops.act_as(of_tenant);
  return signalops.retry_dead_letters(of_tenant, letters);
end
$$;
comment on function ops.retry_letters(text, uuid[]) is
  'Gives dead letters of a tenant another chance, up to 10,000 at a time; returns how many it did. Others, and those that ended, are left.';

create function ops.discard_letters(tenant text, letters uuid[], reason text) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  of_tenant uuid := ops.find_tenant(tenant);
begin
  perform ops.require_some(letters);
  perform ops.require_reason(reason);
  perform signalops.act_as(of_tenant);
  return signalops.discard_dead_letters(of_tenant, letters, trim(reason));
end
$$;
comment on function ops.discard_letters(text, uuid[], text) is
  'Takes dead letters of a tenant off the list for good, with a reason, up to 10,000 at a time; returns how many it did.';

create function ops.retry_deliveries(tenant text, deliveries uuid[]) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  of_tenant uuid := ops.find_tenant(tenant);
begin
  perform ops.require_some(deliveries);
  perform signalops.act_as(of_tenant);
  return (select count(*) from signalops.retry_deliveries(of_tenant, deliveries));
end
$$;
comment on function ops.retry_deliveries(text, uuid[]) is
  'Has deliveries of a tenant that wait tried now, up to 10,000 at a time; returns how many it did. Those that died: ops.retry_letters.';

create function ops.cancel_deliveries(tenant text, deliveries uuid[]) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  of_tenant uuid := ops.find_tenant(tenant);
begin
  perform ops.require_some(deliveries);
  perform signalops.act_as(of_tenant);
  return (select count(*) from signalops.cancel_deliveries(of_tenant, deliveries));
end
$$;
comment on function ops.cancel_deliveries(text, uuid[]) is
  'Calls off deliveries of a tenant that wait, up to 10,000 at a time; returns how many it did.';

create function ops.retry_job(job bigint) returns void
language plpgsql volatile security definer set search_path = procrastinate, pg_temp
as $$
declare
  found_job procrastinate_jobs;
begin
  select * into found_job from procrastinate_jobs j where j.id = job for update;
  if found_job.id is null then
    raise 'there is no job %: jobs that succeed are deleted', job using errcode = 'no_data_found';
  elsif found_job.status <> 'failed' then
    raise 'job % is %, and only one that failed can be retried', job, found_job.status using errcode = 'object_not_in_prerequisite_state';
  end if;
  perform procrastinate_retry_job_v2(job, null, null, null, null);
  perform ops.note('job.retried', job::text, jsonb_build_object('queue', found_job.queue_name, 'task', found_job.task_name));
end
$$;
comment on function ops.retry_job(bigint) is 'Has a job that failed run again.';

create function ops.cancel_job(job bigint, reason text) returns void
language plpgsql volatile security definer set search_path = procrastinate, pg_temp
as $$
declare
  found_job procrastinate_jobs;
begin
  perform ops.require_reason(reason);
  select * into found_job from procrastinate_jobs j where j.id = job for update;
  if found_job.id is null then
    raise 'there is no job %: jobs that succeed are deleted', job using errcode = 'no_data_found';
  elsif found_job.status <> 'todo' then
    raise 'job % is %, and only one that waits can be cancelled', job, found_job.status using errcode = 'object_not_in_prerequisite_state';
  elsif found_job.task_name = 'process_batch' then
    raise 'what was accepted is processed, by another job if not by this one: suspend the tenant or pause the queue instead'
      using errcode = 'object_not_in_prerequisite_state';
  elsif found_job.task_name = 'send_delivery' then
    raise 'a delivery that waits gets another job: cancel it with ops.cancel_deliveries, or pause the queue'
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  perform procrastinate_cancel_job_v1(job, false, false);
  perform ops.note('job.cancelled', job::text,
    jsonb_build_object('queue', found_job.queue_name, 'task', found_job.task_name, 'reason', trim(reason)));
end
$$;
comment on function ops.cancel_job(bigint, text) is 'Cancels a job that waits, with a reason; not one by which accepted events or deliveries go on.';

revoke all on all functions in schema ops from public;

-- The operator: these views and functions, what the views compute with, and nothing else.
drop policy operator_reads on signalops.audit_log;
revoke select on signalops.audit_log from signalops_operator;
revoke select on all tables in schema procrastinate from signalops_operator;
revoke usage on schema procrastinate, signalops, yoyo from signalops_operator;
alter default privileges in schema yoyo revoke select on tables from signalops_operator;
revoke select on all tables in schema yoyo from signalops_operator;
grant execute on function signalops.time_of(uuid), signalops.id_at(timestamptz), signalops.period_of(timestamptz, text),
  signalops.starts_at(date, text), ops.queues(), ops.activity() to signalops_operator;
grant select on ops.queue_health, ops.running_jobs, ops.job_history, ops.workers, ops.inbox_by_tenant, ops.delivery_health,
  ops.dead_letters, ops.slow_rules, ops.backtests, ops.tenant_usage, ops.partitions, ops.tables, ops.sessions, ops.connections, ops.locks,
  ops.actions to signalops_operator;
grant execute on function ops.pause_queue(text, text), ops.resume_queue(text), ops.drain_queue(text, interval),
  ops.suspend_tenant(text, text), ops.resume_tenant(text), ops.retry_letters(text, uuid[]), ops.discard_letters(text, uuid[], text),
  ops.retry_deliveries(text, uuid[]), ops.cancel_deliveries(text, uuid[]), ops.retry_job(bigint), ops.cancel_job(bigint, text)
  to signalops_operator;
