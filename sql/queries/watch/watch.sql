-- Station watch: the path of one event, and the state of the installation.

-- event: one event of a tenant with its status and what its batch became
select e.id, e.batch, e.type, e.source, e.occurred_at, e.received_at, e.payload, e.attributes, e.causation_depth, e.status, e.over_limit,
  e.correlation,
  b.job_id, b.worker, b.ruleset_version, b.rules, b.processed_at, d.error, d.died_at,
  e.status = 'pending' and t.status in ('suspended', 'deleting') as is_parked
from signalops.event_status e
join signalops.tenants t on t.id = e.tenant_id
left join signalops.batch_results b on b.tenant_id = e.tenant_id and b.batch = e.batch
left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id and d.resolution is distinct from 'retried'
where e.tenant_id = %(tenant)s and e.id = %(event)s;

-- measurements: the metrics of the database, for a scrape
select name, labels, value from ops.measurements();

-- matches-of-event: the rules that matched an event, in the version that decided, with the outcome
select m.rule_id as id, coalesce(r.name, '(deleted)') as name, m.rule_version as version, m.outcome
from signalops.matches m left join signalops.rules r on r.tenant_id = m.tenant_id and r.id = m.rule_id
where m.tenant_id = %(tenant)s and m.event_id = %(event)s
order by m.rule_id;

-- deliveries-of-event: an event's deliveries with their attempts
select d.id, d.rule_id, d.rule_version, d.channel_id, c.name as channel, c.kind, d.status, d.attempts, d.next_attempt_at,
  d.created_at, d.updated_at, d.window_context, d.replay_id, l.error as dead_because,
  coalesce((
    select jsonb_agg(jsonb_build_object('attempt', a.attempt, 'startedAt', a.started_at, 'durationMs', a.duration_ms,
      'outcome', a.outcome, 'statusCode', a.status_code, 'answer', a.answer, 'error', a.error,
      'requestId', a.request_id) order by a.attempt)
    from signalops.delivery_attempts a where a.tenant_id = d.tenant_id and a.delivery_id = d.id), '[]') as attempt_log
from signalops.deliveries d
left join signalops.channels c on c.tenant_id = d.tenant_id and c.id = d.channel_id
left join signalops.dead_letters l on l.tenant_id = d.tenant_id and l.id = d.id and l.resolution is distinct from 'retried'
where d.tenant_id = %(tenant)s and d.event_id = %(event)s
order by d.id;

-- ready: answers when the database does
select 1;

-- newest-event: the id of the event that was stored last, for the owner's command line
select e.id from signalops.events e order by e.id desc limit 1;

-- tenant-of-event: whose event an id is, for the owner's command line
select t.id, t.slug from signalops.tenants t join signalops.events e on e.tenant_id = t.id and e.id = %(event)s;
