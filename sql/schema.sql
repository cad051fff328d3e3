-- The schema as migrations and functions make it, for reading; a test keeps it true.
-- `python -m tests.sql.dump` writes it. Left out: the monthly partitions, and what procrastinate and yoyo own.

CREATE SCHEMA ops;

COMMENT ON SCHEMA ops IS 'For who runs the installation: views of what goes on, and guarded functions for what is dangerous.';

CREATE SCHEMA signalops;

COMMENT ON SCHEMA signalops IS 'The product: every table of a tenant begins with tenant_id and is protected row by row.';

CREATE FUNCTION ops.activity() RETURNS TABLE(pid integer, login name, application text, address inet, kind text, state text, waits_for text, connected_at timestamp with time zone, transaction_at timestamp with time zone, statement_at timestamp with time zone, state_at timestamp with time zone, xmin_age integer, statement text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
  select a.pid, a.usename, a.application_name, a.client_addr, a.backend_type, a.state,
    case when a.wait_event is not null and a.state <> 'idle' then a.wait_event_type || ': ' || a.wait_event end,
    a.backend_start, a.xact_start, a.query_start, a.state_change, age(a.backend_xmin),
    -- What follows may be anybody's data.
    regexp_replace(a.query, '(''|\$(?!\d)|(?<![\w$])\d).*$', '...')
  from pg_stat_activity a where a.datname = current_database()
$_$;

COMMENT ON FUNCTION ops.activity() IS 'What pg_stat_activity knows of this database, of each statement what stands before its first literal. For others'' statements signalops_owner needs pg_read_all_stats, which sql/bootstrap.sql grants.';

CREATE FUNCTION ops.cancel_deliveries(tenant text, deliveries uuid[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  of_tenant uuid := ops.find_tenant(tenant);
begin
  perform ops.require_ids(deliveries);
  perform signalops.set_tenant(of_tenant);
  return (select count(*) from signalops.cancel_deliveries(of_tenant, deliveries));
end
$$;

COMMENT ON FUNCTION ops.cancel_deliveries(tenant text, deliveries uuid[]) IS 'Cancels waiting deliveries of a tenant, up to 10,000 at a time; returns how many.';

CREATE FUNCTION ops.cancel_job(job bigint, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $$
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
  perform ops.log_installation_action('job.cancelled', job::text,
    jsonb_build_object('queue', found_job.queue_name, 'task', found_job.task_name, 'reason', trim(reason)));
end
$$;

COMMENT ON FUNCTION ops.cancel_job(job bigint, reason text) IS 'Cancels a job that waits, with a reason; not one by which accepted events or deliveries go on.';

CREATE FUNCTION ops.discard_dead_letters(tenant text, letters uuid[], reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  of_tenant uuid := ops.find_tenant(tenant);
begin
  perform ops.require_ids(letters);
  perform ops.require_reason(reason);
  perform signalops.set_tenant(of_tenant);
  return signalops.discard_dead_letters(of_tenant, letters, trim(reason));
end
$$;

COMMENT ON FUNCTION ops.discard_dead_letters(tenant text, letters uuid[], reason text) IS 'Discards dead letters of a tenant for good, with a reason, up to 10,000 at a time; returns how many.';

CREATE FUNCTION ops.drain_queue(queue text, at_most interval DEFAULT '00:00:10'::interval, OUT is_paused boolean, OUT ready bigint, OUT doing bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION ops.drain_queue(queue text, at_most interval, OUT is_paused boolean, OUT ready bigint, OUT doing bigint) IS 'Waits, up to a minute, until no job of a queue runs and none is ready; while it is paused, until none runs. Returns what is left: repeat it until doing is 0, with \watch in psql.';

CREATE FUNCTION ops.find_tenant(named text) RETURNS uuid
    LANGUAGE plpgsql STABLE
    AS $$
declare
  found_tenant uuid := (select t.id from signalops.tenants t where t.slug = named or t.id::text = named);
begin
  if found_tenant is null then
    raise 'there is no tenant %: give its slug or id, as in select distinct tenant from ops.tenant_usage', quote_nullable(named)
      using errcode = 'no_data_found';
  end if;
  return found_tenant;
end
$$;

COMMENT ON FUNCTION ops.find_tenant(named text) IS 'The tenant of a slug or an id, or an error.';

CREATE FUNCTION ops.log_installation_action(action text, target text, about jsonb) RETURNS void
    LANGUAGE sql
    AS $$
  select signalops.write_audit_log('00000000-0000-0000-0000-000000000000', action, target, target, jsonb_build_object('before', null, 'after', about))
$$;

COMMENT ON FUNCTION ops.log_installation_action(action text, target text, about jsonb) IS 'Adds an action on the installation itself to the audit log.';

CREATE FUNCTION ops.measurements() RETURNS TABLE(name text, labels jsonb, value double precision)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $_$
#variable_conflict use_column
declare
  -- Beyond it the server's estimate is good enough, and counting would be dear just when the installation is behind.
  exactly constant integer := 100000;
begin
  return query
  select m.name, m.labels || jsonb_build_object('queue', h.queue), m.value::double precision
  from ops.queue_health h
  cross join lateral (values
    ('signalops_jobs', '{"state": "ready"}'::jsonb, h.ready::numeric),
    ('signalops_jobs', '{"state": "scheduled"}', h.scheduled),
    ('signalops_jobs', '{"state": "doing"}', h.doing),
    ('signalops_jobs', '{"state": "failed"}', h.failed),
    ('signalops_oldest_job_seconds', '{}', coalesce(extract(epoch from h.oldest_ready), 0)),
    ('signalops_queue_paused', '{}', (h.paused_at is not null)::integer)
  ) as m (name, labels, value);

  return query
  select 'signalops_workers', jsonb_build_object('state', s.state), count(w.worker_id)::double precision
  from (values ('alive', true), ('silent', false)) as s (state, is_alive)
  left join ops.workers w on w.is_alive = s.is_alive group by s.state;

  return query
  select m.name, '{}'::jsonb, m.value::double precision
  from (
    select (select count(*) from (select from signalops.inbox limit exactly) i) as inbox,
      (select count(*) from (select from signalops.inbox where is_parked limit exactly) i) as parked,
      (select count(*) from (select from signalops.dead_letters where resolved_at is null limit exactly) l) as letters,
      pg_stat_get_live_tuples('signalops.inbox'::regclass) as inbox_estimate,
      -- Of the batch, whose id has the time of the insert; a replayed event is older.
      (select signalops.uuid7_time(i.batch) from signalops.inbox i where not i.is_parked order by i.batch limit 1) as oldest,
      (select max(s.transaction_age) from ops.sessions s where s.pid <> pg_backend_pid()) as transaction_age
  ) c
  cross join lateral (values
    ('signalops_inbox_events', case when c.inbox < exactly then c.inbox else greatest(c.inbox, c.inbox_estimate) end),
    ('signalops_inbox_parked_events', c.parked),
    ('signalops_inbox_oldest_seconds', greatest(extract(epoch from now() - c.oldest), 0)),
    ('signalops_dead_letters', c.letters),
    ('signalops_oldest_transaction_seconds', coalesce(extract(epoch from c.transaction_age), 0))
  ) as m (name, value);

  return query
  select 'signalops_deliveries', jsonb_build_object('kind', k.kind, 'state', u.status), sum(n.waiting)::double precision
  from (
    select distinct v.tenant_id, v.rule_id, v.channel_id, c.kind
    from signalops.rule_versions v join signalops.channels c on c.tenant_id = v.tenant_id and c.id = v.channel_id
  ) k
  cross join unnest(array['pending', 'sending', 'retrying']) as u (status)
  -- As in ops.delivery_health: reads of deliveries_by_rule what it counts, and nothing else.
  cross join lateral (
    select count(*) as waiting from signalops.deliveries d
    where d.tenant_id = k.tenant_id and d.rule_id = k.rule_id and d.channel_id = k.channel_id and d.status = u.status
  ) n
  group by k.kind, u.status;

  return query
  select m.name, m.labels || jsonb_build_object('kind', k.kind), m.value::double precision
  from (
    select c.kind, count(*) filter (where not c.enabled) as disabled, count(*) filter (where o.circuit_open_until is not null) as opened,
      count(*) filter (where o.circuit_open_until is null) as closed
    from signalops.channels c
    left join signalops.send_targets o on o.tenant_id = c.tenant_id and o.id = coalesce(c.send_target_id, c.id)
    where c.deleted_at is null group by c.kind
  ) k
  cross join lateral (values
    ('signalops_channels_disabled', '{}'::jsonb, k.disabled),
    ('signalops_circuit_breakers', '{"state": "open"}', k.opened),
    ('signalops_circuit_breakers', '{"state": "closed"}', k.closed)
  ) as m (name, labels, value);

  return query
  select 'signalops_limit_used_ratio', jsonb_build_object('tenant', t.slug, 'meter', q.meter),
    (q.accepted / coalesce(l.hard, l.soft))::double precision as used
  from signalops.tenants t
  cross join lateral (
    select signalops.period_of(now(), t.time_zone) as period, (now() at time zone t.time_zone)::date as today
  ) p
  join signalops.accepted_counters q on q.tenant_id = t.id and q.period = p.period
  cross join lateral (
    select n.soft, n.hard from signalops.limits n where n.tenant_id = t.id and n.meter = q.meter and n.starts_on <= p.today
    order by n.origin desc, n.starts_on desc limit 1
  ) l
  where coalesce(l.hard, l.soft) > 0 order by used desc limit 100;

  return query
  select m.name, jsonb_build_object('table', s.relation), m.value::double precision
  from (
    select coalesce(parent.relname, r."table")::text as relation, sum(r.bytes + r.index_bytes) as bytes, sum(r.live_rows) as live,
      sum(r.dead_rows) as dead
    from ops.tables r
    left join pg_inherits i on i.inhrelid = format('%I.%I', r.schema, r."table")::regclass
    left join pg_class parent on parent.oid = i.inhparent
    group by 1
  ) s
  cross join lateral (values
    ('signalops_table_bytes', s.bytes), ('signalops_table_live_rows', s.live), ('signalops_table_dead_rows', s.dead)
  ) as m (name, value);

  return query
  select 'signalops_partition_months_ahead', jsonb_build_object('table', p.parent), min(p.months_ahead)::double precision
  from ops.partitions p group by p.parent;

  return query
  select 'signalops_replication_lag_seconds', jsonb_build_object('replica', r.application_name),
    max(coalesce(extract(epoch from r.replay_lag), 0))::double precision
  from pg_stat_replication r group by r.application_name;

  return query
  select 'signalops_db_connections', jsonb_build_object('role', b.role), count(*)::double precision
  from (
    -- Whoever connects can call itself anything; what is not ours is one series.
    select coalesce(substring(s.application from '^signalops (api|worker|platform|owner)$'), 'other') as role
    from ops.sessions s where s.kind = 'client backend'
  ) b
  group by b.role;
end
$_$;

COMMENT ON FUNCTION ops.measurements() IS 'The metrics of the database, each with its labels. Counts rows only where few are expected, and reads the rest from statistics and the catalogue. Names no tenant but in signalops_limit_used_ratio.';

CREATE FUNCTION ops.pause_queue(queue text, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
  perform ops.log_installation_action('queue.paused', queue, jsonb_build_object('reason', trim(reason)));
end
$$;

COMMENT ON FUNCTION ops.pause_queue(queue text, reason text) IS 'Pauses a queue other than maintenance, with a reason: workers start none of its jobs. Running jobs end as usual, and new ones wait: nothing is lost or refused. Each fetch of another queue''s job steps over those that wait, so don''t leave events paused for hours.';

CREATE FUNCTION ops.queues() RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY['events'::text, 'deliveries'::text, 'backtests'::text, 'deletions'::text, 'maintenance'::text];

COMMENT ON FUNCTION ops.queues() IS 'The queues there are.';

CREATE FUNCTION ops.require_ids(ids uuid[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
  if coalesce(cardinality(ids), 0) not between 1 and 10000 then
    raise 'these are %: give 1 to 10,000 ids at a time, and repeat it for more', coalesce(cardinality(ids), 0)
      using errcode = 'invalid_parameter_value';
  end if;
end
$$;

COMMENT ON FUNCTION ops.require_ids(ids uuid[]) IS 'Refuses no ids, and more than a short transaction has time for.';

CREATE FUNCTION ops.require_reason(reason text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    AS $$
begin
  if coalesce(length(trim(reason)), 0) not between 1 and 500 then
    raise 'say why in 1 to 500 characters: it is stored in the audit log' using errcode = 'invalid_parameter_value';
  end if;
end
$$;

COMMENT ON FUNCTION ops.require_reason(reason text) IS 'Refuses what is done without a reason.';

CREATE FUNCTION ops.resume_queue(queue text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  delete from ops.paused_queues q where q.queue = resume_queue.queue;
  if not found then
    raise 'the queue % is not paused: see select queue, paused_at from ops.queue_health', quote_nullable(queue)
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  perform ops.log_installation_action('queue.resumed', queue, null);
end
$$;

COMMENT ON FUNCTION ops.resume_queue(queue text) IS 'Resumes a paused queue within half a second.';

CREATE FUNCTION ops.resume_tenant(tenant text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update signalops.tenants t set status = 'active' where t.id = ops.find_tenant(tenant) and t.status <> 'active';
  if not found then
    raise 'the tenant % is active', tenant using errcode = 'object_not_in_prerequisite_state';
  end if;
end
$$;

COMMENT ON FUNCTION ops.resume_tenant(tenant text) IS 'Resumes a suspended tenant, by slug or id: its waiting events are processed within seconds.';

CREATE FUNCTION ops.retry_dead_letters(tenant text, letters uuid[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  of_tenant uuid := ops.find_tenant(tenant);
begin
  perform ops.require_ids(letters);
  perform signalops.set_tenant(of_tenant);
  return signalops.retry_dead_letters(of_tenant, letters);
end
$$;

COMMENT ON FUNCTION ops.retry_dead_letters(tenant text, letters uuid[]) IS 'Retries dead letters of a tenant, up to 10,000 at a time; returns how many. Resolved ones are skipped.';

CREATE FUNCTION ops.retry_deliveries(tenant text, deliveries uuid[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  of_tenant uuid := ops.find_tenant(tenant);
begin
  perform ops.require_ids(deliveries);
  perform signalops.set_tenant(of_tenant);
  return (select count(*) from signalops.retry_deliveries(of_tenant, deliveries));
end
$$;

COMMENT ON FUNCTION ops.retry_deliveries(tenant text, deliveries uuid[]) IS 'Makes waiting deliveries of a tenant due now, up to 10,000 at a time; returns how many. For dead ones: ops.retry_dead_letters.';

CREATE FUNCTION ops.retry_job(job bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $$
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
  perform ops.log_installation_action('job.retried', job::text, jsonb_build_object('queue', found_job.queue_name, 'task', found_job.task_name));
end
$$;

COMMENT ON FUNCTION ops.retry_job(job bigint) IS 'Retries a failed job.';

CREATE FUNCTION ops.suspend_tenant(tenant text, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform ops.require_reason(reason);
  -- The trigger on the status refuses what can't be; that on the table logs who did it.
  update signalops.tenants t set status = 'suspended', status_reason = trim(reason)
  where t.id = ops.find_tenant(tenant) and t.status <> 'suspended';
  if not found then
    raise 'the tenant % is suspended already', tenant using errcode = 'object_not_in_prerequisite_state';
  end if;
end
$$;

COMMENT ON FUNCTION ops.suspend_tenant(tenant text, reason text) IS 'Suspends a tenant, by slug or id, with the reason that its refused requests get. Its accepted events wait.';

CREATE FUNCTION signalops.accept(flush jsonb, demand jsonb, in_batch uuid, in_priority integer, buckets jsonb DEFAULT NULL::jsonb) RETURNS TABLE(event_id uuid, verdict text, first_id uuid, of_meter text, period_end timestamp with time zone, pace jsonb)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET lock_timeout TO '300ms'
    AS $_$
declare
  -- The flush's own moment: the same for all its events and for later reads.
  moment timestamptz := signalops.uuid7_time(in_batch);
  tenants uuid[];
  meters text[];
  calms boolean[];
  admitted jsonb := flush;
  part record;
  checked jsonb;
  taken jsonb := '[]';
  careful uuid[] := '{}';
  due_notices jsonb := '[]';
  fresh bigint;
  notices bigint;
  emitted bigint := 0;
  paced jsonb;
  place text;
begin
  -- An API of the release before sets its ids and received_at itself.
  if not flush -> 0 ? 'received_at' then
    place := left(signalops.uuid7_floor(signalops.position_time())::text, 13);
    return query select null::uuid, 'placed', null::uuid, place, null::timestamptz, null::jsonb;
  end if;
  perform signalops.set_tenant_group((select array_agg(a.tenant) from jsonb_to_recordset(demand) as a (tenant uuid)));

  if buckets is not null then
    -- Lock order: rate_buckets, accepted_counters, idempotency_keys.
    paced := (select jsonb_agg(t) from signalops.take_tokens(flush, buckets) t);
    return query
      select p.event_id, case when p.event_id is null then 'bucket' else 'rate_limited' end, p.of_tenant, p.of_bucket, null::timestamptz, p.pace
      from jsonb_to_recordset(paced) as p (event_id uuid, of_tenant uuid, of_bucket text, pace jsonb);
    if jsonb_path_exists(paced, '$[*] ? (@.event_id != null)') then
      flush := signalops.without_rate_limited(flush, paced);
      if flush = '[]' then
        perform signalops.set_tenant_group(null);
        return;
      end if;
      demand := signalops.recompute_demand(flush, demand);
      admitted := flush;
    end if;
  end if;

  select array_agg(c.tenant), array_agg(c.of_meter), array_agg(c.is_calm) into tenants, meters, calms
  from signalops.try_count(demand, moment) c;
  if (cardinality(tenants) = jsonb_array_length(demand) and true = all (calms)) is not true then
    -- Rows that this flush made can't be seen by who changes limits. Not waited for, since that one may wait for a row of this flush.
    if false = any (calms) and not pg_try_advisory_xact_lock_shared(hashtext('signalops.new_accepted_counters')) then
      raise 'a limit is being changed' using errcode = 'lock_not_available';
    end if;
    for part in
      select a.tenant, jsonb_agg(a) as demand, array_agg(a.meter) as meters, array_agg(c.meter) as counted,
        array_agg(c.meter) filter (where not c.is_calm) as made
      from jsonb_to_recordset(demand) as a (tenant uuid, meter text, amount numeric, limited_meters_version bigint)
      left join unnest(tenants, meters, calms) as c (tenant, meter, is_calm) on c.tenant = a.tenant and c.meter = a.meter
      group by a.tenant having bool_and(coalesce(c.is_calm, false)) is false order by a.tenant
    loop
      careful := careful || part.tenant;
      select jsonb_agg(c) into checked from signalops.apply_limits(part.tenant, moment, part.demand, flush, part.counted, part.made) c;
      if checked is null then
        return query select null::uuid, 'stale', part.tenant, null::text, null::timestamptz, null::jsonb;
        continue;
      end if;
      return query
        select (c.event ->> 'id')::uuid, 'refused', null::uuid, c.refused_by, c.period_end, null::jsonb
        from jsonb_to_recordset(checked) as c (event jsonb, refused_by text, period_end timestamptz) where c.refused_by is not null;
      taken := taken || (
        select coalesce(jsonb_agg(c.event), '[]')
        from jsonb_to_recordset(checked) as c (event jsonb, refused_by text) where c.refused_by is null);
      due_notices := due_notices || jsonb_build_object('tenant', part.tenant, 'meters', part.meters, 'refusing', (
        select array_agg(distinct c.refused_by) from jsonb_to_recordset(checked) as c (refused_by text)));
    end loop;
    perform signalops.update_counters(taken, moment, 1);
    admitted := taken || (
      select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(flush) i where (i ->> 'tenant')::uuid <> all (careful));
    return query
      select o.id, 'over_limit', null::uuid, null::text, null::timestamptz, null::jsonb
      from jsonb_to_recordset(taken) as o (id uuid, over_limit boolean) where o.over_limit;
  end if;

  fresh := signalops.insert_events(admitted, in_batch, place);
  if fresh < jsonb_array_length(admitted) then
    return query
      select g.event_id, g.verdict, g.first_id, null::text, null::timestamptz, null::jsonb from signalops.uncount_duplicates(admitted, moment, place) g;
  end if;

  for part in select * from jsonb_to_recordset(due_notices) as t (tenant uuid, meters text[], refusing text[])
  loop
    return query
      select t.event_id, t.verdict, part.tenant, t.of_meter, null::timestamptz, null::jsonb
      from signalops.emit_limit_notices(part.tenant, moment, in_batch, part.meters, part.refusing) t;
    get diagnostics notices = row_count;
    emitted := emitted + notices;
  end loop;

  if fresh + emitted > 0 then
    perform signalops.enqueue('events', 'process_batch', in_priority, jsonb_build_object('batch', in_batch));
  end if;
  perform signalops.set_tenant_group(null);
end
$_$;

COMMENT ON FUNCTION signalops.accept(flush jsonb, demand jsonb, in_batch uuid, in_priority integer, buckets jsonb) IS 'Accepts a flush: [{tenant, id, type, source, occurred_at, payload, attributes, key, hash, quantities: {meter: amount}, buckets: [n]}] with [{tenant, meter, amount, limited_meters_version}]: what each tenant''s events add to the meter events and to each of its limited meters, and the version of these (tenants.limited_meters_version); and with [{tenant, bucket, amount}], the rate limits that events pay, by their place (from 1), or NULL when none does. Checks the rate limits, counts against the limits, stores, fills the inbox and enqueues one job. An id is placed as its event is stored: the row placed has, as of_meter, the 13 characters that its milliseconds become. Returns otherwise only what was not plainly accepted: rate_limited (by the bucket of_meter; pace: {wait} in seconds), stale (nothing of the tenant first_id is stored, but its tokens are taken: compute quantities by its present limited meters and send again), refused (by of_meter, until period_end), over_limit, duplicate or conflict (first_id is the event stored under the key); as soft_limit, hard_limit and threshold the notices it emitted (of the tenant first_id), each once when it was reached; and what each bucket (of_meter, of the tenant first_id) has left (pace: {rate, burst, left}).';

CREATE FUNCTION signalops.action_verb(before jsonb, after jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN (before IS NULL) THEN CASE WHEN ((after ->> 'replaces'::text) IS NULL) THEN 'created'::text ELSE 'rotated'::text END WHEN ((after IS NULL) OR (((before ->> 'deleted_at'::text) IS NULL) AND ((after ->> 'deleted_at'::text) IS NOT NULL))) THEN 'deleted'::text WHEN (((before ->> 'revoked_at'::text) IS NULL) AND ((after ->> 'revoked_at'::text) IS NOT NULL)) THEN 'revoked'::text WHEN (((before ->> 'voided_at'::text) IS NULL) AND ((after ->> 'voided_at'::text) IS NOT NULL)) THEN 'voided'::text WHEN (((before ->> 'ended_at'::text) IS NULL) AND ((after ->> 'ended_at'::text) IS NOT NULL)) THEN 'ended'::text WHEN ((before ->> 'status'::text) <> (after ->> 'status'::text)) THEN CASE (after ->> 'status'::text) WHEN 'active'::text THEN 'resumed'::text ELSE (after ->> 'status'::text) END WHEN ((before - '{enabled,disabled_because}'::text[]) = (after - '{enabled,disabled_because}'::text[])) THEN CASE (after ->> 'enabled'::text) WHEN 'true'::text THEN 'enabled'::text ELSE 'disabled'::text END ELSE 'changed'::text END;

COMMENT ON FUNCTION signalops.action_verb(before jsonb, after jsonb) IS 'The verb of a row''s change: created, changed, deleted, disabled, revoked ...';

CREATE TABLE signalops.usage_adjustments (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    meter text NOT NULL,
    hour timestamp with time zone NOT NULL,
    group_key text NOT NULL,
    period date NOT NULL,
    is_late boolean NOT NULL,
    quantity numeric NOT NULL,
    reason text NOT NULL,
    author text NOT NULL,
    key_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    idempotency_key text,
    body_hash bytea,
    CONSTRAINT usage_adjustments_author_check CHECK (((length(author) >= 1) AND (length(author) <= 200))),
    CONSTRAINT usage_adjustments_check CHECK (((body_hash IS NULL) = (idempotency_key IS NULL))),
    CONSTRAINT usage_adjustments_idempotency_key_check CHECK (((length(idempotency_key) >= 1) AND (length(idempotency_key) <= 255))),
    CONSTRAINT usage_adjustments_quantity_check CHECK (((quantity <> (0)::numeric) AND (quantity <> ALL (ARRAY['NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric])))),
    CONSTRAINT usage_adjustments_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

ALTER TABLE ONLY signalops.usage_adjustments FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_adjustments IS 'Corrections of usage by a person, on record beside what was counted and never within it.';
COMMENT ON COLUMN signalops.usage_adjustments.tenant_id IS 'Whose usage it corrects.';
COMMENT ON COLUMN signalops.usage_adjustments.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.usage_adjustments.meter IS 'The meter''s key; one that counts, sums or counts different values.';
COMMENT ON COLUMN signalops.usage_adjustments.hour IS 'As of a counter: the hour whose usage is corrected.';
COMMENT ON COLUMN signalops.usage_adjustments.group_key IS 'As of a counter.';
COMMENT ON COLUMN signalops.usage_adjustments.period IS 'The billing period that it is billed in, by its first day.';
COMMENT ON COLUMN signalops.usage_adjustments.is_late IS 'Whether the period of the hour was closed already.';
COMMENT ON COLUMN signalops.usage_adjustments.quantity IS 'What is added, in the meter''s unit; negative: taken off.';
COMMENT ON COLUMN signalops.usage_adjustments.reason IS 'Why.';
COMMENT ON COLUMN signalops.usage_adjustments.author IS 'Who answers for it.';
COMMENT ON COLUMN signalops.usage_adjustments.key_id IS 'The API key it came with; NULL: from the command line.';
COMMENT ON COLUMN signalops.usage_adjustments.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.usage_adjustments.idempotency_key IS 'With which it was sent; NULL: without one.';
COMMENT ON COLUMN signalops.usage_adjustments.body_hash IS 'SHA-256 of what was sent with the key: the key stands for nothing else.';

CREATE FUNCTION signalops.add_adjustment(tenant uuid, new_id uuid, of_meter text, at timestamp with time zone, of_grp text, quantity numeric, reason text, author text, key_id uuid DEFAULT NULL::uuid, idempotency_key text DEFAULT NULL::text, body_hash bytea DEFAULT NULL::bytea) RETURNS signalops.usage_adjustments
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_variable
declare
  zone text;
  closed timestamptz;
  slot timestamptz;
  made signalops.usage_adjustments;
begin
  -- Closing changes this row first, so it waits for us; and if it was first, we wait, and read what it closed.
  select t.time_zone, t.closed_until into zone, closed from signalops.tenants t
  where t.id = tenant and t.id = signalops.current_tenant() for share;
  if not found then
    raise 'usage is adjusted in a transaction of its tenant: call signalops.set_tenant first' using errcode = 'insufficient_privilege';
  end if;
  if of_meter <> 'events' and not exists (
    select from signalops.meters m
    where m.tenant_id = tenant and m.key = of_meter and m.aggregation in ('count', 'sum', 'unique_count')
  ) then
    raise 'the meter % can''t be adjusted: only what counts or sums can be added to', of_meter using errcode = 'check_violation';
  end if;
  slot := date_trunc('hour', at, zone);
  insert into signalops.usage_adjustments as a
    (tenant_id, id, meter, hour, group_key, period, is_late, quantity, reason, author, key_id, idempotency_key, body_hash)
  values (tenant, new_id, of_meter, slot, of_grp, signalops.period_of(greatest(slot, closed), zone), slot < closed,
    quantity, reason, author, key_id, idempotency_key, body_hash)
  on conflict on constraint usage_adjustments_by_key do nothing
  returning a.* into made;
  if not found then
    select a.* into made from signalops.usage_adjustments a
    where a.tenant_id = tenant and a.idempotency_key = add_adjustment.idempotency_key;
  end if;
  return made;
end
$$;

COMMENT ON FUNCTION signalops.add_adjustment(tenant uuid, new_id uuid, of_meter text, at timestamp with time zone, of_grp text, quantity numeric, reason text, author text, key_id uuid, idempotency_key text, body_hash bytea) IS 'Corrects the usage of the hour of a moment by a quantity, for the current tenant. When its billing period is closed, the open one bills it, late. Returns the adjustment; with an idempotency key that was used before the first one, with an id of its own.';

CREATE FUNCTION signalops.add_plan_meters(tenant uuid, terms jsonb, in_grammar smallint) RETURNS void
    LANGUAGE sql
    AS $$
  -- One of its own that counts the same gives way: the tenant could end that, and with it what it is billed for; and one of
  -- another plan that takes negative values otherwise.
  update signalops.meters h set ended_at = now()
  from jsonb_to_recordset(terms -> 'meters') as m (key text, aggregation text, field text, pattern jsonb, "groupBy" text[], "allowNegative" boolean)
  where h.tenant_id = tenant and h.key = m.key and h.end_version is null and (h.origin = 'tenant' or h.allows_negative <> coalesce(m."allowNegative", false))
    and (h.aggregation, h.field, h.pattern, h.group_by) is not distinct from (m.aggregation, m.field, m.pattern, m."groupBy");
  -- Counted from now on even if the plan begins later: an early figure does no harm.
  insert into signalops.meters (tenant_id, key, first_version, name, aggregation, field, grammar, pattern, group_by, unit, origin, allows_negative)
  select tenant, m.key, 0, m.name, m.aggregation, m.field, in_grammar, m.pattern, m."groupBy", m.unit, 'plan',
    coalesce(m."allowNegative", false)
  from jsonb_to_recordset(terms -> 'meters')
    as m (key text, name text, aggregation text, field text, pattern jsonb, "groupBy" text[], unit text, "allowNegative" boolean)
  where not exists (
    -- What has the key and counts something else is left to the trigger, which refuses it.
    select from signalops.meters h where h.tenant_id = tenant and h.key = m.key and h.end_version is null
      and (h.aggregation, h.field, h.pattern, h.group_by) is not distinct from (m.aggregation, m.field, m.pattern, m."groupBy")
  )
  order by m.key
$$;

COMMENT ON FUNCTION signalops.add_plan_meters(tenant uuid, terms jsonb, in_grammar smallint) IS 'Gives a tenant the meters of a plan that it lacks, or has as its own. A unique_violation: it has one of that key that counts something else.';

CREATE FUNCTION signalops.advance_delivery(tenant uuid, delivery uuid, to_status text, because text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
begin
  update signalops.deliveries d set status = to_status, updated_at = now()
  where d.tenant_id = tenant and d.id = delivery and signalops.is_valid_transition(d.status, to_status);
  if found and to_status = 'dead' then
    perform signalops.dead_letter_delivery(tenant, delivery, because);
  end if;
  return found;
end
$$;

COMMENT ON FUNCTION signalops.advance_delivery(tenant uuid, delivery uuid, to_status text, because text) IS 'Advances a delivery to its provider''s status (delivered, read, dead with the reason), if that is a valid transition; returns whether it did.';

CREATE FUNCTION signalops.alert_conditions(platform uuid) RETURNS TABLE(alert text, subject text, severity text, value double precision, is_over boolean, raise_after interval, resolve_after interval, summary text, remedy text)
    LANGUAGE sql STABLE
    AS $$
  select 'dead_letters', t.slug, 'warning', count(*), true, interval '0', interval '15 minutes',
    'deliveries or events of the tenant were given up in the last 15 minutes',
    'See ops.dead_letters, fix the causes, then signalops dead-letter retry.'
  from signalops.dead_letters d join signalops.tenants t on t.id = d.tenant_id
  -- Not its own: an alert that can't be delivered would be one more dead letter, and that one more alert.
  where d.resolved_at is null and d.died_at > now() - interval '15 minutes' and d.tenant_id is distinct from platform
  group by t.slug
  union all
  select 'events_wait', '', 'critical', extract(epoch from l.wait), l.wait > signalops.events_wait_alert(), interval '15 seconds', interval '1 minute',
    format('events wait for longer than %s seconds to be processed', extract(epoch from signalops.events_wait_alert())::integer), 'Start more workers, or see ops.running_jobs for what blocks them.'
  from (
    select now() - signalops.uuid7_time(i.batch) as wait from signalops.inbox i where not i.is_parked order by i.batch limit 1
  ) l where l.wait > signalops.events_wait_alert() / 3
  union all
  select 'deliveries_wait', '', 'warning', extract(epoch from o.wait), o.wait > signalops.deliveries_wait_alert(), interval '15 seconds', interval '1 minute',
    format('deliveries are due for longer than %s seconds', extract(epoch from signalops.deliveries_wait_alert())::integer), 'Start more workers for the queue deliveries.'
  from (
    select now() - min(q.next_due_at) as wait from signalops.channel_schedules q
    where q.next_due_at < now() - signalops.deliveries_wait_alert() / 3
  ) o where o.wait is not null
  union all
  select 'stuck_workers', '', 'warning', count(*), true, interval '30 seconds', interval '1 minute',
    'workers without a heartbeat have jobs', 'See the logs of the workers; one that is silent for a minute is to be killed.'
  from ops.workers w where not w.is_alive and w.doing > 0 having count(*) > 0
  union all
  select 'failed_jobs', j.task_name, 'warning', count(*), true, interval '0', interval '1 minute',
    'jobs were given up', 'See why in the worker''s log, then ops.retry_job or ops.cancel_job.'
  from procrastinate.procrastinate_jobs j where j.status in ('failed', 'aborted') group by j.task_name
  union all
  select case when q.accepted >= l.hard then 'hard_limit' else 'soft_limit' end, t.slug || ' ' || q.meter,
    case when q.accepted >= l.hard then 'critical' else 'warning' end, q.accepted::double precision, true, interval '0', interval '0',
    'the tenant has reached a limit of this month', 'Raise the limit (signalops limit set), or contact the tenant.'
  from signalops.tenants t
  cross join lateral (select signalops.period_of(now(), t.time_zone) as period, (now() at time zone t.time_zone)::date as today) p
  join signalops.accepted_counters q on q.tenant_id = t.id and q.period = p.period
  cross join lateral (
    select n.soft, n.hard from signalops.limits n where n.tenant_id = t.id and n.meter = q.meter and n.starts_on <= p.today
    order by n.origin desc, n.starts_on desc limit 1
  ) l
  where q.accepted >= least(l.soft, l.hard)
  union all
  select 'partitions', p.parent::text, 'critical', min(p.months_ahead), min(p.months_ahead) < signalops.partitions_ahead_alert(), interval '0', interval '0',
    'the table has no partitions for the next two months', 'Run signalops migrate, and see why the job make_partitions fails.'
  from ops.partitions p group by p.parent having min(p.months_ahead) <= signalops.partitions_ahead_alert()
  union all
  select 'channels_disabled', t.slug, 'warning', count(*), true, interval '0', interval '0',
    'channels of the tenant were disabled, since their receivers did not answer for days', 'Notify the tenant; it enables them again.'
  from signalops.channels c join signalops.tenants t on t.id = c.tenant_id
  where not c.enabled and c.deleted_at is null and c.disabled_because is not null and c.tenant_id is distinct from platform
  group by t.slug
  union all
  select 'period_stuck', t.slug, 'warning', extract(epoch from now() - b.frozen_at), true, interval '0', interval '0',
    'a billing period of the tenant could not be closed for a day', 'See the log line period.close_failed in the worker''s log.'
  from signalops.billing_periods b join signalops.tenants t on t.id = b.tenant_id
  where b.closed_at is null and b.frozen_at < now() - interval '1 day'
  union all
  select 'maintenance', m.job, 'critical', extract(epoch from now() - m.succeeded_at), true, interval '0', interval '0',
    'the maintenance job has not succeeded for three hours', 'See signalops.maintenance_runs for the error, and start a worker for the queue.'
  from signalops.maintenance_runs m where m.succeeded_at < now() - interval '3 hours'
$$;

COMMENT ON FUNCTION signalops.alert_conditions(platform uuid) IS 'The alert conditions at or near their threshold, except those that the operators'' own tenant causes. Missing rows are within bounds.';

CREATE FUNCTION signalops.apply_credit_entry() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  update signalops.credit_grants set remaining = remaining + new.amount where tenant_id = new.tenant_id and id = new.grant_id;
  return null;
end
$$;

COMMENT ON FUNCTION signalops.apply_credit_entry() IS 'Moves what remains of a grant by an entry; its check refuses to overdraw.';

CREATE FUNCTION signalops.apply_limits(for_tenant uuid, moment timestamp with time zone, demand jsonb, offered jsonb, counted text[], made text[]) RETURNS TABLE(event jsonb, refused_by text, period_end timestamp with time zone)
    LANGUAGE plpgsql
    AS $$
declare
  zone text;
  month date;
  version bigint;
  meters text[];
  rooms numeric[];
  refuses boolean[];
  enough boolean;
  place record;
  blocked text;
  verdicts text[] := '{}';
begin
  select t.time_zone, signalops.period_of(moment, t.time_zone), t.limited_meters_version into zone, month, version
  from signalops.tenants t where t.id = for_tenant and t.status <> 'deleting';
  -- Undo what try_count has counted, which is counted again below; and the row that it made can be of a newer limited_meters_version.
  update signalops.accepted_counters q set accepted = q.accepted - a.amount, limited_meters_version = case when q.meter = any (made) then version else q.limited_meters_version end
  from jsonb_to_recordset(demand) as a (tenant uuid, meter text, amount numeric)
  where a.tenant = for_tenant and a.meter = any (counted)
    and q.tenant_id = for_tenant and q.period = month and q.meter = a.meter;

  if not exists (
    select from jsonb_to_recordset(demand) as a (tenant uuid, meter text, limited_meters_version bigint)
    join signalops.accepted_counters q on q.tenant_id = for_tenant and q.period = month and q.meter = a.meter
    where a.tenant = for_tenant and a.meter = 'events' and a.limited_meters_version = q.limited_meters_version
  ) then
    return;
  end if;

  select array_agg(q.meter order by q.meter), array_agg(r.room order by q.meter),
    array_agg(coalesce(l.overage = 'refuse', false) order by q.meter), bool_and(a.amount <= r.room)
  into meters, rooms, refuses, enough
  from jsonb_to_recordset(demand) as a (tenant uuid, meter text, amount numeric)
  join signalops.accepted_counters q on q.tenant_id = for_tenant and q.period = month and q.meter = a.meter
  left join lateral signalops.limit_of(for_tenant, q.meter, (moment at time zone zone)::date) l on true
  cross join lateral (select coalesce(l.hard - q.accepted, 'Infinity') as room) r
  where a.tenant = for_tenant;

  for place in
    select i.item, i.ord::integer, i.stored, min(i.ord) over (partition by coalesce(i.item ->> 'key', E'\n' || i.ord))::integer as first,
      array(select signalops.metered_quantity(i.item, m) from unnest(meters) with ordinality as u (m, n) order by u.n) as needs
    from (
      select o.item, o.ord, k.key is not null as stored
      from jsonb_array_elements(offered) with ordinality as o (item, ord)
      left join lateral (
        select k.key from signalops.idempotency_keys k where k.tenant_id = for_tenant and k.key = o.item ->> 'key' limit 1
      ) k on not enough
      where o.item ->> 'tenant' = for_tenant::text
    ) i
    order by i.ord
  loop
    event := place.item;
    -- What is stored already needs no room; a repeat within the flush shares the place of its first.
    if enough or place.stored then
      refused_by := null;
    elsif place.first < place.ord then
      refused_by := verdicts[place.first];
    else
      select min(x.meter) filter (where x.refuses),
        case when bool_or(not x.refuses) then event || '{"over_limit": true}' else event end
      into refused_by, event
      from unnest(meters, place.needs, rooms, refuses) as x (meter, need, room, refuses) where x.need > greatest(x.room, 0);
      if refused_by is null then
        rooms := array(select x.room - x.need from unnest(rooms, place.needs) with ordinality as x (room, need, n) order by x.n);
      end if;
      verdicts[place.ord] := refused_by;
    end if;
    period_end := signalops.period_start((month + interval '1 month')::date, zone);
    return next;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.apply_limits(for_tenant uuid, moment timestamp with time zone, demand jsonb, offered jsonb, counted text[], made text[]) IS 'The slow path of accept, for a tenant that reached a threshold or limit: undoes what try_count counted, and returns each of its events with the meter that refuses it, or marked when it is over a limit. No row when limited_meters_version is stale.';

CREATE FUNCTION signalops.apply_provider_status(delivery uuid, provider text, to_status text, because text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
declare
  tenant uuid := signalops.current_tenant();
  known record;
begin
  select d.status, d.provider_id into known from signalops.deliveries d where d.tenant_id = tenant and d.id = delivery;
  if to_status in ('delivered', 'read') then
    -- It was sent, whatever we know: the callback may overtake our record, and an attempt that was thought lost had succeeded.
    update signalops.deliveries d set status = 'sent', next_attempt_at = null, updated_at = now()
    where d.tenant_id = tenant and d.id = delivery and d.status <> 'sent' and signalops.is_valid_transition(d.status, 'sent');
  elsif known.status = 'sending' then
    return null;
  elsif known.status is distinct from 'sent' or known.provider_id <> provider then
    -- What failed is an earlier message: this one waits for its turn, is on its way or has arrived.
    return false;
  end if;
  return signalops.advance_delivery(tenant, delivery, to_status, because);
end
$$;

COMMENT ON FUNCTION signalops.apply_provider_status(delivery uuid, provider text, to_status text, because text) IS 'Applies a provider''s status of a message to a delivery of the transaction''s tenant: delivered, read, or dead with the reason. In any order, and repeated; returns whether it moved, and NULL of a failure that came before we know which message is meant: it must be told again.';

CREATE FUNCTION signalops.assign_slots(decided jsonb) RETURNS TABLE(channel uuid, granted integer, priority integer)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  -- More jobs than workers can run delay every later one: while many wait, only idle channels get one at once.
  is_full boolean := exists (
    select from procrastinate.procrastinate_jobs j where j.queue_name = 'deliveries' and j.status = 'todo' offset signalops.delivery_jobs_full());
begin
  return query
    with requested as (
      select m.tenant, m.channel, count(*)::integer as wanted_slots
      from jsonb_to_recordset(decided) as m (tenant uuid, channel uuid, outcome text, not_before timestamptz)
      where coalesce(m.outcome, 'notified') = 'notified' and m.not_before is null
      -- Lock order: channel_schedules by key.
      group by m.tenant, m.channel order by m.tenant, m.channel
    ), taken as (
      insert into signalops.channel_schedules as q (tenant_id, channel_id, tokens, refilled_at)
      select a.tenant, a.channel, signalops.channel_burst() - a.wanted_slots, clock_timestamp() from requested a
      on conflict (tenant_id, channel_id) do update set refilled_at = clock_timestamp(),
        tokens = excluded.tokens - signalops.channel_burst() + least(signalops.channel_burst(),
          greatest(q.tokens, 0) + signalops.channel_refill() * extract(epoch from clock_timestamp() - q.refilled_at))
      returning q.channel_id, q.tokens
    )
    select a.channel,
      case when is_full and t.tokens + a.wanted_slots < signalops.channel_idle() then 0 else greatest(0, a.wanted_slots + least(0, floor(t.tokens))::integer) end,
      case when t.tokens + a.wanted_slots >= signalops.channel_idle() then signalops.priority_idle_channel() else signalops.priority_delivery() end
    from requested a join taken t on t.channel_id = a.channel;
end
$$;

COMMENT ON FUNCTION signalops.assign_slots(decided jsonb) IS 'Says how many of a batch''s new deliveries get a job at once, by channel, and of which priority; the others wait for their channel''s turn.';

CREATE FUNCTION signalops.await_changed_limits() RETURNS void
    LANGUAGE plpgsql
    SET lock_timeout TO '100ms'
    AS $$
begin
  perform pg_advisory_xact_lock_shared(hashtext('signalops.new_accepted_counters'));
end
$$;

COMMENT ON FUNCTION signalops.await_changed_limits() IS 'Before a flush that makes a month''s first accepted counters is tried again: awaits, for a moment, the limits that are being changed.';

CREATE FUNCTION signalops.begin_deletion(slug_or_id text, confirmed text) RETURNS TABLE(tenant uuid, verdict text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  doomed record;
begin
  select t.id, t.slug, t.status into doomed from signalops.tenants t
  where slug_or_id in (t.id::text, t.slug) order by t.id::text = slug_or_id desc limit 1 for no key update;
  if not found then
    return;
  elsif confirmed is distinct from doomed.slug then
    return query select doomed.id, 'unconfirmed';
  elsif doomed.status not in ('closed', 'deleting') then
    return query select doomed.id, doomed.status;
  else
    update signalops.tenants t set status = 'deleting' where t.id = doomed.id and t.status = 'closed';
    -- Also of a tenant whose status was set by hand.
    insert into signalops.tenant_deletions (id, slug, begun_by)
    values (doomed.id, doomed.slug, nullif(current_setting('signalops.action', true), '')::jsonb) on conflict do nothing;
    if found then
      perform signalops.enqueue_deletion(doomed.id);
    end if;
    return query select doomed.id, 'deleting';
  end if;
end
$$;

COMMENT ON FUNCTION signalops.begin_deletion(slug_or_id text, confirmed text) IS 'Begins to delete a tenant, given by id or slug, and enqueues the job that does it. Verdict: deleting; unconfirmed, when what was confirmed is not its slug; or the status of one that must be closed first. No row: there is no such tenant.';

CREATE FUNCTION signalops.begin_expiry(retention_days integer) RETURNS void
    LANGUAGE sql
    AS $$
  insert into signalops.retention_watermarks as x (tenant_id, kept_since)
  select k.tenant, k.since from (
    select s.*, max(s.days) over () as longest from signalops.retention_cutoffs(retention_days) s
  ) k
  left join signalops.retention_watermarks b on b.tenant_id = k.tenant
  join signalops.tenants t on t.id = k.tenant
  -- The events of those that keep them longest go with their partitions, whole months at once.
  where k.days < k.longest and k.since > coalesce(b.kept_since, t.created_at) + interval '1 hour'
  order by k.tenant
  on conflict (tenant_id) do update set kept_since = greatest(x.kept_since, excluded.kept_since), is_expiring = true
$$;

COMMENT ON FUNCTION signalops.begin_expiry(retention_days integer) IS 'Advances the retention watermark of each tenant with a shorter retention than another one.';

CREATE FUNCTION signalops.billing_segments(tenant uuid, in_period date) RETURNS TABLE(plan text, version integer, terms jsonb, starts_on date, ends_on date, days integer, of_days integer)
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
  with subscribed as (
    select s.plan, s.version, s.terms, greatest(s.starts_on, in_period) as first_day,
      least(lead(s.starts_on, 1, 'infinity') over (order by s.starts_on), (in_period + interval '1 month')::date) as next_day
    from signalops.subscriptions s
    where s.tenant_id = tenant and s.starts_on < in_period + interval '1 month'
  )
  select h.plan, h.version, h.terms, h.first_day, h.next_day, h.next_day - h.first_day,
    (in_period + interval '1 month')::date - in_period
  from subscribed h where h.first_day < h.next_day order by h.first_day
$$;

COMMENT ON FUNCTION signalops.billing_segments(tenant uuid, in_period date) IS 'The billing segments of a period (named by its first day) under one plan each, in order: from starts_on until before ends_on, which are days of the of_days of the period. A period that begins before the tenant''s first plan has days of none.';

CREATE FUNCTION signalops.bind_secret() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  raise 'The secret of the channel % would be sent elsewhere: give it again.', new.name
    using errcode = 'check_violation', constraint = 'channels_secret_destination', table = 'channels';
end
$$;

COMMENT ON FUNCTION signalops.bind_secret() IS 'Prevents that a secret is sent to another destination than the one it was set for.';

CREATE FUNCTION signalops.bulk_batch_events() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 500;

COMMENT ON FUNCTION signalops.bulk_batch_events() IS 'Maximum events of a bulk batch: one job reads a batch whole.';

CREATE FUNCTION signalops.bump_meters_version(tenant uuid) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ update signalops.tenants set meters_version = meters_version + 1 where id = tenant and id = signalops.current_tenant() returning meters_version $$;

COMMENT ON FUNCTION signalops.bump_meters_version(tenant uuid) IS 'Starts a new version of the meters of the tenant that the transaction acts for; returns it. Whoever counts by an older one finds out.';

CREATE FUNCTION signalops.bump_ruleset() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  insert into signalops.ruleset_versions (tenant_id) values (coalesce(new.tenant_id, old.tenant_id))
  on conflict (tenant_id) do update set version = signalops.ruleset_versions.version + 1;
  return null;
exception when foreign_key_violation then
  return null; -- the tenant itself is being deleted
end
$$;

COMMENT ON FUNCTION signalops.bump_ruleset() IS 'Counts a change of a tenant''s rules.';

CREATE FUNCTION signalops.burn_credits(tenant uuid, invoice uuid, of_currency text, at_most numeric) RETURNS numeric
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  burned numeric;
begin
  perform signalops.require_tenant(tenant);
  with usable as materialized (
    -- Lock order: credit_grants by id; a row that another invoice is burning is waited for, and read again afterwards.
    select * from signalops.credit_grants g
    where g.tenant_id = tenant and g.currency = of_currency and g.remaining > 0 and (g.expires_at is null or g.expires_at > now())
    order by g.id for update
  ), queued as (
    select u.id, u.remaining,
      coalesce(sum(u.remaining) over (order by u.priority, u.expires_at nulls last, u.created_at, u.id
        rows between unbounded preceding and 1 preceding), 0) as before
    from usable u
  ), burnt as (
    insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount, invoice_id)
    select tenant, signalops.new_id(), q.id, 'burned', -least(q.remaining, at_most - q.before), invoice
    from queued q where q.before < at_most order by q.before
    returning amount
  )
  select coalesce(-sum(b.amount), 0) into burned from burnt b;
  return burned;
end
$$;

COMMENT ON FUNCTION signalops.burn_credits(tenant uuid, invoice uuid, of_currency text, at_most numeric) IS 'Burns up to an amount of the tenant''s credit for an invoice: by priority, then the soonest expiry, then the oldest. Returns the amount.';

CREATE FUNCTION signalops.cancel_deliveries(tenant uuid, delivery_ids uuid[]) RETURNS SETOF uuid
    LANGUAGE plpgsql
    AS $$
declare
  cancelled uuid[];
begin
  -- Lock order: deliveries by id. Before the update: when a row changed while the update below waited for it, PostgreSQL 18.4 crashed as it
  -- evaluated the sub-select on a partitioned table once more (EvalPlanQual, signal 11).
  perform from signalops.deliveries d where d.tenant_id = tenant and d.id = any (delivery_ids) order by d.id for update;
  with ended as (
    update signalops.deliveries d set status = 'cancelled', next_attempt_at = null, updated_at = now()
    where d.tenant_id = tenant and d.id = any (delivery_ids) and (d.status in ('pending', 'retrying')
      -- In hand of a worker that is gone or late: longer than any attempt takes, or after one that has left no record.
      or d.status = 'sending' and (d.updated_at < now() - signalops.circuit_probe_timeout() or d.attempts > 1 and not exists (
        select from signalops.delivery_attempts a
        where a.tenant_id = tenant and a.delivery_id = d.id and a.attempt = d.attempts - 1)))
    returning d.id
  )
  select array_agg(e.id) into cancelled from ended e;
  perform signalops.log_bulk_action(tenant, 'delivery.cancelled', cancelled);
  return query select unnest(cancelled);
end
$$;

COMMENT ON FUNCTION signalops.cancel_deliveries(tenant uuid, delivery_ids uuid[]) IS 'Cancels deliveries that wait, or whose worker is gone or late; returns which. One that is just being sent, or has ended, stays as it is.';

CREATE FUNCTION signalops.truncated_for_log(value jsonb, is_secret boolean) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    AS $$
declare
  logged_value jsonb := case when not is_secret or value = 'null' then value
    when jsonb_typeof(value) = 'object' then signalops.without_secrets(value) else '"***"' end;
begin
  if length(logged_value::text) > 8192 then
    return jsonb_build_object('cut', left(logged_value::text, 8192), 'characters', length(logged_value::text));
  end if;
  return logged_value;
end
$$;

COMMENT ON FUNCTION signalops.truncated_for_log(value jsonb, is_secret boolean) IS 'A value as the audit log has it: beyond 8,192 characters of JSON its beginning as text ("cut"), with how many "characters" it has.';

CREATE FUNCTION signalops.changed_columns(before jsonb, after jsonb, secrets text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN (SELECT jsonb_object_agg(a.key, signalops.truncated_for_log(a.value, (a.key = ANY (changed_columns.secrets)))) AS jsonb_object_agg FROM jsonb_each(changed_columns.after) a(key, value) WHERE (NULLIF(a.value, 'null'::jsonb) IS DISTINCT FROM NULLIF((changed_columns.before -> a.key), 'null'::jsonb)));

COMMENT ON FUNCTION signalops.changed_columns(before jsonb, after jsonb, secrets text[]) IS 'What a row has that it had not before, by column, in the words of the audit log; NULL: nothing. Turned round: what it had.';

CREATE FUNCTION signalops.channel_burst() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 1000;

COMMENT ON FUNCTION signalops.channel_burst() IS 'Fairness: how many deliveries of a channel can have jobs at once (burst).';

CREATE FUNCTION signalops.channel_idle() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 900;

COMMENT ON FUNCTION signalops.channel_idle() IS 'Fairness: a channel with at least as many tokens is idle, and goes first.';

CREATE FUNCTION signalops.channel_refill() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 500;

COMMENT ON FUNCTION signalops.channel_refill() IS 'Fairness: how many more jobs a channel gets each second.';

CREATE FUNCTION signalops.check_limit() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if new.meter <> 'events' and not exists (
    select from signalops.meters m
    where m.tenant_id = new.tenant_id and m.key = new.meter and m.aggregation in ('count', 'sum')
  ) then
    raise 'there is no meter % that counts or sums: limits are for these', new.meter using errcode = 'check_violation';
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION signalops.check_limit() IS 'Only what adds up can have a limit.';

CREATE FUNCTION signalops.check_status_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if (old.status, new.status) not in (('active', 'suspended'), ('suspended', 'active'), ('active', 'closed'), ('suspended', 'closed'),
    ('closed', 'deleting')) then
    raise 'a tenant that is % can''t become %: it goes from active to suspended and back, from either to closed, and then to deleting',
      old.status, new.status using errcode = 'check_violation';
  end if;
  new.status_since := now();
  if new.status = 'active' then
    new.status_reason := null;
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION signalops.check_status_change() IS 'Allows only valid transitions of a tenant''s status, sets status_since, and clears the reason when it becomes active.';

CREATE FUNCTION signalops.circuit_failures() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 5;

COMMENT ON FUNCTION signalops.circuit_failures() IS 'Circuit breaker: how many failures in a row open a send target''s circuit.';

CREATE FUNCTION signalops.circuit_max_pause() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '00:10:00'::interval;

COMMENT ON FUNCTION signalops.circuit_max_pause() IS 'Circuit breaker: how long it opens at most, unless the receiver asks for more.';

CREATE FUNCTION signalops.circuit_pause() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '00:00:15'::interval;

COMMENT ON FUNCTION signalops.circuit_pause() IS 'Circuit breaker: how long it opens at first; each failed half-open attempt doubles it.';

CREATE FUNCTION signalops.circuit_probe_timeout() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '00:00:30'::interval;

COMMENT ON FUNCTION signalops.circuit_probe_timeout() IS 'Circuit breaker: after how long another half-open attempt may start, if the worker of the first died; longer than any attempt takes.';

CREATE FUNCTION signalops.claim_deliveries(requested jsonb, busy uuid[]) RETURNS TABLE(tenant uuid, delivery uuid, send_target uuid, channel uuid, attempt smallint, attempts_at_reset smallint, window_context jsonb, replay boolean, about text, event json, rule json, template jsonb, kind text, config jsonb, secret bytea, enabled boolean, retry_schedule integer[], suppressed boolean)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  tenants uuid[];
  deliveries uuid[];
  channels uuid[];
  suspended uuid[];
  one record;
begin
  -- What a crash of the server takes back is claimed again: no reason to wait for the disk.
  perform set_config('synchronous_commit', 'off', true);
  -- Lock order: all deliveries (lock_deliveries), tenants, send_targets, channel_schedules, these by channel.
  perform signalops.set_tenant_group((select array_agg(w.tenant) from jsonb_to_recordset(requested) as w (tenant uuid)));
  select array_agg(l.tenant order by l.tenant, l.channel_id, l.delivery), array_agg(l.delivery order by l.tenant, l.channel_id, l.delivery),
    array_agg(l.channel_id order by l.tenant, l.channel_id, l.delivery)
  into tenants, deliveries, channels from signalops.lock_deliveries(requested) l;
  perform signalops.set_tenant_group(null);
  suspended := signalops.lock_suspended_tenants(tenants);
  for one in select * from unnest(tenants, deliveries, channels) as u (tenant, delivery, channel) loop
    if one.tenant = any (suspended) then
      perform signalops.set_tenant(one.tenant);
      update signalops.deliveries d set status = 'pending', next_attempt_at = clock_timestamp(), updated_at = now()
      where d.tenant_id = one.tenant and d.id = one.delivery and d.next_attempt_at is null
        and d.status not in ('retrying', 'sent', 'delivered', 'read', 'dead', 'cancelled', 'suppressed');
      -- Without end for the sweep: resuming the tenant wakes its channels.
      perform signalops.schedule_channel(one.tenant, one.channel, 'infinity');
      continue;
    end if;
    return query select one.tenant, one.delivery, c.* from signalops.claim_delivery(one.tenant, one.delivery, busy) c;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.claim_deliveries(requested jsonb, busy uuid[]) IS 'Begins an attempt at each of [{tenant, delivery}], whatever their tenants, as claim_delivery does; those of suspended tenants wait again, without an attempt.';

CREATE FUNCTION signalops.claim_delivery(tenant uuid, delivery uuid, busy uuid[]) RETURNS TABLE(send_target uuid, channel uuid, attempt smallint, attempts_at_reset smallint, window_context jsonb, replay boolean, about text, event json, rule json, template jsonb, kind text, config jsonb, secret bytea, enabled boolean, retry_schedule integer[], suppressed boolean)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  claimable record;
  wait_until timestamptz;
begin
  perform signalops.set_tenant(tenant);
  -- `not in`: with `in` the planner takes the small partial index deliveries_in_hand and reads all of it, for each claim, once a
  -- burst has made it large.
  select d.channel_id, coalesce(c.send_target_id, d.channel_id) as send_target, c.max_per_minute, c.enabled into claimable
  from signalops.deliveries d
  left join lateral (select * from signalops.channels c where c.tenant_id = tenant and c.id = d.channel_id limit 1) c on true
  where d.tenant_id = tenant and d.id = delivery and d.next_attempt_at is null
    and d.status not in ('retrying', 'sent', 'delivered', 'read', 'dead', 'cancelled', 'suppressed')
  for update of d;
  if not found then
    return;
  end if;
  if claimable.channel_id = any (busy) then
    wait_until := clock_timestamp() + interval '1 second';
  elsif claimable.enabled then -- what can't be sent need not wait for its dead letter
    wait_until := signalops.try_acquire_slot(tenant, claimable.send_target, delivery, claimable.max_per_minute);
  end if;
  if wait_until is not null then
    update signalops.deliveries d set status = 'pending', next_attempt_at = wait_until, updated_at = now()
    where d.tenant_id = tenant and d.id = delivery;
    perform signalops.schedule_channel(tenant, claimable.channel_id, wait_until);
    return;
  end if;
  return query
    with claimed as (
      update signalops.deliveries d set status = 'sending', attempts = d.attempts + 1, updated_at = now()
      where d.tenant_id = tenant and d.id = delivery
      returning d.event_id, d.rule_id, d.rule_version, d.channel_id, d.attempts, d.attempts_at_reset, d.window_context, d.replay_id
    )
    select claimable.send_target, d.channel_id, d.attempts, d.attempts_at_reset, d.window_context, d.replay_id is not null,
      -- Only of the rule itself: to another one that matches such an event, and of what a tenant sends by that name, it is an event.
      case when e.causation_depth > 0 and e.payload #>> '{rule,id}' = d.rule_id::text then
        case e.type when 'signalops.rule.digest' then 'digest' when 'signalops.rule.absent' then 'absence' else 'event' end
        else 'event' end,
      case when e.id is not null then json_build_object(
        'id', e.id, 'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload,
        'correlation', e.correlation, 'trace', e.trace) end,
      case when r.id is not null then json_build_object('id', r.id, 'name', r.name, 'version', v.version, 'severity', v.severity,
        'enabled', r.enabled, 'timeZone', (select z.time_zone from signalops.tenants z where z.id = tenant limit 1)) end,
      v.template, c.kind, c.config, c.secret, c.enabled, c.retry_schedule,
      c.kind = 'email' and exists (
        select from signalops.suppressions s where s.tenant_id = tenant and s.address = lower(c.config ->> 'to'))
    from claimed d
    -- Outer joins: a delivery of a deleted rule or channel must become a dead letter, not an endless attempt.
    left join lateral (select * from signalops.events e where e.tenant_id = tenant and e.id = d.event_id limit 1) e on true
    left join lateral (select * from signalops.rules r where r.tenant_id = tenant and r.id = d.rule_id limit 1) r on true
    left join lateral (
      select * from signalops.rule_versions v
      where v.tenant_id = tenant and v.rule_id = d.rule_id and v.version = d.rule_version limit 1
    ) v on true
    left join lateral (select * from signalops.channels c where c.tenant_id = tenant and c.id = d.channel_id limit 1) c on true;
end
$$;

COMMENT ON FUNCTION signalops.claim_delivery(tenant uuid, delivery uuid, busy uuid[]) IS 'Begins an attempt and returns all that it needs; no row if there is nothing to send, or not yet: then it waits for its channel''s turn, a second if the channel is among the busy. Acts for the tenant. What waits already is not claimed: only the sweep wakes it.';

CREATE FUNCTION signalops.close_circuits(tenant uuid, channels uuid[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  closed uuid[];
  due uuid[];
begin
  if not pg_has_role(coalesce(nullif(current_setting('role', true), 'none'), session_user), 'signalops_owner', 'member') then
    perform signalops.require_tenant(tenant);
  end if;
  closed := array(
    select o.id from signalops.send_targets o
    where o.tenant_id = tenant and (o.failures > 0 or o.failing_since is not null or o.circuit_open_until is not null) and o.id in (
      select coalesce(c.send_target_id, c.id) from signalops.channels c where c.tenant_id = tenant and c.id = any (channels))
    order by o.id for update);
  if closed = '{}' then
    return;
  end if;
  update signalops.send_targets o set failures = 0, failing_since = null, circuit_open_until = null, half_open_delivery_id = null
  where o.tenant_id = tenant and o.id = any (closed);
  -- What waited for the circuit alone; so many at once that a request can answer, the rest at the time that was set. Lock order:
  -- deliveries come before send_targets, so those that somebody has locked, who may want the row of send_targets next, are skipped.
  with waking as (
    update signalops.deliveries d set next_attempt_at = now(), updated_at = now()
    where d.tenant_id = tenant and d.id in (
      select w.id from signalops.deliveries w
      where w.tenant_id = tenant and w.status = 'pending' and w.next_attempt_at > now() and w.next_attempt_at < 'infinity'
        and w.channel_id in (select c.id from signalops.channels c where c.tenant_id = tenant and coalesce(c.send_target_id, c.id) = any (closed))
      order by w.next_attempt_at limit 10000 for update skip locked)
    returning d.channel_id
  )
  select array_agg(distinct channel_id) into due from waking;
  perform signalops.schedule_channel(tenant, c.id, now()) from (select unnest(due) as id order by 1) c;
end
$$;

COMMENT ON FUNCTION signalops.close_circuits(tenant uuid, channels uuid[]) IS 'Lets channels send at once, whatever pause their receivers asked for: a person has seen that they work, or asks again.';

CREATE FUNCTION signalops.count_usage(metered jsonb) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $_$
declare
  sizes jsonb := '[]';
begin
  -- Lock order: usage_distinct_values, usage_counters, usage_row_counts, those of one table by key; until the commit.
  if metered @? '$[*].items' then
    with noted as (
      insert into signalops.usage_distinct_values (tenant_id, meter, hour, group_key, period, distinct_value)
      select m.tenant, m.meter, m.hour, m.group_key, m.period, i.distinct_value
      from jsonb_to_recordset(metered) as m (tenant uuid, meter text, period date, hour timestamptz, group_key text, items jsonb),
        jsonb_array_elements_text(m.items) as i (distinct_value)
      order by m.tenant, m.meter, m.hour, m.group_key, m.period, i.distinct_value
      on conflict do nothing
      returning tenant_id, period
    )
    select coalesce(jsonb_agg(n), '[]') into sizes
    from (select tenant_id as tenant, period, count(*) as rows from noted group by tenant_id, period) n;
  end if;

  -- One statement: reading the elements costs as much as storing them. Their ids are made by the worker: here it took 3 us each.
  with counted as materialized (
    select * from jsonb_to_recordset(metered) as m (tenant uuid, id uuid, batch uuid, meter text, aggregation text, period date,
      hour timestamptz, group_key text, is_late boolean, events integer, value numeric, latest_at timestamptz, latest_event uuid,
      event_ids uuid[])
  ), entered as (
    insert into signalops.usage_entries
      (tenant_id, meter, period, id, batch, hour, group_key, is_late, events, value, latest_at, latest_event, event_ids)
    select tenant, meter, period, id, batch, hour, group_key, is_late, events, value, latest_at, latest_event, event_ids from counted
  )
  insert into signalops.usage_counters as u
    (tenant_id, meter, hour, group_key, period, aggregation, is_late, events, value, latest_at, latest_event)
  select tenant, meter, hour, group_key, period, aggregation, is_late, events, value, latest_at, latest_event
  from counted order by tenant, meter, hour, group_key, period
  on conflict (tenant_id, meter, hour, group_key, period) do update set
    events = u.events + excluded.events,
    value = case u.aggregation when 'max' then greatest(u.value, excluded.value) when 'min' then least(u.value, excluded.value)
      when 'latest' then case when (excluded.latest_at, excluded.latest_event) > (u.latest_at, u.latest_event)
        then excluded.value else u.value end
      else u.value + excluded.value end,
    latest_event = case when (excluded.latest_at, excluded.latest_event) > (u.latest_at, u.latest_event)
      then excluded.latest_event else u.latest_event end,
    latest_at = greatest(u.latest_at, excluded.latest_at);

  if sizes <> '[]' or metered @? '$[*] ? (@.group_key != "[]")' then
    insert into signalops.usage_row_counts as s (tenant_id, period, rows)
    select r.tenant, r.period, sum(r.rows) from (
      select * from jsonb_to_recordset(sizes) as n (tenant uuid, period date, rows bigint)
      union all
      -- A counter that has no more events than were added just now is new.
      select m.tenant, m.period, 1
      from jsonb_to_recordset(metered) as m (tenant uuid, meter text, period date, hour timestamptz, group_key text, events integer)
      -- The limit keeps the planner from joining, as in read_batch.
      cross join lateral (
        select c.events from signalops.usage_counters c
        where c.tenant_id = m.tenant and c.meter = m.meter and c.hour = m.hour and c.group_key = m.group_key and c.period = m.period limit 1
      ) u
      where m.group_key <> '[]' and u.events = m.events
    ) r group by r.tenant, r.period order by r.tenant, r.period
    on conflict (tenant_id, period) do update set rows = s.rows + excluded.rows;
  end if;
end
$_$;

COMMENT ON FUNCTION signalops.count_usage(metered jsonb) IS 'Adds to the counters what a batch counts, with its entries: [{tenant, id, batch, meter, aggregation, period, hour, group_key, is_late, events, value, latest_at, latest_event, event_ids, items}], one element for each counter.';

CREATE FUNCTION signalops.current_plans(of_tenants uuid[] DEFAULT NULL::uuid[]) RETURNS TABLE(tenant uuid, plan text, version integer)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select t.id, c.plan, c.version from signalops.tenants t
  cross join lateral (
    select s.plan, s.version from signalops.subscriptions s
    where s.tenant_id = t.id and s.starts_on <= (now() at time zone t.time_zone)::date order by s.starts_on desc limit 1
  ) c
  where of_tenants is null or t.id = any (of_tenants)
$$;

COMMENT ON FUNCTION signalops.current_plans(of_tenants uuid[]) IS 'The plan that each of some tenants, or of all, has today.';

CREATE FUNCTION signalops.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('signalops.tenant_id'::text, true), ''::text))::uuid;

COMMENT ON FUNCTION signalops.current_tenant() IS 'The tenant that this transaction acts for; NULL when none is set, and then no row of any tenant is visible.';

CREATE FUNCTION signalops.current_tenant_group() RETURNS uuid[]
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('signalops.tenant_group'::text, true), ''::text))::uuid[];

COMMENT ON FUNCTION signalops.current_tenant_group() IS 'The tenants of the flush or batch that signalops.accept, read_batch or record_batch is at; NULL outside of them.';

CREATE FUNCTION signalops.dead_letter_delivery(tenant uuid, delivery uuid, because text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  lost record;
begin
  select d.event_id, d.rule_id, d.channel_id, d.attempts, coalesce(e.causation_depth, 0) as causation_depth, c.enabled into lost
  from signalops.deliveries d
  left join signalops.events e on e.tenant_id = d.tenant_id and e.id = d.event_id
  left join signalops.channels c on c.tenant_id = d.tenant_id and c.id = d.channel_id
  where d.tenant_id = tenant and d.id = delivery;
  insert into signalops.dead_letters (tenant_id, id, kind, event_id, delivery_id, error)
  values (tenant, delivery, 'delivery', lost.event_id, delivery, left(because, 500))
  on conflict (tenant_id, id) do update
    set error = excluded.error, died_at = signalops.position_time(), resolved_at = null, resolution = null, reason = null;
  -- A disabled channel was reported once; each delivery of its backlog would be one more notice.
  if lost.enabled then
    perform signalops.emit_and_enqueue('signalops.delivery.dead', jsonb_build_object('delivery', delivery, 'event', lost.event_id,
      'rule', jsonb_build_object('id', lost.rule_id), 'channel', jsonb_build_object('id', lost.channel_id),
      'attempts', lost.attempts, 'error', left(because, 500)), (lost.causation_depth + 1)::smallint);
  end if;
end
$$;

COMMENT ON FUNCTION signalops.dead_letter_delivery(tenant uuid, delivery uuid, because text) IS 'Writes the dead letter of a delivery after its last attempt, and emits signalops.delivery.dead.';

CREATE FUNCTION signalops.delete_rows(tenant uuid, target regclass, at_most bigint) RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $_$
declare
  keys text[] := (
    select array_agg(quote_ident(a.attname) order by k.place) from pg_index i
    cross join lateral unnest(i.indkey::smallint[]) with ordinality as k (attnum, place)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indrelid = target and i.indisprimary);
  removed bigint;
begin
  if keys is null then
    execute format('delete from %1$s where tenant_id = $1 and ctid = any (array(select ctid from %1$s where tenant_id = $1 limit $2))', target)
    using tenant, at_most;
  else
    -- Newest first: what refers to another of its own table is the younger one.
    execute format('delete from %1$s t using (select %2$s from %1$s where tenant_id = $1 order by %3$s limit $2) d where t.tenant_id = $1 and %4$s',
      target, array_to_string(keys, ', '), array_to_string(keys, ' desc, ') || ' desc',
      (select string_agg(format('t.%1$s = d.%1$s', k), ' and ') from unnest(keys) as k))
    using tenant, at_most;
  end if;
  get diagnostics removed = row_count;
  return removed;
end
$_$;

COMMENT ON FUNCTION signalops.delete_rows(tenant uuid, target regclass, at_most bigint) IS 'Removes up to so many rows of a tenant from a table; returns how many.';

CREATE FUNCTION signalops.delete_slice(tenant uuid, at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  target regclass;
  gone bigint;
  removed bigint := 0;
begin
  perform from signalops.tenant_deletions d where d.id = tenant and d.finished_at is null for update skip locked;
  if not found or not exists (select from signalops.tenants t where t.id = tenant and t.status = 'deleting') then
    return 0;
  end if;
  perform signalops.set_tenant(tenant);
  for target in select * from signalops.tenant_tables() loop
    gone := signalops.delete_rows(tenant, target, at_most - removed);
    removed := removed + gone;
    if gone > 0 then
      update signalops.tenant_deletions d
      set removed = d.removed || jsonb_build_object(target::text, coalesce((d.removed ->> target::text)::bigint, 0) + gone)
      where d.id = tenant;
    end if;
    exit when removed >= at_most;
  end loop;
  -- Last, since it reads the whole job table; a job whose row is gone finds nothing to do.
  if removed < at_most then
    removed := removed + signalops.drop_jobs(tenant, at_most - removed);
  end if;
  return removed;
end
$$;

COMMENT ON FUNCTION signalops.delete_slice(tenant uuid, at_most integer) IS 'Removes about so many rows of a tenant that is being deleted, and takes it out of the jobs; returns how many. 0: nothing is left, or another worker is at it.';

CREATE FUNCTION signalops.deliveries_per_job() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 20;

COMMENT ON FUNCTION signalops.deliveries_per_job() IS 'How many deliveries share a job: fetching and finishing one costs more than a delivery does.';

CREATE FUNCTION signalops.deliveries_wait_alert() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '00:01:00'::interval;

COMMENT ON FUNCTION signalops.deliveries_wait_alert() IS 'Alert: for how long the oldest delivery may be overdue.';

CREATE FUNCTION signalops.delivery_jobs_full() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 2000;

COMMENT ON FUNCTION signalops.delivery_jobs_full() IS 'Fairness: while as many delivery jobs wait, only idle channels get more at once.';

CREATE FUNCTION signalops.delivery_jobs_refill() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 1000;

COMMENT ON FUNCTION signalops.delivery_jobs_refill() IS 'Fairness: while fewer wait, the sweep enqueues due deliveries.';

CREATE FUNCTION signalops.detach_partition(retention_days integer, audit_log_days integer) RETURNS name
    LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout TO '100ms'
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  expired name;
begin
  if not pg_try_advisory_xact_lock(hashtext('signalops.detach_partition')) then
    return null;
  end if;
  select e.part into expired from signalops.expired_partitions(retention_days, audit_log_days) e limit 1;
  if expired is not null then
    -- Not dropped here: the files of a large partition take a second to remove, in which every statement on the table would wait.
    execute format('alter table signalops.%I detach partition signalops.%I', left(expired, -8), expired);
  end if;
  return expired;
end
$$;

COMMENT ON FUNCTION signalops.detach_partition(retention_days integer, audit_log_days integer) IS 'Detaches the first of the expired partitions, for drop_detached; returns its name, NULL when there is none or another process is at it. Raises lock_not_available when the table is busy, a dump for instance: try again later.';

CREATE TABLE signalops.usage_daily (
    tenant_id uuid NOT NULL,
    period date NOT NULL,
    day date NOT NULL,
    meter text NOT NULL,
    group_key text NOT NULL,
    is_late boolean NOT NULL,
    aggregation text NOT NULL,
    events bigint NOT NULL,
    quantity numeric
)
WITH (autovacuum_vacuum_scale_factor='0.05', autovacuum_analyze_scale_factor='0.05');

ALTER TABLE ONLY signalops.usage_daily FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_daily IS 'The sealed figures of closed periods, by day: what stays when the events behind them have outlived their retention.';
COMMENT ON COLUMN signalops.usage_daily.tenant_id IS 'Whose usage it is.';
COMMENT ON COLUMN signalops.usage_daily.period IS 'The period that it is billed in.';
COMMENT ON COLUMN signalops.usage_daily.day IS 'The day on which it happened, in the tenant''s time zone; before the period: late.';
COMMENT ON COLUMN signalops.usage_daily.meter IS 'The meter''s key; events: all events.';
COMMENT ON COLUMN signalops.usage_daily.group_key IS 'The group, as of usage_counters.';
COMMENT ON COLUMN signalops.usage_daily.is_late IS 'Whether it happened in an earlier period, which was closed already.';
COMMENT ON COLUMN signalops.usage_daily.aggregation IS 'The meter''s: what is made of the events.';
COMMENT ON COLUMN signalops.usage_daily.events IS 'How many events.';
COMMENT ON COLUMN signalops.usage_daily.quantity IS 'The day''s figure, with its adjustments.';

CREATE FUNCTION signalops.digest_days(tenant uuid, of_period date, before bytea) RETURNS bytea
    LANGUAGE sql STABLE
    RETURN sha256((COALESCE(before, '\x'::bytea) || convert_to(((json_build_array(tenant, of_period))::text || COALESCE((SELECT string_agg(('
'::text || (json_build_array(d.day, d.meter, d.group_key, d.is_late, d.aggregation, d.events, (d.quantity)::text))::text), ''::text ORDER BY d.day, (d.meter COLLATE "C"), (d.group_key COLLATE "C")) AS string_agg FROM signalops.usage_daily d WHERE ((d.tenant_id = digest_days.tenant) AND (d.period = digest_days.of_period))), ''::text)), 'UTF8'::name)));

COMMENT ON FUNCTION signalops.digest_days(tenant uuid, of_period date, before bytea) IS 'The digest of a sealed period: SHA-256 of the digest before (none: nothing), the line [tenant, period], and for each row of usage_daily, by day, meter and group (in the order of bytes), a line [day, meter, group_key, is_late, aggregation, events, quantity], as JSON in UTF-8 with line feeds between.';

CREATE FUNCTION signalops.digest_events() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 100;

COMMENT ON FUNCTION signalops.digest_events() IS 'How many events a digest lists.';

CREATE FUNCTION signalops.disable_channel(tenant uuid, channel uuid, because text) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
declare
  called text;
begin
  update signalops.channels c set enabled = false, disabled_because = left(because, 500), updated_at = now()
  where c.tenant_id = tenant and c.id = channel and c.enabled returning c.name into called;
  if not found then
    return false;
  end if;
  perform signalops.emit_and_enqueue('signalops.channel.disabled', jsonb_build_object(
    'channel', jsonb_build_object('id', channel, 'name', called), 'reason', left(because, 500)), 1::smallint);
  return true;
end
$$;

COMMENT ON FUNCTION signalops.disable_channel(tenant uuid, channel uuid, because text) IS 'Disables a channel whose receiver is gone or fails for days, and emits signalops.channel.disabled.';

CREATE FUNCTION signalops.discard_dead_letters(tenant uuid, dead_letter_ids uuid[], because text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  discarded uuid[];
begin
  perform from signalops.dead_letters l where l.tenant_id = tenant and l.id = any (dead_letter_ids) and l.resolved_at is null order by l.id for update;
  with ended as (
    update signalops.dead_letters l set resolved_at = now(), resolution = 'discarded', reason = because
    where l.tenant_id = tenant and l.id = any (dead_letter_ids) and l.resolved_at is null
    returning l.id
  )
  select array_agg(e.id) into discarded from ended e;
  perform signalops.log_bulk_action(tenant, 'dead-letter.discarded', discarded, jsonb_build_object('reason', because));
  return coalesce(cardinality(discarded), 0);
end
$$;

COMMENT ON FUNCTION signalops.discard_dead_letters(tenant uuid, dead_letter_ids uuid[], because text) IS 'Discards dead letters for good, with a reason; they stay on record. Returns how many.';

CREATE FUNCTION signalops.drop_detached() RETURNS name
    LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout TO '100ms'
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  detached name;
begin
  select c.relname into detached
  from pg_class c
  where c.relnamespace = 'signalops'::regnamespace and c.relkind = 'r' and not c.relispartition and c.relname ~ '_[0-9]{4}_[0-9]{2}$'
    and to_regclass(format('signalops.%I', left(c.relname, -8))) in (select p.partrelid from pg_partitioned_table p)
  order by c.relname limit 1;
  if detached is not null then
    execute format('drop table signalops.%I', detached);
  end if;
  return detached;
end
$_$;

COMMENT ON FUNCTION signalops.drop_detached() IS 'Drops a partition that was detached; returns its name, NULL: there is none. Raises lock_not_available when it is in use: try again later.';

CREATE FUNCTION signalops.drop_jobs(tenant uuid, at_most bigint) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $$
declare
  one record;
  dropped bigint := 0;
begin
  for one in
    select j.id, (
      -- Deliveries of several tenants may share a job.
      select jsonb_agg(job_args.one order by job_args.place)
      from (
        select j.args - 'more' as one, 0 as place
        union all select m.one, m.place from jsonb_array_elements(j.args -> 'more') with ordinality as m (one, place)
      ) job_args
      where job_args.one ->> 'tenant' is distinct from tenant::text
    ) as others
    from procrastinate.procrastinate_jobs j
    where j.status <> 'doing' and j.task_name <> 'delete_tenant' and j.args::text like '%' || tenant || '%'
    limit at_most for update skip locked
  loop
    if one.others is null then
      delete from procrastinate.procrastinate_jobs j where j.id = one.id;
    else
      update procrastinate.procrastinate_jobs j set args = (one.others -> 0)
        || case when jsonb_array_length(one.others) > 1 then jsonb_build_object('more', one.others - 0) else '{}' end
      where j.id = one.id;
    end if;
    dropped := dropped + 1;
  end loop;
  return dropped;
end
$$;

COMMENT ON FUNCTION signalops.drop_jobs(tenant uuid, at_most bigint) IS 'Takes a tenant out of up to so many of the jobs that are not being done; returns of how many. The job that deletes it is not one of them.';

CREATE FUNCTION signalops.emit(tenant uuid, in_batch uuid, event_type text, about jsonb, at_depth smallint) RETURNS uuid
    LANGUAGE sql
    AS $$
  with emitted as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, causation_depth)
    values (tenant, signalops.new_id(), in_batch, event_type, 'signalops', clock_timestamp(), clock_timestamp(), about, at_depth)
    returning id)
  insert into signalops.inbox (tenant_id, event_id, batch) select tenant, id, in_batch from emitted returning event_id
$$;

COMMENT ON FUNCTION signalops.emit(tenant uuid, in_batch uuid, event_type text, about jsonb, at_depth smallint) IS 'Stores an operational event of a tenant in a batch that is about to be enqueued: rules can match it, but it is not billed.';

CREATE FUNCTION signalops.emit_alert(platform uuid, what text, condition jsonb) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  if platform is not null then
    perform signalops.set_tenant(platform);
    perform signalops.emit_and_enqueue('signalops.alert.' || what, condition, 1::smallint);
  end if;
end
$$;

COMMENT ON FUNCTION signalops.emit_alert(platform uuid, what text, condition jsonb) IS 'Makes an alert an event of the operators'' tenant; without one it only stands in ops.alerts.';

CREATE FUNCTION signalops.emit_and_enqueue(event_type text, about jsonb, at_depth smallint) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  in_batch uuid := signalops.new_id();
  event uuid := signalops.emit(signalops.current_tenant(), in_batch, event_type, about, at_depth);
begin
  perform signalops.enqueue('events', 'process_batch', signalops.priority_event(), jsonb_build_object('batch', in_batch));
  return event;
end
$$;

COMMENT ON FUNCTION signalops.emit_and_enqueue(event_type text, about jsonb, at_depth smallint) IS 'Emits an operational event of the tenant that the transaction acts for, with its job.';

CREATE TABLE signalops.invoices (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    number bigint NOT NULL,
    customer text NOT NULL,
    period date NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    currency text NOT NULL,
    subtotal numeric NOT NULL,
    credited numeric NOT NULL,
    total numeric NOT NULL,
    issued_at timestamp with time zone DEFAULT now() NOT NULL,
    corrects uuid,
    reason text,
    author text NOT NULL,
    voided_at timestamp with time zone,
    void_reason text,
    voided_by text,
    idempotency_key text,
    body_hash bytea,
    CONSTRAINT invoices_author_check CHECK (((length(author) >= 1) AND (length(author) <= 200))),
    CONSTRAINT invoices_check CHECK (((credited >= (0)::numeric) AND (credited <= GREATEST(subtotal, (0)::numeric)))),
    CONSTRAINT invoices_check1 CHECK ((total = (subtotal - credited))),
    CONSTRAINT invoices_check2 CHECK (((corrects IS NOT NULL) = (kind = 'credit_note'::text))),
    CONSTRAINT invoices_check3 CHECK ((((length(void_reason) >= 1) AND (length(void_reason) <= 500)) AND ((void_reason IS NULL) = (voided_at IS NULL)))),
    CONSTRAINT invoices_check4 CHECK ((((length(voided_by) >= 1) AND (length(voided_by) <= 200)) AND ((voided_by IS NULL) = (voided_at IS NULL)))),
    CONSTRAINT invoices_check5 CHECK (((body_hash IS NULL) = (idempotency_key IS NULL))),
    CONSTRAINT invoices_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT invoices_idempotency_key_check CHECK (((length(idempotency_key) >= 1) AND (length(idempotency_key) <= 255))),
    CONSTRAINT invoices_kind_check CHECK ((kind = ANY (ARRAY['invoice'::text, 'credit_note'::text]))),
    CONSTRAINT invoices_number_check CHECK ((number > 0)),
    CONSTRAINT invoices_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

ALTER TABLE ONLY signalops.invoices FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.invoices IS 'Invoices and credit notes, as they were issued. They can be voided, once; nothing else of them ever changes.';
COMMENT ON COLUMN signalops.invoices.tenant_id IS 'Who owes it.';
COMMENT ON COLUMN signalops.invoices.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.invoices.kind IS 'invoice; or credit_note: takes off an invoice.';
COMMENT ON COLUMN signalops.invoices.number IS 'Its number, without gaps in the series of its kind across all tenants.';
COMMENT ON COLUMN signalops.invoices.customer IS 'The tenant''s name when it was issued.';
COMMENT ON COLUMN signalops.invoices.period IS 'The billing period, by its first day.';
COMMENT ON COLUMN signalops.invoices.starts_at IS 'When the period began.';
COMMENT ON COLUMN signalops.invoices.ends_at IS 'When it ended.';
COMMENT ON COLUMN signalops.invoices.currency IS 'ISO 4217.';
COMMENT ON COLUMN signalops.invoices.subtotal IS 'The sum of the lines before credit. Below zero: in the tenant''s favour.';
COMMENT ON COLUMN signalops.invoices.credited IS 'Credit that was burned for it.';
COMMENT ON COLUMN signalops.invoices.total IS 'What is due: the sum of all lines.';
COMMENT ON COLUMN signalops.invoices.issued_at IS 'When it was issued.';
COMMENT ON COLUMN signalops.invoices.corrects IS 'The invoice that a credit note corrects; NULL: it is an invoice.';
COMMENT ON COLUMN signalops.invoices.reason IS 'Why a credit note was given, or an invoice reissued.';
COMMENT ON COLUMN signalops.invoices.author IS 'Who issued it; signalops: the closing of the period.';
COMMENT ON COLUMN signalops.invoices.voided_at IS 'When it was voided; NULL: it is not void.';
COMMENT ON COLUMN signalops.invoices.void_reason IS 'Why.';
COMMENT ON COLUMN signalops.invoices.voided_by IS 'By whom.';
COMMENT ON COLUMN signalops.invoices.idempotency_key IS 'Idempotency key of a credit note''s request; NULL: without one.';
COMMENT ON COLUMN signalops.invoices.body_hash IS 'SHA-256 of what was sent with the key: the key stands for nothing else.';

CREATE FUNCTION signalops.emit_invoice_event(about signalops.invoices, what text, why text) RETURNS uuid
    LANGUAGE sql
    AS $$
  select signalops.emit_and_enqueue('signalops.invoice.' || what, jsonb_strip_nulls(jsonb_build_object('invoice', coalesce(about.corrects, about.id),
    'creditNote', case when about.corrects is not null then about.id end, 'number', about.number,
    'period', to_char(about.period, 'YYYY-MM'), 'currency', about.currency, 'credited', about.credited::text,
    'total', about.total::text, 'reason', why)), 1::smallint)
$$;

COMMENT ON FUNCTION signalops.emit_invoice_event(about signalops.invoices, what text, why text) IS 'Emits signalops.invoice.issued, .credited or .voided, in the tenant that the transaction acts for.';

CREATE FUNCTION signalops.emit_limit_notices(for_tenant uuid, moment timestamp with time zone, in_batch uuid, meters text[], refusing text[]) RETURNS TABLE(event_id uuid, verdict text, of_meter text)
    LANGUAGE plpgsql
    AS $$
declare
  quota record;
begin
  for quota in
    select q.period, q.meter, q.accepted, q.notified, l.overage, l.hard, coalesce(l.hard, l.soft) as whole, p.points,
      exists (
        select from signalops.limits f where f.tenant_id = for_tenant and f.meter = q.meter and f.starts_on < q.period + interval '1 month'
          and f.starts_on > (moment at time zone t.time_zone)::date) as is_changing
    from signalops.tenants t
    join signalops.accepted_counters q on q.tenant_id = t.id and q.period = signalops.period_of(moment, t.time_zone) and q.meter = any (meters)
    left join lateral signalops.limit_of(for_tenant, q.meter, (moment at time zone t.time_zone)::date) l on true
    cross join lateral (
      select coalesce(jsonb_object_agg(p.name, trim_scale(p.at)) filter (where (q.notified ->> p.name)::numeric >= p.at is not true), '{}') as points
      from (
        select 'soft' as name, l.soft as at union all select 'hard', l.hard union all
        select percent::text, percent * coalesce(l.hard, l.soft) / 100 from unnest(l.thresholds) as percent
      ) p where p.at is not null
    ) p
    where t.id = for_tenant order by q.meter
  loop
    return query
      select signalops.emit(for_tenant, in_batch, 'signalops.usage.' || k.kind || '_reached',
        jsonb_build_object('meter', quota.meter, 'period', to_char(quota.period, 'YYYY-MM'), 'accepted', trim_scale(quota.accepted))
        || case k.kind when 'threshold' then jsonb_build_object('limit', trim_scale(quota.whole), 'percent', p.key::integer)
          when 'hard_limit' then jsonb_build_object('limit', p.value, 'overage', quota.overage)
          else jsonb_build_object('limit', p.value) end, 1::smallint), k.kind, quota.meter
      from jsonb_each(quota.points) as p (key, value)
      cross join lateral (select case p.key when 'soft' then 'soft_limit' when 'hard' then 'hard_limit' else 'threshold' end as kind) k
      where p.value::numeric <= quota.accepted or (p.key = 'hard' and quota.meter = any (refusing))
      order by p.value::numeric, p.key;
    update signalops.accepted_counters q set notified = q.notified || p.reached, next_threshold = p.next
    from (
      select coalesce(jsonb_object_agg(p.key, p.value) filter (where r.is_reached), '{}') as reached,
        case when quota.is_changing then 0 else least(min(p.value::numeric) filter (where not r.is_reached), quota.hard, 'Infinity') end as next
      from jsonb_each(quota.points) as p (key, value)
      cross join lateral (
        select p.value::numeric <= quota.accepted or (p.key = 'hard' and quota.meter = any (refusing)) as is_reached) r
    ) p
    where q.tenant_id = for_tenant and q.period = quota.period and q.meter = quota.meter
      and (p.reached <> '{}' or q.next_threshold <> p.next);
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.emit_limit_notices(for_tenant uuid, moment timestamp with time zone, in_batch uuid, meters text[], refusing text[]) IS 'Emits the notices of limits and thresholds that a tenant''s counters have reached, each once, and stores the next threshold.';

CREATE FUNCTION signalops.end_unneeded_meters(tenant uuid) RETURNS bigint
    LANGUAGE sql
    AS $$
  with remaining as (
    select s.terms, lead(s.starts_on, 1, 'infinity') over (order by s.starts_on) as next_day
    from signalops.subscriptions s where s.tenant_id = tenant
  ), ended as (
    update signalops.meters m set ended_at = now()
    from signalops.tenants t
    where t.id = tenant and m.tenant_id = tenant and m.origin = 'plan' and m.end_version is null and not exists (
      select from remaining k
      -- A plan that is over has days in a period that is still open: what happened then is still to be counted.
      where k.next_day > (t.closed_until at time zone t.time_zone)::date
        and k.terms -> 'meters' @> jsonb_build_array(jsonb_build_object('key', m.key))
    )
    returning m.key
  )
  select count(*) from ended
$$;

COMMENT ON FUNCTION signalops.end_unneeded_meters(tenant uuid) IS 'Ends the meters that plans brought and that no plan of an open period, the present or a scheduled one has; returns how many.';

CREATE FUNCTION signalops.enforce_transition() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if not signalops.is_valid_transition(old.status, new.status) then
    raise 'a delivery can not become % once it is %', new.status, old.status using errcode = 'check_violation';
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION signalops.enforce_transition() IS 'Refuses an invalid transition of a delivery''s status.';

CREATE FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $_$
begin
  if ((queue, task) = ('events', 'process_batch') and priority <= 0 and args - 'batch' = '{}'
      and args ->> 'batch' ~ '^[0-9a-f-]{36}$') is not true then
    raise insufficient_privilege using message = format('only the processing of a batch is enqueued so, not %s', task);
  end if;
  return (procrastinate_defer_jobs_v1(array[
    row(queue, task, priority, null, null, args, null)::procrastinate_job_to_defer_v1]))[1];
end
$_$;

COMMENT ON FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) IS 'Enqueues the processing of one batch in the current transaction and returns the job. All other jobs have functions of their own, which make up their arguments themselves.';

CREATE FUNCTION signalops.enqueue_backtest(tenant uuid, backtest uuid) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $$
begin
  perform signalops.require_tenant(tenant);
  -- The lock: one slice at a time in the whole installation, in turn, so that looking back takes one core from the present and no
  -- tenant's long backtest keeps another's short one waiting.
  return (procrastinate_defer_jobs_v1(array[row('backtests', 'run_backtest', signalops.priority_backtest(), 'backtests', null,
    jsonb_build_object('tenant', tenant, 'backtest', backtest), null)::procrastinate_job_to_defer_v1]))[1];
end
$$;

COMMENT ON FUNCTION signalops.enqueue_backtest(tenant uuid, backtest uuid) IS 'Enqueues the next slice of a backtest of the tenant that the transaction acts for, below all other jobs; returns the job.';

CREATE FUNCTION signalops.enqueue_deletion(tenant uuid) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $$
begin
  -- The lowest priority, and one at a time in the whole installation.
  return (procrastinate_defer_jobs_v1(array[row('deletions', 'delete_tenant', -30, 'deletions', null,
    jsonb_build_object('tenant', tenant), null)::procrastinate_job_to_defer_v1]))[1];
end
$$;

COMMENT ON FUNCTION signalops.enqueue_deletion(tenant uuid) IS 'Enqueues the deletion of a tenant; returns the job.';

CREATE FUNCTION signalops.enqueue_deletions() RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select count(signalops.enqueue_deletion(d.id))
  from signalops.tenant_deletions d
  where d.finished_at is null and not exists (
    select from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'delete_tenant' and j.args ->> 'tenant' = d.id::text)
$$;

COMMENT ON FUNCTION signalops.enqueue_deletions() IS 'Gives a job to deletions that are not finished and have none; returns how many.';

CREATE FUNCTION signalops.enqueue_deliveries(requested jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $$
begin
  perform procrastinate_defer_jobs_v1((
    select array_agg(row('deliveries', 'send_delivery', j.priority, null, null,
      case when jsonb_array_length(j.args) = 1 then j.args -> 0
        else (j.args -> 0) || jsonb_build_object('more', j.args - 0) end, null)::procrastinate_job_to_defer_v1 order by j.priority desc, j.part)
    from (
      select p.priority, p.part, jsonb_agg(p.job - 'priority' order by p.place) as args
      from (
        select w.job, w.place, r.priority, (row_number() over (partition by r.priority order by w.place) - 1) / signalops.deliveries_per_job() as part
        from jsonb_array_elements(requested) with ordinality as w (job, place),
          lateral (select coalesce((w.job ->> 'priority')::integer, signalops.priority_delivery())) as r (priority)
      ) p
      group by p.priority, p.part
    ) j));
  return jsonb_array_length(requested);
end
$$;

COMMENT ON FUNCTION signalops.enqueue_deliveries(requested jsonb) IS 'Enqueues one attempt each: [{tenant, delivery, priority}], not empty; returns how many. Several share a job: fetching and finishing one costs a worker more than sending.';

CREATE FUNCTION signalops.enqueue_due_deliveries(at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
declare
  is_full boolean := exists (
    select from procrastinate.procrastinate_jobs j where j.queue_name = 'deliveries' and j.status = 'todo' offset signalops.delivery_jobs_refill() - 1);
  channels bigint := (select count(*) from (
    select from signalops.channel_schedules q where q.next_due_at <= now() limit 500) due);
  turn record;
  share double precision;
  woken jsonb;
  jobs jsonb := '[]';
begin
  if is_full or channels = 0 then
    return 0;
  end if;
  for turn in
    select q.tenant_id, q.channel_id, c.max_per_minute, o.circuit_open_until, o.tokens, o.refilled_at, h.id as suspended_tenant
    from signalops.channel_schedules q
    left join lateral (
      select * from signalops.channels c where c.tenant_id = q.tenant_id and c.id = q.channel_id limit 1
    ) c on true
    left join lateral (
      select * from signalops.send_targets o where o.tenant_id = q.tenant_id and o.id = coalesce(c.send_target_id, q.channel_id) limit 1
    ) o on true
    left join lateral (
      select t.id from signalops.tenants t where t.id = q.tenant_id and t.status in ('suspended', 'deleting') limit 1
    ) h on true
    where q.next_due_at <= now() order by q.next_due_at limit 500 for update of q skip locked
  loop
    if turn.suspended_tenant is not null and signalops.lock_suspended_tenants(array[turn.suspended_tenant]) is not null then
      update signalops.channel_schedules q set next_due_at = 'infinity'
      where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
      continue;
    end if;
    if turn.circuit_open_until > now() then
      update signalops.channel_schedules q set next_due_at = turn.circuit_open_until
      where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
      continue;
    end if;
    share := greatest(1, at_most / channels);
    if turn.circuit_open_until is not null then
      share := 1; -- while a circuit is open one attempt tries
    elsif turn.max_per_minute is not null then
      -- More would only be put back.
      share := least(share, signalops.tokens_at(clock_timestamp(), turn.tokens, turn.refilled_at, turn.max_per_minute));
      if share < 1 then
        update signalops.channel_schedules q set next_due_at = clock_timestamp() + make_interval(secs => (1 - share) * 60 / turn.max_per_minute)
        where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
        continue;
      end if;
    end if;
    with due as (
      select d.id from signalops.deliveries d
      where d.tenant_id = turn.tenant_id and d.channel_id = turn.channel_id and d.next_attempt_at <= now()
      order by d.next_attempt_at limit floor(share)
      for update skip locked
    ), taken as (
      update signalops.deliveries d set status = 'pending', next_attempt_at = null, updated_at = now()
      from due where d.tenant_id = turn.tenant_id and d.id = due.id
      returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id, 'priority', signalops.priority_backlog()) as job
    )
    select jsonb_agg(job) into woken from taken;
    jobs := jobs || coalesce(woken, '[]');
    update signalops.channel_schedules q set next_due_at = (
      -- An enqueued delivery has not acquired its slot yet: the next must not be enqueued for the same one.
      select greatest(d.next_attempt_at, case
        when turn.circuit_open_until is not null or turn.max_per_minute is not null then now() + interval '1 second' end)
      from signalops.deliveries d
      where d.tenant_id = turn.tenant_id and d.channel_id = turn.channel_id and d.next_attempt_at is not null
      order by d.next_attempt_at limit 1)
    where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
  end loop;
  if jobs <> '[]' then
    perform signalops.enqueue_deliveries(jobs);
  end if;
  return jsonb_array_length(jobs);
end
$$;

COMMENT ON FUNCTION signalops.enqueue_due_deliveries(at_most integer) IS 'Gives jobs to deliveries whose time has come, channel by channel: each gets an equal share of what workers can have at hand, but no more than its send target''s rate limit admits, and none while its circuit is open or its tenant is suspended. Returns how many.';

CREATE FUNCTION signalops.enqueue_lost_batches(older_than interval, at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with recursive waiting as (
    -- Hops from batch to batch along the index: a select distinct would read the whole backlog.
    (select batch from signalops.inbox where not is_parked order by batch limit 1)
    union all
    select (select i.batch from signalops.inbox i where not i.is_parked and i.batch > w.batch order by i.batch limit 1)
    from waiting w where w.batch < signalops.uuid7_floor(now() - older_than)
  ), old as (
    select batch from waiting where batch < signalops.uuid7_floor(now() - older_than) limit at_most
  )
  select count(signalops.enqueue('events', 'process_batch', signalops.priority_event(), jsonb_build_object('batch', batch)))
  from old,
    -- A worker that processes a batch has its rows locked. That a job is `doing` proves less: procrastinate leaves it so, under a worker that
    -- lives on, when it could not write down how the job ended.
    lateral (select from signalops.inbox i where i.batch = old.batch and not i.is_parked limit 1 for update skip locked) as idle
  where not exists (
    select from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'process_batch' and j.args ->> 'batch' = old.batch::text
      -- The longest pause of a retry is a minute.
      and (j.scheduled_at is null or j.scheduled_at < now() + interval '2 minutes'))
$$;

COMMENT ON FUNCTION signalops.enqueue_lost_batches(older_than interval, at_most integer) IS 'Enqueues a new job for batches in the inbox without one (deleted, aborted, stuck): an accepted event is processed, whatever happens to a job. Returns how many.';

CREATE FUNCTION signalops.enqueue_lost_deliveries(older_than interval, at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with old as (
    select tenant_id, id, channel_id from signalops.deliveries
    where status in ('pending', 'sending') and updated_at < now() - older_than and next_attempt_at is null
    order by updated_at limit at_most for update skip locked
  ), waiting as materialized (
    select j.args ->> 'delivery' as delivery from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'send_delivery' and exists (select from old)
      and (j.scheduled_at is null or j.scheduled_at < now() + interval '2 minutes')
    union all
    select m ->> 'delivery' from procrastinate.procrastinate_jobs j, jsonb_array_elements(j.args -> 'more') m
    where j.status = 'todo' and j.task_name = 'send_delivery' and exists (select from old)
      and (j.scheduled_at is null or j.scheduled_at < now() + interval '2 minutes')
    union all
    -- Begun a moment ago, or its worker is dead and the rescue gives it back: after all workers were down, both find it at once.
    select m ->> 'delivery' from ops.running_jobs j, jsonb_array_elements(j.about || coalesce(j.about -> 'more', '[]')) m
    where j.task = 'send_delivery' and (not j.is_worker_alive or j.started_at > now() - older_than) and exists (select from old)
  ), lost as (
    update signalops.deliveries d set updated_at = now()
    from old where d.tenant_id = old.tenant_id and d.id = old.id
      and not exists (select from waiting w where w.delivery = old.id::text)
    returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id) as job
  )
  select coalesce((select signalops.enqueue_deliveries(jobs) from (select jsonb_agg(job) as jobs from lost) l where jobs is not null), 0)
$$;

COMMENT ON FUNCTION signalops.enqueue_lost_deliveries(older_than interval, at_most integer) IS 'Gives a new job to deliveries in hand whose job is gone (deleted, aborted, stuck); returns how many.';

CREATE FUNCTION signalops.enqueue_new_deliveries(decided jsonb, place text) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  waiting jsonb;
  jobs jsonb;
begin
  with turns as materialized (
    select * from signalops.assign_slots(decided)
  )
  select
    jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery, 'channel', m.channel, 'due', m.due)) filter (where m.due is not null),
    jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery, 'priority', m.priority)) filter (where m.due is null)
  into waiting, jobs
  from (
    select d.tenant, signalops.repositioned_id(place, d.delivery) as delivery, d.channel, t.priority, coalesce(d.not_before, case when t.granted < row_number() over (
      partition by d.channel, d.not_before is null order by d.delivery) then clock_timestamp() end) as due
    from jsonb_to_recordset(decided) as d (tenant uuid, delivery text, channel uuid, outcome text, not_before timestamptz)
    left join turns t on t.channel = d.channel
    where coalesce(d.outcome, 'notified') = 'notified'
  ) m;
  if jobs is not null then
    perform signalops.enqueue_deliveries(jobs);
  end if;
  if waiting is null then
    return;
  end if;
  update signalops.deliveries d set next_attempt_at = w.due
  from jsonb_to_recordset(waiting) as w (tenant uuid, delivery uuid, due timestamptz)
  where d.tenant_id = w.tenant and d.id = w.delivery and d.next_attempt_at is null;
  perform signalops.schedule_channel(w.tenant, w.channel, w.due)
  from (
    select w.tenant, w.channel, min(w.due) as due from jsonb_to_recordset(waiting) as w (tenant uuid, channel uuid, due timestamptz)
    group by w.tenant, w.channel order by w.tenant, w.channel
  ) w;
end
$$;

COMMENT ON FUNCTION signalops.enqueue_new_deliveries(decided jsonb, place text) IS 'Gives the new deliveries of a batch their jobs, as far as their channels have a turn; the others wait. Locks the channels until the commit.';

CREATE FUNCTION signalops.enqueue_parked_backtests(tenant uuid) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  released bigint;
begin
  perform signalops.set_tenant(tenant);
  select count(signalops.enqueue_backtest(tenant, b.id)) into released from (
    select b.id from signalops.backtests b
    where b.tenant_id = tenant and b.status in ('queued', 'running') and not exists (
      select from procrastinate.procrastinate_jobs j
      -- One that is `doing` may just have found its tenant suspended; of two jobs for an iteration one finds it saved.
      where j.status = 'todo' and j.task_name = 'run_backtest' and j.args ->> 'backtest' = b.id::text)
    order by b.id
  ) b;
  return released;
end
$$;

COMMENT ON FUNCTION signalops.enqueue_parked_backtests(tenant uuid) IS 'Gives jobs to the backtests of a tenant that are not over and have none; returns how many.';

CREATE FUNCTION signalops.evaluate_alerts(platform_slug text) RETURNS TABLE(alert text, subject text, became text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_column
declare
  platform uuid := (select t.id from signalops.tenants t where t.slug = platform_slug and t.status = 'active');
  one record;
begin
  -- One of several workers evaluates; the event and the state of the alert are one transaction.
  if not pg_try_advisory_xact_lock(hashtext('signalops.evaluate_alerts')) then
    return;
  end if;
  for one in
    select coalesce(c.alert, a.alert) as alert, coalesce(c.subject, a.subject) as subject, c.severity, coalesce(c.value, a.value) as value,
      coalesce(c.is_over, false) as is_over, c.alert is not null as is_near, c.raise_after, c.summary, c.remedy,
      a.breached_at, a.raised_at, a.recovering_since, coalesce(c.resolve_after, a.resolve_after) as resolve_after
    from signalops.alert_conditions(platform) c
    full join signalops.alerts a on a.alert = c.alert and a.subject = c.subject
    order by 1, 2
  loop
    if one.is_over then
      insert into signalops.alerts as a (alert, subject, breached_at, resolve_after, value)
      values (one.alert, one.subject, now(), one.resolve_after, one.value)
      on conflict (alert, subject) do update set value = excluded.value, recovering_since = null;
      if one.raised_at is null and now() - coalesce(one.breached_at, now()) >= one.raise_after then
        update signalops.alerts a set raised_at = now() where a.alert = one.alert and a.subject = one.subject;
        perform signalops.emit_alert(platform, 'raised', jsonb_build_object('alert', one.alert, 'subject', one.subject,
          'severity', one.severity, 'value', one.value, 'since', coalesce(one.breached_at, now()), 'summary', one.summary,
          'remedy', one.remedy));
        return query select one.alert, one.subject, 'raised';
      end if;
    elsif one.breached_at is null or one.is_near then
      null; -- not raised, or recovering: neither raised again nor resolved
    elsif one.raised_at is null then
      delete from signalops.alerts a where a.alert = one.alert and a.subject = one.subject;
    elsif now() - coalesce(one.recovering_since, now()) >= one.resolve_after then
      delete from signalops.alerts a where a.alert = one.alert and a.subject = one.subject;
      perform signalops.emit_alert(platform, 'resolved', jsonb_build_object('alert', one.alert, 'subject', one.subject,
        'value', one.value, 'since', one.breached_at, 'raisedAt', one.raised_at, 'until', now()));
      return query select one.alert, one.subject, 'resolved';
    elsif one.recovering_since is null then
      update signalops.alerts a set recovering_since = now() where a.alert = one.alert and a.subject = one.subject;
    end if;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.evaluate_alerts(platform_slug text) IS 'Evaluates the alert conditions; emits events to the operators'' tenant, named by its slug, for alerts that are raised or resolved, once each. Returns them.';

CREATE FUNCTION signalops.evaluate_stateful_rules(groups jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $_$
declare
  one record;
  ranges tstzmultirange;
  in_cooldown boolean;
  crossings jsonb;
  outcomes jsonb;
  cooldown_end timestamptz;
  -- An array, flattened at the end: jsonb that grows is copied whole each time.
  parts jsonb[] := '{}';
  decided jsonb;
begin
  for one in
    select *, e.first_at, e.last_at, e.deepest from jsonb_to_recordset(groups) as g (tenant uuid, rule uuid, version integer, state_version integer,
      channel uuid, "group" text, labels jsonb, kind text, threshold numeric, span interval, lateness interval, cooldown interval,
      digest_due timestamptz, events jsonb)
    cross join lateral (
      select min(e.at) as first_at, max(e.at) as last_at, max(e.causation_depth) as deepest
      from jsonb_to_recordset(g.events) as e (at timestamptz, causation_depth smallint)
    ) e
    -- Lock order: rule_states by key, then digests.
    order by g.tenant, g.rule, g.state_version, g."group"
  loop
    ranges := null;
    in_cooldown := false;
    crossings := null;
    cooldown_end := null;
    if one.kind <> 'each' or one.cooldown is not null then
      insert into signalops.rule_states as s (tenant_id, rule_id, state_version, group_key, labels, last_match_at, due_at, causation_depth, expires_at)
      values (one.tenant, one.rule, one.state_version, one."group", one.labels,
        -- The notice of an absence has the same group and is no match.
        case when one.kind <> 'each' then one.last_at end,
        case one.kind when 'absent' then one.last_at + one.span + one.lateness end,
        case one.kind when 'absent' then one.deepest else 0 end,
        clock_timestamp() + one.span + one.lateness + coalesce(one.cooldown, '0') + interval '1 hour')
      on conflict (tenant_id, rule_id, state_version, group_key) do update set
        last_match_at = greatest(s.last_match_at, excluded.last_match_at),
        due_at = case when excluded.last_match_at > s.last_match_at or s.last_match_at is null then greatest(s.due_at, excluded.due_at) else s.due_at end,
        causation_depth = case when excluded.last_match_at is null then s.causation_depth else excluded.causation_depth end,
        -- Moved once an hour: while no index is concerned the update is a cheap one (HOT).
        expires_at = case when s.expires_at < excluded.expires_at - interval '1 hour' then excluded.expires_at else s.expires_at end
      returning s.notified_ranges, coalesce(s.cooldown_until > clock_timestamp(), false) into ranges, in_cooldown;
    end if;

    if one.kind in ('count', 'sum', 'distinct') then
      select c.notified_ranges, coalesce(c.crossings, '[]') into ranges, crossings
      from signalops.update_window(one.tenant, one.rule, one.state_version, one."group", one.kind, one.threshold, one.span,
        one.span + one.lateness + interval '1 hour', one.events, ranges) c;
      delete from signalops.window_events w
      where w.tenant_id = one.tenant and w.rule_id = one.rule and w.state_version = one.state_version and w.group_key = one."group"
        and w.at < one.first_at - one.span - one.lateness - interval '1 hour';
    end if;

    with events as (
      select e.*, c.value, c.since, c.until,
        e.verdict is null and (one.kind = 'each' or c.event is not null) as passes
      from jsonb_to_recordset(one.events)
        as e (event uuid, at timestamptz, verdict text, not_before timestamptz, delivery uuid, replay uuid, causation_depth smallint)
      left join jsonb_to_recordset(crossings) as c (event uuid, value numeric, since timestamptz, until timestamptz) using (event)
    ), placed as (
      select *, row_number() over (partition by passes order by at, event) as place from events
    )
    select jsonb_agg(jsonb_build_object('tenant', one.tenant, 'event', p.event, 'rule', one.rule, 'version', one.version,
      'channel', one.channel, 'delivery', p.delivery, 'not_before', p.not_before, 'replay', p.replay, 'causation_depth', p.causation_depth,
      'digest_due', one.digest_due,
      'window_context', case when p.value is not null then
        jsonb_build_object('value', p.value, 'group', one.labels, 'since', p.since, 'until', p.until) end,
      'outcome', case
        when p.passes and one.cooldown is not null and (in_cooldown or p.place > 1) then 'cooldown'
        when p.passes and one.digest_due is not null then 'digested'
        when p.passes then 'notified'
        when one.kind = 'each' or p.value is not null then p.verdict
        else 'counted' end))
    into outcomes from placed p;
    parts := parts || outcomes;

    if one.cooldown is not null and outcomes @? '$[*] ? (@.outcome == "notified" || @.outcome == "digested")' then
      cooldown_end := clock_timestamp() + one.cooldown;
    end if;
    update signalops.rule_states s set notified_ranges = ranges, cooldown_until = coalesce(cooldown_end, s.cooldown_until)
    where s.tenant_id = one.tenant and s.rule_id = one.rule and s.state_version = one.state_version and s.group_key = one."group"
      and (s.notified_ranges <> ranges or cooldown_end is not null);
  end loop;
  select coalesce(jsonb_agg(m.match), '[]') into decided
  from unnest(parts) as p (part) cross join lateral jsonb_array_elements(p.part) as m (match);

  -- After all groups: a rule's digest is one row, and a transaction that waits for it must lock no group that another one needs.
  insert into signalops.digests as d (tenant_id, rule_id, rule_version, channel_id, due_at, matched, events, causation_depth)
  select m.tenant, m.rule, max(m.version), (array_agg(m.channel order by m.version desc))[1], max(m.digest_due), count(*),
    (array_agg(m.event order by m.event))[1:signalops.digest_events()], max(m.causation_depth)
  from jsonb_to_recordset(decided) as m (tenant uuid, rule uuid, version integer, channel uuid, event uuid, digest_due timestamptz,
    causation_depth smallint, outcome text)
  where m.outcome = 'digested'
  group by m.tenant, m.rule order by m.tenant, m.rule
  on conflict (tenant_id, rule_id) do update set matched = d.matched + excluded.matched,
    events = (d.events || excluded.events)[1:signalops.digest_events()], causation_depth = greatest(d.causation_depth, excluded.causation_depth),
    rule_version = greatest(d.rule_version, excluded.rule_version),
    channel_id = case when excluded.rule_version >= d.rule_version then excluded.channel_id else d.channel_id end;
  return decided;
end
$_$;

COMMENT ON FUNCTION signalops.evaluate_stateful_rules(groups jsonb) IS 'Decides what follows from matches of rules with state: [{tenant, rule, version, state_version, channel, group, labels, kind, threshold, span, lateness, cooldown, digest_due, events: [{event, at, value, distinct_value, verdict, not_before, delivery, replay, causation_depth}]}], one item per group; verdict is silenced or outside_hours when no notification follows. Returns matches with their outcomes, as record_batch takes them.';

CREATE FUNCTION signalops.events_wait_alert() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '00:01:00'::interval;

COMMENT ON FUNCTION signalops.events_wait_alert() IS 'Alert: for how long the oldest event may wait to be processed.';

CREATE FUNCTION signalops.expire(retention_days integer, at_most integer) RETURNS TABLE(relation text, rows bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  one record;
  swept text;
  gone bigint;
  deleted jsonb;
begin
  if not pg_try_advisory_xact_lock(hashtext('signalops.expire')) then
    return;
  end if;
  -- Looking at every tenant takes its time: not for each slice.
  if not exists (select from signalops.retention_watermarks x where x.is_expiring)
      and not exists (select from signalops.sweep_cursors s where s.ended_at < s.begun_at) then
    perform signalops.begin_expiry(retention_days);
  end if;
  for one in select x.tenant_id, signalops.uuid7_floor(x.kept_since) as before from signalops.retention_watermarks x where x.is_expiring order by x.tenant_id loop
    deleted := signalops.expire_tenant(one.tenant_id, one.before, at_most);
    if deleted <> '{}' then
      return query select t.key, t.value::bigint from jsonb_each_text(deleted) t;
      return;
    end if;
  end loop;
  for swept in select s.relation from signalops.sweep_cursors s order by s.begun_at <= s.ended_at, s.relation loop
    gone := signalops.expire_blocks(swept, at_most);
    if gone is not null then
      return query select swept, gone;
      return;
    end if;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.expire(retention_days integer, at_most integer) IS 'Removes a slice of what has expired before its partition goes: of one tenant''s rows, or by the sweep of one table. Returns from where how much was removed; a table with 0: there may be more to do. Nothing: all is done, or another process is at it.';

CREATE FUNCTION signalops.expire_blocks(target text, at_most integer) RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $_$
declare
  step constant bigint := greatest(at_most / 100, 1); -- of blocks: a row of any of these tables takes more than 80 bytes
  deadline constant timestamptz := clock_timestamp() + interval '200 ms';
  sweep signalops.sweep_cursors;
  blocks bigint;
  oldest uuid;
  gone bigint;
  removed bigint := 0;
begin
  select * into strict sweep from signalops.sweep_cursors s where s.relation = target for update;
  if sweep.ended_at >= sweep.begun_at then
    if sweep.begun_at > now() - interval '1 day' then
      return null;
    end if;
    sweep.next_block := 0;
    sweep.begun_at := now();
  end if;
  blocks := pg_relation_size(format('signalops.%I', target)::regclass) / current_setting('block_size')::bigint;
  select signalops.uuid7_floor(min(to_date(right(c.relname, 7), 'YYYY_MM'))::timestamp at time zone 'UTC') into oldest
  from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'signalops.events'::regclass;
  while sweep.next_block < blocks and removed < at_most and clock_timestamp() < deadline loop
    execute format(
      'delete from signalops.%1$I t where t.ctid >= $1 and t.ctid < $2 and %2$s < greatest($3, (
        select signalops.uuid7_floor(x.kept_since) from signalops.retention_watermarks x where x.tenant_id = t.tenant_id))',
      target, case target when 'backtests' then 'case when t.status not in (''queued'', ''running'') then t.id end' else 't.event_id' end)
    using format('(%s,0)', sweep.next_block)::tid, format('(%s,0)', sweep.next_block + step)::tid, oldest;
    get diagnostics gone = row_count;
    removed := removed + gone;
    sweep.next_block := sweep.next_block + step;
  end loop;
  update signalops.sweep_cursors s set next_block = sweep.next_block, begun_at = sweep.begun_at,
    ended_at = case when sweep.next_block >= blocks then clock_timestamp() else s.ended_at end
  where s.relation = target;
  return removed;
end
$_$;

COMMENT ON FUNCTION signalops.expire_blocks(target text, at_most integer) IS 'Continues the sweep of a table for 200 ms or up to about at_most rows: deletes rows of expired events, of tenants and of dropped partitions. Returns how many rows were removed; NULL: it was swept less than a day ago.';

CREATE FUNCTION signalops.expire_credits(at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  expired bigint;
begin
  with due as materialized (
    select g.tenant_id, g.id, g.remaining from signalops.credit_grants g
    where g.remaining > 0 and g.expires_at <= now()
    order by g.expires_at limit at_most for update skip locked
  )
  insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount)
  select d.tenant_id, signalops.new_id(), d.id, 'expired', -d.remaining from due d;
  get diagnostics expired = row_count;
  return expired;
end
$$;

COMMENT ON FUNCTION signalops.expire_credits(at_most integer) IS 'Writes off what is left of grants that have expired, of all tenants; returns of how many. The next call does those beyond the bound.';

CREATE FUNCTION signalops.expire_rows(tenant uuid, target text, key text, before uuid, at_most bigint, spared text) RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $_$
declare
  removed bigint;
begin
  -- By the bound once more: it leaves out the partitions that came later.
  execute format(
    'delete from signalops.%1$I t where t.tenant_id = $1 and t.%2$I < $2 and t.%2$I = any (array(
      select t.%2$I from signalops.%1$I t where t.tenant_id = $1 and t.%2$I < $2 and not (%3$s) order by t.%2$I limit $3))',
    target, key, spared)
  using tenant, before, at_most;
  get diagnostics removed = row_count;
  return removed;
end
$_$;

COMMENT ON FUNCTION signalops.expire_rows(tenant uuid, target text, key text, before uuid, at_most bigint, spared text) IS 'Deletes up to about at_most of a tenant''s rows with keys below a bound, lowest first, except those of a condition; returns how many.';

CREATE FUNCTION signalops.expire_rule_states(at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
declare
  one record;
  forgotten bigint := 0;
begin
  for one in
    delete from signalops.rule_states g
    using (
      select tenant_id, rule_id, state_version, group_key from signalops.rule_states
      where expires_at <= now() and due_at is null order by expires_at limit at_most for update skip locked
    ) past
    where g.tenant_id = past.tenant_id and g.rule_id = past.rule_id and g.state_version = past.state_version and g.group_key = past.group_key
    returning g.tenant_id, g.rule_id, g.state_version, g.group_key
  loop
    delete from signalops.window_events w
    where w.tenant_id = one.tenant_id and w.rule_id = one.rule_id and w.state_version = one.state_version and w.group_key = one.group_key;
    forgotten := forgotten + 1;
  end loop;
  return forgotten;
end
$$;

COMMENT ON FUNCTION signalops.expire_rule_states(at_most integer) IS 'Deletes expired rule states with their window events; returns how many.';

CREATE FUNCTION signalops.expire_tenant(tenant uuid, before uuid, at_most bigint) RETURNS jsonb
    LANGUAGE plpgsql
    AS $_$
declare
  part record;
  gone bigint;
  removed bigint := 0;
  deleted jsonb := '{}';
begin
  -- What was given another chance since is spared until that is over.
  for part in
    select * from (values
      ('delivery_attempts', 'delivery_id', 'false'),
      ('deliveries', 'id', $spared$t.status in ('pending', 'sending', 'retrying')$spared$),
      ('matches', 'event_id', 'false'),
      ('batch_results', 'batch', 'false'),
      ('events', 'id', $spared$exists (select from signalops.inbox i where i.tenant_id = t.tenant_id and i.event_id = t.id)
        or exists (select from signalops.deliveries d where d.tenant_id = t.tenant_id and d.event_id = t.id
          and d.status in ('pending', 'sending', 'retrying'))$spared$)
    ) as p (target, key, spared)
  loop
    gone := signalops.expire_rows(tenant, part.target, part.key, before, at_most - removed, part.spared);
    removed := removed + gone;
    if gone > 0 then
      deleted := deleted || jsonb_build_object(part.target, gone);
    end if;
    exit when removed >= at_most;
  end loop;
  if removed < at_most then
    update signalops.retention_watermarks x set is_expiring = false where x.tenant_id = tenant;
  end if;
  return deleted;
end
$_$;

COMMENT ON FUNCTION signalops.expire_tenant(tenant uuid, before uuid, at_most bigint) IS 'Deletes up to about at_most of a tenant''s rows before an id, referencing tables first; returns {table: rows}.';

CREATE FUNCTION signalops.expired_partitions(retention_days integer, audit_log_days integer) RETURNS TABLE(part name, ended_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select c.relname, e.ended_at
  from unnest(array['delivery_attempts', 'deliveries', 'matches', 'batch_results', 'usage_entries', 'events', 'audit_log']) with ordinality
    as p (parent, place)
  join pg_inherits i on i.inhparent = format('signalops.%I', p.parent)::regclass
  join pg_class c on c.oid = i.inhrelid
  cross join lateral (
    select (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC' as ended_at
  ) e
  where e.ended_at <= case p.parent when 'audit_log' then now() - make_interval(days => audit_log_days)
    else signalops.global_retention_cutoff(retention_days) end
  -- What refers to others before them, month by month.
  order by e.ended_at, p.place
$$;

COMMENT ON FUNCTION signalops.expired_partitions(retention_days integer, audit_log_days integer) IS 'The expired partitions, by the retention in days of events and of the audit log, in the order to drop them.';

CREATE FUNCTION signalops.fill_dead_letter() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if new.delivery_id is not null then
    select d.rule_id, d.channel_id into new.rule_id, new.channel_id
    from signalops.deliveries d where d.tenant_id = new.tenant_id and d.id = new.delivery_id limit 1;
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION signalops.fill_dead_letter() IS 'Sets rule and channel of a dead letter, which lists filter by.';

CREATE FUNCTION signalops.find_called_channel(channel uuid) RETURNS TABLE(tenant_id uuid, secret bytea)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select c.tenant_id, c.secret from signalops.channels c
  where c.id = channel and c.kind = 'whatsapp' and c.deleted_at is null and c.secret is not null
$$;

COMMENT ON FUNCTION signalops.find_called_channel(channel uuid) IS 'The channel of a provider''s callback, with the encrypted secret that authenticates the provider: looked up before a tenant is known.';

CREATE FUNCTION signalops.find_keys(key_prefix text) RETURNS TABLE(tenant_id uuid, key_id uuid, hash text, scopes text[], allowed_cidrs cidr[], expires_at timestamp with time zone, tenant_status text, digest bytea, buckets text[], status_reason text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.allowed_cidrs, k.expires_at, t.status, k.digest, (
      -- A key that is made pays from the buckets of those that it came of: else many of them would be faster together.
      with recursive line as (
        select k.id, k.made_by, k.rate_per_second
        union
        select m.id, m.made_by, m.rate_per_second from line l join signalops.api_keys m on m.tenant_id = k.tenant_id and m.id = l.made_by
      )
      select coalesce(array_agg(l.id::text) filter (where l.rate_per_second is not null), '{}') from line l
    ) || case when t.rate_per_second is not null then '{tenant}'::text[] else '{}' end,
    t.status_reason
  from signalops.api_keys k join signalops.tenants t on t.id = k.tenant_id
  where k.prefix = key_prefix and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;

COMMENT ON FUNCTION signalops.find_keys(key_prefix text) IS 'The usable keys with a prefix, with hash, tenant, and the names of the rate limits that apply: the one look-up that happens before a tenant is known.';

CREATE TABLE signalops.deliveries (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_version integer NOT NULL,
    channel_id uuid NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    window_context jsonb,
    replay_id uuid,
    provider_id text,
    attempts_at_reset smallint DEFAULT 0 NOT NULL,
    CONSTRAINT deliveries_provider_id_check CHECK ((length(provider_id) <= 500)),
    CONSTRAINT deliveries_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'sent'::text, 'delivered'::text, 'read'::text, 'retrying'::text, 'dead'::text, 'cancelled'::text, 'suppressed'::text]))),
    CONSTRAINT waits_or_is_in_hand CHECK (
CASE status
    WHEN 'retrying'::text THEN (next_attempt_at IS NOT NULL)
    WHEN 'pending'::text THEN true
    ELSE (next_attempt_at IS NULL)
END)
)
PARTITION BY RANGE (id);

ALTER TABLE ONLY signalops.deliveries FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.deliveries IS 'One notification of one event by one rule through one channel. Partitioned by month of the id.';
COMMENT ON COLUMN signalops.deliveries.tenant_id IS 'Whose notification it is.';
COMMENT ON COLUMN signalops.deliveries.id IS 'UUIDv7; the id that the receiver sees, the same in every attempt.';
COMMENT ON COLUMN signalops.deliveries.event_id IS 'The event of the notification.';
COMMENT ON COLUMN signalops.deliveries.rule_id IS 'The rule that asked for it.';
COMMENT ON COLUMN signalops.deliveries.rule_version IS 'In which version; its template is rendered.';
COMMENT ON COLUMN signalops.deliveries.channel_id IS 'Where it goes.';
COMMENT ON COLUMN signalops.deliveries.status IS 'pending (has a job, or waits for its turn) -> sending -> sent -> delivered -> read; or -> retrying (waits) -> pending; or -> dead (has a dead letter), cancelled, suppressed. signalops.is_valid_transition defines the transitions.';
COMMENT ON COLUMN signalops.deliveries.attempts IS 'Attempts begun.';
COMMENT ON COLUMN signalops.deliveries.next_attempt_at IS 'When the sweep enqueues it; only while it waits.';
COMMENT ON COLUMN signalops.deliveries.created_at IS 'When the rule asked for it.';
COMMENT ON COLUMN signalops.deliveries.updated_at IS 'When the status changed last.';
COMMENT ON COLUMN signalops.deliveries.window_context IS 'What a window saw when it fired: {value, group, since, until}; NULL without one.';
COMMENT ON COLUMN signalops.deliveries.replay_id IS 'The replay that asked for it; NULL: the event itself did.';
COMMENT ON COLUMN signalops.deliveries.provider_id IS 'The provider''s own id of the message, by which it calls back.';
COMMENT ON COLUMN signalops.deliveries.attempts_at_reset IS 'Attempts made before a manual retry: the retry schedule starts again after them.';

CREATE FUNCTION signalops.find_sent(tenant uuid, channel uuid, provider text) RETURNS uuid
    LANGUAGE sql STABLE
    RETURN (SELECT d.id FROM signalops.deliveries d WHERE ((d.tenant_id = find_sent.tenant) AND (d.channel_id = find_sent.channel) AND (d.provider_id = find_sent.provider)) ORDER BY d.id DESC LIMIT 1);

COMMENT ON FUNCTION signalops.find_sent(tenant uuid, channel uuid, provider text) IS 'The delivery that a provider knows by an id of its own; NULL: none.';

CREATE FUNCTION signalops.find_tenant(wanted_id uuid, wanted_slug text) RETURNS TABLE(tenant_id uuid, status text, status_reason text, buckets text[])
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select t.id, t.status, t.status_reason, case when t.rate_per_second is null then '{}'::text[] else array['tenant'] end
  from signalops.tenants t
  -- An index for either: one condition for both would scan the table.
  where t.id = (
    select i.id from signalops.tenants i where i.id = wanted_id
    union all
    select s.id from signalops.tenants s where s.slug = wanted_slug
    limit 1
  )
$$;

COMMENT ON FUNCTION signalops.find_tenant(wanted_id uuid, wanted_slug text) IS 'The tenant with an id or a slug, one of which is NULL, and the names of its rate limits: the look-up for a token whose signature was verified.';

CREATE FUNCTION signalops.finish_deletion(tenant uuid) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  deletion record;
  target regclass;
  counted bigint;
  rests jsonb := '{}';
begin
  select * into deletion from signalops.tenant_deletions d where d.id = tenant and d.finished_at is null for update skip locked;
  if not found then
    return null;
  end if;
  -- From here on nothing can refer to it; what does not refer to it looks whether it is there (accept, record_event_types, settle_deliveries).
  perform from signalops.tenants t where t.id = tenant and t.status = 'deleting' for update;
  if not found then
    return null;
  end if;
  perform signalops.set_tenant(tenant);
  for target in select * from signalops.tenant_tables() loop
    execute format('select count(*) from %s where tenant_id = $1', target) into counted using tenant;
    rests := rests || jsonb_build_object(target::text, counted);
  end loop;
  select count(*) into counted from procrastinate.procrastinate_jobs j
  where j.task_name <> 'delete_tenant' and j.args::text like '%' || tenant || '%';
  if counted > 0 or exists (select from jsonb_each_text(rests) as r (name, rows) where r.rows <> '0') then
    return null;
  end if;
  perform set_config('signalops.action', coalesce(deletion.begun_by::text, ''), true);
  delete from signalops.tenants t where t.id = tenant;
  update signalops.tenant_deletions d set finished_at = clock_timestamp(), remaining = rests where d.id = tenant;
  return (select coalesce(sum(r.rows::bigint), 0) from jsonb_each_text(deletion.removed) as r (name, rows));
end
$_$;

COMMENT ON FUNCTION signalops.finish_deletion(tenant uuid) IS 'Deletes a tenant without remaining rows, and stores the proof: the rows left in every table, counted in the same transaction. Returns how many rows were removed; NULL: something is left, or another worker was first. It is called when every transaction that may write for the tenant has ended.';

CREATE FUNCTION signalops.fire_absences(at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
declare
  in_batch uuid := signalops.new_id();
  emitted_count bigint;
begin
  -- A suspended tenant's events were refused: what is not known to be absent gets its whole time again.
  update signalops.rule_states g set due_at = late.due_at
  from (
    select g.tenant_id, g.rule_id, g.state_version, g.group_key, greatest(t.status_since, g.last_match_at) + v.time as due_at
    from signalops.rule_states g
    cross join lateral (
      select t.status_since from signalops.tenants t
      where t.id = g.tenant_id and t.status = 'active' and t.status_since > t.created_at limit 1
    ) t
    cross join lateral (
      select (v.absent ->> 'after')::interval + coalesce(v.absent ->> 'allowedLateness', '0s')::interval as time
      from signalops.rule_versions v where v.tenant_id = g.tenant_id and v.rule_id = g.rule_id and v.version = g.state_version limit 1
    ) v
    where g.due_at <= now() - interval '1 second' and greatest(t.status_since, g.last_match_at) + v.time > now()
    order by g.due_at limit at_most for update of g skip locked
  ) late
  where g.tenant_id = late.tenant_id and g.rule_id = late.rule_id and g.state_version = late.state_version and g.group_key = late.group_key;

  with due as (
    select g.tenant_id, g.rule_id, g.state_version, g.group_key from signalops.rule_states g
    -- What came in before the time was up may still wait to be processed, or be on its way into the inbox.
    where g.due_at <= now() - interval '1 second' and not exists (
      select from signalops.inbox i where i.tenant_id = g.tenant_id and i.event_id < signalops.uuid7_floor(g.due_at))
      and not exists (
        select from signalops.tenants t where t.id = g.tenant_id and t.status in ('suspended', 'deleting'))
    order by g.due_at limit at_most for update of g skip locked
  ), spent as (
    update signalops.rule_states g set due_at = null, expires_at = now() + interval '1 hour'
    from due where g.tenant_id = due.tenant_id and g.rule_id = due.rule_id and g.state_version = due.state_version and g.group_key = due.group_key
    returning g.*
  ), emitted as (
    select signalops.emit(s.tenant_id, in_batch, 'signalops.rule.absent', jsonb_build_object(
      'rule', jsonb_build_object('id', r.id, 'version', r.active_version),
      'group', s.labels, 'lastSeenAt', s.last_match_at, 'after', v.absent ->> 'after'), s.causation_depth + 1::smallint)
    from spent s
    -- A closed tenant's events are refused, which is no news to anybody.
    join signalops.tenants t on t.id = s.tenant_id and t.status = 'active'
    -- A group without events since the rule was enabled again can have had some while it was disabled.
    join signalops.rules r on r.tenant_id = s.tenant_id and r.id = s.rule_id and r.enabled
      and (s.group_key = '[]' or coalesce(s.last_match_at >= r.enabled_at, true))
    join signalops.rule_versions v
      on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.active_version and v.state_version = s.state_version
  )
  select count(*) into emitted_count from emitted;
  if emitted_count > 0 then
    perform signalops.enqueue('events', 'process_batch', signalops.priority_event(), jsonb_build_object('batch', in_batch));
  end if;
  return emitted_count;
end
$$;

COMMENT ON FUNCTION signalops.fire_absences(at_most integer) IS 'Emits signalops.rule.absent for each group in which nothing matched for as long as its rule says; the rule is notified of when that event is processed. Returns how many.';

CREATE FUNCTION signalops.period_of(moment timestamp with time zone, zone text) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (date_trunc('month'::text, (moment AT TIME ZONE zone)))::date;

COMMENT ON FUNCTION signalops.period_of(moment timestamp with time zone, zone text) IS 'The billing period of a moment: the first day of the calendar month in a time zone.';

CREATE TABLE signalops.usage_counters (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    hour timestamp with time zone NOT NULL,
    group_key text NOT NULL,
    period date NOT NULL,
    aggregation text NOT NULL,
    is_late boolean NOT NULL,
    events bigint NOT NULL,
    value numeric,
    latest_at timestamp with time zone,
    latest_event uuid,
    CONSTRAINT usage_counters_events_check CHECK ((events > 0)),
    CONSTRAINT usage_counters_period_check CHECK ((EXTRACT(day FROM period) = (1)::numeric))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.usage_counters FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_counters IS 'Usage by hour and group: added to in the transaction that takes the events out of the inbox, so each is counted exactly once.';
COMMENT ON COLUMN signalops.usage_counters.tenant_id IS 'Whose usage it is.';
COMMENT ON COLUMN signalops.usage_counters.meter IS 'The meter''s key; events: all events.';
COMMENT ON COLUMN signalops.usage_counters.hour IS 'Start of the hour in which the events happened, in the tenant''s time zone.';
COMMENT ON COLUMN signalops.usage_counters.group_key IS 'The group, as the JSON list of the values of the meter''s group_by; [] when it has none.';
COMMENT ON COLUMN signalops.usage_counters.period IS 'The billing period that it is billed in, by its first day.';
COMMENT ON COLUMN signalops.usage_counters.aggregation IS 'The meter''s: what is made of the events.';
COMMENT ON COLUMN signalops.usage_counters.is_late IS 'Whether the period in which the events happened was closed already.';
COMMENT ON COLUMN signalops.usage_counters.events IS 'How many events.';
COMMENT ON COLUMN signalops.usage_counters.value IS 'Their number (count), sum (sum, avg), extreme (max, min) or latest value; NULL for unique_count.';
COMMENT ON COLUMN signalops.usage_counters.latest_at IS 'When the latest of them happened; NULL except for the aggregation latest.';
COMMENT ON COLUMN signalops.usage_counters.latest_event IS 'The latest of them; NULL except for the aggregation latest.';

CREATE FUNCTION signalops.first_period(tenant uuid, zone text, made timestamp with time zone) RETURNS date
    LANGUAGE sql STABLE
    RETURN signalops.period_of(LEAST(made, (SELECT min(u.hour) AS min FROM signalops.usage_counters u WHERE ((u.tenant_id = first_period.tenant) AND (u.meter = 'events'::text))), (SELECT min(a.hour) AS min FROM signalops.usage_adjustments a WHERE (a.tenant_id = first_period.tenant))), zone);

COMMENT ON FUNCTION signalops.first_period(tenant uuid, zone text, made timestamp with time zone) IS 'The first billing period of a tenant: of when it was made, or of the earliest usage that it sent in afterwards.';

CREATE FUNCTION signalops.flush_digests(at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
declare
  in_batch uuid := signalops.new_id();
  one signalops.digests;
  notice uuid;
  delivery uuid;
  jobs jsonb := '[]';
begin
  for one in
    delete from signalops.digests d
    using (
      select g.tenant_id, g.rule_id from signalops.digests g
      where g.due_at <= now() and not exists (
        select from signalops.tenants t where t.id = g.tenant_id and t.status in ('suspended', 'deleting'))
      order by g.due_at limit at_most for update skip locked
    ) due
    where d.tenant_id = due.tenant_id and d.rule_id = due.rule_id
    returning d.*
  loop
    notice := signalops.emit(one.tenant_id, in_batch, 'signalops.rule.digest', jsonb_build_object(
      'rule', jsonb_build_object('id', one.rule_id, 'version', one.rule_version),
      'since', one.opened_at, 'until', one.due_at, 'count', one.matched, 'events', one.events), one.causation_depth + 1::smallint);
    delivery := signalops.new_id();
    insert into signalops.matches (tenant_id, event_id, rule_id, rule_version)
    values (one.tenant_id, notice, one.rule_id, one.rule_version);
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id)
    values (one.tenant_id, delivery, notice, one.rule_id, one.rule_version, one.channel_id);
    jobs := jobs || jsonb_build_object('tenant', one.tenant_id, 'delivery', delivery);
  end loop;
  if jobs <> '[]' then
    perform signalops.enqueue_deliveries(jobs);
    perform signalops.enqueue('events', 'process_batch', signalops.priority_event(), jsonb_build_object('batch', in_batch));
  end if;
  return jsonb_array_length(jobs);
end
$$;

COMMENT ON FUNCTION signalops.flush_digests(at_most integer) IS 'Closes the digests that are due: each becomes an operational event signalops.rule.digest and one delivery of it, or stays as it is. Returns how many.';

CREATE FUNCTION signalops.freeze_periods(closing_after interval, at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  frozen bigint;
begin
  with due as materialized (
    -- All of it follows from the row that is locked: of two workers the second finds the tenant advanced, or locked.
    select t.id, p.period, signalops.period_start(p.period, t.time_zone) as starts_at, e.ends_at
    from signalops.tenants t
    cross join lateral (select case when t.closed_until = '-infinity' then signalops.first_period(t.id, t.time_zone, t.created_at)
      else signalops.period_of(t.closed_until, t.time_zone) end as period) p
    cross join lateral (select signalops.period_start((p.period + interval '1 month')::date, t.time_zone) as ends_at) e
    where e.ends_at <= now() - closing_after and t.status <> 'deleting' and not exists (
      select from signalops.inbox i
      where i.tenant_id = t.id and i.event_id < signalops.uuid7_floor(e.ends_at) and i.replay_id is null
        -- Parked events may wait for years; then they are late, as everything counted after the closing.
        and not i.is_parked)
    order by t.id limit at_most for update of t skip locked
  ), noted as (
    insert into signalops.billing_periods (tenant_id, period, starts_at, ends_at)
    select d.id, d.period, d.starts_at, d.ends_at from due d returning *
  ), advanced as (
    update signalops.tenants t set closed_until = n.ends_at from noted n where t.id = n.tenant_id returning t.id
  )
  select count(*) into frozen from advanced;
  return frozen;
end
$$;

COMMENT ON FUNCTION signalops.freeze_periods(closing_after interval, at_most integer) IS 'Freezes the next period of tenants whose month ended some time ago and which have no waiting events from before its end; returns how many. It must be committed before record_barriers.';

CREATE FUNCTION signalops.global_retention_cutoff(retention_days integer) RETURNS timestamp with time zone
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select coalesce(min(k.since), now() - make_interval(days => retention_days)) from signalops.retention_cutoffs(retention_days) k
$$;

COMMENT ON FUNCTION signalops.global_retention_cutoff(retention_days integer) IS 'The time before which no tenant''s data has to be kept; the retention is the installation''s default, tenants and plans can have others.';

CREATE FUNCTION signalops.grant_credit(tenant uuid, granted numeric, in_currency text, reason text, author text, priority smallint DEFAULT 50, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, idempotency_key text DEFAULT NULL::text, body_hash bytea DEFAULT NULL::bytea) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  made uuid := signalops.new_id();
begin
  perform signalops.require_tenant(tenant);
  insert into signalops.credit_grants
    (tenant_id, id, amount, currency, priority, expires_at, reason, author, idempotency_key, body_hash)
  values (tenant, made, granted, in_currency, priority, expires_at, reason, author, idempotency_key, body_hash);
  insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount)
  values (tenant, signalops.new_id(), made, 'granted', granted);
  return made;
end
$$;

COMMENT ON FUNCTION signalops.grant_credit(tenant uuid, granted numeric, in_currency text, reason text, author text, priority smallint, expires_at timestamp with time zone, idempotency_key text, body_hash bytea) IS 'Grants the tenant that the transaction acts for credit; returns the grant.';

CREATE FUNCTION signalops.has_any_price(terms jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((((terms ->> 'baseFee'::text))::numeric > (0)::numeric) OR ((terms -> 'prices'::text) <> '[]'::jsonb));

COMMENT ON FUNCTION signalops.has_any_price(terms jsonb) IS 'Whether anything costs something under these terms.';

CREATE FUNCTION signalops.insert_events(flush jsonb, in_batch uuid, place text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  fresh bigint;
  received timestamptz := signalops.uuid7_time((place || '-7000-8000-000000000000')::uuid);
begin
  with incoming as materialized (
    select signalops.repositioned_id(place, i.id) as event_id, i.* from jsonb_to_recordset(flush) as i (tenant uuid, id text, type text, source text, occurred_at timestamptz,
      received_at timestamptz, payload jsonb, attributes jsonb, key text, hash text, over_limit boolean, correlation text, trace text)
  ), keyed as (
    insert into signalops.idempotency_keys (tenant_id, key, event_id, body_hash)
    select tenant, key, incoming.event_id, decode(hash, 'hex') from incoming where key is not null
    on conflict do nothing returning event_id
  ), stored as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, attributes, over_limit,
      correlation, trace)
    select tenant, incoming.event_id, in_batch, type, source, coalesce(occurred_at, received), coalesce(received_at, received), payload, attributes, coalesce(over_limit, false),
      correlation, trace
    from incoming where key is null or incoming.event_id in (select keyed.event_id from keyed)
    returning tenant_id, id
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch) select tenant_id, id, in_batch from stored
  )
  select count(*) into fresh from stored;
  return fresh;
end
$$;

COMMENT ON FUNCTION signalops.insert_events(flush jsonb, in_batch uuid, place text) IS 'Stores the events whose idempotency key is new, with ids placed in this transaction, and puts them into the inbox; returns how many were.';

CREATE FUNCTION signalops.is_time_zone(zone text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    AS $_$
begin
  perform now() at time zone zone;
  return zone ~ '^(UTC|[A-Z][A-Za-z_]+(/[A-Za-z0-9_+-]+)+)$';
exception when invalid_parameter_value then
  return false;
end
$_$;

COMMENT ON FUNCTION signalops.is_time_zone(zone text) IS 'Whether a name is one of the IANA database, such as Europe/Berlin; abbreviations are not.';

CREATE FUNCTION signalops.is_valid_transition(before text, after text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (((((((((((((((((((before = 'pending'::text) AND (after = 'sending'::text)) OR ((before = 'pending'::text) AND (after = 'cancelled'::text))) OR ((before = 'pending'::text) AND (after = 'retrying'::text))) OR ((before = 'sending'::text) AND (after = 'sent'::text))) OR ((before = 'sending'::text) AND (after = 'retrying'::text))) OR ((before = 'sending'::text) AND (after = 'dead'::text))) OR ((before = 'sending'::text) AND (after = 'suppressed'::text))) OR ((before = 'sending'::text) AND (after = 'cancelled'::text))) OR ((before = 'sending'::text) AND (after = 'pending'::text))) OR ((before = 'retrying'::text) AND (after = 'pending'::text))) OR ((before = 'retrying'::text) AND (after = 'cancelled'::text))) OR ((before = 'retrying'::text) AND (after = 'sent'::text))) OR ((before = 'pending'::text) AND (after = 'sent'::text))) OR ((before = 'sent'::text) AND (after = 'delivered'::text))) OR ((before = 'sent'::text) AND (after = 'read'::text))) OR ((before = 'sent'::text) AND (after = 'dead'::text))) OR ((before = 'delivered'::text) AND (after = 'read'::text))) OR ((before = 'dead'::text) AND (after = 'retrying'::text)));

COMMENT ON FUNCTION signalops.is_valid_transition(before text, after text) IS 'The ways between the states of a delivery. To sent also from pending and retrying: an attempt that was thought lost had succeeded.';

CREATE FUNCTION signalops.issue_invoice(tenant uuid, issued jsonb, lines jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  made signalops.invoices;
  summed numeric := (select sum(l.amount) from jsonb_to_recordset(lines) as l (amount numeric));
begin
  perform signalops.require_tenant(tenant);
  made := jsonb_populate_record(null::signalops.invoices, issued);
  if summed is distinct from made.total then
    raise 'the lines add up to %, not to %', summed, made.total using errcode = 'check_violation';
  end if;
  select tenant, now(), t.name, b.starts_at, b.ends_at into made.tenant_id, made.issued_at, made.customer, made.starts_at, made.ends_at
  from signalops.billing_periods b join signalops.tenants t on t.id = b.tenant_id
  where b.tenant_id = tenant and b.period = made.period and b.closed_at is not null;
  if not found then
    raise 'the period % of the tenant is not closed', made.period using errcode = 'check_violation';
  end if;
  -- From here to the commit nobody else is given a number.
  insert into signalops.invoice_numbers as n (series, last) values (made.kind, 1)
  on conflict (series) do update set last = n.last + 1 returning n.last into made.number;
  insert into signalops.invoices select (made).*;
  insert into signalops.invoice_lines (tenant_id, id, invoice_id, position, kind, meter, plan, version, starts_at, ends_at, late_period,
    aggregation, events, quantity, included, unit, amount, description, details)
  select tenant, signalops.new_id(), made.id, row_number() over (), l.kind, l.meter, l.plan, l.version, coalesce(l.starts_at, made.starts_at),
    coalesce(l.ends_at, made.ends_at), l.late_period, l.aggregation, l.events, l.quantity, l.included, l.unit, l.amount, l.description,
    l.details
  from jsonb_to_recordset(lines) as l (kind text, meter text, plan text, version integer, starts_at timestamptz, ends_at timestamptz,
    late_period date, aggregation text, events bigint, quantity numeric, included numeric, unit text, amount numeric, description text,
    details jsonb);
  perform signalops.emit_invoice_event(made, case made.kind when 'invoice' then 'issued' else 'credited' end, made.reason);
  return made.number;
end
$$;

COMMENT ON FUNCTION signalops.issue_invoice(tenant uuid, issued jsonb, lines jsonb) IS 'Issues an invoice or a credit note of a closed period, with its lines, and emits an event; returns its number. issued: columns of invoices; lines: columns of invoice_lines, in their order; numbers as strings.';

CREATE FUNCTION signalops.limit_cardinality() RETURNS TABLE(tenant uuid, of_period date)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_column
declare
  one record;
  in_batch uuid;
  version bigint;
begin
  for one in
    select s.tenant_id, s.period, s.rows, t.usage_rows from signalops.usage_row_counts s
    join signalops.tenants t on t.id = s.tenant_id
    -- What is late counts for a month that is open: the others are at rest.
    where s.limited_from_version is null and s.period > current_date - 100 and s.rows >= t.usage_rows and t.status <> 'deleting'
    for update of s skip locked
  loop
    update signalops.tenants set meters_version = meters_version + 1 where id = one.tenant_id returning meters_version into version;
    update signalops.usage_row_counts set limited_from_version = version where tenant_id = one.tenant_id and period = one.period;
    in_batch := signalops.new_id();
    perform signalops.emit(one.tenant_id, in_batch, 'signalops.usage.cardinality_limit_reached',
      jsonb_build_object('period', to_char(one.period, 'YYYY-MM'), 'limit', one.usage_rows, 'rows', one.rows), 1::smallint);
    perform signalops.enqueue('events', 'process_batch', signalops.priority_event(), jsonb_build_object('batch', in_batch));
    tenant := one.tenant_id;
    of_period := one.period;
    return next;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.limit_cardinality() IS 'Stops keeping groups and distinct values of a month for tenants that have more of them than they may, and emits an operational event of it; returns whose and of which month. Totals are exact still.';

CREATE TABLE signalops.limits (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    origin text NOT NULL,
    starts_on date NOT NULL,
    soft numeric,
    hard numeric,
    thresholds smallint[] DEFAULT '{}'::smallint[] NOT NULL,
    overage text DEFAULT 'refuse'::text NOT NULL,
    set_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT limits_check CHECK (((thresholds = '{}'::smallint[]) OR (COALESCE(soft, hard) IS NOT NULL))),
    CONSTRAINT limits_hard_check CHECK (((hard >= (0)::numeric) AND (hard < 'Infinity'::numeric))),
    CONSTRAINT limits_origin_check CHECK ((origin = ANY (ARRAY['tenant'::text, 'plan'::text]))),
    CONSTRAINT limits_overage_check CHECK ((overage = ANY (ARRAY['refuse'::text, 'accept'::text]))),
    CONSTRAINT limits_soft_check CHECK (((soft >= (0)::numeric) AND (soft < 'Infinity'::numeric))),
    CONSTRAINT limits_thresholds_check CHECK (((1 <= ALL (thresholds)) AND (1000 >= ALL (thresholds)) AND (array_position(thresholds, NULL::smallint) IS NULL) AND (cardinality(thresholds) <= 20)))
);

ALTER TABLE ONLY signalops.limits FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.limits IS 'How much of a meter may be accepted in a calendar month. The tenant''s own go before its plan''s, later ones before earlier ones.';
COMMENT ON COLUMN signalops.limits.tenant_id IS 'Whose limit it is.';
COMMENT ON COLUMN signalops.limits.meter IS 'The key of the meter: events, or one that counts or sums.';
COMMENT ON COLUMN signalops.limits.origin IS 'tenant: agreed with it; plan: brought by its plan.';
COMMENT ON COLUMN signalops.limits.starts_on IS 'The first day, in the tenant''s time zone, on which it is in effect.';
COMMENT ON COLUMN signalops.limits.soft IS 'The amount at which a notice is emitted; NULL: none.';
COMMENT ON COLUMN signalops.limits.hard IS 'The amount beyond which events are refused, or marked; NULL: none. With neither soft nor hard there is no limit.';
COMMENT ON COLUMN signalops.limits.thresholds IS 'Percentages of hard (of soft, without hard) at which notices are emitted.';
COMMENT ON COLUMN signalops.limits.overage IS 'Overage beyond hard: refuse, or accept (and mark).';
COMMENT ON COLUMN signalops.limits.set_at IS 'When it was set.';

CREATE FUNCTION signalops.limit_of(tenant uuid, of_meter text, on_day date) RETURNS SETOF signalops.limits
    LANGUAGE sql STABLE ROWS 1 PARALLEL SAFE
    AS $$
  select * from signalops.limits l
  where l.tenant_id = tenant and l.meter = of_meter and l.starts_on <= on_day
  order by l.origin desc, l.starts_on desc limit 1
$$;

COMMENT ON FUNCTION signalops.limit_of(tenant uuid, of_meter text, on_day date) IS 'The limit of a meter in effect on a day: the tenant''s own before the plan''s, of these the latest; no row without one.';

CREATE FUNCTION signalops.lock_buckets(requested jsonb) RETURNS void
    LANGUAGE sql
    AS $$
  -- Lock order: rate_buckets by tenant and bucket, rows that are not there yet included. What is there is only locked.
  insert into signalops.rate_buckets as b (tenant_id, bucket, level)
  select w.tenant, w.bucket, 'Infinity' from jsonb_to_recordset(requested) as w (tenant uuid, bucket text)
  -- A tenant deleted concurrently must not get rows again.
  where exists (select from signalops.tenants t where t.id = w.tenant and t.status <> 'deleting')
  order by w.tenant, w.bucket collate "C"
  on conflict (tenant_id, bucket) do update set level = b.level where false
$$;

COMMENT ON FUNCTION signalops.lock_buckets(requested jsonb) IS 'Locks the rows of [{tenant, bucket}] until the transaction ends, and makes those that are missing, full.';

CREATE FUNCTION signalops.lock_deliveries(requested jsonb) RETURNS TABLE(tenant uuid, delivery uuid, channel_id uuid)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
begin
  return query
    select w.tenant, w.delivery, d.channel_id
    from (select * from jsonb_to_recordset(requested) as w (tenant uuid, delivery uuid) order by w.tenant, w.delivery) w
    cross join lateral (
      -- `attempts` keeps the planner from deliveries_by_rule, of which it would read all that a tenant has, sparing itself the table.
      select d.channel_id from signalops.deliveries d where d.tenant_id = w.tenant and d.id = w.delivery and d.attempts >= 0
      limit 1 for update) d;
end
$$;

COMMENT ON FUNCTION signalops.lock_deliveries(requested jsonb) IS 'Locks [{tenant, delivery}] in one order and returns those that are there, with their channels: a transaction with several locks all of them before their send_targets.';

CREATE FUNCTION signalops.lock_suspended_tenants(tenant_ids uuid[]) RETURNS uuid[]
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select array_agg(h.id) from (
    -- Lock order: tenants by id. Locked, so that none is resumed before what is set aside for it can be seen.
    select t.id from signalops.tenants t where t.id = any (tenant_ids) and t.status in ('suspended', 'deleting') order by t.id for share
  ) h
$$;

COMMENT ON FUNCTION signalops.lock_suspended_tenants(tenant_ids uuid[]) IS 'Which of these tenants are suspended or being deleted, and remain so until the transaction ends; NULL: none. Nothing of theirs is begun.';

CREATE FUNCTION signalops.log_bulk_action(tenant uuid, action text, targets uuid[], details jsonb DEFAULT '{}'::jsonb) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  if cardinality(targets) = 1 then
    perform signalops.log_tenant_action(tenant, action, targets[1]::text, null, details);
  elsif cardinality(targets) > 1 then
    perform signalops.log_tenant_action(tenant, action, null, null,
      details || jsonb_build_object('count', cardinality(targets), 'ids', to_jsonb(targets[1:100])));
  end if;
end
$$;

COMMENT ON FUNCTION signalops.log_bulk_action(tenant uuid, action text, targets uuid[], details jsonb) IS 'Logs a bulk action as one entry, with the count and the first hundred ids; nothing when there are none.';

CREATE FUNCTION signalops.log_change(noun text, tenant uuid, target_id text, target text, before jsonb, after jsonb, secrets text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  was jsonb := signalops.changed_columns(coalesce(after, '{}'), coalesce(before, '{}'), secrets);
  is_now jsonb := signalops.changed_columns(coalesce(before, '{}'), coalesce(after, '{}'), secrets);
begin
  if was is not null or is_now is not null then
    perform signalops.write_audit_log(tenant, noun || '.' || signalops.action_verb(before, after), target_id, target,
      jsonb_build_object('before', was, 'after', is_now));
  end if;
end
$$;

COMMENT ON FUNCTION signalops.log_change(noun text, tenant uuid, target_id text, target text, before jsonb, after jsonb, secrets text[]) IS 'Logs a row''s change: before is NULL for an insert, after for a deletion. Changes without effect are not logged.';

CREATE FUNCTION signalops.log_row_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  left_out text[] := '{tenant_id,created_at,updated_at}'::text[] || tg_argv[1] || string_to_array(tg_argv[3], ',');
  was jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  is_now jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
  subject jsonb := coalesce(is_now, was);
  -- A deleted tenant has no log; a plan is the installation's.
  of_tenant uuid := coalesce(case tg_table_name when 'tenants' then is_now ->> 'id' else subject ->> 'tenant_id' end,
    '00000000-0000-0000-0000-000000000000');
begin
  -- What a trigger does, and what comes with a plan, follows from an action that is noted itself.
  if pg_trigger_depth() > 1 or subject ->> 'origin' = 'plan' then
    return null;
  end if;
  if tg_op = 'DELETE' and exists (select from signalops.tenants t where t.id = of_tenant and t.status = 'deleting') then
    return null;
  end if;
  perform signalops.log_change(tg_argv[0], of_tenant, subject ->> tg_argv[1], subject ->> tg_argv[2], was - left_out, is_now - left_out,
    string_to_array(tg_argv[4], ','));
  return null;
end
$$;

COMMENT ON FUNCTION signalops.log_row_change() IS 'Logs a row''s change. Arguments: the noun of such rows; the columns of their id and name; ignored columns; columns with secrets, the last two with commas between.';

CREATE FUNCTION signalops.log_rule_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  left_out constant text[] := '{tenant_id,id,rule_id,version,created_at,updated_at,enabled_at,state_version,conditions}';
  was jsonb;
  is_now jsonb := to_jsonb(new);
begin
  if tg_op = 'UPDATE' then
    was := to_jsonb(old) || coalesce((
      select to_jsonb(v) from signalops.rule_versions v where (v.tenant_id, v.rule_id, v.version) = (old.tenant_id, old.id, old.active_version)
    ), '{}');
  end if;
  is_now := is_now || coalesce((
    select to_jsonb(v) from signalops.rule_versions v where (v.tenant_id, v.rule_id, v.version) = (new.tenant_id, new.id, new.active_version)
  ), '{}');
  perform signalops.log_change('rule', new.tenant_id, new.id::text, new.name, was - left_out, is_now - left_out, '{}');
  return null;
end
$$;

COMMENT ON FUNCTION signalops.log_rule_change() IS 'Logs a rule''s change with the content of its active version: one action for several rows.';

CREATE FUNCTION signalops.log_tenant_action(tenant uuid, action text, target_id text, target text, details jsonb DEFAULT '{}'::jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if not pg_has_role(coalesce(nullif(current_setting('role', true), 'none'), session_user), 'signalops_owner', 'member') then
    perform signalops.require_tenant(tenant);
  end if;
  perform signalops.write_audit_log(tenant, action, target_id, target, jsonb_build_object('before', null, 'after', nullif(details, '{}')));
end
$$;

COMMENT ON FUNCTION signalops.log_tenant_action(tenant uuid, action text, target_id text, target text, details jsonb) IS 'Logs an action that changes no managed row, with its details, for the transaction''s tenant.';

CREATE FUNCTION signalops.make_partitions(months_ahead integer DEFAULT 3) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  parent regclass;
  month date;
  part text;
  guard record;
begin
  -- Several processes may find the month missing at once.
  perform pg_advisory_xact_lock(hashtext('signalops.make_partitions'));
  for parent in
    select c.oid from pg_class c
    where c.relkind = 'p' and c.relnamespace = 'signalops'::regnamespace order by c.relname
  loop
    for month in
      select generate_series(
        date_trunc('month', now() at time zone 'UTC'),
        date_trunc('month', now() at time zone 'UTC') + make_interval(months => months_ahead), '1 month')::date
    loop
      part := format('%s_%s', (select relname from pg_class where oid = parent), to_char(month, 'YYYY_MM'));
      continue when to_regclass(format('signalops.%I', part)) is not null;
      -- Attached, not made in place: that would wait for every query of the table, a dump for instance, and all traffic behind it.
      execute format('create table signalops.%I (like %s including defaults including constraints)', part, parent);
      execute format('alter table signalops.%I set (%s)', part, signalops.partition_storage((select relname from pg_class where oid = parent)));
      execute format('alter table %s attach partition signalops.%I for values from (%L) to (%L)', parent, part,
        signalops.uuid7_floor(month::timestamp at time zone 'UTC'),
        signalops.uuid7_floor((month + interval '1 month') at time zone 'UTC'));
      -- Policies of the parent do not apply to a query on the partition itself: with none of its own it shows nothing.
      execute format('alter table signalops.%I enable row level security', part);
      execute format('alter table signalops.%I force row level security', part);
      execute format('comment on table signalops.%I is %L', part, format('%s made in %s (UTC)', parent, to_char(month, 'YYYY-MM')));
      -- Of the parent's triggers a partition has those for rows alone.
      for guard in
        select g.tgname, g.tgfoid::regproc as runs, obj_description(g.oid, 'pg_trigger') as purpose from pg_trigger g
        where g.tgrelid = parent and g.tgtype & 32 <> 0 and not g.tgisinternal
      loop
        execute format('create trigger %I before truncate on signalops.%I for each statement execute function %s()',
          guard.tgname, part, guard.runs);
        execute format('comment on trigger %I on signalops.%I is %L', guard.tgname, part, guard.purpose);
      end loop;
      return next part;
    end loop;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.make_partitions(months_ahead integer) IS 'Makes the monthly partitions of every partitioned table, from this month to some months ahead; returns the names of new ones.';

CREATE TABLE signalops.tenants (
    id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    time_zone text DEFAULT 'UTC'::text NOT NULL,
    meters_version bigint DEFAULT 0 NOT NULL,
    closed_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    limited_meters_version bigint DEFAULT 0 NOT NULL,
    rate_per_second numeric,
    rate_burst integer,
    status_reason text,
    status_since timestamp with time zone DEFAULT now() NOT NULL,
    is_draining boolean DEFAULT false NOT NULL,
    retention_days integer,
    usage_rows bigint DEFAULT 10000000 NOT NULL,
    CONSTRAINT tenants_check CHECK (((rate_per_second IS NULL) = (rate_burst IS NULL))),
    CONSTRAINT tenants_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT tenants_rate_burst_check CHECK (((rate_burst >= 1) AND (rate_burst <= 1000000))),
    CONSTRAINT tenants_rate_per_second_check CHECK (((rate_per_second >= 0.000001) AND (rate_per_second <= (1000000)::numeric))),
    CONSTRAINT tenants_reason_check CHECK (((status_reason IS NULL) OR (status <> 'active'::text))),
    CONSTRAINT tenants_retention_days_check CHECK (((retention_days >= 1) AND (retention_days <= 36500))),
    CONSTRAINT tenants_slug_check CHECK ((slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'::text)),
    CONSTRAINT tenants_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'closed'::text, 'deleting'::text]))),
    CONSTRAINT tenants_status_reason_check CHECK (((length(status_reason) >= 1) AND (length(status_reason) <= 500))),
    CONSTRAINT tenants_time_zone_check CHECK (signalops.is_time_zone(time_zone)),
    CONSTRAINT tenants_usage_rows_check CHECK ((usage_rows > 0))
);

ALTER TABLE ONLY signalops.tenants FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.tenants IS 'A customer of the installation. Everything else hangs on its id.';
COMMENT ON COLUMN signalops.tenants.id IS 'UUIDv7; the tenant_id of every other table.';
COMMENT ON COLUMN signalops.tenants.slug IS 'The name for command lines and log lines; unique, but no tenant can list or probe it.';
COMMENT ON COLUMN signalops.tenants.name IS 'The name for people.';
COMMENT ON COLUMN signalops.tenants.status IS 'active; suspended: requests are refused, and what was accepted waits; closed: requests are refused permanently, accepted events are still processed; deleting: its rows are being removed.';
COMMENT ON COLUMN signalops.tenants.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.tenants.time_zone IS 'IANA time zone in which its days and billing periods begin; fixed once something is counted.';
COMMENT ON COLUMN signalops.tenants.meters_version IS 'Version of its meters: 0 until it has any, and one more with each change.';
COMMENT ON COLUMN signalops.tenants.closed_until IS 'End of the last billing period that is closed: what happened before and is counted from now on is late, and billed in the open period.';
COMMENT ON COLUMN signalops.tenants.limited_meters_version IS 'Version of its limited meters besides events, by which the API computes quantities: 0 without any.';
COMMENT ON COLUMN signalops.tenants.rate_per_second IS 'Events a second that it may bring in with all its keys together; NULL: no limit.';
COMMENT ON COLUMN signalops.tenants.rate_burst IS 'Events that it may bring in at once after a pause; NULL: no limit.';
COMMENT ON COLUMN signalops.tenants.status_reason IS 'The reason, which its refused requests get; NULL: active, or none was given.';
COMMENT ON COLUMN signalops.tenants.status_since IS 'Since when it has that status.';
COMMENT ON COLUMN signalops.tenants.is_draining IS 'Whether parked work may be left, though it is no longer suspended.';
COMMENT ON COLUMN signalops.tenants.retention_days IS 'For how many days its events are kept; NULL: its plan''s retentionDays, else the installation''s default.';
COMMENT ON COLUMN signalops.tenants.usage_rows IS 'Maximum counters of groups and distinct values per month; beyond it only totals are counted.';

CREATE FUNCTION signalops.may_delete(tenant uuid) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN ((CURRENT_USER = 'signalops_owner'::name) AND (EXISTS (SELECT FROM signalops.tenants t WHERE ((t.id = may_delete.tenant) AND (t.status = 'deleting'::text)))));

COMMENT ON FUNCTION signalops.may_delete(tenant uuid) IS 'Whether what is never deleted may be: all of a tenant that is being deleted, by the function of the owner which does that.';

CREATE FUNCTION signalops.merge_fields(known jsonb, seen jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
  select jsonb_object_agg(path, field) from (
    select coalesce(k.key, s.key) as path, jsonb_strip_nulls(jsonb_build_object(
      'types', (select jsonb_agg(distinct t) from jsonb_array_elements(
        coalesce(k.value -> 'types', '[]') || coalesce(s.value -> 'types', '[]')) as t),
      'example', coalesce(k.value -> 'example', s.value -> 'example'))) as field
    from jsonb_each(known) k full join jsonb_each(seen) s on s.key = k.key
    -- Known fields stay; one more than the maximum shows that there are more.
    order by k.key is null, path limit 201
  ) as fields
$$;

COMMENT ON FUNCTION signalops.merge_fields(known jsonb, seen jsonb) IS 'Adds fields that were seen to those that are known, and their types to those of the known; at most 201.';

CREATE FUNCTION signalops.metered_quantity(event jsonb, of_meter text) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE of_meter WHEN 'events'::text THEN (1)::numeric ELSE COALESCE(((event #>> ARRAY['quantities'::text, of_meter]))::numeric, (0)::numeric) END;

COMMENT ON FUNCTION signalops.metered_quantity(event jsonb, of_meter text) IS 'How much an event of a flush adds to a meter.';

CREATE FUNCTION signalops.position_time() RETURNS timestamp with time zone
    LANGUAGE plpgsql
    AS $$
begin
  if coalesce(current_setting('signalops.positions', true), '') = '' then
    perform pg_advisory_xact_lock_shared((21327::bigint << 48) | floor(extract(epoch from clock_timestamp()) * 1000)::bigint);
    perform set_config('signalops.positions', 'announced', true);
  end if;
  return clock_timestamp();
end
$$;

COMMENT ON FUNCTION signalops.position_time() IS 'The time by which a row that this transaction adds stands in a list. The first call announces it, by an advisory lock whose key (SO, then 48 bits of milliseconds) is no later than any of its times, until the transaction ends: settled_time stops before it, so no row appears behind a cursor that was given out.';

CREATE FUNCTION signalops.new_id() RETURNS uuid
    LANGUAGE sql
    RETURN (SELECT (encode(OVERLAY(uuid_send(gen_random_uuid()) PLACING int8send(((((t.micros / 1000) << 16) | ('0111000000000000'::"bit")::bigint) | (((t.micros % (1000)::bigint) * 4096) / 1000))) FROM 1 FOR 8), 'hex'::text))::uuid AS encode FROM (SELECT ((EXTRACT(epoch FROM signalops.position_time()) * (1000000)::numeric))::bigint AS micros) t);

COMMENT ON FUNCTION signalops.new_id() IS 'A new UUIDv7, for rows that SQL itself makes, in order to the microsecond (RFC 9562, 6.2, method 3) and announced as position_time says. PostgreSQL 18 has uuidv7(); 15 to 17 have not.';

CREATE FUNCTION signalops.notify_key_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  perform pg_notify('signalops_access', old.id::text);
  return null;
end
$$;

COMMENT ON FUNCTION signalops.notify_key_change() IS 'Has every API process invalidate one cached key, or the cache of one tenant: a revoked key or suspended tenant is refused from then on.';

CREATE FUNCTION signalops.notify_schema_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  perform pg_notify('signalops_schemas', coalesce(new.tenant_id, old.tenant_id)::text);
  return null;
end
$$;

COMMENT ON FUNCTION signalops.notify_schema_change() IS 'Notifies every API process whose schemas changed, so that it validates with the new ones.';

CREATE FUNCTION signalops.oldest_transaction_id() RETURNS bigint
    LANGUAGE sql
    AS $$
  -- The xmin of a snapshot would wait for the transactions of every database of the cluster. A transaction holds the lock on its number
  -- before it reads anything else, and until what it did can be seen; the number of the lock lacks the epoch.
  select coalesce(min(n.latest + ((l.transactionid::text::bigint - n.latest + 3 * 2147483648) % 4294967296) - 2147483648), min(n.latest))
  from (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as latest) n
  left join pg_locks l on l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted and not exists (
    select from pg_stat_activity a join pg_database d on d.oid = a.datid where a.pid = l.pid and d.datname <> current_database())
$$;

COMMENT ON FUNCTION signalops.oldest_transaction_id() IS 'The number of the oldest transaction of this database that has one and has not ended; without any, one that is not given yet.';

CREATE FUNCTION signalops.park_events(at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
declare
  suspended uuid[];
  digests bigint;
  groups bigint;
begin
  if not exists (select from signalops.tenants t where t.status in ('suspended', 'deleting')) then
    return 0;
  end if;
  suspended := signalops.lock_suspended_tenants(array(
    (select d.tenant_id from signalops.digests d where d.due_at <= now() order by d.due_at limit at_most)
    union
    (select g.tenant_id from signalops.rule_states g where g.due_at <= now() order by g.due_at limit at_most)));
  if suspended is null then
    return 0;
  end if;
  update signalops.digests d set due_at = 'infinity'
  from (
    select d.tenant_id, d.rule_id from signalops.digests d
    where d.due_at <= now() and d.tenant_id = any (suspended) order by d.due_at limit at_most for update skip locked
  ) due
  where d.tenant_id = due.tenant_id and d.rule_id = due.rule_id;
  get diagnostics digests = row_count;
  update signalops.rule_states g set due_at = 'infinity'
  from (
    select g.tenant_id, g.rule_id, g.state_version, g.group_key from signalops.rule_states g
    where g.due_at <= now() and g.tenant_id = any (suspended) order by g.due_at limit at_most for update skip locked
  ) due
  where g.tenant_id = due.tenant_id and g.rule_id = due.rule_id and g.state_version = due.state_version and g.group_key = due.group_key;
  get diagnostics groups = row_count;
  return greatest(digests, groups);
end
$$;

COMMENT ON FUNCTION signalops.park_events(at_most integer) IS 'Parks due digests and absences of suspended tenants, so that sweeps skip them; returns the larger of both counts.';

CREATE FUNCTION signalops.partition_storage(parent name) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
  select case parent
    -- Each of its rows is updated twice or more.
    when 'deliveries' then 'autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0, '
      'autovacuum_analyze_scale_factor = 0.02'
    -- Written once: vacuum comes to set the visibility map, and statistics must keep up with a partition that begins empty.
    else 'autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02' end
$$;

COMMENT ON FUNCTION signalops.partition_storage(parent name) IS 'The storage parameters of the partitions of a table; a partitioned table itself takes none.';

CREATE FUNCTION signalops.partitions_ahead_alert() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 2;

COMMENT ON FUNCTION signalops.partitions_ahead_alert() IS 'Alert: for how many months ahead there must be partitions; the job makes three.';

CREATE FUNCTION signalops.period_start(day date, zone text) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN LEAST(((day)::timestamp without time zone AT TIME ZONE zone), ((((day)::timestamp without time zone - '00:00:01'::interval) AT TIME ZONE zone) + '00:00:01'::interval));

COMMENT ON FUNCTION signalops.period_start(day date, zone text) IS 'The moment at which a day, or the period that it begins, starts in a time zone.';

CREATE FUNCTION signalops.periods_ready(at_most integer) RETURNS TABLE(tenant uuid, period date)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select o.tenant_id, o.period
  from (
    select distinct on (b.tenant_id) b.tenant_id, b.period, b.barrier
    from signalops.billing_periods b where b.closed_at is null order by b.tenant_id, b.period
  ) o
  where o.barrier <= (select signalops.oldest_transaction_id())
  -- Workers that ask at once begin at different ends.
  order by random() limit at_most
$$;

COMMENT ON FUNCTION signalops.periods_ready(at_most integer) IS 'Frozen periods that no transaction can count into any more, the first of each tenant: they can be closed.';

CREATE TABLE signalops.dead_letters (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    event_id uuid NOT NULL,
    delivery_id uuid,
    error text NOT NULL,
    died_at timestamp with time zone DEFAULT signalops.position_time() NOT NULL,
    rule_id uuid,
    channel_id uuid,
    resolved_at timestamp with time zone,
    resolution text,
    reason text,
    first_died_at timestamp with time zone DEFAULT signalops.position_time() NOT NULL,
    CONSTRAINT dead_letters_check CHECK (((delivery_id IS NOT NULL) = (kind = 'delivery'::text))),
    CONSTRAINT dead_letters_check1 CHECK (((resolved_at IS NULL) = (resolution IS NULL))),
    CONSTRAINT dead_letters_error_check CHECK ((length(error) <= 500)),
    CONSTRAINT dead_letters_kind_check CHECK ((kind = ANY (ARRAY['event'::text, 'delivery'::text]))),
    CONSTRAINT dead_letters_reason_check CHECK ((length(reason) <= 500)),
    CONSTRAINT dead_letters_resolution_check CHECK ((resolution = ANY (ARRAY['retried'::text, 'discarded'::text])))
)
WITH (autovacuum_vacuum_scale_factor='0.05', autovacuum_analyze_scale_factor='0.05');

ALTER TABLE ONLY signalops.dead_letters FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.dead_letters IS 'Events that could not be processed, and deliveries that failed after their last attempt.';
COMMENT ON COLUMN signalops.dead_letters.tenant_id IS 'Whose it is.';
COMMENT ON COLUMN signalops.dead_letters.id IS 'The id of what died: the event''s or the delivery''s.';
COMMENT ON COLUMN signalops.dead_letters.kind IS 'event or delivery.';
COMMENT ON COLUMN signalops.dead_letters.event_id IS 'The event.';
COMMENT ON COLUMN signalops.dead_letters.delivery_id IS 'The delivery, when it is one that died.';
COMMENT ON COLUMN signalops.dead_letters.error IS 'Why, in a sentence.';
COMMENT ON COLUMN signalops.dead_letters.died_at IS 'When it was given up.';
COMMENT ON COLUMN signalops.dead_letters.rule_id IS 'The rule of the delivery; NULL: an event died.';
COMMENT ON COLUMN signalops.dead_letters.channel_id IS 'The channel of the delivery; NULL: an event died.';
COMMENT ON COLUMN signalops.dead_letters.resolved_at IS 'When it was retried or discarded; NULL: it waits for somebody to look.';
COMMENT ON COLUMN signalops.dead_letters.resolution IS 'retried or discarded.';
COMMENT ON COLUMN signalops.dead_letters.reason IS 'Why it was discarded, in the words of who did.';
COMMENT ON COLUMN signalops.dead_letters.first_died_at IS 'When it was given up for the first time. Whoever follows the list and has seen it there goes on from here: were it given up again, its new place would hide what died in between.';

CREATE FUNCTION signalops.pick_dead_letters(tenant uuid, dead_letter_ids uuid[] DEFAULT NULL::uuid[], of_kind text DEFAULT NULL::text, channel uuid DEFAULT NULL::uuid, rule uuid DEFAULT NULL::uuid, like_error text DEFAULT NULL::text, since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone, at_most integer DEFAULT 10000, beyond uuid DEFAULT NULL::uuid, upwards boolean DEFAULT false) RETURNS SETOF signalops.dead_letters
    LANGUAGE sql STABLE
    AS $$
  select l.* from signalops.dead_letters l
  where l.tenant_id = tenant and l.resolved_at is null and (dead_letter_ids is null or l.id = any (dead_letter_ids))
    and (of_kind is null or l.kind = of_kind) and (channel is null or l.channel_id = channel)
    and (rule is null or l.rule_id = rule) and (like_error is null or strpos(lower(l.error), lower(like_error)) > 0)
    and (since is null or l.died_at >= since) and (until is null or l.died_at < until)
    and (beyond is null or upwards
      or (l.died_at, l.id) < (select b.died_at, b.id from signalops.dead_letters b where b.tenant_id = tenant and b.id = beyond))
    and (beyond is null or not upwards
      or (l.died_at, l.id) > (select least(b.first_died_at, b.died_at), b.id from signalops.dead_letters b where b.tenant_id = tenant and b.id = beyond))
  order by case when upwards then l.died_at end, case when upwards then l.id end, l.died_at desc, l.id desc limit at_most
$$;

COMMENT ON FUNCTION signalops.pick_dead_letters(tenant uuid, dead_letter_ids uuid[], of_kind text, channel uuid, rule uuid, like_error text, since timestamp with time zone, until timestamp with time zone, at_most integer, beyond uuid, upwards boolean) IS 'The unresolved dead letters of a tenant, newest first, filtered by ids, kind (event, delivery), channel, rule, a part of the error, and when they died. Count them before you retry them. A page begins after a dead letter, and can be read upwards.';

CREATE FUNCTION signalops.pick_deliveries(tenant uuid, statuses text[], rule uuid, channel uuid, lower_id uuid, upper_id uuid, upwards boolean, at_most integer) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode TO 'force_custom_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
begin
  return query
    with pairs as materialized (
      select distinct v.rule_id, v.channel_id from signalops.rule_versions v
      where v.tenant_id = tenant and (rule is null or v.rule_id = rule) and (channel is null or v.channel_id = channel)
    )
    select d.id from pairs p
    cross join unnest(statuses) as s (status)
    cross join lateral (
      select o.id from signalops.deliveries o
      where o.tenant_id = tenant and o.rule_id = p.rule_id and o.channel_id = p.channel_id and o.status = s.status
        and o.id > lower_id and o.id < upper_id
      order by case when upwards then o.id end, o.id desc limit at_most
    ) d
    order by case when upwards then d.id end, d.id desc limit at_most;
end
$$;

COMMENT ON FUNCTION signalops.pick_deliveries(tenant uuid, statuses text[], rule uuid, channel uuid, lower_id uuid, upper_id uuid, upwards boolean, at_most integer) IS 'A page of a tenant''s deliveries in some states, of a rule and a channel (NULL: any), between two ids, newest first or upwards. It goes from each pair of a rule and its channel to the next: one index serves all filters, however rare what they let through is among millions.';

CREATE FUNCTION signalops.priority_backlog() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '-7'::integer;

COMMENT ON FUNCTION signalops.priority_backlog() IS 'Priority of jobs: deliveries that waited in the fair queue.';

CREATE FUNCTION signalops.priority_backtest() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '-20'::integer;

COMMENT ON FUNCTION signalops.priority_backtest() IS 'Priority of jobs: slices of backtests.';

CREATE FUNCTION signalops.priority_bulk() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '-10'::integer;

COMMENT ON FUNCTION signalops.priority_bulk() IS 'Priority of jobs: bulk loads, replays and retries of events.';

CREATE FUNCTION signalops.priority_delivery() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '-6'::integer;

COMMENT ON FUNCTION signalops.priority_delivery() IS 'Priority of jobs: other deliveries.';

CREATE FUNCTION signalops.priority_event() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 0;

COMMENT ON FUNCTION signalops.priority_event() IS 'Priority of jobs: single events, before all that is sent.';

CREATE FUNCTION signalops.priority_idle_channel() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '-5'::integer;

COMMENT ON FUNCTION signalops.priority_idle_channel() IS 'Priority of jobs: deliveries of an idle channel.';

CREATE FUNCTION signalops.prune_jobs(history_days integer, at_most integer) RETURNS bigint
    LANGUAGE sql
    AS $$
  with old as materialized (
    select j.id from procrastinate.procrastinate_jobs j
    where j.status in ('failed', 'aborted', 'cancelled', 'succeeded') and not exists (
      select from procrastinate.procrastinate_events e where e.job_id = j.id and e.at > now() - make_interval(days => history_days))
    order by j.id limit at_most
  ), gone as (
    delete from procrastinate.procrastinate_jobs j using old where j.id = old.id returning j.id
  )
  select count(*) from gone
$$;

COMMENT ON FUNCTION signalops.prune_jobs(history_days integer, at_most integer) IS 'Removes jobs that ended so many days ago, with their events in the queue''s own log; returns how many.';

CREATE FUNCTION signalops.read_batch(first_batch uuid, job bigint, at_most integer) RETURNS TABLE(tenant uuid, ruleset_version bigint, meters_version bigint, time_zone text, closed_until timestamp with time zone, events text)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET "TimeZone" TO 'UTC'
    AS $$
declare
  tenants uuid[];
  ids uuid[];
  batches uuid[];
  replays uuid[];
begin
  -- A worker that freezes, or whose machine is gone, must not keep the batch from others: its session ends, and all is undone.
  perform set_config('idle_in_transaction_session_timeout', '10s', true);
  select array_agg(t.tenant_id), array_agg(t.event_id), array_agg(t.batch), array_agg(t.replay_id) into tenants, ids, batches, replays
  from signalops.take_batch(first_batch, job, at_most) t;
  perform signalops.set_tenant_group(tenants);
  -- From here on, not while another worker has the same batch: counters that somebody has locked must not keep other tenants.
  perform set_config('lock_timeout', '500ms', true);
  -- Closing a period waits for every transaction that may have read an older closed_until. Taking the batch gave this one its
  -- number, by which it is waited for; so closed_until is read after that, in a statement of its own.
  return query
    select t.tenant_id, coalesce((select r.version from signalops.ruleset_versions r where r.tenant_id = t.tenant_id), 0),
      n.meters_version, n.time_zone, n.closed_until,
      -- One text per tenant: parsing it costs a third of loading as many rows.
      json_agg(json_build_object('id', e.id, 'causation_depth', e.causation_depth, 'attributes', e.attributes,
        'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload, 'correlation', e.correlation,
        'batch', t.batch, 'replay', t.replay_id, 'replay_rules', p.rules) order by t.batch, e.id)::text
    from unnest(tenants, ids, batches, replays) as t (tenant_id, event_id, batch, replay_id)
    -- The limit keeps the planner from joining: a join planned while the partition was empty reads all of it for each batch.
    cross join lateral (
      select * from signalops.events e where e.tenant_id = t.tenant_id and e.id = t.event_id limit 1
    ) e
    left join lateral (
      select r.rules from signalops.replays r where r.tenant_id = t.tenant_id and r.id = t.replay_id limit 1
    ) p on true
    cross join lateral (
      select s.meters_version, s.time_zone, s.closed_until from signalops.tenants s where s.id = t.tenant_id limit 1
    ) n
    group by t.tenant_id, n.meters_version, n.time_zone, n.closed_until;
  perform signalops.set_tenant_group(null);
end
$$;

COMMENT ON FUNCTION signalops.read_batch(first_batch uuid, job bigint, at_most integer) IS 'Takes a batch, as take_batch does, and returns the events by tenant, with the versions of the rules and meters to use, the time zone, and until when the tenant''s billing periods are closed: [{id, causation_depth, type, source, occurredAt, payload, attributes, batch, replay, replay_rules}].';

CREATE FUNCTION signalops.recompute_demand(flush jsonb, demand jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN (SELECT jsonb_agg(w.*) AS jsonb_agg FROM (SELECT i.tenant, m.meter, sum(m.amount) AS amount, s.limited_meters_version FROM ((jsonb_to_recordset(recompute_demand.flush) i(tenant uuid, quantities jsonb) JOIN (SELECT DISTINCT a.tenant, a.limited_meters_version FROM jsonb_to_recordset(recompute_demand.demand) a(tenant uuid, limited_meters_version bigint)) s ON ((s.tenant = i.tenant))) CROSS JOIN LATERAL (SELECT 'events'::text AS meter, (1)::numeric AS amount UNION ALL SELECT u.key, (u.value)::numeric AS value FROM jsonb_each_text(i.quantities) u(key, value)) m) GROUP BY i.tenant, m.meter, s.limited_meters_version) w);

COMMENT ON FUNCTION signalops.recompute_demand(flush jsonb, demand jsonb) IS 'What is left to be asked of the meters when some events of a flush were refused: [{tenant, meter, amount, limited_meters_version}], as accept takes it.';

CREATE FUNCTION signalops.reconcilable_range(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, time_zone text, since timestamp with time zone, earliest uuid, lower uuid, upper uuid)
    LANGUAGE sql STABLE
    AS $$
  select t.id, t.time_zone, k.since, greatest(
      case when isfinite(k.since) then signalops.uuid7_floor(k.since) else l.least end,
      -- The events of a flush came before it, and an entry may be made by a slower clock.
      coalesce(signalops.uuid7_floor(signalops.period_start(of_period, t.time_zone) - interval '1 day'), l.least)),
    coalesce(signalops.uuid7_floor(signalops.period_start(of_period, t.time_zone)), l.least),
    coalesce(signalops.uuid7_floor(signalops.period_start((of_period + interval '1 month')::date, t.time_zone)), l.most)
  from signalops.tenants t
  cross join (values ('00000000-0000-0000-0000-000000000000'::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)) l (least, most)
  cross join (
    -- The youngest of the oldest months that are stored: before it something is missing, and nothing can be said.
    select max(p.oldest) as oldest
    from (
      select min(to_date(right(c.relname, 7), 'YYYY_MM'))::timestamp at time zone 'UTC' as oldest
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent in ('signalops.events'::regclass, 'signalops.usage_entries'::regclass, 'signalops.batch_results'::regclass)
      group by i.inhparent
    ) p
  ) o
  -- An hour later, since ids are made by several clocks.
  cross join lateral (
    select greatest(case when t.created_at >= o.oldest then '-infinity' else o.oldest + interval '1 hour' end,
      (select x.kept_since + interval '1 hour' from signalops.retention_watermarks x where x.tenant_id = t.id)) as since
  ) k
  where of_tenant is null or t.id = of_tenant
$$;

COMMENT ON FUNCTION signalops.reconcilable_range(of_tenant uuid, of_period date) IS 'Since when a tenant''s events, batches and entries are all stored (-infinity: from its beginning); the earliest id that is of interest to a period (NULL: all time) and stored; and the ids between which the period lies.';

CREATE FUNCTION signalops.reconcile(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
  select * from signalops.reconcile_accepted(of_tenant, of_period)
  union all select * from signalops.reconcile_batches(of_tenant, of_period)
  union all select * from signalops.reconcile_counters(of_tenant, of_period)
  union all select * from signalops.reconcile_entries(of_tenant, of_period)
  union all select * from signalops.reconcile_hash_chain(of_tenant, of_period)
  union all select * from signalops.reconcile_invoices(of_tenant, of_period)
  union all select * from signalops.reconcile_credits(of_tenant)
$$;

COMMENT ON FUNCTION signalops.reconcile(of_tenant uuid, of_period date) IS 'The differences of a tenant and a period (NULL: of all), without reading more than those need. None: every figure is proven. What SQL can''t do, evaluating the meters'' patterns again and pricing invoices again, `signalops usage reconcile` does.';

CREATE FUNCTION signalops.reconcile_acceptance(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, event uuid, ways bigint)
    LANGUAGE sql STABLE
    AS $$
  with span as materialized (
    select * from signalops.reconcilable_range(of_tenant, of_period)
  ), counted as (
    select n.tenant_id, i.event, count(*) as times
    from span s
    join signalops.usage_entries n on n.tenant_id = s.tenant_id and n.meter = 'events' and n.id >= s.earliest
    cross join unnest(n.event_ids) as i (event)
    group by n.tenant_id, i.event
  )
  select e.tenant_id, signalops.period_of(signalops.uuid7_time(e.batch), s.time_zone), e.id,
    coalesce(c.times, 0) + (i.event_id is not null)::int + (d.id is not null)::int
  from span s
  join signalops.events e on e.tenant_id = s.tenant_id and e.causation_depth = 0
    and e.batch >= s.lower and e.batch < s.upper and e.id >= s.earliest
  left join counted c on c.tenant_id = e.tenant_id and c.event = e.id
  left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id and i.replay_id is null
  left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id and d.kind = 'event'
    and d.resolution is distinct from 'retried'
$$;

COMMENT ON FUNCTION signalops.reconcile_acceptance(of_tenant uuid, of_period date) IS 'The stored events of tenants by the month of acceptance, and how many times each was counted, waits or is dead: once, if all is well.';

CREATE FUNCTION signalops.reconcile_accepted(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
  with known as materialized (
    select * from signalops.reconcile_acceptance(of_tenant, of_period)
  ), stored as (
    select k.tenant_id, k.period, count(*) filter (where k.ways > 0) as events from known k group by k.tenant_id, k.period
  ), accepted as (
    select q.tenant_id, q.period, q.accepted from signalops.accepted_counters q
    where q.meter = 'events' and (of_tenant is null or q.tenant_id = of_tenant) and (of_period is null or q.period = of_period)
  )
  select k.tenant_id, k.period, 'event', k.event::text, 'counted, waiting or dead',
    case k.ways when 0 then 'nothing of it' else format('%s of it at once', k.ways) end
  from known k where k.ways <> 1
  union all
  select s.tenant_id, period, 'accepted', 'events', coalesce(a.accepted, 0)::text,
    format('%s processed, waiting or dead', coalesce(e.events, 0))
  from stored e full join accepted a using (tenant_id, period)
  join signalops.reconcilable_range(of_tenant, of_period) s using (tenant_id)
  where coalesce(a.accepted, 0) <> coalesce(e.events, 0) and signalops.period_start(period, s.time_zone) >= s.since
$$;

COMMENT ON FUNCTION signalops.reconcile_accepted(of_tenant uuid, of_period date) IS 'Checks accepted (what a month accepted = what was processed, waits or is dead) and event (each is exactly one of that).';

CREATE FUNCTION signalops.reconcile_batches(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
  with span as materialized (
    select * from signalops.reconcilable_range(of_tenant, of_period)
  ), billed as (
    select b.tenant_id, b.counted_in as batch, sum(b.billed) as billed from span s
    join signalops.batch_results b on b.tenant_id = s.tenant_id and b.batch >= greatest(s.lower, s.earliest) and b.batch < s.upper
    where b.billed > 0
    group by b.tenant_id, b.counted_in
  ), counted as (
    select n.tenant_id, n.batch, sum(n.events) as events from span s
    join signalops.usage_entries n on n.tenant_id = s.tenant_id and n.meter = 'events'
      and n.batch >= greatest(s.lower, s.earliest) and n.batch < s.upper
    group by n.tenant_id, n.batch
  )
  select s.tenant_id, signalops.period_of(signalops.uuid7_time(batch), s.time_zone), 'batch', batch::text,
    format('%s billed', coalesce(b.billed, 0)), format('%s counted', coalesce(c.events, 0))
  from billed b full join counted c using (tenant_id, batch)
  join span s using (tenant_id)
  where b.billed is distinct from c.events
$$;

COMMENT ON FUNCTION signalops.reconcile_batches(of_tenant uuid, of_period date) IS 'Check batch: what a batch billed = what the entries of it count.';

CREATE FUNCTION signalops.reconcile_counters(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
  with span as materialized (
    select * from signalops.reconcilable_range(of_tenant, of_period)
  ), ledger as (
    select n.tenant_id, n.meter, n.hour, n.group_key, n.period, bool_or(n.is_late) as is_late, sum(n.events) as events,
      sum(n.value) as total, max(n.value) as most, min(n.value) as least,
      (array_agg(n.value order by n.latest_at desc, n.latest_event desc) filter (where n.latest_event is not null))[1] as latest
    from span s
    -- No entry is older than its hour: those of an hour since which all is stored are all there.
    join signalops.usage_entries n on n.tenant_id = s.tenant_id and (of_period is null or n.period = of_period) and n.hour >= s.since
    group by n.tenant_id, n.meter, n.hour, n.group_key, n.period
  ), counters as (
    select c.* from span s
    join signalops.usage_counters c on c.tenant_id = s.tenant_id and (of_period is null or c.period = of_period) and c.hour >= s.since
  ), stored_rows as (
    select tenant_id, period, format('%s %s %s', meter, hour, group_key) as subject, l.events as expected_events, c.events as found_events,
      case c.aggregation when 'max' then l.most when 'min' then l.least when 'latest' then l.latest else l.total end as expected_value,
      c.value as found_value, coalesce(l.is_late = c.is_late, true) as is_placed
    from ledger l full join counters c using (tenant_id, meter, hour, group_key, period)
  )
  select h.tenant_id, h.period, 'counter', h.subject,
    case when h.expected_events is null then 'no entry'
      else format('%s events, %s', h.expected_events, coalesce(trim_scale(h.expected_value)::text, 'no value')) end,
    case when h.found_events is null then 'no counter'
      else format('%s events, %s', h.found_events, coalesce(trim_scale(h.found_value)::text, 'no value')) end
  from stored_rows h
  where (h.expected_events, h.expected_value) is distinct from (h.found_events, h.found_value) or not h.is_placed
$$;

COMMENT ON FUNCTION signalops.reconcile_counters(of_tenant uuid, of_period date) IS 'Check counter: each is the aggregation of its entries. Counters older than the stored entries are checked by the hash chain.';

CREATE FUNCTION signalops.reconcile_credits(of_tenant uuid) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
  select g.tenant_id, null::date, 'credit', g.id::text, coalesce(sum(e.amount), 0)::text, g.remaining::text
  from signalops.credit_grants g
  left join signalops.credit_entries e on e.tenant_id = g.tenant_id and e.grant_id = g.id
  where of_tenant is null or g.tenant_id = of_tenant
  group by g.tenant_id, g.id
  having g.remaining <> coalesce(sum(e.amount), 0) or g.amount <> coalesce(sum(e.amount) filter (where e.kind = 'granted'), 0)
  union all
  select e.tenant_id, null, 'credit', e.grant_id::text, 'burned by an invoice', format('burned by %s, which is none', e.invoice_id)
  from signalops.credit_entries e
  left join signalops.invoices i on i.tenant_id = e.tenant_id and i.id = e.invoice_id
  where e.invoice_id is not null and i.id is null and (of_tenant is null or e.tenant_id = of_tenant)
$$;

COMMENT ON FUNCTION signalops.reconcile_credits(of_tenant uuid) IS 'Check credit: what remains of a grant is the sum of its entries, and only invoices burn it. Credit belongs to no period.';

CREATE FUNCTION signalops.reconcile_entries(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
  with span as materialized (
    select * from signalops.reconcilable_range(of_tenant, of_period)
  ), entries as (
    select s.time_zone, s.since, n.* from span s
    join signalops.usage_entries n on n.tenant_id = s.tenant_id and (of_period is null or n.period = of_period)
  ), members as (
    select n.tenant_id, n.period, n.meter, n.id, n.hour, i.event, e.id as stored, e.causation_depth,
      date_trunc('hour', least(e.occurred_at, signalops.uuid7_time(e.id)), n.time_zone) as happened
    from entries n
    cross join unnest(n.event_ids) as i (event)
    left join signalops.events e on e.tenant_id = n.tenant_id and e.id = i.event
    where signalops.uuid7_time(i.event) >= n.since
  )
  select m.tenant_id, m.period, 'entry', format('%s %s', m.meter, m.id), 'events of its hour',
    format('%s of others, such as %s', count(*), min(m.event::text))
  from members m where m.stored is null or m.causation_depth > 0 or m.happened <> m.hour
  group by m.tenant_id, m.period, m.meter, m.id
  union all
  select n.tenant_id, n.period, 'entry', format('%s %s', n.meter, n.id),
    format('%s events, of %s', cardinality(n.event_ids), signalops.period_of(n.hour, n.time_zone)),
    format('%s events, %s, %s %s', n.events, trim_scale(n.value), case when n.is_late then 'late in' else 'in' end, n.period)
  from entries n
  where n.events <> cardinality(n.event_ids) or n.meter = 'events' and n.value is distinct from n.events or case when n.is_late then n.period <= signalops.period_of(n.hour, n.time_zone)
    else n.period <> signalops.period_of(n.hour, n.time_zone) end
  union all
  select n.tenant_id, min(n.period), 'twice', format('%s %s', n.meter, i.event), 'once', format('%s times', count(*))
  from entries n cross join unnest(n.event_ids) as i (event)
  group by n.tenant_id, n.meter, i.event having count(*) > 1
$$;

COMMENT ON FUNCTION signalops.reconcile_entries(of_tenant uuid, of_period date) IS 'Checks entry (its events are stored, and of its hour and period) and twice (no meter counts an event twice).';

CREATE FUNCTION signalops.reconcile_hash_chain(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
  with closed as materialized (
    select b.tenant_id, b.period, b.starts_at, b.ends_at, t.time_zone
    from signalops.billing_periods b join signalops.tenants t on t.id = b.tenant_id
    where b.closed_at is not null and (of_tenant is null or b.tenant_id = of_tenant) and (of_period is null or b.period = of_period)
  ), meters as (
    select c.*, 'events' as meter from closed c
    union select c.*, m.key from closed c join signalops.meters m using (tenant_id)
  ), counted as (
    select m.tenant_id, m.period, (u.bucket at time zone m.time_zone)::date as day, m.meter, u.group_key, u.bucket < m.starts_at as is_late,
      u.events, u.quantity
    from meters m
    cross join lateral signalops.usage_by(m.tenant_id, m.meter, '-infinity', m.ends_at, 'day', true, m.period) u
  ), sealed as (
    select d.tenant_id, d.period, d.day, d.meter, d.group_key, d.is_late, d.events, d.quantity from signalops.usage_daily d
    where (of_tenant is null or d.tenant_id = of_tenant) and (of_period is null or d.period = of_period)
  ), chain as (
    -- All links, for the link before that of a period is another period's.
    select s.*, lag(s.digest) over (partition by s.tenant_id order by s.period) as link,
      signalops.digest_days(s.tenant_id, s.period, s.previous) as computed,
      (select count(*) from signalops.usage_daily d where d.tenant_id = s.tenant_id and d.period = s.period) as present
    from signalops.usage_hash_chain s where of_tenant is null or s.tenant_id = of_tenant
  )
  select tenant_id, period, 'sealed', format('%s %s %s', meter, day, group_key),
    case when c.events is null then 'nothing counted' else format('%s events, %s', c.events, trim_scale(c.quantity)) end,
    case when d.events is null then 'not sealed' else format('%s events, %s', d.events, trim_scale(d.quantity)) end
  from counted c full join sealed d using (tenant_id, period, day, meter, group_key)
  where (c.events, c.quantity, c.is_late) is distinct from (d.events, d.quantity, d.is_late)
  union all
  select h.tenant_id, h.period, 'chain', 'digest', encode(h.computed, 'hex'), encode(h.digest, 'hex')
  from chain h where (of_period is null or h.period = of_period) and (h.digest <> h.computed or h.days <> h.present)
  union all
  select h.tenant_id, h.period, 'chain', 'previous', coalesce(encode(h.link, 'hex'), 'none'), coalesce(encode(h.previous, 'hex'), 'none')
  from chain h where (of_period is null or h.period = of_period) and h.previous is distinct from h.link
  union all
  select c.tenant_id, c.period, 'chain', 'seal', 'one', 'none'
  from closed c left join signalops.usage_hash_chain s using (tenant_id, period) where s.digest is null
  union all
  select t.id, null, 'chain', 'closed until', t.closed_until::text, coalesce(max(b.ends_at), '-infinity')::text
  from signalops.tenants t left join signalops.billing_periods b on b.tenant_id = t.id
  where of_period is null and (of_tenant is null or t.id = of_tenant)
  group by t.id having t.closed_until <> coalesce(max(b.ends_at), '-infinity')
$$;

COMMENT ON FUNCTION signalops.reconcile_hash_chain(of_tenant uuid, of_period date) IS 'Checks sealed (the daily totals of a closed period = its counters with their adjustments) and chain (each seal is the digest of its totals and of the seal before; the last period is the one that the tenant is closed until). They work also after the retention of the events.';

CREATE FUNCTION signalops.reconcile_invoices(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
  with issued as materialized (
    select * from signalops.invoices i
    where (of_tenant is null or i.tenant_id = of_tenant) and (of_period is null or i.period = of_period)
  ), lines as materialized (
    select i.period, i.kind as document, i.number, l.* from issued i
    join signalops.invoice_lines l on l.tenant_id = i.tenant_id and l.invoice_id = i.id
  ), added as (
    select l.tenant_id, l.invoice_id as id, sum(l.amount) as total, -coalesce(sum(l.amount) filter (where l.kind = 'credit'), 0) as credited
    from lines l group by l.tenant_id, l.invoice_id
  ), burned as (
    select e.tenant_id, e.invoice_id as id, -sum(e.amount) as amount from signalops.credit_entries e
    where e.invoice_id is not null and (of_tenant is null or e.tenant_id = of_tenant) group by e.tenant_id, e.invoice_id
  )
  select l.tenant_id, l.period, 'line', format('%s %s line %s (%s)', l.document, l.number, l.position, l.meter),
    format('%s events, %s', coalesce(u.events, 0), trim_scale(coalesce(u.quantity, 0))),
    format('%s events, %s', coalesce(l.events, 0), trim_scale(coalesce(l.quantity, 0)))
  from lines l
  left join lateral signalops.usage_by(l.tenant_id, l.meter, l.starts_at, l.ends_at, null, false, l.period) u on true
  where l.kind = 'usage' and l.document = 'invoice'
    and (coalesce(u.events, 0), coalesce(u.quantity, 0)) <> (coalesce(l.events, 0), coalesce(l.quantity, 0))
  union all
  select l.tenant_id, l.period, 'line', format('%s %s line %s (%s, late)', l.document, l.number, l.position, l.meter),
    trim_scale(coalesce(u.quantity, 0) - coalesce(b.quantity, 0))::text, trim_scale(l.quantity)::text
  from lines l
  left join lateral signalops.usage_by(l.tenant_id, l.meter, l.starts_at, l.ends_at, null, false, null, l.period) u on true
  left join lateral signalops.usage_by(l.tenant_id, l.meter, l.starts_at, l.ends_at, null, false, null,
    (l.period - interval '1 month')::date) b on true
  where l.kind = 'late' and l.document = 'invoice' and coalesce(u.quantity, 0) - coalesce(b.quantity, 0) <> l.quantity
  union all
  select i.tenant_id, i.period, 'invoice', format('%s %s', i.kind, i.number),
    format('%s %s, %s credited', coalesce(a.total, 0), i.currency, coalesce(a.credited, 0)),
    format('%s %s, %s credited', i.total, i.currency, i.credited)
  from issued i left join added a using (tenant_id, id)
  where (i.total, i.credited, i.subtotal) <> (coalesce(a.total, 0), coalesce(a.credited, 0), coalesce(a.total + a.credited, 0))
  union all
  select i.tenant_id, i.period, 'burned', format('%s %s', i.kind, i.number),
    coalesce(b.amount, 0)::text, (case when i.voided_at is null then i.credited else 0 end)::text
  from issued i left join burned b using (tenant_id, id)
  where coalesce(b.amount, 0) <> case when i.voided_at is null then i.credited else 0 end
$$;

COMMENT ON FUNCTION signalops.reconcile_invoices(of_tenant uuid, of_period date) IS 'Checks line (its quantity is the usage of its hours that the period bills), invoice (totals are sums of lines) and burned (what an invoice was credited was burned for it, and came back when it was voided).';

CREATE FUNCTION signalops.reconcile_numbers() RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
  select null::uuid, null::date, 'number', format('%s %s', s.kind, n.number), case when n.number <= s.last then 'one' else 'none' end,
    count(i.number)::text
  from (
    select k.kind, coalesce(max(l.last), 0) as last,
      greatest(max(l.last), (select max(i.number) from signalops.invoices i where i.kind = k.kind), 0) as most
    from (values ('invoice'), ('credit_note')) k (kind) left join signalops.invoice_numbers l on l.series = k.kind
    group by k.kind
  ) s
  cross join lateral generate_series(1, s.most) as n (number)
  left join (
    select i.kind, i.number from signalops.invoices i union all select d.series, d.number from signalops.retired_invoice_numbers d
  ) i on i.kind = s.kind and i.number = n.number
  group by s.kind, s.last, n.number having count(i.number) <> (n.number <= s.last)::int
$$;

COMMENT ON FUNCTION signalops.reconcile_numbers() IS 'Check number: each number of a series is one document''s, of whatever tenant, also a deleted one, up to the last that was given.';

CREATE FUNCTION signalops.record_barriers() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  noted bigint;
begin
  if pg_current_xact_id_if_assigned() is not null then
    raise 'record_barriers must be a transaction of its own: commit first' using errcode = 'active_sql_transaction';
  end if;
  -- This transaction gets its number now, after it saw the freezing committed. Whoever counts by the old closed_until had its number
  -- before it read that. The xmax of a snapshot would not do: it lies behind the last that has ended, not behind the last that began.
  -- A barrier of the future is another cluster's, out of a dump.
  update signalops.billing_periods b set barrier = pg_current_xact_id()::text::bigint
  where b.closed_at is null and (b.barrier is null or b.barrier >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint);
  get diagnostics noted = row_count;
  return noted;
end
$$;

COMMENT ON FUNCTION signalops.record_barriers() IS 'Records for frozen periods which transactions have to end before they can be closed; returns how many.';

CREATE FUNCTION signalops.record_batch(job bigint, worker text, results jsonb) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  decided jsonb := results -> 'matches';
  recorded bigint;
  place text := left(signalops.uuid7_floor(signalops.position_time())::text, 13);
begin
  perform signalops.set_tenant_group((select array_agg(p.tenant) from jsonb_to_recordset(results -> 'parts') as p (tenant uuid)));

  if coalesce(results -> 'groups', '[]') <> '[]' then
    decided := decided || signalops.evaluate_stateful_rules(results -> 'groups');
  end if;
  if decided <> '[]' then
    with matched as materialized (
      select m.*, coalesce(m.outcome, 'notified') as result from jsonb_to_recordset(decided) as m (tenant uuid, event uuid, rule uuid,
        version integer, channel uuid, delivery text, outcome text, not_before timestamptz, window_context jsonb, replay uuid)
    ), noted as (
      insert into signalops.matches (tenant_id, event_id, rule_id, rule_version, outcome)
      select tenant, event, rule, version, result from matched
      -- Only a replay repeats a match; the first decision stays on record.
      on conflict do nothing
    )
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id, next_attempt_at, window_context, replay_id)
    select tenant, signalops.repositioned_id(place, delivery), event, rule, version, channel, not_before, window_context, replay from matched where result = 'notified';
  end if;
  if results -> 'dead' <> '[]' then
    insert into signalops.dead_letters (tenant_id, id, kind, event_id, error)
    select d.tenant, d.event, 'event', d.event, left(d.error, 500)
    from jsonb_to_recordset(results -> 'dead') as d (tenant uuid, event uuid, error text)
    -- Somebody had it retried, and it died again.
    on conflict (tenant_id, id) do update
      set error = excluded.error, died_at = signalops.position_time(), resolved_at = null, resolution = null, reason = null;
  end if;

  -- A batch that was bisected around a poisonous event is recorded in several parts.
  insert into signalops.batch_results as b
    (tenant_id, batch, counted_in, job_id, worker, ruleset_version, rules, meters_version, events, billed, dead)
  select p.tenant, p.batch, p.counted_in, job, worker, p.ruleset_version, p.rules, p.meters_version, p.events, p.billed, p.dead
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, batch uuid, counted_in uuid, ruleset_version bigint, rules integer,
    meters_version bigint, events integer, billed integer, dead integer)
  on conflict (tenant_id, batch) do update set events = b.events + excluded.events, billed = b.billed + excluded.billed,
    dead = b.dead + excluded.dead, processed_at = clock_timestamp()
  where b.meters_version = excluded.meters_version and b.counted_in = excluded.counted_in;
  get diagnostics recorded = row_count;
  if recorded < jsonb_array_length(results -> 'parts') then
    raise 'a part of this batch was counted by other meters, or in another batch' using errcode = 'serialization_failure';
  end if;

  -- Lock order: rule_states, digests, dead_letters, batches, channel_schedules, usage; the last two stay locked until the commit.
  if decided <> '[]' then
    perform signalops.enqueue_new_deliveries(decided, place);
  end if;
  if results -> 'metered' <> '[]' then
    perform signalops.count_usage(results -> 'metered');
  end if;

  perform signalops.set_tenant_group(null);
end
$$;

COMMENT ON FUNCTION signalops.record_batch(job bigint, worker text, results jsonb) IS 'Records what was decided about a batch: matches, deliveries with their jobs, dead events, usage. {parts: [{tenant, batch, counted_in, ruleset_version, rules, meters_version, events, billed, dead}], matches: [{tenant, event, rule, version, channel, delivery, outcome, not_before, window_context, replay}], groups: what signalops.evaluate_stateful_rules takes, dead: [{tenant, event, error}], metered: what count_usage takes}.';

CREATE FUNCTION signalops.record_circuit_outcome(tenant uuid, send_target uuid, delivery uuid, outcome text, pause interval) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  failing timestamptz;
begin
  if outcome = 'sent' then
    update signalops.send_targets o set failures = 0, failing_since = null, circuit_open_until = null, half_open_delivery_id = null
    where o.tenant_id = tenant and o.id = send_target and (o.failures > 0 or o.failing_since is not null or o.circuit_open_until is not null);
    return null;
  elsif outcome not in ('transient', 'throttled', 'misconfigured') then
    -- The outcome concerns one message, not the send target: another delivery may probe.
    update signalops.send_targets o set circuit_open_until = clock_timestamp(), half_open_delivery_id = null
    where o.tenant_id = tenant and o.id = send_target and o.half_open_delivery_id = delivery;
    return null;
  end if;
  insert into signalops.send_targets as o (tenant_id, id, failures, failing_since, circuit_open_until)
  values (tenant, send_target, (outcome = 'transient')::integer, clock_timestamp(), clock_timestamp() + pause)
  on conflict (tenant_id, id) do update set
    -- Attempts in flight when the circuit opened are not counted: a burst alone would open it for long.
    failures = o.failures + case when o.circuit_open_until is null or o.half_open_delivery_id = delivery then excluded.failures else 0 end,
    failing_since = coalesce(o.failing_since, excluded.failing_since),
    circuit_open_until = greatest(excluded.circuit_open_until, case
      when o.circuit_open_until is not null and o.half_open_delivery_id is distinct from delivery then o.circuit_open_until
      when outcome <> 'transient' then case when o.half_open_delivery_id = delivery then clock_timestamp() end
      when o.failures >= signalops.circuit_failures() - 1 then clock_timestamp()
        + least(signalops.circuit_max_pause(), signalops.circuit_pause() * 2 ^ least(o.failures - signalops.circuit_failures() + 1, 10))
      -- A half_open_delivery_id after a pause that was asked for: the circuit closes again.
      end),
    half_open_delivery_id = nullif(o.half_open_delivery_id, delivery)
  returning o.failing_since into failing;
  return failing;
end
$$;

COMMENT ON FUNCTION signalops.record_circuit_outcome(tenant uuid, send_target uuid, delivery uuid, outcome text, pause interval) IS 'Records an attempt''s outcome: a success closes the circuit, the fifth failure in a row opens it for 15 seconds, each failed half-open attempt for twice as long, up to 10 minutes; throttled opens it for the requested pause. Returns since when the send target fails.';

CREATE FUNCTION signalops.record_event_types(seen jsonb) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
begin
  perform signalops.set_tenant_group((select array_agg(distinct s.tenant) from jsonb_to_recordset(seen) as s (tenant uuid)));

  with noted as (
    -- Lock order: event_types by key.
    select s.*, k.fields as known, k.type is null as is_new,
      count(*) filter (where k.type is null) over (partition by s.tenant order by s.type) as place
    from jsonb_to_recordset(seen)
      as s (tenant uuid, type text, first uuid, last uuid, count bigint, fields jsonb, cut boolean, example jsonb)
    left join lateral (
      select e.type, e.fields from signalops.event_types e where e.tenant_id = s.tenant and e.type = s.type limit 1
    ) k on true
    -- A tenant deleted concurrently must not get rows again.
    where exists (select from signalops.tenants t where t.id = s.tenant and t.status <> 'deleting')
    order by s.tenant, s.type
  ), room as (
    select n.tenant, 1000 - (select count(*) from signalops.event_types e where e.tenant_id = n.tenant) as places
    from noted n where n.is_new group by n.tenant
  )
  insert into signalops.event_types as t (tenant_id, type, first_seen_at, last_seen_at, count, fields, fields_cut, example)
  select n.tenant, n.type, signalops.uuid7_time(n.first), signalops.uuid7_time(n.last), n.count, n.fields, n.cut, n.example
  from noted n left join room r on r.tenant = n.tenant
  where not n.is_new or n.place <= r.places
  order by n.tenant, n.type
  on conflict (tenant_id, type) do update set
    first_seen_at = least(t.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(t.last_seen_at, excluded.last_seen_at),
    count = t.count + excluded.count,
    fields = case when excluded.fields = '{}' then t.fields else signalops.merge_fields(t.fields, excluded.fields) end,
    fields_cut = t.fields_cut or excluded.fields_cut,
    example = coalesce(excluded.example, t.example);

  perform signalops.set_tenant_group(null);
end
$$;

COMMENT ON FUNCTION signalops.record_event_types(seen jsonb) IS 'Adds what a worker has seen to the catalogue: [{tenant, type, first, last, count, fields, cut, example}], first and last being ids of events. A tenant''s types beyond 1,000 are not catalogued, so ids in types can''t fill the table.';

CREATE FUNCTION signalops.record_key_uses(tenants uuid[], keys uuid[], moments timestamp with time zone[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with due as materialized (
    select k.tenant_id, k.id, u.moment
    from unnest(tenants, keys, moments) as u (tenant, key, moment)
    join signalops.api_keys k on k.tenant_id = u.tenant and k.id = u.key
    where k.last_used_at is null or k.last_used_at <= u.moment - interval '1 minute'
    -- The row is locked by another process that records the same, or ends the key: neither is worth waiting for.
    for no key update of k skip locked
  )
  update signalops.api_keys k set last_used_at = d.moment from due d where k.tenant_id = d.tenant_id and k.id = d.id
$$;

COMMENT ON FUNCTION signalops.record_key_uses(tenants uuid[], keys uuid[], moments timestamp with time zone[]) IS 'Records when keys of any tenants were used, at most once a minute per key.';

CREATE FUNCTION signalops.record_maintenance_run(of_job text, of_error text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  insert into signalops.maintenance_runs as m (job, failed_at, error)
  values (of_job, case when of_error is not null then now() end, left(of_error, 500))
  on conflict (job) do update set
    succeeded_at = case when of_error is null then now() else m.succeeded_at end,
    failed_at = coalesce(excluded.failed_at, m.failed_at),
    error = coalesce(excluded.error, m.error)
$$;

COMMENT ON FUNCTION signalops.record_maintenance_run(of_job text, of_error text) IS 'Records the end of a maintenance job: success, or an error.';

CREATE FUNCTION signalops.record_used_number() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  insert into signalops.retired_invoice_numbers (series, number) values (old.kind, old.number);
  return null;
end
$$;

COMMENT ON FUNCTION signalops.record_used_number() IS 'Records the number of a document that is deleted with its tenant.';

CREATE FUNCTION signalops.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if tg_op = 'DELETE' then
    -- Not every table that has this trigger is a tenant's.
    if signalops.may_delete((to_jsonb(old) ->> 'tenant_id')::uuid) then
      return old;
    end if;
  end if;
  raise 'a row of % is never changed: %', tg_table_name, tg_argv[0] using errcode = 'check_violation';
end
$$;

COMMENT ON FUNCTION signalops.refuse_change() IS 'Prevents changes of agreed terms, except of a tenant that is being deleted; its argument is the remedy.';

CREATE FUNCTION signalops.refuse_log_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if tg_op = 'DELETE' then
    if signalops.may_delete(old.tenant_id) then
      return old;
    end if;
  end if;
  raise 'the audit log is only added to: what is too old goes with its partition' using errcode = 'check_violation';
end
$$;

COMMENT ON FUNCTION signalops.refuse_log_change() IS 'Prevents changes and deletions of the audit log, except of a tenant that is being deleted.';

CREATE FUNCTION signalops.refuse_time_zone_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  -- What a worker has in hand is still in the inbox for us, until it commits what it counted.
  if new.closed_until > '-infinity' or exists (select from signalops.usage_counters u where u.tenant_id = new.id)
    or exists (select from signalops.usage_adjustments a where a.tenant_id = new.id)
    or exists (select from signalops.inbox i where i.tenant_id = new.id) then
    raise 'the tenant % has usage in the time zone %, which is fixed by that: make another tenant', old.slug, old.time_zone
      using errcode = 'check_violation', constraint = 'tenants_fixed_time_zone';
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION signalops.refuse_time_zone_change() IS 'Keeps the time zone of a tenant once something of it was or will be counted: its hours and periods lie in it.';

CREATE FUNCTION signalops.repair_schedules() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
declare
  mended bigint;
begin
  with recursive waiting as (
    -- Hops from channel to channel along the index: a group by would read all that waits.
    (select d.tenant_id, d.channel_id, d.next_attempt_at from signalops.deliveries d
      where d.next_attempt_at is not null order by d.tenant_id, d.channel_id, d.next_attempt_at limit 1)
    union all
    select n.* from waiting w, lateral (
      select d.tenant_id, d.channel_id, d.next_attempt_at from signalops.deliveries d
      where d.next_attempt_at is not null and (d.tenant_id, d.channel_id) > (w.tenant_id, w.channel_id)
      order by d.tenant_id, d.channel_id, d.next_attempt_at limit 1) n
  )
  insert into signalops.channel_schedules as q (tenant_id, channel_id, tokens, refilled_at, next_due_at)
  select tenant_id, channel_id, 0, now(), next_attempt_at from waiting w
  where not exists (select from signalops.tenants t where t.id = w.tenant_id and t.status in ('suspended', 'deleting'))
  on conflict (tenant_id, channel_id) do update set next_due_at = excluded.next_due_at
    where q.next_due_at is null or q.next_due_at > excluded.next_due_at;
  get diagnostics mended = row_count;
  return mended;
end
$$;

COMMENT ON FUNCTION signalops.repair_schedules() IS 'Finds channels whose deliveries wait for less long than the channel is known to (put there by hand, or by the release before); returns how many.';

CREATE FUNCTION signalops.repositioned_id(place text, id text) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (COALESCE((place || substr(id, 14)), id))::uuid;

COMMENT ON FUNCTION signalops.repositioned_id(place text, id text) IS 'The UUIDv7 with the milliseconds of a place (13 characters) and the rest of an id that was made before its transaction began; without a place, the id.';

CREATE FUNCTION signalops.requeue_events(tenant uuid, events jsonb, wait interval, priority integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $$
begin
  perform signalops.require_tenant(tenant);
  insert into signalops.inbox (tenant_id, event_id, batch, replay_id)
  select tenant, e.id, e.batch, e.replay from jsonb_to_recordset(events) as e (id uuid, batch uuid, replay uuid);
  perform procrastinate_defer_jobs_v1(array(
    select row('events', 'process_batch', priority, null, null, jsonb_build_object('batch', b.batch), now() + wait)::procrastinate_job_to_defer_v1
    from (select distinct e.batch from jsonb_to_recordset(events) as e (batch uuid)) b));
end
$$;

COMMENT ON FUNCTION signalops.requeue_events(tenant uuid, events jsonb, wait interval, priority integer) IS 'Leaves events [{id, batch, replay}] in the inbox that the same transaction took out of it, for jobs of their own after a while. For a tenant whose counters somebody has locked.';

CREATE FUNCTION signalops.require_tenant(tenant uuid) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
begin
  if tenant is distinct from signalops.current_tenant() then
    raise 'the transaction acts for another tenant: select signalops.set_tenant(%) first', quote_literal(tenant)
      using errcode = 'insufficient_privilege';
  end if;
end
$$;

COMMENT ON FUNCTION signalops.require_tenant(tenant uuid) IS 'Refuses a tenant that the transaction doesn''t act for: what row security does, for functions that run as the owner.';

CREATE FUNCTION signalops.reset_circuit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update signalops.send_targets o set failures = 0, failing_since = null, circuit_open_until = null, half_open_delivery_id = null
  where o.tenant_id = new.tenant_id and o.id = coalesce(new.send_target_id, new.id);
  return null;
end
$$;

COMMENT ON FUNCTION signalops.reset_circuit() IS 'Resets the circuit of a channel that is enabled again.';

CREATE FUNCTION signalops.reset_next_thresholds(tenant uuid, of_meter text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  zone text;
  month date;
  before bigint;
  version bigint;
begin
  -- Lock order: tenants; new_accepted_counters, against flushes that make rows which can't be seen here; accepted counters by period and meter.
  update signalops.tenants t set limited_meters_version = t.limited_meters_version + (of_meter <> 'events')::integer where t.id = tenant
  returning t.limited_meters_version - (of_meter <> 'events')::integer, t.limited_meters_version, t.time_zone into before, version, zone;
  if not found then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtext('signalops.new_accepted_counters'));
  month := signalops.period_of(now(), zone);
  if version > 0 then
    insert into signalops.accepted_counters (tenant_id, period, meter, limited_meters_version)
    select tenant, month, m.key, m.limited_meters_version
    from (select 'events' as key, before as limited_meters_version union all select l.key, -1 from signalops.limited_meters l where l.tenant_id = tenant) m
    order by m.key
    on conflict do nothing;
  end if;
  perform from signalops.accepted_counters q where q.tenant_id = tenant order by q.period, q.meter for update;
  update signalops.accepted_counters q set next_threshold = 0, limited_meters_version = version,
    accepted = case when q.meter = 'events' or q.limited_meters_version = before then q.accepted else coalesce((
      select greatest(sum(u.value), 0) from signalops.usage_counters u
      where u.tenant_id = tenant and u.meter = q.meter
        and u.hour >= signalops.period_start(q.period, zone)
        and u.hour < signalops.period_start((q.period + interval '1 month')::date, zone)), 0) end
  where q.tenant_id = tenant
    and (q.meter = 'events' or q.meter in (select l.key from signalops.limited_meters l where l.tenant_id = tenant));
end
$$;

COMMENT ON FUNCTION signalops.reset_next_thresholds(tenant uuid, of_meter text) IS 'Sends the next accept of a tenant to the slow path; for a meter other than events increments tenants.limited_meters_version, and the counter of a meter whose limit is new starts with the usage of the month.';

CREATE FUNCTION signalops.resume_tenants(at_most integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
declare
  resumed uuid[];
  released bigint;
begin
  resumed := array(select t.id from signalops.tenants t where t.is_draining order by t.status_since limit 100 for no key update skip locked);
  -- Lock order, of all of them: tenants, rule_states, digests, channel_schedules. Of each a little: a large backlog of one doesn't keep the
  -- channels and digests of the next waiting.
  select coalesce(sum(signalops.enqueue_parked_backtests(r.id) + signalops.unpark_events(r.id, at_most) + signalops.unpark_rule_states(r.id, at_most)), 0)
  into released from (select unnest(resumed) as id order by 1) r;
  -- These are few: rules and channels.
  perform from signalops.digests d where d.tenant_id = any (resumed) and d.due_at = 'infinity' order by d.tenant_id, d.rule_id for update;
  update signalops.digests d set due_at = now() where d.tenant_id = any (resumed) and d.due_at = 'infinity';
  perform from signalops.channel_schedules q
  where q.tenant_id = any (resumed) and q.next_due_at = 'infinity' order by q.tenant_id, q.channel_id for update;
  update signalops.channel_schedules q set next_due_at = now() where q.tenant_id = any (resumed) and q.next_due_at = 'infinity';
  update signalops.tenants t set is_draining = exists (
    select from signalops.inbox i where i.tenant_id = t.id and i.is_parked) or exists (
    select from signalops.rule_states g where g.tenant_id = t.id and g.due_at = 'infinity')
  where t.id = any (resumed);
  return released > 0;
end
$$;

COMMENT ON FUNCTION signalops.resume_tenants(at_most integer) IS 'Unparks a part of each resumed tenant''s work, oldest first; returns whether there may be more.';

CREATE FUNCTION signalops.retention_cutoffs(retention_days integer) RETURNS TABLE(tenant uuid, days integer, since timestamp with time zone)
    LANGUAGE sql STABLE
    AS $$
  with needed as materialized (
    -- Two partial indexes cover unsent deliveries.
    select d.tenant_id, min(signalops.uuid7_time(d.event_id)) as at from signalops.deliveries d
    where d.status in ('pending', 'sending') and d.next_attempt_at is null group by d.tenant_id
    union all
    select d.tenant_id, min(signalops.uuid7_time(d.event_id)) from signalops.deliveries d where d.next_attempt_at is not null group by d.tenant_id
    union all
    select g.tenant_id, min(signalops.uuid7_time(e.id)) from signalops.digests g cross join unnest(g.events) as e (id) group by g.tenant_id
  ), oldest as (
    select n.tenant_id, min(n.at) as at from needed n group by n.tenant_id
  )
  select t.id, r.days, least(
    now() - make_interval(days => r.days),
    -- Days before it: the clocks of those who make ids, count and close differ, and an audit begins a day before its period.
    coalesce((select b.starts_at from signalops.billing_periods b where b.tenant_id = t.id and b.closed_at is null order by b.period limit 1),
      case when isfinite(t.closed_until) then t.closed_until else t.created_at end) - interval '2 days',
    o.at,
    signalops.uuid7_time((select i.event_id from signalops.inbox i where i.tenant_id = t.id order by i.event_id limit 1)))
  from signalops.tenants t
  left join oldest o on o.tenant_id = t.id
  cross join lateral (
    select coalesce(t.retention_days, (
      select (s.terms ->> 'retentionDays')::integer from signalops.subscriptions s
      where s.tenant_id = t.id and s.starts_on <= (now() at time zone t.time_zone)::date order by s.starts_on desc limit 1
    ), retention_cutoffs.retention_days) as days
  ) r
  where t.status <> 'deleting'
$$;

COMMENT ON FUNCTION signalops.retention_cutoffs(retention_days integer) IS 'The retention in days of each tenant, by its own setting, its plan''s or the installation''s default; and the time since which events must be kept: at the latest since the oldest that waits, is still to be sent, or belongs to a billing period that is not closed.';

CREATE FUNCTION signalops.retry_dead_letters(tenant uuid, dead_letter_ids uuid[]) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  retried uuid[];
  channels uuid[];
  batches uuid[];
begin
  -- Lock order: deliveries by id, which guard their dead letters; dead_letters by id; send_targets; channel_schedules.
  perform from signalops.deliveries d where d.tenant_id = tenant and d.id = any (dead_letter_ids) order by d.id for update;
  perform from signalops.dead_letters l where l.tenant_id = tenant and l.id = any (dead_letter_ids) and l.resolved_at is null order by l.id for update;
  with ended as (
    update signalops.dead_letters l set resolved_at = now(), resolution = 'retried', reason = null
    where l.tenant_id = tenant and l.id = any (dead_letter_ids) and l.resolved_at is null
    returning l.kind, l.id, l.error
  ), again as (
    -- They wait for their channel's turn, which keeps them from pushing others aside.
    update signalops.deliveries d
    set status = 'retrying', next_attempt_at = now(), attempts_at_reset = d.attempts, updated_at = now(),
      -- What could not be rendered would fail again by the template that it had.
      rule_version = coalesce(case when d.id = any (array(select e.id from ended e where e.error like 'The template%' or e.error like '%rule''s template%'))
        then (select r.active_version from signalops.rules r where r.tenant_id = tenant and r.id = d.rule_id and r.deleted_at is null limit 1) end, d.rule_version)
    -- Not joined: a query plan for few dead letters would scan all deliveries for many.
    where d.tenant_id = tenant and d.id = any (array(select e.id from ended e where e.kind = 'delivery')) and d.status = 'dead'
    returning d.channel_id
  ), parts as (
    -- As large as a replay's: one job reads a batch whole.
    select e.id, (row_number() over (order by e.id) - 1) / signalops.bulk_batch_events() as part from ended e where e.kind = 'event'
  ), made as materialized (
    select p.part, signalops.new_id() as batch from parts p group by p.part
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch)
    select tenant, p.id, m.batch from parts p join made m using (part) on conflict do nothing returning batch
  )
  select (select array_agg(id) from ended), (select array_agg(distinct channel_id order by channel_id) from again),
    (select array_agg(distinct batch) from waiting)
  into retried, channels, batches;
  perform signalops.close_circuits(tenant, channels);
  perform signalops.schedule_channel(tenant, c.id, now()) from unnest(channels) as c (id);
  perform signalops.enqueue('events', 'process_batch', signalops.priority_bulk(), jsonb_build_object('batch', b.batch)) from unnest(batches) as b (batch);
  perform signalops.log_bulk_action(tenant, 'dead-letter.retried', retried);
  return coalesce(cardinality(retried), 0);
end
$$;

COMMENT ON FUNCTION signalops.retry_dead_letters(tenant uuid, dead_letter_ids uuid[]) IS 'Retries dead letters: a delivery is sent again with its whole retry schedule, an event is processed again, and counted then. For many: select signalops.retry_dead_letters(TENANT, array(select id from signalops.pick_dead_letters(TENANT, ...))). Returns how many. What could not be rendered is rendered by the active version of its rule, all else by the version that it had; the circuits of the channels are closed.';

CREATE FUNCTION signalops.retry_deliveries(tenant uuid, delivery_ids uuid[]) RETURNS SETOF uuid
    LANGUAGE plpgsql
    AS $$
declare
  retried uuid[];
  channels uuid[];
begin
  perform from signalops.deliveries d where d.tenant_id = tenant and d.id = any (delivery_ids) order by d.id for update;
  with waking as (
    update signalops.deliveries d set next_attempt_at = now(), updated_at = now()
    where d.tenant_id = tenant and d.id = any (delivery_ids) and d.next_attempt_at is not null
    returning d.id, d.channel_id
  )
  select array_agg(id), array_agg(distinct channel_id order by channel_id) into retried, channels from waking;
  perform signalops.close_circuits(tenant, channels);
  perform signalops.schedule_channel(tenant, c.id, now()) from unnest(channels) as c (id);
  perform signalops.log_bulk_action(tenant, 'delivery.retried', retried);
  return query select unnest(retried);
end
$$;

COMMENT ON FUNCTION signalops.retry_deliveries(tenant uuid, delivery_ids uuid[]) IS 'Makes waiting deliveries due now; returns which. For dead ones see retry_dead_letters.';

CREATE FUNCTION signalops.return_credits(tenant uuid, invoice uuid) RETURNS numeric
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  returned numeric;
begin
  perform signalops.require_tenant(tenant);
  perform from signalops.credit_grants g
  where g.tenant_id = tenant
    and g.id in (select e.grant_id from signalops.credit_entries e where e.tenant_id = tenant and e.invoice_id = invoice)
  order by g.id for update;
  with back as (
    insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount, invoice_id)
    select tenant, signalops.new_id(), e.grant_id, 'returned', -sum(e.amount), invoice
    from signalops.credit_entries e where e.tenant_id = tenant and e.invoice_id = invoice
    group by e.grant_id having sum(e.amount) < 0
    returning amount
  )
  select coalesce(sum(b.amount), 0) into returned from back b;
  return returned;
end
$$;

COMMENT ON FUNCTION signalops.return_credits(tenant uuid, invoice uuid) IS 'Returns what an invoice burned to its grants, once; returns the amount. What is returned to an expired grant expires with the next expire_credits: credit does not outlive its expiry. After an error of the operator, grant new credit.';

CREATE FUNCTION signalops.schedule_channel(tenant uuid, channel uuid, due timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  insert into signalops.channel_schedules as q (tenant_id, channel_id, tokens, refilled_at, next_due_at)
  values (tenant, channel, signalops.channel_burst(), clock_timestamp(), due)
  on conflict (tenant_id, channel_id) do update set next_due_at = excluded.next_due_at
  -- Most deliveries are due after another one of their channel: those need not wait for its row.
  where q.next_due_at is null or q.next_due_at > excluded.next_due_at;
end
$$;

COMMENT ON FUNCTION signalops.schedule_channel(tenant uuid, channel uuid, due timestamp with time zone) IS 'Sets when the next delivery of a channel that waits without a job is due.';

CREATE FUNCTION signalops.seal_period(tenant uuid, of_period date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  closing record;
  before bytea;
  sealed integer;
begin
  perform signalops.require_tenant(tenant);
  select b.starts_at, b.ends_at, t.time_zone into closing
  from signalops.billing_periods b join signalops.tenants t on t.id = b.tenant_id
  where b.tenant_id = tenant and b.period = of_period and b.closed_at is null
    and b.barrier <= (select signalops.oldest_transaction_id())
  for update of b skip locked;
  if not found then
    return false;
  end if;

  insert into signalops.usage_daily (tenant_id, period, day, meter, group_key, is_late, aggregation, events, quantity)
  select tenant, of_period, (u.bucket at time zone closing.time_zone)::date, m.key, u.group_key, u.bucket < closing.starts_at,
    m.aggregation, u.events, u.quantity
  from (
    select 'events' as key, 'count' as aggregation
    union select k.key, k.aggregation from signalops.meters k where k.tenant_id = tenant
  ) m
  cross join lateral signalops.usage_by(tenant, m.key, '-infinity', closing.ends_at, 'day', true, of_period) u;
  get diagnostics sealed = row_count;

  select s.digest into before from signalops.usage_hash_chain s
  where s.tenant_id = tenant and s.period < of_period order by s.period desc limit 1;
  insert into signalops.usage_hash_chain (tenant_id, period, digest, previous, days)
  values (tenant, of_period, signalops.digest_days(tenant, of_period, before), before, sealed);

  -- Lock order: billing_periods, tenants. Locked before looking, as subscribe does: a plan that is given at the same time may need the meters of the one before.
  perform from signalops.tenants t where t.id = tenant for no key update;
  perform signalops.end_unneeded_meters(tenant);
  update signalops.billing_periods b set closed_at = now() where b.tenant_id = tenant and b.period = of_period;
  return true;
end
$$;

COMMENT ON FUNCTION signalops.seal_period(tenant uuid, of_period date) IS 'Writes down the figures of a frozen period of the tenant that the transaction acts for, seals them, and closes it; the transaction goes on to invoice it. False: it is closed, being closed, or somebody may still count into it.';

CREATE FUNCTION signalops.secret_destination(kind text, config jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE kind WHEN 'http'::text THEN jsonb_build_array(lower("substring"((config ->> 'url'::text), '^[^/?#]*//[^/?#]*'::text)), lower(COALESCE((config ->> 'secretHeader'::text), 'Authorization'::text))) WHEN 'email'::text THEN jsonb_build_array((config #> '{server,host}'::text[]), COALESCE((config #> '{server,port}'::text[]), '587'::jsonb), COALESCE((config #>> '{server,security}'::text[]), 'starttls'::text), (config #> '{server,username}'::text[])) ELSE NULL::jsonb END;

COMMENT ON FUNCTION signalops.secret_destination(kind text, config jsonb) IS 'The destination to which a channel of this configuration sends its secret; NULL: none that the configuration names.';

CREATE FUNCTION signalops.set_plan_limits(tenant uuid, terms jsonb, from_day date) RETURNS void
    LANGUAGE sql
    AS $$
  insert into signalops.limits (tenant_id, meter, origin, starts_on, soft, hard, thresholds, overage)
  select tenant, n.meter, 'plan', from_day, n.soft, n.hard, n.thresholds, n.overage
  from jsonb_to_recordset(terms -> 'limits') as n (meter text, soft numeric, hard numeric, thresholds smallint[], overage text)
  union all
  -- A limit of the plan before, which this one has not, ends.
  select distinct tenant, l.meter, 'plan', from_day, null::numeric, null::numeric, '{}'::smallint[], 'refuse'
  from signalops.limits l
  where l.tenant_id = tenant and l.origin = 'plan'
    and not terms -> 'limits' @> jsonb_build_array(jsonb_build_object('meter', l.meter))
$$;

COMMENT ON FUNCTION signalops.set_plan_limits(tenant uuid, terms jsonb, from_day date) IS 'Sets the limits of a plan from a day on.';

CREATE FUNCTION signalops.set_tenant(tenant uuid) RETURNS void
    LANGUAGE sql
    AS $$ select set_config('signalops.tenant_id', tenant::text, true) $$;

COMMENT ON FUNCTION signalops.set_tenant(tenant uuid) IS 'Sets the tenant of this transaction; the end of the transaction forgets it.';

CREATE FUNCTION signalops.set_tenant_group(tenants uuid[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform set_config('signalops.tenant_group', coalesce(tenants::text, ''), true);
end
$$;

COMMENT ON FUNCTION signalops.set_tenant_group(tenants uuid[]) IS 'Opens the rows of a group of tenants to the functions that handle a flush or a batch; NULL closes them again.';

CREATE FUNCTION signalops.settle_deliveries(results jsonb) RETURNS SETOF uuid
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  one jsonb;
  locked uuid[];
begin
  -- What a crash of the server takes back is sent again, with the same id, as after a crash of the worker.
  perform set_config('synchronous_commit', 'off', true);
  perform signalops.set_tenant_group((select array_agg(s.tenant) from jsonb_to_recordset(results) as s (tenant uuid)));
  locked := array(select l.delivery from signalops.lock_deliveries(results) l);
  perform signalops.set_tenant_group(null);
  for one in select * from jsonb_array_elements(results) loop
    -- Deleted while it was on its way.
    continue when (one ->> 'delivery')::uuid <> all (locked);
    if signalops.settle_delivery((one ->> 'tenant')::uuid, (one ->> 'delivery')::uuid, (one ->> 'attempt')::smallint, one) then
      return next (one ->> 'delivery')::uuid;
    end if;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.settle_deliveries(results jsonb) IS 'Records attempts in their order, each with its tenant, delivery and attempt beside what settle_delivery takes; returns which deliveries died. What fails belongs to one send target, and what succeeds comes in the order of the send_targets: no two of them lock each other out.';

CREATE FUNCTION signalops.settle_delivery(tenant uuid, delivery uuid, attempt smallint, result jsonb) RETURNS boolean
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  settled record;
  failing_since timestamptz;
  is_dead boolean := false;
begin
  perform signalops.set_tenant(tenant);
  insert into signalops.delivery_attempts
    (tenant_id, delivery_id, attempt, started_at, duration_ms, outcome, status_code, answer, error, request_id)
  select tenant, delivery, settle_delivery.attempt, a.started_at, a.duration_ms, a.outcome, a.status_code, a.answer, a.error, a.request_id
  from jsonb_to_record(result) as a (started_at timestamptz, duration_ms integer, outcome text, status_code integer, answer text, error text,
    request_id text);

  -- Two workers may have one delivery in hand after a rescue. A successful attempt counts, whichever worker made it; beyond that only the newest
  -- attempt decides.
  update signalops.deliveries d set status = result ->> 'status', provider_id = result ->> 'provider_id', updated_at = now(),
    next_attempt_at = clock_timestamp() + make_interval(secs => case when result ->> 'delay' is not null then least((result ->> 'delay')::double precision, 3110400) end)
  where d.tenant_id = tenant and d.id = delivery and signalops.is_valid_transition(d.status, result ->> 'status')
    and (d.attempts = settle_delivery.attempt or result ->> 'status' = 'sent')
  returning d.channel_id, d.status, d.next_attempt_at into settled;
  if found then
    is_dead := settled.status = 'dead';
  else
    select d.channel_id, null, null::timestamptz as next_attempt_at into settled
    from signalops.deliveries d where d.tenant_id = tenant and d.id = delivery;
  end if;

  failing_since := signalops.record_circuit_outcome(tenant,
    coalesce((select c.send_target_id from signalops.channels c where c.tenant_id = tenant and c.id = settled.channel_id limit 1),
      settled.channel_id),
    delivery, result ->> 'outcome', make_interval(secs => case when result ->> 'pause' is not null then least(greatest((result ->> 'pause')::double precision, 0), 86400) end));
  if failing_since is not null then
    update signalops.send_targets o set last_error = left(result ->> 'error', 500)
    where o.tenant_id = tenant and o.id = coalesce(
      (select c.send_target_id from signalops.channels c where c.tenant_id = tenant and c.id = settled.channel_id limit 1), settled.channel_id);
  end if;
  -- After the row of send_targets, as claim_delivery locks them.
  if settled.next_attempt_at is not null then
    perform signalops.schedule_channel(tenant, settled.channel_id, settled.next_attempt_at);
  end if;
  if result ->> 'outcome' = 'gone' then
    perform signalops.disable_channel(tenant, settled.channel_id, result ->> 'error');
  elsif failing_since < now() - make_interval(secs => (result ->> 'patience')::double precision) then
    perform signalops.disable_channel(tenant, settled.channel_id, format('It has failed since %s (UTC), at last so: %s',
      to_char(failing_since at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), result ->> 'error'));
  end if;
  if is_dead then
    perform signalops.dead_letter_delivery(tenant, delivery, result ->> 'error');
  end if;
  return is_dead;
end
$$;

COMMENT ON FUNCTION signalops.settle_delivery(tenant uuid, delivery uuid, attempt smallint, result jsonb) IS 'Records an attempt and what follows from it: {started_at, duration_ms, outcome, status_code, answer, error, request_id, provider_id, status, delay, pause, patience}; delay and pause (asked for by the provider) in seconds, patience the seconds of failure after which the channel is disabled. Acts for the tenant. Returns whether the delivery died of it.';

CREATE FUNCTION signalops.settled_time() RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET lock_timeout TO '250ms'
    AS $$
declare
  settled timestamptz := date_trunc('milliseconds', clock_timestamp());
  opened bigint;
begin
  for opened in
    select (l.classid::bigint << 32) | l.objid::bigint from pg_locks l
    where l.locktype = 'advisory' and l.mode = 'ShareLock' and l.granted and l.objsubid = 1 and l.classid::bigint >> 16 = 21327
      and l.database = (select d.oid from pg_database d where d.datname = current_database())
    order by 1
  loop
    -- What was written a moment ago is shown at once: most transactions end within milliseconds.
    begin
      perform pg_advisory_lock(opened);
      perform pg_advisory_unlock(opened);
    exception when lock_not_available then
      return to_timestamp((opened & (1::bigint << 48) - 1) / 1000.0);
    end;
  end loop;
  return settled;
end
$$;

COMMENT ON FUNCTION signalops.settled_time() IS 'The time before which all rows of lists have been committed or never will be. Waits a quarter of a second for a transaction that is adding some. To be called in a statement before the one that reads the list, whose snapshot must be the later one.';

CREATE FUNCTION signalops.start_absence_timer() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  active record;
begin
  select v.state_version, v.absent into active from signalops.rule_versions v
  where v.tenant_id = new.tenant_id and v.rule_id = new.id and v.version = new.active_version;
  -- Groups are known from their first event on; without groups the time runs from the moment the rule is enabled.
  if new.enabled and coalesce(active.absent -> 'groupBy', '[]') = '[]' and active.absent is not null then
    insert into signalops.rule_states as g (tenant_id, rule_id, state_version, group_key, labels, due_at, expires_at)
    values (new.tenant_id, new.id, active.state_version, '[]', '{}',
      now() + (active.absent ->> 'after')::interval + coalesce(active.absent ->> 'allowedLateness', '0s')::interval, now())
    on conflict (tenant_id, rule_id, state_version, group_key) do update set due_at = excluded.due_at, last_match_at = null
    where tg_op = 'UPDATE' and not old.enabled;
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION signalops.start_absence_timer() IS 'Starts the time of a rule with an absence. What a changed or disabled rule waits for, perhaps in very many groups, fire_absences passes over.';

CREATE FUNCTION signalops.start_draining() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  -- Closed right after it was resumed, it can still have parked work.
  new.is_draining := (old.status = 'suspended' or old.is_draining) and new.status in ('active', 'closed');
  return new;
end
$$;

COMMENT ON FUNCTION signalops.start_draining() IS 'Starts draining parked work when a tenant is no longer suspended.';

CREATE TABLE signalops.subscriptions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    plan text NOT NULL,
    version integer NOT NULL,
    terms jsonb NOT NULL,
    starts_on date NOT NULL,
    author text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT subscriptions_author_check CHECK (((length(author) >= 1) AND (length(author) <= 200)))
);

ALTER TABLE ONLY signalops.subscriptions FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.subscriptions IS 'The plan of a tenant: from its first day until the first day of the next subscription.';
COMMENT ON COLUMN signalops.subscriptions.tenant_id IS 'Whose it is.';
COMMENT ON COLUMN signalops.subscriptions.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.subscriptions.plan IS 'The plan.';
COMMENT ON COLUMN signalops.subscriptions.version IS 'Its version.';
COMMENT ON COLUMN signalops.subscriptions.terms IS 'What the plan said when it was agreed upon: a copy, by which invoices are made.';
COMMENT ON COLUMN signalops.subscriptions.starts_on IS 'Its first day, in the tenant''s time zone.';
COMMENT ON COLUMN signalops.subscriptions.author IS 'Who subscribed the tenant.';
COMMENT ON COLUMN signalops.subscriptions.created_at IS 'When that was.';

CREATE FUNCTION signalops.subscribe(tenant uuid, new_plan text, at_once boolean, author text, new_version integer DEFAULT NULL::integer) RETURNS signalops.subscriptions
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  offer signalops.plans;
  today date;
  starts date;
  before signalops.subscriptions;
  made signalops.subscriptions;
begin
  perform signalops.require_tenant(tenant);
  select (now() at time zone t.time_zone)::date into today from signalops.tenants t where t.id = tenant for no key update;
  if not found then
    raise 'there is no tenant %', tenant using errcode = 'no_data_found';
  end if;
  select * into offer from signalops.plans p
  where p.plan = new_plan and (new_version is null or p.version = new_version) order by p.version desc limit 1;
  if not found then
    raise 'there is no plan %: make it first', concat_ws(' in version ', new_plan, new_version) using errcode = 'no_data_found';
  end if;
  starts := case when at_once then today else date_trunc('month', today) + interval '1 month' end;

  if exists (
    -- An invoice has one currency, and a period one invoice.
    select from signalops.billing_segments(tenant, date_trunc('month', starts)::date) s
    where s.starts_on < starts and signalops.has_any_price(s.terms) and signalops.has_any_price(offer.document)
      and s.terms ->> 'currency' <> offer.document ->> 'currency'
  ) then
    raise 'the present period is billed in another currency than %: change the plan at the end of the period',
      offer.document ->> 'currency' using errcode = 'check_violation', constraint = 'subscriptions_currency';
  end if;

  -- The last word wins: what was to begin on that day or later is withdrawn.
  delete from signalops.subscriptions s where s.tenant_id = tenant and s.starts_on >= starts;
  delete from signalops.limits l where l.tenant_id = tenant and l.origin = 'plan' and l.starts_on >= starts;
  select * into before from signalops.subscriptions s where s.tenant_id = tenant order by s.starts_on desc limit 1;
  if (before.plan, before.version) = (offer.plan, offer.version) then
    -- Not started again: a billing segment of its own would have tiers and packages of its own.
    return before;
  end if;
  insert into signalops.subscriptions (tenant_id, id, plan, version, terms, starts_on, author)
  values (tenant, signalops.new_id(), offer.plan, offer.version, offer.document, starts, subscribe.author)
  returning * into made;
  perform signalops.add_plan_meters(tenant, offer.document, offer.grammar);
  perform signalops.set_plan_limits(tenant, offer.document, starts);
  return made;
end
$$;

COMMENT ON FUNCTION signalops.subscribe(tenant uuid, new_plan text, at_once boolean, author text, new_version integer) IS 'Gives the tenant that the transaction acts for a plan, in its newest version or another: from today, or from the first day of the next month (in its time zone). Whatever was to begin then or later is withdrawn. Returns the subscription, which is the present one when it has that version already.';

CREATE FUNCTION signalops.subscribe_to_free() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into signalops.subscriptions (tenant_id, id, plan, version, terms, starts_on, author)
  -- Events may be older than their tenant, and its time zone can still change: its first plan begins with the month, where the day
  -- before was.
  select new.id, signalops.new_id(), p.plan, p.version, p.document,
    signalops.period_of(new.created_at - interval '1 day', new.time_zone), 'signalops'
  from signalops.plans p where p.plan = 'free' and p.version = 1;
  return null;
end
$$;

COMMENT ON FUNCTION signalops.subscribe_to_free() IS 'Gives a tenant its first plan, under which nothing costs anything.';

CREATE FUNCTION signalops.take_batch(first_batch uuid, job bigint, at_most integer) RETURNS TABLE(tenant_id uuid, event_id uuid, batch uuid, replay_id uuid)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'procrastinate', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  batches uuid[] := array[first_batch];
  jobs bigint[] := '{}';
  own procrastinate.procrastinate_jobs;
  other record;
  room integer;
  -- A quarter of an hour is of one billing period in every time zone: the usage of its batches may share entries.
  slot timestamptz := date_bin('15 minutes', signalops.uuid7_time(first_batch), '2000-01-01Z');
begin
  -- The job ends with this transaction: finishing it apart would be one more commit.
  delete from procrastinate.procrastinate_jobs j
  where j.id = job and j.task_name = 'process_batch' and j.args ->> 'batch' = first_batch::text returning j.* into own;
  -- What is scheduled was requeued: it may be the rest of a batch, whose first events are on record as counted without others.
  if own.status = 'doing' and own.scheduled_at is null and at_most > 0 then
    room := at_most - (select count(*) from signalops.inbox i where i.batch = first_batch and not i.is_parked);
    -- A loop locks a few rows more than it takes, where a set would lock all that it considers: those are other workers'.
    for other in
      select j.id, (j.args ->> 'batch')::uuid as batch
      from procrastinate.procrastinate_jobs j
      where j.status = 'todo' and j.priority = own.priority and j.queue_name = own.queue_name and j.task_name = own.task_name
        and j.scheduled_at is null and not exists (select from ops.paused_queues p where p.queue = own.queue_name)
      order by j.priority desc, j.id limit 50 for update of j skip locked
    loop
      room := room - (select count(*) from (
        select from signalops.inbox i where i.batch = other.batch and not i.is_parked limit at_most) e);
      exit when room < 0;
      if other.batch >= signalops.uuid7_floor(slot) and other.batch < signalops.uuid7_floor(slot + interval '15 minutes') then
        batches := batches || other.batch;
        jobs := jobs || other.id;
      end if;
    end loop;
    delete from procrastinate.procrastinate_jobs j where j.id = any (jobs);
  end if;
  -- Usually no tenant is suspended: then this reads an empty index.
  if exists (select from signalops.tenants t where t.status in ('suspended', 'deleting')) then
    update signalops.inbox i set is_parked = true where i.batch = any (batches) and not i.is_parked and i.tenant_id = any (
      signalops.lock_suspended_tenants(array(
        select distinct i.tenant_id from signalops.inbox i where i.batch = any (batches) and not i.is_parked)));
  end if;
  return query
    delete from signalops.inbox i where i.batch = any (batches) and not i.is_parked
    returning i.tenant_id, i.event_id, i.batch, i.replay_id;
end
$$;

COMMENT ON FUNCTION signalops.take_batch(first_batch uuid, job bigint, at_most integer) IS 'Takes a batch out of the inbox, and with it others whose jobs wait, with up to at_most events together (0: no others); deletes their jobs. A worker that falls behind so works in larger batches. Events of suspended tenants are parked. A second worker with the same batch waits for the first one''s commit and then finds nothing: that is what makes processing exactly-once.';

CREATE FUNCTION signalops.take_tokens(flush jsonb, requested jsonb) RETURNS TABLE(event_id uuid, of_tenant uuid, of_bucket text, pace jsonb)
    LANGUAGE plpgsql
    AS $$
declare
  moment timestamptz;
  tenants uuid[];
  names text[];
  rates double precision[];
  bursts integer[];
  lefts double precision[];
  takes integer[];
  waiting integer[];
  enough boolean;
  event record;
  place integer;
  short integer;
begin
  perform signalops.lock_buckets(requested);
  -- Read after the locks: of two flushes the later one has the later moment, and no moment fills a bucket twice.
  moment := clock_timestamp();
  select array_agg(w.tenant order by w.n), array_agg(w.bucket order by w.n), array_agg(r.rate order by w.n), array_agg(r.burst order by w.n),
    array_agg(l.tokens order by w.n), array_agg(w.amount order by w.n), array_agg(0 order by w.n), bool_and(w.amount <= l.tokens)
  into tenants, names, rates, bursts, lefts, takes, waiting, enough
  from rows from (jsonb_to_recordset(requested) as (tenant uuid, bucket text, amount integer)) with ordinality as w (tenant, bucket, amount, n)
  left join lateral (
    (select t.rate_per_second::double precision as rate, t.rate_burst as burst from signalops.tenants t
    where w.bucket = 'tenant' and t.id = w.tenant limit 1)
    union all
    (select k.rate_per_second::double precision, k.rate_burst from signalops.api_keys k
    where w.bucket <> 'tenant' and k.tenant_id = w.tenant and k.id = nullif(w.bucket, 'tenant')::uuid limit 1)
  ) r on true
  left join lateral (select * from signalops.rate_buckets b where b.tenant_id = w.tenant and b.bucket = w.bucket limit 1) b on true
  -- Without a rate (the limit was removed, and the caller''s cache is stale) there is always enough.
  cross join lateral (
    select case when r.rate is null or b.level is null then 'Infinity' else least(r.burst, b.level + r.rate * greatest(extract(epoch from moment - b.at), 0)) end as tokens
  ) l;

  if not enough then
    takes := waiting;
    for event in
      select (i.item ->> 'id')::uuid as id, array(select jsonb_array_elements_text(i.item -> 'buckets')::integer) as places
      from jsonb_array_elements(flush) with ordinality as i (item, n) where i.item ? 'buckets' order by i.n
    loop
      short := null;
      foreach place in array event.places loop
        if lefts[place] - takes[place] < 1 then
          short := place;
        end if;
      end loop;
      if short is null then
        foreach place in array event.places loop
          takes[place] := takes[place] + 1;
        end loop;
      else
        waiting[short] := waiting[short] + 1;
        event_id := event.id;
        of_tenant := tenants[short];
        of_bucket := names[short];
        pace := jsonb_build_object('wait', (waiting[short] + takes[short] - lefts[short]) / rates[short]);
        return next;
      end if;
    end loop;
  end if;

  update signalops.rate_buckets b set level = u.tokens - u.taken, at = moment
  from unnest(tenants, names, lefts, takes) as u (tenant, name, tokens, taken)
  where b.tenant_id = u.tenant and b.bucket = u.name;
  return query
    select null::uuid, u.tenant, u.name, jsonb_build_object('rate', u.rate, 'burst', u.burst, 'left', u.tokens - u.taken)
    from unnest(tenants, names, rates, bursts, lefts, takes) as u (tenant, name, rate, burst, tokens, taken) where u.rate is not null;
end
$$;

COMMENT ON FUNCTION signalops.take_tokens(flush jsonb, requested jsonb) IS 'Takes a token an event out of each bucket that it pays, [{tenant, bucket, amount}]; where there are too few, for the first events of the flush. Returns the events that it refuses (of_bucket has none; pace: {wait}, in how many seconds there is one for it, after those refused before it), and without an event the level of each bucket (pace: {rate, burst, left}).';

CREATE FUNCTION signalops.tenant_tables() RETURNS SETOF regclass
    LANGUAGE sql STABLE
    AS $$
  with recursive tables as (
    select c.oid from pg_class c
    where c.relnamespace = 'signalops'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and exists (
      select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
  ), levels as (
    select t.oid, 0 as level from tables t
    union all
    select f.conrelid, l.level + 1 from levels l
    join pg_constraint f on f.confrelid = l.oid and f.contype = 'f' and f.conrelid <> f.confrelid and f.conparentid = 0
    join tables t on t.oid = f.conrelid
  )
  select l.oid::regclass from levels l group by l.oid order by max(l.level) desc, l.oid::regclass::text
$$;

COMMENT ON FUNCTION signalops.tenant_tables() IS 'Every table that has a tenant_id, as the catalogue knows them, with their partitions in them: what refers to others first.';

CREATE FUNCTION signalops.tokens_at(moment timestamp with time zone, tokens double precision, refilled_at timestamp with time zone, max_per_minute integer) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN LEAST((GREATEST((1)::numeric, ((max_per_minute)::numeric / 60.0)))::double precision, (COALESCE(tokens, (0)::double precision) + (((CASE WHEN (COALESCE(refilled_at, '-infinity'::timestamp with time zone) = '-infinity'::timestamp with time zone) THEN '1000000000'::numeric ELSE EXTRACT(epoch FROM (moment - refilled_at)) END * (max_per_minute)::numeric) / 60.0))::double precision));

COMMENT ON FUNCTION signalops.tokens_at(moment timestamp with time zone, tokens double precision, refilled_at timestamp with time zone, max_per_minute integer) IS 'Tokens of a send target with a rate limit at a moment: a second''s worth at most, and at least one.';

CREATE FUNCTION signalops.try_acquire_slot(tenant uuid, send_target uuid, delivery uuid, max_per_minute integer) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  target signalops.send_targets;
  moment timestamptz;
  left_over double precision;
begin
  select * into target from signalops.send_targets o where o.tenant_id = tenant and o.id = send_target;
  -- The usual case takes no lock: nothing has failed, and nothing is limited.
  if max_per_minute is null and target.circuit_open_until is null then
    return null;
  end if;
  if target.id is null then
    insert into signalops.send_targets (tenant_id, id) values (tenant, send_target) on conflict do nothing;
  end if;
  select * into target from signalops.send_targets o where o.tenant_id = tenant and o.id = send_target for update;
  -- Only now: a clock read before the lock may be older than refilled_at, and the same second would refill twice.
  moment := clock_timestamp();
  if target.circuit_open_until > moment then
    return target.circuit_open_until;
  end if;
  if max_per_minute is not null then
    left_over := signalops.tokens_at(moment, target.tokens, target.refilled_at, max_per_minute) - 1;
    if left_over < 0 then
      return moment + make_interval(secs => -left_over * 60 / max_per_minute);
    end if;
    update signalops.send_targets o set tokens = left_over, refilled_at = moment where o.tenant_id = tenant and o.id = send_target;
  end if;
  if target.circuit_open_until is not null then
    -- This one finds out for all others; if its worker dies, another may in half a minute.
    update signalops.send_targets o set circuit_open_until = moment + signalops.circuit_probe_timeout(), half_open_delivery_id = delivery
    where o.tenant_id = tenant and o.id = send_target;
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION signalops.try_acquire_slot(tenant uuid, send_target uuid, delivery uuid, max_per_minute integer) IS 'Acquires a slot of a send target for a delivery: NULL, or when to try again. While the circuit is half-open only one attempt gets one.';

CREATE FUNCTION signalops.try_count(demand jsonb, moment timestamp with time zone) RETURNS TABLE(tenant uuid, of_meter text, is_calm boolean)
    LANGUAGE plpgsql
    AS $$
begin
  -- Lock order: accepted counters by tenant and meter, rows that a month lacks yet included.
  return query
    insert into signalops.accepted_counters as q (tenant_id, period, meter, accepted, limited_meters_version)
    select a.tenant, signalops.period_of(moment, t.time_zone), a.meter, a.amount, a.limited_meters_version
    from (
      select * from jsonb_to_recordset(demand) as a (tenant uuid, meter text, amount numeric, limited_meters_version bigint) order by a.tenant, a.meter
    ) a
    cross join lateral (select t.time_zone from signalops.tenants t where t.id = a.tenant and t.status <> 'deleting' limit 1) t
    on conflict (tenant_id, period, meter) do update set accepted = q.accepted + excluded.accepted
    where q.limited_meters_version = excluded.limited_meters_version and q.accepted + excluded.accepted < q.next_threshold
    returning q.tenant_id, q.meter, q.accepted < q.next_threshold;
end
$$;

COMMENT ON FUNCTION signalops.try_count(demand jsonb, moment timestamp with time zone) IS 'Counts [{tenant, meter, amount, limited_meters_version}] and locks their accepted counters. Returns what it counted: calm where that was all there was to do, and not calm where the row is the first of its month; missing tenants need the slow path: a threshold was reached, or limited_meters_version is stale.';

CREATE FUNCTION signalops.uncount_duplicates(admitted jsonb, moment timestamp with time zone, place text) RETURNS TABLE(event_id uuid, verdict text, first_id uuid)
    LANGUAGE plpgsql
    AS $$
declare
  repeated jsonb;
begin
  select jsonb_agg(i.item || jsonb_build_object('first', k.event_id, 'is_same', k.body_hash = decode(i.item ->> 'hash', 'hex')))
  into repeated
  from jsonb_array_elements(admitted) as i (item)
  cross join lateral (
    select * from signalops.idempotency_keys k where k.tenant_id = (i.item ->> 'tenant')::uuid and k.key = i.item ->> 'key' limit 1
  ) k
  where k.event_id <> signalops.repositioned_id(place, i.item ->> 'id');
  perform signalops.update_counters(repeated, moment, -1);
  return query
    select r.id, case when r.is_same then 'duplicate' else 'conflict' end, r.first
    from jsonb_to_recordset(repeated) as r (id uuid, is_same boolean, first uuid);
end
$$;

COMMENT ON FUNCTION signalops.uncount_duplicates(admitted jsonb, moment timestamp with time zone, place text) IS 'Of events whose idempotency key was stored before, returns the first event and whether the body is the same, and uncounts them.';

CREATE FUNCTION signalops.unpark_events(tenant uuid, at_most integer) RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
declare
  released bigint;
begin
  -- No more than workers have at hand: others are not to step over them.
  if exists (select from procrastinate.procrastinate_jobs j where j.queue_name = 'events' and j.status = 'todo' offset signalops.delivery_jobs_full() - 1) then
    return 0;
  end if;
  with oldest as (
    select i.batch from signalops.inbox i where i.tenant_id = tenant and i.is_parked order by i.batch limit at_most
  ), released as (
    -- Whole batches: the record of one names the one version of the meters by which it was counted.
    update signalops.inbox i set is_parked = false
    where i.tenant_id = tenant and i.is_parked and i.batch = any (array(select o.batch from oldest o))
    returning i.batch
  ), batches as (
    select r.batch, count(*) as events from released r group by r.batch order by r.batch
  )
  -- Behind single events, as any bulk: a resumed tenant delays no other.
  select sum(b.events) into released from batches b
  where signalops.enqueue('events', 'process_batch', signalops.priority_bulk(), jsonb_build_object('batch', b.batch)) is not null;
  return coalesce(released, 0);
end
$$;

COMMENT ON FUNCTION signalops.unpark_events(tenant uuid, at_most integer) IS 'Unparks the oldest batches of a tenant, up to about at_most events, unless too many wait already; returns how many events.';

CREATE FUNCTION signalops.unpark_rule_states(tenant uuid, at_most integer) RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    AS $$
declare
  released bigint;
begin
  update signalops.rule_states g set due_at = now()
  from (
    select g.tenant_id, g.rule_id, g.state_version, g.group_key from signalops.rule_states g
    where g.tenant_id = tenant and g.due_at = 'infinity' order by g.rule_id, g.state_version, g.group_key limit at_most for update
  ) parked
  where g.tenant_id = parked.tenant_id and g.rule_id = parked.rule_id and g.state_version = parked.state_version and g.group_key = parked.group_key;
  get diagnostics released = row_count;
  return released;
end
$$;

COMMENT ON FUNCTION signalops.unpark_rule_states(tenant uuid, at_most integer) IS 'Unparks a tenant''s absence timers, which restart at the resumption; returns how many.';

CREATE FUNCTION signalops.update_counters(admitted jsonb, moment timestamp with time zone, direction integer) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  update signalops.accepted_counters q set accepted = q.accepted + direction * w.amount
  from (
    select i.tenant, m.meter, sum(m.weight) as amount
    from jsonb_to_recordset(admitted) as i (tenant uuid, quantities jsonb)
    cross join lateral (
      select 'events' as meter, 1::numeric as weight union all
      select u.key, u.value::numeric from jsonb_each_text(i.quantities) as u (key, value)
    ) m
    group by i.tenant, m.meter
  ) w
  cross join lateral (select t.time_zone from signalops.tenants t where t.id = w.tenant limit 1) t
  where q.tenant_id = w.tenant and q.period = signalops.period_of(moment, t.time_zone) and q.meter = w.meter;
end
$$;

COMMENT ON FUNCTION signalops.update_counters(admitted jsonb, moment timestamp with time zone, direction integer) IS 'Counts events of a flush (direction 1), or takes them back (-1); their accepted counters are locked already.';

CREATE FUNCTION signalops.update_window(tenant uuid, rule uuid, state integer, in_group text, kind text, threshold numeric, span interval, keep interval, events jsonb, INOUT notified_ranges tstzmultirange, OUT crossings jsonb) RETURNS record
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  -- A count needs no more events before a new one than this. Sums and distinct values look at so many at most.
  before_it bigint := case kind when 'count' then threshold - 1 else 20000 end;
  seen_before timestamptz := (
    select w.at from signalops.window_events w
    where w.tenant_id = tenant and w.rule_id = rule and w.state_version = state and w.group_key = in_group
    order by w.at desc limit 1);
  touched tstzmultirange;
  reached tstzmultirange;
  near tstzmultirange;
begin
  with noted as (
    insert into signalops.window_events (tenant_id, rule_id, state_version, group_key, at, event_id, value, distinct_value)
    select tenant, rule, state, in_group, e.at, e.event, e.value, e.distinct_value
    from jsonb_to_recordset(events) as e (event uuid, at timestamptz, value numeric, distinct_value text)
    on conflict do nothing returning at
  )
  select range_agg(tstzrange(at, at + span)) into touched from noted;
  if touched is null then
    return; -- a replay of what counts already
  end if;

  with window_events as materialized (
    select p.part, h.at, h.value, h.distinct_value
    from unnest(touched) as p (part)
    cross join lateral (
      (select w.at, w.value, w.distinct_value from signalops.window_events w
        where w.tenant_id = tenant and w.rule_id = rule and w.state_version = state and w.group_key = in_group
          and w.at < lower(p.part) and w.at > lower(p.part) - span
        order by w.at desc limit before_it)
      union all
      (select w.at, w.value, w.distinct_value from signalops.window_events w
        where w.tenant_id = tenant and w.rule_id = rule and w.state_version = state and w.group_key = in_group
          and w.at >= lower(p.part) and w.at < upper(p.part)
        order by w.at limit 20000)
    ) h
  ), presences as (
    select h.part, h.at as begins, h.at + span as ends, h.value from window_events h where kind <> 'distinct'
    union all
    select d.part, lower(d.presence), upper(d.presence), 1
    from (
      select h.part, unnest(range_agg(tstzrange(h.at, h.at + span))) as presence from window_events h where kind = 'distinct' group by h.distinct_value, h.part
    ) d
  ), levels as (
    select part, moment, sum(change) over w as level, lead(moment) over w as next
    from (
      -- What began before the part is one step, at its beginning: half as many to sort.
      select part, lower(part), sum(value) from presences where begins <= lower(part) group by part
      union all
      select part, begins, value from presences where begins > lower(part)
      union all
      select part, ends, -value from presences
    ) as s (part, moment, change)
    window w as (partition by part order by moment)
  ), found as (
    select part, unnest(range_agg(tstzrange(moment, next)) * tstzmultirange(part)) as stretch
    from levels where level >= threshold and next is not null group by part
  )
  -- A sum may also rise when something negative leaves it: that counts once an event sees it, and not in the future.
  select coalesce(range_agg(f.stretch), '{}') into reached
  from found f where kind <> 'sum' or exists (select from window_events h where h.part = f.part and f.stretch @> h.at);

  near := notified_ranges * tstzmultirange(tstzrange(lower(touched) - span, upper(touched), '[]'));
  notified_ranges := notified_ranges - touched + reached - tstzmultirange(tstzrange(null, lower(touched) - keep));

  with come as materialized (
    select e.event, e.at from jsonb_to_recordset(events) as e (event uuid, at timestamptz)
  )
  select jsonb_agg(to_jsonb(t)) into crossings
  from (
    -- One event can start several crossing intervals; it reports the first.
    select distinct on (c.event) c.event, m.value, lower(s.stretch) - span as since, lower(s.stretch) as until
    from unnest(near - touched + reached) as s (stretch)
    cross join lateral (
      select e.event from come e
      where e.at > lower(s.stretch) - span and e.at <= lower(s.stretch) order by e.at desc, e.event desc limit 1
    ) c
    cross join lateral (
      -- Readers take numbers as doubles.
      select case kind when 'distinct' then count(distinct w.distinct_value) else least(sum(w.value), 1.7e308) end as value
      from signalops.window_events w
      where w.tenant_id = tenant and w.rule_id = rule and w.state_version = state and w.group_key = in_group
        and w.at > lower(s.stretch) - span and w.at <= lower(s.stretch)
    ) m
    -- Of what was notified_ranges, only what events have seen is known: what negative ones have taken away since may come again.
    where s.stretch && reached and not s.stretch && (near * tstzmultirange(tstzrange(null, seen_before, '[]')))
    order by c.event, lower(s.stretch)
  ) t;
end
$$;

COMMENT ON FUNCTION signalops.update_window(tenant uuid, rule uuid, state integer, in_group text, kind text, threshold numeric, span interval, keep interval, events jsonb, INOUT notified_ranges tstzmultirange, OUT crossings jsonb) IS 'Adds [{event, at, value, distinct_value}] to a group''s window (count, sum or distinct) and returns the stretches notified_ranges and to be notified_ranges, with the crossings that are new: [{event, value, since, until}], the event being the one that brought it about. The group must be locked.';

CREATE FUNCTION signalops.usage_by(tenant uuid, of_meter text, lower timestamp with time zone, upper timestamp with time zone, step text, by_group boolean, in_period date, until_period date DEFAULT NULL::date) RETURNS TABLE(bucket timestamp with time zone, group_key text, events bigint, quantity numeric)
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
#variable_conflict use_column
declare
  zone text := (select t.time_zone from signalops.tenants t where t.id = tenant);
begin
  return query
    with counted as (
      select u.hour, u.group_key, u.period, u.aggregation, u.events, u.value, u.latest_at, u.latest_event, 0::numeric as adjusted
      from signalops.usage_counters u
      -- greatest passes over NULL: without a period the range is as it was asked for.
      where u.tenant_id = tenant and u.meter = of_meter
        and u.hour >= greatest(lower, signalops.period_start(in_period, zone)) and u.hour < upper
        and (in_period is null or u.period = in_period and not u.is_late) and (until_period is null or u.period <= until_period)
      union all
      -- What a period bills late lies in hours before it: their range would read all that was billed in its own time.
      select u.hour, u.group_key, u.period, u.aggregation, u.events, u.value, u.latest_at, u.latest_event, 0
      from signalops.usage_counters u
      where u.tenant_id = tenant and u.period = in_period and u.meter = of_meter and u.is_late and u.hour >= lower and u.hour < upper
      union all
      select a.hour, a.group_key, a.period, null, 0, null, null, null, a.quantity
      from signalops.usage_adjustments a
      where a.tenant_id = tenant and a.meter = of_meter and a.hour >= lower and a.hour < upper
        and (in_period is null or a.period = in_period) and (until_period is null or a.period <= until_period)
    ), placed as (
      -- By the local day, which is turned into its first moment once for all its hours, not for each: that took half of the time.
      -- An hour is kept as it was counted: truncated again, the half of one after a change of the clock would join the other half.
      select case when step = 'hour' then c.hour end as slot,
        case step when 'day' then (c.hour at time zone zone)::date when 'month' then signalops.period_of(c.hour, zone) end as day,
        case when by_group then c.group_key else '[]' end as shown, c.*
      from counted c
    ), differing as (
      select p.slot, p.day, p.shown, count(distinct i.distinct_value) as items
      from placed p
      join signalops.usage_distinct_values i on (i.tenant_id, i.meter, i.hour, i.group_key, i.period) = (tenant, of_meter, p.hour, p.group_key, p.period)
      where p.aggregation = 'unique_count'
      group by p.slot, p.day, p.shown
    ), summed as (
      select p.slot, p.day, p.shown, sum(p.events)::bigint as events, max(p.aggregation) as aggregation, sum(p.adjusted) as adjusted,
        sum(p.value) as total, max(p.value) as greatest, min(p.value) as least,
        (array_agg(p.value order by p.latest_at desc, p.latest_event desc) filter (where p.aggregation = 'latest'))[1] as latest
      from placed p
      group by p.slot, p.day, p.shown
    )
    select coalesce(s.slot, signalops.period_start(s.day, zone), lower), s.shown, s.events, trim_scale(s.adjusted + coalesce(case s.aggregation
        when 'count' then s.events
        when 'sum' then s.total
        when 'max' then s.greatest
        when 'min' then s.least
        when 'avg' then round(s.total / s.events, 12)
        when 'latest' then s.latest
        when 'unique_count' then (
          select d.items from differing d
          where (d.slot, d.day, d.shown) is not distinct from (s.slot, s.day, s.shown))
      end, 0))
    from summed s;
end
$$;

COMMENT ON FUNCTION signalops.usage_by(tenant uuid, of_meter text, lower timestamp with time zone, upper timestamp with time zone, step text, by_group boolean, in_period date, until_period date) IS 'What a tenant''s meter counted in the hours from lower to before upper, with the adjustments: the one definition of a quantity. By hour, day or month in the tenant''s time zone (bucket: its start), or at once; by group, or all together ([]). Only what a period bills, or whatever it was billed in (NULL); or up to a period, what that and those before it bill. Nothing counted: no row.';

CREATE FUNCTION signalops.uuid7_floor(moment timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((lpad(to_hex((floor((EXTRACT(epoch FROM moment) * (1000)::numeric)))::bigint), 12, '0'::text) || '00000000000000000000'::text))::uuid;

COMMENT ON FUNCTION signalops.uuid7_floor(moment timestamp with time zone) IS 'The least UUIDv7 of a millisecond: ids compare with it as their times do, so it bounds time ranges and partitions.';

CREATE FUNCTION signalops.uuid7_time(id uuid) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN to_timestamp((((((('x'::text || lpad(translate("left"((id)::text, 13), '-'::text, ''::text), 16, '0'::text)))::bit(64))::bigint)::numeric / 1000.0))::double precision);

COMMENT ON FUNCTION signalops.uuid7_time(id uuid) IS 'The millisecond in which a UUIDv7 was made (RFC 9562, section 5.7).';

CREATE FUNCTION signalops.version_limit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op in ('UPDATE', 'DELETE') then
    perform signalops.reset_next_thresholds(old.tenant_id, old.meter);
  end if;
  if tg_op = 'INSERT' or (tg_op = 'UPDATE' and (new.tenant_id, new.meter) <> (old.tenant_id, old.meter)) then
    perform signalops.reset_next_thresholds(new.tenant_id, new.meter);
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION signalops.version_limit() IS 'A limit that is set, changed or removed takes effect with its commit, in every process.';

CREATE FUNCTION signalops.version_limited_meter() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if exists (select from signalops.limits l where l.tenant_id = new.tenant_id and l.meter = new.key) then
    perform signalops.reset_next_thresholds(new.tenant_id, new.key);
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION signalops.version_limited_meter() IS 'A limited meter that ends or starts changes the quantities that the API computes.';

CREATE FUNCTION signalops.version_meter() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
declare
  version bigint;
begin
  if tg_op = 'INSERT' and exists (
    select from signalops.meters m where m.tenant_id = new.tenant_id and m.key = new.key
      and (m.aggregation, m.field, m.pattern, m.group_by) is distinct from (new.aggregation, new.field, new.pattern, new.group_by)
  ) then
    raise 'the meter % counted something else before: choose another key', new.key
      using errcode = 'unique_violation', constraint = 'meters_one_meaning';
  elsif tg_op = 'UPDATE' and (
    old.end_version is not null or (to_jsonb(new) - '{end_version,ended_at}'::text[]) <> (to_jsonb(old) - '{end_version,ended_at}'::text[])
  ) then
    raise 'the meter % can be ended, not changed', old.key using errcode = 'check_violation';
  end if;
  version := signalops.bump_meters_version(new.tenant_id);
  if version is null and has_table_privilege('signalops.tenants', 'update') then
    -- Without a tenant: the owner's. Whoever else it is, the policy refuses the row.
    update signalops.tenants set meters_version = meters_version + 1 where id = new.tenant_id returning meters_version into version;
  end if;
  if tg_op = 'INSERT' then
    new.first_version := version;
  else
    new.end_version := version;
    new.ended_at := coalesce(new.ended_at, now());
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION signalops.version_meter() IS 'Gives meters the meter versions between which they count, and keeps them from being changed.';

CREATE FUNCTION signalops.without_rate_limited(flush jsonb, paced jsonb) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN (SELECT COALESCE(jsonb_agg(i.item ORDER BY i.n), '[]'::jsonb) AS "coalesce" FROM jsonb_array_elements(without_rate_limited.flush) WITH ORDINALITY i(item, n) WHERE (NOT (EXISTS (SELECT FROM jsonb_to_recordset(without_rate_limited.paced) p(event_id uuid) WHERE (p.event_id = ((i.item ->> 'id'::text))::uuid)))));

COMMENT ON FUNCTION signalops.without_rate_limited(flush jsonb, paced jsonb) IS 'The events of a flush that take_tokens did not refuse.';

CREATE FUNCTION signalops.without_secrets(value jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    AS $_$
begin
  case jsonb_typeof(value)
    when 'object' then
      return coalesce((
        select jsonb_object_agg(e.key, case
          when e.key ~* '(password|token|secret|credentials?|authorization)$' then '"***"'
          when e.key = 'headers' and jsonb_typeof(e.value) = 'object'
            then coalesce((select jsonb_object_agg(h, '***') from jsonb_object_keys(e.value) as h), '{}')
          else signalops.without_secrets(e.value) end)
        from jsonb_each(value) e), '{}');
    when 'array' then
      return coalesce((select jsonb_agg(signalops.without_secrets(e.value)) from jsonb_array_elements(value) e), '[]');
    when 'string' then
      -- A path or a query may be all that protects an address.
      return to_jsonb(regexp_replace(value #>> '{}', '^([a-z][a-z0-9+.-]*://)([^/?#]*@)?([^/?#]*).*$', '\1\3/***', 'i'));
    else
      return value;
  end case;
end
$_$;

COMMENT ON FUNCTION signalops.without_secrets(value jsonb) IS 'A configuration without secrets, for the audit log: of URLs the origin alone, of headers the names, nothing that is called a secret.';

CREATE FUNCTION signalops.worker_timeout() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '00:00:05'::interval;

COMMENT ON FUNCTION signalops.worker_timeout() IS 'After how long without a heartbeat a worker counts as dead, and its jobs are requeued.';

CREATE FUNCTION signalops.write_audit_log(tenant uuid, action text, target_id text, target text, change jsonb) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  request_context jsonb := nullif(current_setting('signalops.action', true), '');
  -- That of SET ROLE, also within a SECURITY DEFINER function.
  as_role text := coalesce(nullif(current_setting('role', true), 'none'), session_user);
  kind text := coalesce(request_context #>> '{actor,kind}', case when as_role in ('signalops_api', 'signalops_worker', 'signalops_platform')
    then 'system' else 'sql' end);
begin
  -- What the processes make by themselves, such as invoices, is on record itself; what they change of people's is noted.
  if kind = 'system' and action like '%.created' then
    return;
  end if;
  insert into signalops.audit_log (tenant_id, id, actor_kind, actor, address, operation, action, target_id, target, change)
  values (tenant, signalops.new_id(), kind, coalesce(request_context #>> '{actor,name}', case kind when 'sql' then session_user else as_role end),
    request_context ->> 'address', request_context ->> 'operation', write_audit_log.action, write_audit_log.target_id, left(write_audit_log.target, 500), write_audit_log.change);
end
$$;

COMMENT ON FUNCTION signalops.write_audit_log(tenant uuid, action text, target_id text, target text, change jsonb) IS 'Adds to the audit log, as the owner: for the functions that know what was done. Who did it stands in the setting signalops.action.';

CREATE TABLE signalops.audit_log (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    actor_kind text NOT NULL,
    actor text NOT NULL,
    address text,
    operation text,
    action text NOT NULL,
    target_id text,
    target text,
    change jsonb NOT NULL,
    CONSTRAINT audit_log_actor_kind_check CHECK ((actor_kind = ANY (ARRAY['key'::text, 'user'::text, 'operator'::text, 'command_line'::text, 'sql'::text, 'system'::text])))
)
PARTITION BY RANGE (id);

ALTER TABLE ONLY signalops.audit_log FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.audit_log IS 'What people did to what they manage, by HTTP, command line or SQL. Only added to. Partitioned by month of the id, which is a UUIDv7.';
COMMENT ON COLUMN signalops.audit_log.tenant_id IS 'Whose the target is; 00000000-0000-0000-0000-000000000000: the installation''s own.';
COMMENT ON COLUMN signalops.audit_log.id IS 'UUIDv7; its time is when it was done.';
COMMENT ON COLUMN signalops.audit_log.actor_kind IS 'key, user or operator by HTTP; command_line; sql: a login of PostgreSQL itself; system: a process of SignalOps.';
COMMENT ON COLUMN signalops.audit_log.actor IS 'The id of a key, the subject of a token, the login of the machine or of PostgreSQL, or the role.';
COMMENT ON COLUMN signalops.audit_log.address IS 'From which address a request came; NULL: it was none.';
COMMENT ON COLUMN signalops.audit_log.operation IS 'The operation of the API or the command; NULL: by SQL, or by a process itself.';
COMMENT ON COLUMN signalops.audit_log.action IS 'What was done: a thing and a verb, such as rule.created.';
COMMENT ON COLUMN signalops.audit_log.target_id IS 'To what, by its id or key; NULL: to several, which the change names.';
COMMENT ON COLUMN signalops.audit_log.target IS 'The name that it had for people then.';
COMMENT ON COLUMN signalops.audit_log.change IS 'before and after: what changed, by column. Secrets are ***, of URLs only the origin is stored, and long values are cut.';

CREATE VIEW ops.actions AS
 SELECT l.id AS action_id,
    signalops.uuid7_time(l.id) AS done_at,
    t.slug AS tenant,
    l.actor_kind,
    l.actor,
    l.address,
    l.operation,
    l.action,
    l.target_id,
    l.target
   FROM (signalops.audit_log l
     LEFT JOIN signalops.tenants t ON ((t.id = l.tenant_id)));

COMMENT ON VIEW ops.actions IS 'Who did what, without what it changed. The newest, by action_id, are found along audit_log_by_id.';
COMMENT ON COLUMN ops.actions.action_id IS 'UUIDv7: in the order in which they were done.';
COMMENT ON COLUMN ops.actions.done_at IS 'When.';
COMMENT ON COLUMN ops.actions.tenant IS 'The slug of whose it was; NULL: the installation''s.';
COMMENT ON COLUMN ops.actions.actor_kind IS 'key, user, operator, command_line, sql or system.';
COMMENT ON COLUMN ops.actions.actor IS 'Who.';
COMMENT ON COLUMN ops.actions.address IS 'From which address; NULL: it was no request.';
COMMENT ON COLUMN ops.actions.operation IS 'By which operation or command; NULL: by SQL.';
COMMENT ON COLUMN ops.actions.action IS 'What, such as rule.created.';
COMMENT ON COLUMN ops.actions.target_id IS 'To what; NULL: to several.';
COMMENT ON COLUMN ops.actions.target IS 'What it is called.';

CREATE TABLE signalops.alerts (
    alert text NOT NULL,
    subject text NOT NULL,
    breached_at timestamp with time zone NOT NULL,
    raised_at timestamp with time zone,
    recovering_since timestamp with time zone,
    resolve_after interval NOT NULL,
    value double precision NOT NULL
);

ALTER TABLE ONLY signalops.alerts FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.alerts IS 'Alerts that are pending, raised or recovering; a row is deleted when its end is notified.';
COMMENT ON COLUMN signalops.alerts.alert IS 'Which of signalops.alert_conditions().';
COMMENT ON COLUMN signalops.alerts.subject IS 'What it is about: a tenant''s slug, a table, a job; empty: the installation.';
COMMENT ON COLUMN signalops.alerts.breached_at IS 'Since when it is out of bounds.';
COMMENT ON COLUMN signalops.alerts.raised_at IS 'When it was notified; NULL: it has not lasted long enough.';
COMMENT ON COLUMN signalops.alerts.recovering_since IS 'Since when it is within bounds again; NULL: it is not.';
COMMENT ON COLUMN signalops.alerts.resolve_after IS 'How long it must be within bounds until it is resolved.';
COMMENT ON COLUMN signalops.alerts.value IS 'How much, when it was last out of bounds.';

CREATE VIEW ops.alerts AS
 SELECT alert,
    subject,
    value,
    breached_at,
    raised_at,
    recovering_since
   FROM signalops.alerts a
  WHERE (raised_at IS NOT NULL);

COMMENT ON VIEW ops.alerts IS 'The alerts that were raised and are not over.';
COMMENT ON COLUMN ops.alerts.alert IS 'Which; signalops/watch/README.md has them all.';
COMMENT ON COLUMN ops.alerts.subject IS 'What it is about: a tenant''s slug, a table, a job; empty: the installation.';
COMMENT ON COLUMN ops.alerts.value IS 'How much, when it was last out of bounds.';
COMMENT ON COLUMN ops.alerts.breached_at IS 'Since when.';
COMMENT ON COLUMN ops.alerts.raised_at IS 'When operators were notified.';
COMMENT ON COLUMN ops.alerts.recovering_since IS 'Since when it is within bounds again; resolved when that lasts; NULL: it is not.';

CREATE TABLE signalops.backtests (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    request jsonb NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    iterations integer DEFAULT 0 NOT NULL,
    scanned bigint DEFAULT 0 NOT NULL,
    scanned_until timestamp with time zone,
    state jsonb,
    result jsonb,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT backtests_check CHECK ((ends_at > starts_at)),
    CONSTRAINT backtests_check1 CHECK (((state IS NULL) OR (status = 'running'::text))),
    CONSTRAINT backtests_check2 CHECK ((((error IS NOT NULL) = (status = 'failed'::text)) AND (length(error) <= 500))),
    CONSTRAINT backtests_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'done'::text, 'failed'::text, 'cancelled'::text])))
);

ALTER TABLE ONLY signalops.backtests FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.backtests IS 'Backtests of rules on past events. A job works for about a second and saves its state here: the newest 50 of a tenant.';
COMMENT ON COLUMN signalops.backtests.tenant_id IS 'Whose events they are.';
COMMENT ON COLUMN signalops.backtests.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.backtests.request IS 'The request with its rules as they were then: {candidate, baseline, silences, types, examples}.';
COMMENT ON COLUMN signalops.backtests.starts_at IS 'Events received from then on.';
COMMENT ON COLUMN signalops.backtests.ends_at IS 'Events received before.';
COMMENT ON COLUMN signalops.backtests.status IS 'queued -> running -> done; or -> failed, or -> cancelled.';
COMMENT ON COLUMN signalops.backtests.iterations IS 'How many iterations of the work are saved: of two workers at one slice only the first saves it.';
COMMENT ON COLUMN signalops.backtests.scanned IS 'Events looked through.';
COMMENT ON COLUMN signalops.backtests.scanned_until IS 'All events received before are looked through; NULL: not begun.';
COMMENT ON COLUMN signalops.backtests.state IS 'From where the next slice goes on; NULL before the first and after the last.';
COMMENT ON COLUMN signalops.backtests.result IS 'What was found, so far or in the end.';
COMMENT ON COLUMN signalops.backtests.error IS 'Why it failed, in a sentence.';
COMMENT ON COLUMN signalops.backtests.created_at IS 'When it was asked for.';
COMMENT ON COLUMN signalops.backtests.updated_at IS 'When it was saved last.';

CREATE VIEW ops.backtests AS
 SELECT t.slug AS tenant,
    b.tenant_id,
    b.id AS backtest_id,
    b.status,
    b.scanned AS events,
    b.created_at AS requested_at,
    b.updated_at AS saved_at,
    (b.updated_at - b.created_at) AS took,
    round(((b.scanned)::numeric / NULLIF(EXTRACT(epoch FROM (b.updated_at - b.created_at)), (0)::numeric))) AS events_per_second,
    regexp_replace(b.error, '([(:"]|\s'').*'::text, ''::text) AS error
   FROM (signalops.backtests b
     JOIN signalops.tenants t ON ((t.id = b.tenant_id)));

COMMENT ON VIEW ops.backtests IS 'Backtests, of which a tenant keeps 50, and how fast they went: rules alone against stored events.';
COMMENT ON COLUMN ops.backtests.tenant IS 'The tenant''s slug.';
COMMENT ON COLUMN ops.backtests.tenant_id IS 'Its id.';
COMMENT ON COLUMN ops.backtests.backtest_id IS 'The backtest.';
COMMENT ON COLUMN ops.backtests.status IS 'queued, running, done, failed or cancelled.';
COMMENT ON COLUMN ops.backtests.events IS 'Events looked through.';
COMMENT ON COLUMN ops.backtests.requested_at IS 'When it was asked for.';
COMMENT ON COLUMN ops.backtests.saved_at IS 'When its work was saved last.';
COMMENT ON COLUMN ops.backtests.took IS 'The time between, in which it may have waited for a worker.';
COMMENT ON COLUMN ops.backtests.events_per_second IS 'Events by that time.';
COMMENT ON COLUMN ops.backtests.error IS 'Why it failed, without what the error quotes: that may be of a payload, and is in the tenant''s own.';

CREATE VIEW ops.sessions AS
 SELECT pid,
    login,
    application,
    address,
    kind,
    state,
    waits_for,
    connected_at,
    transaction_at,
    (clock_timestamp() - transaction_at) AS transaction_age,
    statement_at,
    state_at,
    xmin_age,
    statement
   FROM ops.activity() a(pid, login, application, address, kind, state, waits_for, connected_at, transaction_at, statement_at, state_at, xmin_age, statement);

COMMENT ON VIEW ops.sessions IS 'The sessions of this database. A transaction that lasts keeps vacuum from what died since, and slows the queue.';
COMMENT ON COLUMN ops.sessions.pid IS 'The process of the server.';
COMMENT ON COLUMN ops.sessions.login IS 'As whom it logged in; NULL: a process of the server itself.';
COMMENT ON COLUMN ops.sessions.application IS 'What it calls itself.';
COMMENT ON COLUMN ops.sessions.address IS 'From where; NULL: from the same machine by a socket.';
COMMENT ON COLUMN ops.sessions.kind IS 'client backend, or what else the server runs.';
COMMENT ON COLUMN ops.sessions.state IS 'active, idle, idle in transaction ...';
COMMENT ON COLUMN ops.sessions.waits_for IS 'What it waits for, such as Lock: transactionid; NULL: for nothing, or for its client.';
COMMENT ON COLUMN ops.sessions.connected_at IS 'When it connected.';
COMMENT ON COLUMN ops.sessions.transaction_at IS 'When its transaction began; NULL: it has none.';
COMMENT ON COLUMN ops.sessions.transaction_age IS 'How long ago that is.';
COMMENT ON COLUMN ops.sessions.statement_at IS 'When its statement began, or the last one.';
COMMENT ON COLUMN ops.sessions.state_at IS 'When its state changed last.';
COMMENT ON COLUMN ops.sessions.xmin_age IS 'How many transactions back its snapshot reaches: what died since can''t be vacuumed. NULL: it has none.';
COMMENT ON COLUMN ops.sessions.statement IS 'Its statement, or the last one, up to its first literal.';

CREATE VIEW ops.connections AS
 SELECT login,
    application,
    COALESCE(state, kind) AS state,
    count(*) AS sessions,
    max((clock_timestamp() - state_at)) AS longest_in_state,
    max(transaction_age) AS longest_transaction,
    (current_setting('max_connections'::text))::integer AS max_connections
   FROM ops.sessions s
  GROUP BY login, application, COALESCE(state, kind);

COMMENT ON VIEW ops.connections IS 'The sessions of this database by login, application and state.';
COMMENT ON COLUMN ops.connections.login IS 'As whom they logged in; NULL: processes of the server itself.';
COMMENT ON COLUMN ops.connections.application IS 'What they call themselves.';
COMMENT ON COLUMN ops.connections.state IS 'active, idle, idle in transaction ..., or what else they are.';
COMMENT ON COLUMN ops.connections.sessions IS 'How many.';
COMMENT ON COLUMN ops.connections.longest_in_state IS 'For how long the first has been so.';
COMMENT ON COLUMN ops.connections.longest_transaction IS 'How long the longest of their transactions has lasted; NULL: none has one.';
COMMENT ON COLUMN ops.connections.max_connections IS 'How many the server admits, of all databases.';

CREATE TABLE signalops.channels (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    config jsonb NOT NULL,
    secret bytea,
    enabled boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    retry_schedule integer[],
    disabled_because text,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    send_target_id uuid,
    max_per_minute integer,
    CONSTRAINT channels_check CHECK (((deleted_at IS NULL) OR (NOT enabled))),
    CONSTRAINT channels_disabled_because_check CHECK ((length(disabled_because) <= 500)),
    CONSTRAINT channels_kind_check CHECK ((kind = ANY (ARRAY['email'::text, 'telegram'::text, 'whatsapp'::text, 'webhook'::text, 'slack'::text, 'http'::text]))),
    CONSTRAINT channels_max_per_minute_check CHECK ((max_per_minute > 0)),
    CONSTRAINT channels_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT channels_retry_schedule_check CHECK (((cardinality(retry_schedule) <= 20) AND (1 <= ALL (retry_schedule))))
);

ALTER TABLE ONLY signalops.channels FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.channels IS 'Where a tenant''s notifications can go.';
COMMENT ON COLUMN signalops.channels.tenant_id IS 'Whose channel it is.';
COMMENT ON COLUMN signalops.channels.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.channels.name IS 'What the tenant calls it; rules on the command line name it so.';
COMMENT ON COLUMN signalops.channels.kind IS 'email, telegram, whatsapp, webhook, slack or http.';
COMMENT ON COLUMN signalops.channels.config IS 'What is no secret, such as {to} of an email, {url} of a webhook.';
COMMENT ON COLUMN signalops.channels.secret IS 'Signing secret or credentials, encrypted (Fernet) with the installation''s key; NULL: needs none.';
COMMENT ON COLUMN signalops.channels.enabled IS 'false: deliveries through it become dead letters at once.';
COMMENT ON COLUMN signalops.channels.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.channels.retry_schedule IS 'Seconds before each further attempt; NULL: the installation''s schedule.';
COMMENT ON COLUMN signalops.channels.disabled_because IS 'Why SignalOps itself disabled it; NULL: it did not.';
COMMENT ON COLUMN signalops.channels.updated_at IS 'When it was changed last.';
COMMENT ON COLUMN signalops.channels.deleted_at IS 'When it was deleted; NULL: it is not. The row stays, since versions of rules name it; its secret is gone, its name free again.';
COMMENT ON COLUMN signalops.channels.send_target_id IS 'The send target, where channels share one (a bot, an account); NULL: its own, with its id.';
COMMENT ON COLUMN signalops.channels.max_per_minute IS 'Rate limit of its send target in messages per minute; NULL: none.';

CREATE TABLE signalops.rules (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    active_version integer NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    enabled_at timestamp with time zone,
    deleted_at timestamp with time zone,
    CONSTRAINT rules_active_version_check CHECK ((active_version > 0)),
    CONSTRAINT rules_check CHECK (((deleted_at IS NULL) OR (NOT enabled))),
    CONSTRAINT rules_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);

ALTER TABLE ONLY signalops.rules FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.rules IS 'A tenant''s rules; their content is in the versions.';
COMMENT ON COLUMN signalops.rules.tenant_id IS 'Whose rule it is.';
COMMENT ON COLUMN signalops.rules.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.rules.name IS 'What the tenant calls it.';
COMMENT ON COLUMN signalops.rules.active_version IS 'The version that decides now.';
COMMENT ON COLUMN signalops.rules.enabled IS 'false: it is not evaluated.';
COMMENT ON COLUMN signalops.rules.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.rules.updated_at IS 'When it was changed last.';
COMMENT ON COLUMN signalops.rules.enabled_at IS 'When it was enabled again; NULL: it was never disabled.';
COMMENT ON COLUMN signalops.rules.deleted_at IS 'When it was deleted; NULL: it is not. The row stays, since matches name its versions; its name is free again.';

CREATE VIEW ops.dead_letters AS
 SELECT t.slug AS tenant,
    l.tenant_id,
    l.id AS dead_letter_id,
    l.kind,
    l.died_at,
    regexp_replace(l.error, '([(:"]|\s'').*'::text, ''::text) AS error,
    r.name AS rule,
    c.name AS channel,
    l.event_id,
    l.delivery_id
   FROM (((signalops.dead_letters l
     JOIN signalops.tenants t ON ((t.id = l.tenant_id)))
     LEFT JOIN signalops.rules r ON (((r.tenant_id = l.tenant_id) AND (r.id = l.rule_id))))
     LEFT JOIN signalops.channels c ON (((c.tenant_id = l.tenant_id) AND (c.id = l.channel_id))))
  WHERE (l.resolved_at IS NULL);

COMMENT ON VIEW ops.dead_letters IS 'Events and deliveries that were given up and wait for somebody to look: see ops.retry_dead_letters and ops.discard_dead_letters. One tenant''s are read along dead_letters_open.';
COMMENT ON COLUMN ops.dead_letters.tenant IS 'The tenant''s slug.';
COMMENT ON COLUMN ops.dead_letters.tenant_id IS 'Its id.';
COMMENT ON COLUMN ops.dead_letters.dead_letter_id IS 'The dead letter: the id of its event or delivery.';
COMMENT ON COLUMN ops.dead_letters.kind IS 'event or delivery.';
COMMENT ON COLUMN ops.dead_letters.died_at IS 'When it was given up.';
COMMENT ON COLUMN ops.dead_letters.error IS 'Why, without what the error quotes: that may be of a payload, and is in the tenant''s own.';
COMMENT ON COLUMN ops.dead_letters.rule IS 'The rule that asked for the delivery; NULL: it is an event.';
COMMENT ON COLUMN ops.dead_letters.channel IS 'The channel; NULL: it is an event.';
COMMENT ON COLUMN ops.dead_letters.event_id IS 'The event.';
COMMENT ON COLUMN ops.dead_letters.delivery_id IS 'The delivery; NULL: it is an event.';

CREATE TABLE signalops.delivery_attempts (
    tenant_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    attempt smallint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    duration_ms integer NOT NULL,
    outcome text NOT NULL,
    status_code integer,
    answer text,
    error text,
    request_id text,
    CONSTRAINT delivery_attempts_answer_check CHECK ((length(answer) <= 2048)),
    CONSTRAINT delivery_attempts_duration_ms_check CHECK ((duration_ms >= 0)),
    CONSTRAINT delivery_attempts_error_check CHECK ((length(error) <= 500)),
    CONSTRAINT delivery_attempts_outcome_check CHECK ((outcome = ANY (ARRAY['sent'::text, 'transient'::text, 'permanent'::text, 'throttled'::text, 'misconfigured'::text, 'gone'::text, 'suppressed'::text]))),
    CONSTRAINT delivery_attempts_request_id_check CHECK ((length(request_id) <= 200))
)
PARTITION BY RANGE (delivery_id);

ALTER TABLE ONLY signalops.delivery_attempts FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.delivery_attempts IS 'The attempts of deliveries. A missing number was interrupted: its worker died.';
COMMENT ON COLUMN signalops.delivery_attempts.tenant_id IS 'Whose notification it is.';
COMMENT ON COLUMN signalops.delivery_attempts.delivery_id IS 'The delivery.';
COMMENT ON COLUMN signalops.delivery_attempts.attempt IS '1, 2, 3 ...';
COMMENT ON COLUMN signalops.delivery_attempts.started_at IS 'When the provider was called.';
COMMENT ON COLUMN signalops.delivery_attempts.duration_ms IS 'Milliseconds until its answer, or until there was none.';
COMMENT ON COLUMN signalops.delivery_attempts.outcome IS 'sent; transient, throttled (retried); permanent, misconfigured = configuration or template (not retried); gone = the receiver wants no more (its channel is disabled); suppressed = not asked, since it said no before.';
COMMENT ON COLUMN signalops.delivery_attempts.status_code IS 'HTTP status or SMTP code; NULL: no answer.';
COMMENT ON COLUMN signalops.delivery_attempts.answer IS 'The first 2 KiB of the answer.';
COMMENT ON COLUMN signalops.delivery_attempts.error IS 'The error in a sentence; NULL when sent.';
COMMENT ON COLUMN signalops.delivery_attempts.request_id IS 'The receiver''s own id of the request, for its support; NULL: it named none.';

CREATE VIEW ops.deliveries AS
 SELECT t.slug AS tenant,
    d.tenant_id,
    d.id AS delivery_id,
    d.event_id,
    d.status,
    r.name AS rule,
    c.name AS channel,
    c.kind,
    d.attempts,
    d.next_attempt_at,
    d.updated_at,
    (now() - d.updated_at) AS unchanged_for,
    a.outcome AS last_outcome,
    a.status_code AS last_status_code,
    regexp_replace(a.error, '([(:"]|\s'').*'::text, ''::text) AS last_error
   FROM ((((signalops.deliveries d
     JOIN signalops.tenants t ON ((t.id = d.tenant_id)))
     LEFT JOIN signalops.rules r ON (((r.tenant_id = d.tenant_id) AND (r.id = d.rule_id))))
     LEFT JOIN signalops.channels c ON (((c.tenant_id = d.tenant_id) AND (c.id = d.channel_id))))
     LEFT JOIN LATERAL ( SELECT n.outcome,
            n.status_code,
            n.error
           FROM signalops.delivery_attempts n
          WHERE ((n.tenant_id = d.tenant_id) AND (n.delivery_id = d.id))
          ORDER BY n.attempt DESC
         LIMIT 1) a ON (true));

COMMENT ON VIEW ops.deliveries IS 'Deliveries with their last attempt. One delivery is found by tenant_id and delivery_id along the primary key; narrow a list by tenant_id and status.';
COMMENT ON COLUMN ops.deliveries.tenant IS 'The tenant''s slug.';
COMMENT ON COLUMN ops.deliveries.tenant_id IS 'Its id.';
COMMENT ON COLUMN ops.deliveries.delivery_id IS 'The delivery.';
COMMENT ON COLUMN ops.deliveries.event_id IS 'The event that it is about.';
COMMENT ON COLUMN ops.deliveries.status IS 'pending, sending, retrying, sent, delivered, read, dead, cancelled or suppressed.';
COMMENT ON COLUMN ops.deliveries.rule IS 'The rule that asked for it; NULL: it was deleted.';
COMMENT ON COLUMN ops.deliveries.channel IS 'The channel; NULL: it was deleted.';
COMMENT ON COLUMN ops.deliveries.kind IS 'email, telegram, whatsapp, webhook, slack or http.';
COMMENT ON COLUMN ops.deliveries.attempts IS 'Attempts begun.';
COMMENT ON COLUMN ops.deliveries.next_attempt_at IS 'When it is tried next; NULL: it has a job, or is over.';
COMMENT ON COLUMN ops.deliveries.updated_at IS 'When its status changed last.';
COMMENT ON COLUMN ops.deliveries.unchanged_for IS 'How long ago that is.';
COMMENT ON COLUMN ops.deliveries.last_outcome IS 'What the last attempt came to; NULL: there was none.';
COMMENT ON COLUMN ops.deliveries.last_status_code IS 'The status that its receiver answered; NULL: none.';
COMMENT ON COLUMN ops.deliveries.last_error IS 'Why the last attempt failed, without what the error quotes; NULL: it did not.';

CREATE TABLE signalops.rule_versions (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    version integer NOT NULL,
    grammar smallint NOT NULL,
    pattern jsonb NOT NULL,
    channel_id uuid NOT NULL,
    template jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    state_version integer DEFAULT 1 NOT NULL,
    conditions integer DEFAULT 1 NOT NULL,
    severity text DEFAULT 'info'::text NOT NULL,
    time_window jsonb,
    absent jsonb,
    cooldown jsonb,
    digest jsonb,
    active_hours jsonb,
    CONSTRAINT rule_versions_check CHECK (((state_version >= 1) AND (state_version <= version))),
    CONSTRAINT rule_versions_check1 CHECK (((absent IS NULL) OR (time_window IS NULL))),
    CONSTRAINT rule_versions_conditions_check CHECK ((conditions > 0)),
    CONSTRAINT rule_versions_severity_check CHECK ((severity = ANY (ARRAY['info'::text, 'warning'::text, 'error'::text, 'critical'::text]))),
    CONSTRAINT rule_versions_version_check CHECK ((version > 0))
);

ALTER TABLE ONLY signalops.rule_versions FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.rule_versions IS 'What a rule said, version by version; a version never changes, and every match names the one that decided it.';
COMMENT ON COLUMN signalops.rule_versions.tenant_id IS 'Whose rule it is.';
COMMENT ON COLUMN signalops.rule_versions.rule_id IS 'The rule.';
COMMENT ON COLUMN signalops.rule_versions.version IS '1, 2, 3 ...';
COMMENT ON COLUMN signalops.rule_versions.grammar IS 'The grammar that the pattern is written in: 1 = field path to value, 2 = event patterns. Upgraded when read.';
COMMENT ON COLUMN signalops.rule_versions.pattern IS 'The condition, as it was written.';
COMMENT ON COLUMN signalops.rule_versions.channel_id IS 'The action: the channel to notify.';
COMMENT ON COLUMN signalops.rule_versions.template IS 'The action: {subject, body} in Liquid; what is missing gets a default.';
COMMENT ON COLUMN signalops.rule_versions.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.rule_versions.state_version IS 'The version from which pattern, time_window and absent have stood as they do: what was counted since then still counts.';
COMMENT ON COLUMN signalops.rule_versions.conditions IS 'How many conditions the pattern has once every $or is expanded: its cost in memory once compiled.';
COMMENT ON COLUMN signalops.rule_versions.severity IS 'info, warning, error or critical: how urgent a notification is.';
COMMENT ON COLUMN signalops.rule_versions.time_window IS 'Fires once when enough happens within a time: {count | sum | distinct, within, groupBy, lateness}; NULL: on each match.';
COMMENT ON COLUMN signalops.rule_versions.absent IS 'Fires when nothing matches for a time: {after, groupBy, lateness}; NULL: on matches.';
COMMENT ON COLUMN signalops.rule_versions.cooldown IS 'After a notification none for a time, per group: {for, groupBy}; NULL: none.';
COMMENT ON COLUMN signalops.rule_versions.digest IS 'Matches are collected into one notification: {every} or {at, timeZone}; NULL: one each.';
COMMENT ON COLUMN signalops.rule_versions.active_hours IS 'When notifications go out: {timeZone, days, from, to, otherwise}; NULL: at any time.';

CREATE TABLE signalops.send_targets (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    failing_since timestamp with time zone,
    circuit_open_until timestamp with time zone,
    half_open_delivery_id uuid,
    tokens double precision DEFAULT 0 NOT NULL,
    refilled_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    last_error text
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.send_targets FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.send_targets IS 'The state of a send target (circuit breaker, rate limit): created at its first failure, or with a rate limit. Exact across workers by its row lock.';
COMMENT ON COLUMN signalops.send_targets.tenant_id IS 'The tenant.';
COMMENT ON COLUMN signalops.send_targets.id IS 'The channel''s id, or channels.send_target_id.';
COMMENT ON COLUMN signalops.send_targets.failures IS 'Attempts in a row that failed for now; from the fifth on the circuit opens.';
COMMENT ON COLUMN signalops.send_targets.failing_since IS 'When the first attempt after the last success failed; NULL: it works.';
COMMENT ON COLUMN signalops.send_targets.circuit_open_until IS 'Until when nothing is sent; then one attempt may probe (half-open). NULL: the circuit is closed.';
COMMENT ON COLUMN signalops.send_targets.half_open_delivery_id IS 'The delivery of the half-open attempt; NULL: none in flight.';
COMMENT ON COLUMN signalops.send_targets.tokens IS 'Messages that may be sent at once, as of refilled_at.';
COMMENT ON COLUMN signalops.send_targets.refilled_at IS 'When the tokens were counted.';
COMMENT ON COLUMN signalops.send_targets.last_error IS 'What the last attempt that failed came to; of interest while failing_since is set.';

CREATE VIEW ops.delivery_health AS
 SELECT t.slug AS tenant,
    c.tenant_id,
    c.name AS channel,
    c.id AS channel_id,
    c.kind,
    c.enabled,
    COALESCE(n.pending, (0)::numeric) AS pending,
    COALESCE(n.sending, (0)::numeric) AS sending,
    COALESCE(n.retrying, (0)::numeric) AS retrying,
    d.dead AS dead_in_a_day,
    n.sent AS sent_in_an_hour,
    n.tried AS tried_in_an_hour,
    round((n.sent / NULLIF(n.tried, (0)::numeric)), 4) AS success_ratio,
        CASE
            WHEN (o.circuit_open_until > now()) THEN 'open'::text
            WHEN (o.circuit_open_until IS NOT NULL) THEN 'half-open'::text
            ELSE 'closed'::text
        END AS breaker,
    o.circuit_open_until,
    o.failing_since,
    n.oldest,
    (now() - n.oldest) AS oldest_age,
        CASE
            WHEN (o.failing_since IS NOT NULL) THEN regexp_replace(o.last_error, '([(:"]|\s'').*'::text, ''::text)
            ELSE NULL::text
        END AS last_error
   FROM ((((signalops.channels c
     JOIN signalops.tenants t ON ((t.id = c.tenant_id)))
     LEFT JOIN ( SELECT p.tenant_id,
            p.channel_id,
            sum(w.pending) AS pending,
            sum(w.sending) AS sending,
            sum(w.retrying) AS retrying,
            sum(h.sent) AS sent,
            sum(h.tried) AS tried,
            min(w.oldest) AS oldest
           FROM ((( SELECT DISTINCT v.tenant_id,
                    v.rule_id,
                    v.channel_id
                   FROM signalops.rule_versions v) p
             CROSS JOIN LATERAL ( SELECT sum(k.waiting) FILTER (WHERE (u.status = 'pending'::text)) AS pending,
                    sum(k.waiting) FILTER (WHERE (u.status = 'sending'::text)) AS sending,
                    sum(k.waiting) FILTER (WHERE (u.status = 'retrying'::text)) AS retrying,
                    min(signalops.uuid7_time(f.id)) AS oldest
                   FROM ((unnest(ARRAY['pending'::text, 'sending'::text, 'retrying'::text]) u(status)
                     CROSS JOIN LATERAL ( SELECT count(*) AS waiting
                           FROM signalops.deliveries s
                          WHERE ((s.tenant_id = p.tenant_id) AND (s.rule_id = p.rule_id) AND (s.channel_id = p.channel_id) AND (s.status = u.status))) k)
                     LEFT JOIN LATERAL ( SELECT s.id
                           FROM signalops.deliveries s
                          WHERE ((s.tenant_id = p.tenant_id) AND (s.rule_id = p.rule_id) AND (s.channel_id = p.channel_id) AND (s.status = u.status))
                          ORDER BY s.id
                         LIMIT 1) f ON ((k.waiting > 0)))) w)
             CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE (s.status = ANY (ARRAY['sent'::text, 'delivered'::text, 'read'::text]))) AS sent,
                    count(*) AS tried
                   FROM signalops.deliveries s
                  WHERE ((s.tenant_id = p.tenant_id) AND (s.rule_id = p.rule_id) AND (s.channel_id = p.channel_id) AND (s.status = ANY (ARRAY['sent'::text, 'delivered'::text, 'read'::text, 'retrying'::text, 'dead'::text])) AND (s.id >= signalops.uuid7_floor((now() - '01:00:00'::interval))))) h)
          GROUP BY p.tenant_id, p.channel_id) n ON (((n.tenant_id = c.tenant_id) AND (n.channel_id = c.id))))
     LEFT JOIN signalops.send_targets o ON (((o.tenant_id = c.tenant_id) AND (o.id = COALESCE(c.send_target_id, c.id)))))
     CROSS JOIN LATERAL ( SELECT count(*) AS dead
           FROM signalops.dead_letters l
          WHERE ((l.tenant_id = c.tenant_id) AND (l.channel_id = c.id) AND (l.resolved_at IS NULL) AND (l.died_at >= (now() - '1 day'::interval)))) d)
  WHERE ((c.deleted_at IS NULL) OR (n.oldest IS NOT NULL));

COMMENT ON VIEW ops.delivery_health IS 'Channels: what waits, what fails, and whether their circuit is open. Counted along deliveries_by_rule: it costs what it counts.';
COMMENT ON COLUMN ops.delivery_health.tenant IS 'The tenant''s slug.';
COMMENT ON COLUMN ops.delivery_health.tenant_id IS 'Its id.';
COMMENT ON COLUMN ops.delivery_health.channel IS 'The channel''s name.';
COMMENT ON COLUMN ops.delivery_health.channel_id IS 'Its id.';
COMMENT ON COLUMN ops.delivery_health.kind IS 'email, telegram, whatsapp, webhook, slack or http.';
COMMENT ON COLUMN ops.delivery_health.enabled IS 'Whether it is in use.';
COMMENT ON COLUMN ops.delivery_health.pending IS 'Deliveries that have a job, or wait for their channel''s turn.';
COMMENT ON COLUMN ops.delivery_health.sending IS 'Deliveries that are being sent.';
COMMENT ON COLUMN ops.delivery_health.retrying IS 'Deliveries that failed, and wait for their next attempt.';
COMMENT ON COLUMN ops.delivery_health.dead_in_a_day IS 'Unresolved dead letters of the last 24 hours.';
COMMENT ON COLUMN ops.delivery_health.sent_in_an_hour IS 'Deliveries asked for in the last hour that arrived; NULL: no rule ever used it.';
COMMENT ON COLUMN ops.delivery_health.tried_in_an_hour IS 'Deliveries asked for in the last hour that were tried: that arrived, are retried, or died.';
COMMENT ON COLUMN ops.delivery_health.success_ratio IS 'The former of the latter, from 0 to 1; NULL: none was tried.';
COMMENT ON COLUMN ops.delivery_health.breaker IS 'closed: it is called; open: it is not; half-open: one attempt finds out.';
COMMENT ON COLUMN ops.delivery_health.circuit_open_until IS 'Until when its circuit is open and nothing is sent; NULL: its circuit is closed.';
COMMENT ON COLUMN ops.delivery_health.failing_since IS 'Since when every attempt has failed; NULL: it works.';
COMMENT ON COLUMN ops.delivery_health.oldest IS 'When the first of those that are not over was asked for; NULL: all are.';
COMMENT ON COLUMN ops.delivery_health.oldest_age IS 'How long ago that is.';
COMMENT ON COLUMN ops.delivery_health.last_error IS 'What the last attempt that failed came to, without what the error quotes; NULL: it works.';

CREATE TABLE signalops.inbox (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    batch uuid NOT NULL,
    replay_id uuid,
    is_parked boolean DEFAULT false NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.inbox FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.inbox IS 'The events not yet processed, ids only. Accepting fills it; the transaction that processes and counts empties it.';
COMMENT ON COLUMN signalops.inbox.tenant_id IS 'Whose event it is.';
COMMENT ON COLUMN signalops.inbox.event_id IS 'The event that waits.';
COMMENT ON COLUMN signalops.inbox.batch IS 'The flush that stored it: one job processes one batch.';
COMMENT ON COLUMN signalops.inbox.replay_id IS 'The replay that put it here; NULL: the event is new.';
COMMENT ON COLUMN signalops.inbox.is_parked IS 'Whether it is parked until its tenant is resumed; it has no job until then.';

CREATE VIEW ops.inbox_by_tenant AS
 SELECT t.slug AS tenant,
    i.tenant_id,
    t.status,
    i.waiting,
    i.parked,
    i.replayed,
    i.oldest,
    (now() - i.oldest) AS oldest_age
   FROM (( SELECT n.tenant_id,
            count(*) AS waiting,
            count(*) FILTER (WHERE n.is_parked) AS parked,
            count(n.replay_id) AS replayed,
            min(signalops.uuid7_time(n.event_id)) FILTER (WHERE (n.replay_id IS NULL)) AS oldest
           FROM signalops.inbox n
          GROUP BY n.tenant_id) i
     JOIN signalops.tenants t ON ((t.id = i.tenant_id)));

COMMENT ON VIEW ops.inbox_by_tenant IS 'Events that were accepted and are not processed yet, by tenant. Reads the inbox once, which is small when all is well.';
COMMENT ON COLUMN ops.inbox_by_tenant.tenant IS 'The tenant''s slug.';
COMMENT ON COLUMN ops.inbox_by_tenant.tenant_id IS 'Its id.';
COMMENT ON COLUMN ops.inbox_by_tenant.status IS 'active, suspended (then they wait for it to be resumed), closed or deleting.';
COMMENT ON COLUMN ops.inbox_by_tenant.waiting IS 'Its events that wait.';
COMMENT ON COLUMN ops.inbox_by_tenant.parked IS 'Those of them that wait for it to be resumed.';
COMMENT ON COLUMN ops.inbox_by_tenant.replayed IS 'Those of them that a replay put there.';
COMMENT ON COLUMN ops.inbox_by_tenant.oldest IS 'When the first of them was accepted, replays apart; NULL: there is no other.';
COMMENT ON COLUMN ops.inbox_by_tenant.oldest_age IS 'How long ago that is.';

CREATE VIEW ops.job_history AS
 SELECT j.id AS job_id,
    (j.queue_name)::text AS queue,
    (j.task_name)::text AS task,
    (j.status)::text AS status,
    j.args AS about,
    j.attempts,
    e.enqueued_at,
    e.started_at,
    e.ended_at,
        CASE
            WHEN (e.started_at <= e.ended_at) THEN (e.ended_at - e.started_at)
            ELSE NULL::interval
        END AS duration
   FROM (procrastinate.procrastinate_jobs j
     CROSS JOIN LATERAL ( SELECT min(h.at) AS enqueued_at,
            max(h.at) FILTER (WHERE (h.type = 'started'::procrastinate.procrastinate_job_event_type)) AS started_at,
            max(h.at) FILTER (WHERE (h.type = ANY (ARRAY['failed'::procrastinate.procrastinate_job_event_type, 'succeeded'::procrastinate.procrastinate_job_event_type, 'cancelled'::procrastinate.procrastinate_job_event_type, 'aborted'::procrastinate.procrastinate_job_event_type]))) AS ended_at
           FROM procrastinate.procrastinate_events h
          WHERE (h.job_id = j.id)) e)
  WHERE (j.status = ANY (ARRAY['failed'::procrastinate.procrastinate_job_status, 'aborted'::procrastinate.procrastinate_job_status, 'cancelled'::procrastinate.procrastinate_job_status, 'succeeded'::procrastinate.procrastinate_job_status]));

COMMENT ON VIEW ops.job_history IS 'Jobs that are over and still stored: those that were given up or cancelled. Workers delete what succeeded; of a batch remains its row in signalops.batch_results, of a delivery its attempts. Why a job failed is not stored: the worker logs it with the number of the job.';
COMMENT ON COLUMN ops.job_history.job_id IS 'The job.';
COMMENT ON COLUMN ops.job_history.queue IS 'Its queue.';
COMMENT ON COLUMN ops.job_history.task IS 'What it did.';
COMMENT ON COLUMN ops.job_history.status IS 'failed; aborted: cut off; cancelled: before it was begun; succeeded, where workers are configured to keep those.';
COMMENT ON COLUMN ops.job_history.about IS 'Its arguments, which are ids.';
COMMENT ON COLUMN ops.job_history.attempts IS 'How often it was begun.';
COMMENT ON COLUMN ops.job_history.enqueued_at IS 'When it was enqueued.';
COMMENT ON COLUMN ops.job_history.started_at IS 'When it was begun the last time; NULL: never.';
COMMENT ON COLUMN ops.job_history.ended_at IS 'When it ended.';
COMMENT ON COLUMN ops.job_history.duration IS 'How long its last run took.';

CREATE VIEW ops.locks AS
 SELECT w.pid AS waiting_pid,
    w.login AS waiting_login,
    w.statement AS waiting_statement,
    (clock_timestamp() - l.waitstart) AS waits_since,
    l.locktype AS lock,
    l.mode,
    ((l.relation)::regclass)::text AS "table",
    b.pid AS blocking_pid,
    b.login AS blocking_login,
    b.state AS blocking_state,
    b.transaction_age AS blocking_transaction_age,
    b.statement AS blocking_statement
   FROM (((ops.sessions w
     CROSS JOIN LATERAL ( SELECT n.locktype,
            n.database,
            n.relation,
            n.page,
            n.tuple,
            n.virtualxid,
            n.transactionid,
            n.classid,
            n.objid,
            n.objsubid,
            n.virtualtransaction,
            n.pid,
            n.mode,
            n.granted,
            n.fastpath,
            n.waitstart
           FROM pg_locks n
          WHERE ((n.pid = w.pid) AND (NOT n.granted))
         LIMIT 1) l)
     CROSS JOIN LATERAL ( SELECT DISTINCT unnest(pg_blocking_pids(w.pid)) AS pid) p)
     LEFT JOIN ops.sessions b ON ((b.pid = p.pid)))
  WHERE (w.waits_for ~~ 'Lock: %'::text);

COMMENT ON VIEW ops.locks IS 'Who waits for whom: a row for each that waits and each that it waits for. Empty, when nobody waits for a lock.';
COMMENT ON COLUMN ops.locks.waiting_pid IS 'The process that waits.';
COMMENT ON COLUMN ops.locks.waiting_login IS 'As whom it logged in.';
COMMENT ON COLUMN ops.locks.waiting_statement IS 'What it would do, up to its first literal.';
COMMENT ON COLUMN ops.locks.waits_since IS 'How long it has been waiting.';
COMMENT ON COLUMN ops.locks.lock IS 'What kind of thing it would lock: transactionid (a row that another changes), relation, tuple, advisory ...';
COMMENT ON COLUMN ops.locks.mode IS 'In which mode.';
COMMENT ON COLUMN ops.locks."table" IS 'Of which table; NULL: it waits for a transaction to end.';
COMMENT ON COLUMN ops.locks.blocking_pid IS 'The process that it waits for.';
COMMENT ON COLUMN ops.locks.blocking_login IS 'As whom that logged in.';
COMMENT ON COLUMN ops.locks.blocking_state IS 'active, or idle in transaction: then its client is away with the lock.';
COMMENT ON COLUMN ops.locks.blocking_transaction_age IS 'How long its transaction has lasted.';
COMMENT ON COLUMN ops.locks.blocking_statement IS 'What it does, or did last, up to its first literal.';

CREATE VIEW ops.partitions AS
 SELECT p.parent,
    p.partition,
    p.holds_from,
    p.holds_to,
    p.rows_estimate,
    pg_total_relation_size((p.part)::regclass) AS bytes,
    (((EXTRACT(year FROM a.ahead) * (12)::numeric) + EXTRACT(month FROM a.ahead)))::integer AS months_ahead
   FROM (( SELECT parent.relname AS parent,
            part.relname AS partition,
            part.oid AS part,
            (GREATEST(part.reltuples, (0)::real))::bigint AS rows_estimate,
            signalops.uuid7_time((b.bounds[1])::uuid) AS holds_from,
            signalops.uuid7_time((b.bounds[2])::uuid) AS holds_to,
            max(signalops.uuid7_time((b.bounds[2])::uuid)) OVER (PARTITION BY parent.oid) AS reaches_to
           FROM (((pg_inherits i
             JOIN pg_class parent ON (((parent.oid = i.inhparent) AND (parent.relkind = 'p'::"char") AND (parent.relnamespace = ('signalops'::regnamespace)::oid))))
             JOIN pg_class part ON ((part.oid = i.inhrelid)))
             CROSS JOIN LATERAL regexp_match(pg_get_expr(part.relpartbound, part.oid), 'FROM \(''(.+)''\) TO \(''(.+)''\)'::text) b(bounds))) p
     CROSS JOIN LATERAL ( SELECT age((p.reaches_to AT TIME ZONE 'UTC'::text), (date_trunc('month'::text, (now() AT TIME ZONE 'UTC'::text)) + '1 mon'::interval)) AS ahead) a);

COMMENT ON VIEW ops.partitions IS 'The monthly partitions, how large they are, and how far they reach. Reads the catalogue alone.';
COMMENT ON COLUMN ops.partitions.parent IS 'The table.';
COMMENT ON COLUMN ops.partitions.partition IS 'Its partition.';
COMMENT ON COLUMN ops.partitions.holds_from IS 'Lower bound of the times of its ids.';
COMMENT ON COLUMN ops.partitions.holds_to IS 'And before.';
COMMENT ON COLUMN ops.partitions.rows_estimate IS 'Its rows as of the last vacuum or analyze; 0: neither has been, or it is empty.';
COMMENT ON COLUMN ops.partitions.bytes IS 'With its indexes.';
COMMENT ON COLUMN ops.partitions.months_ahead IS 'For how many whole months after this one the table has a place; three, when all is well.';

CREATE VIEW ops.tables AS
 SELECT s.schemaname AS schema,
    s.relname AS "table",
    s.n_live_tup AS live_rows,
    s.n_dead_tup AS dead_rows,
    round(((100.0 * (s.n_dead_tup)::numeric) / (NULLIF((s.n_live_tup + s.n_dead_tup), 0))::numeric), 1) AS dead_percent,
    ((b.heap * s.n_dead_tup) / NULLIF((s.n_live_tup + s.n_dead_tup), 0)) AS dead_bytes_estimate,
    v.due AS vacuum_due_at,
    b.heap AS bytes,
    pg_indexes_size((s.relid)::regclass) AS index_bytes,
    GREATEST(s.last_vacuum, s.last_autovacuum) AS last_vacuum,
    s.last_autovacuum,
    GREATEST(s.last_analyze, s.last_autoanalyze) AS last_analyze,
    age(c.relfrozenxid) AS xid_age
   FROM (((pg_stat_all_tables s
     JOIN pg_class c ON (((c.oid = s.relid) AND (c.relkind = 'r'::"char"))))
     CROSS JOIN LATERAL ( SELECT pg_table_size((s.relid)::regclass) AS heap) b)
     CROSS JOIN LATERAL ( SELECT (((COALESCE(max(o.option_value) FILTER (WHERE (o.option_name = 'autovacuum_vacuum_threshold'::text)), current_setting('autovacuum_vacuum_threshold'::text)))::double precision + ((COALESCE(max(o.option_value) FILTER (WHERE (o.option_name = 'autovacuum_vacuum_scale_factor'::text)), current_setting('autovacuum_vacuum_scale_factor'::text)))::double precision * GREATEST(c.reltuples, (0)::real))))::bigint AS due
           FROM pg_options_to_table(c.reloptions) o(option_name, option_value)) v)
  WHERE (s.schemaname = ANY (ARRAY['signalops'::name, 'procrastinate'::name, 'ops'::name]));

COMMENT ON VIEW ops.tables IS 'Tables and partitions: how much of them is dead, when autovacuum comes, and when it came. Reads statistics alone.';
COMMENT ON COLUMN ops.tables.schema IS 'Its schema.';
COMMENT ON COLUMN ops.tables."table" IS 'The table or partition.';
COMMENT ON COLUMN ops.tables.live_rows IS 'Rows, estimated by the server.';
COMMENT ON COLUMN ops.tables.dead_rows IS 'Rows that were deleted or replaced and not vacuumed yet, estimated by the server.';
COMMENT ON COLUMN ops.tables.dead_percent IS 'Dead rows of all.';
COMMENT ON COLUMN ops.tables.dead_bytes_estimate IS 'Their share of the table: what a vacuum would free for new rows. What it has freed already, and is not used, only pgstattuple knows.';
COMMENT ON COLUMN ops.tables.vacuum_due_at IS 'At so many dead rows autovacuum comes.';
COMMENT ON COLUMN ops.tables.bytes IS 'Its size without indexes.';
COMMENT ON COLUMN ops.tables.index_bytes IS 'The size of its indexes.';
COMMENT ON COLUMN ops.tables.last_vacuum IS 'When it was vacuumed last, by whomever; NULL: never since statistics were reset.';
COMMENT ON COLUMN ops.tables.last_autovacuum IS 'When autovacuum did; NULL: never.';
COMMENT ON COLUMN ops.tables.last_analyze IS 'When it was analyzed last, by whomever; NULL: never.';
COMMENT ON COLUMN ops.tables.xid_age IS 'Transactions since it was frozen; at autovacuum_freeze_max_age it is vacuumed whatever its settings.';

CREATE TABLE signalops.accepted_counters (
    tenant_id uuid NOT NULL,
    period date NOT NULL,
    accepted numeric DEFAULT 0 NOT NULL,
    meter text DEFAULT 'events'::text NOT NULL,
    notified jsonb DEFAULT '{}'::jsonb NOT NULL,
    next_threshold numeric DEFAULT 0 NOT NULL,
    limited_meters_version bigint DEFAULT 0 NOT NULL,
    CONSTRAINT accepted_counters_accepted_check CHECK (((accepted >= (0)::numeric) AND (accepted < 'Infinity'::numeric))),
    CONSTRAINT accepted_counters_notified_check CHECK ((jsonb_typeof(notified) = 'object'::text)),
    CONSTRAINT accepted_counters_period_check CHECK ((EXTRACT(day FROM period) = (1)::numeric))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.accepted_counters FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.accepted_counters IS 'What was accepted in a month of each limited meter and of events, counted in the accepting transaction: the limit is exact across processes.';
COMMENT ON COLUMN signalops.accepted_counters.tenant_id IS 'Whose count it is.';
COMMENT ON COLUMN signalops.accepted_counters.period IS 'First day of the calendar month, in the tenant''s time zone.';
COMMENT ON COLUMN signalops.accepted_counters.accepted IS 'The amount accepted; duplicates, refusals and operational events do not count.';
COMMENT ON COLUMN signalops.accepted_counters.meter IS 'The meter''s key.';
COMMENT ON COLUMN signalops.accepted_counters.notified IS 'The amounts of which the tenant was notified, by threshold or limit: {"50": 60000, "soft": 100000, "hard": 120000}, where 50 is a threshold.';
COMMENT ON COLUMN signalops.accepted_counters.next_threshold IS 'Fast-path bound: below this amount no limit or threshold can be reached, so accept skips all checks. 0: unknown, take the slow path.';
COMMENT ON COLUMN signalops.accepted_counters.limited_meters_version IS 'The tenants.limited_meters_version of its counts; a row with an older one (its meter had no limit) starts again from usage_counters.';

CREATE VIEW ops.tenant_usage AS
 SELECT t.slug AS tenant,
    t.id AS tenant_id,
    q.meter,
    q.period,
    q.accepted,
    l.soft,
    l.hard,
    l.overage,
    round((((100)::numeric * q.accepted) / NULLIF(COALESCE(l.hard, l.soft), (0)::numeric)), 1) AS percent,
    (COALESCE(c.events, (0)::numeric) + COALESCE(e.events, (0)::numeric)) AS counted
   FROM (((((signalops.tenants t
     CROSS JOIN LATERAL ( SELECT signalops.period_of(now(), t.time_zone) AS period,
            ((now() AT TIME ZONE t.time_zone))::date AS today) p)
     JOIN signalops.accepted_counters q ON (((q.tenant_id = t.id) AND (q.period = p.period))))
     LEFT JOIN LATERAL ( SELECT n.tenant_id,
            n.meter,
            n.origin,
            n.starts_on,
            n.soft,
            n.hard,
            n.thresholds,
            n.overage,
            n.set_at
           FROM signalops.limits n
          WHERE ((n.tenant_id = t.id) AND (n.meter = q.meter) AND (n.starts_on <= p.today))
          ORDER BY n.origin DESC, n.starts_on DESC
         LIMIT 1) l ON (true))
     CROSS JOIN LATERAL ( SELECT sum(u.events) AS events
           FROM signalops.usage_counters u
          WHERE ((u.tenant_id = t.id) AND (u.meter = q.meter) AND (u.period = p.period) AND (NOT u.is_late) AND (u.hour >= signalops.period_start(p.period, t.time_zone)))) c)
     CROSS JOIN LATERAL ( SELECT sum(u.events) AS events
           FROM signalops.usage_counters u
          WHERE ((u.tenant_id = t.id) AND (u.meter = q.meter) AND (u.period = p.period) AND u.is_late)) e);

COMMENT ON VIEW ops.tenant_usage IS 'What each tenant has used of its meters in this month, in its time zone. Reads the month''s counters.';
COMMENT ON COLUMN ops.tenant_usage.tenant IS 'The tenant''s slug.';
COMMENT ON COLUMN ops.tenant_usage.tenant_id IS 'Its id.';
COMMENT ON COLUMN ops.tenant_usage.meter IS 'The meter''s key; events: all events.';
COMMENT ON COLUMN ops.tenant_usage.period IS 'The first day of the month.';
COMMENT ON COLUMN ops.tenant_usage.accepted IS 'The amount accepted, in the meter''s unit.';
COMMENT ON COLUMN ops.tenant_usage.soft IS 'The amount at which the tenant is notified; NULL: none.';
COMMENT ON COLUMN ops.tenant_usage.hard IS 'The amount beyond which it is refused, or marked; NULL: none.';
COMMENT ON COLUMN ops.tenant_usage.overage IS 'Overage beyond hard: refuse or accept; NULL: it never had a limit.';
COMMENT ON COLUMN ops.tenant_usage.percent IS 'Accepted of hard (of soft, without hard); NULL: there is no limit.';
COMMENT ON COLUMN ops.tenant_usage.counted IS 'Events processed and billed in this month, late ones too; what is accepted above it waits, died, or belongs to another month.';

CREATE VIEW ops.outlook AS
 SELECT what,
    subject,
    round(used, 3) AS used,
    detail,
    remedy
   FROM ( SELECT 'hard limit'::text AS what,
            ((u.tenant || ' '::text) || u.meter) AS subject,
            (u.percent / (100)::numeric) AS used,
            ((((u.accepted || ' of '::text) || u.hard) || ' in '::text) || to_char((u.period)::timestamp with time zone, 'YYYY-MM'::text)) AS detail,
            'Raise the limit: signalops limit set'::text AS remedy
           FROM ops.tenant_usage u
          WHERE (u.hard > (0)::numeric)
        UNION ALL
         SELECT 'partitions'::text,
            p.parent,
            GREATEST((0)::numeric, ((1)::numeric - ((min(p.months_ahead))::numeric / 3.0))) AS "greatest",
            (min(p.months_ahead) || ' months ahead'::text),
            'See that a worker takes the queue maintenance: signalops doctor'::text
           FROM ops.partitions p
          GROUP BY p.parent
        UNION ALL
         SELECT 'transaction ids'::text,
            (((t.schema)::text || '.'::text) || (t."table")::text),
            ((t.xid_age)::numeric / 2147483648.0),
            (t.xid_age || ' transactions old'::text),
            'Vacuum the table; end what holds back its horizon: ops.sessions'::text
           FROM ops.tables t
        UNION ALL
         SELECT 'dead rows'::text,
            (((t.schema)::text || '.'::text) || (t."table")::text),
            ((t.dead_rows)::numeric / (NULLIF(t.vacuum_due_at, 0))::numeric),
            ((t.dead_rows || ' dead rows, autovacuum comes at '::text) || t.vacuum_due_at),
            'See that autovacuum is on and not behind'::text
           FROM ops.tables t
          WHERE (t.vacuum_due_at > 0)
        UNION ALL
         SELECT 'connections'::text,
            NULL::text,
            (sum(c.sessions) / (max(c.max_connections))::numeric),
            ((sum(c.sessions) || ' of '::text) || max(c.max_connections)),
            'Raise max_connections, or put PgBouncer before the server'::text
           FROM ops.connections c) o
  WHERE (used IS NOT NULL)
  ORDER BY o.used DESC;

COMMENT ON VIEW ops.outlook IS 'What runs out next, the fullest first: limits, partitions, transaction ids, connections, and tables that await vacuum.';
COMMENT ON COLUMN ops.outlook.what IS 'hard limit, partitions, transaction ids, dead rows or connections.';
COMMENT ON COLUMN ops.outlook.subject IS 'The tenant and meter, or the table; NULL: the whole server.';
COMMENT ON COLUMN ops.outlook.used IS 'How much of it is used up: at 1 it breaks, or for dead rows autovacuum comes.';
COMMENT ON COLUMN ops.outlook.detail IS 'The figures.';
COMMENT ON COLUMN ops.outlook.remedy IS 'What to do.';

CREATE TABLE ops.paused_queues (
    queue text NOT NULL,
    reason text NOT NULL,
    paused_by text DEFAULT SESSION_USER NOT NULL,
    paused_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT paused_queues_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

COMMENT ON TABLE ops.paused_queues IS 'Queues of which no job is begun: workers look here with each fetch. See ops.pause_queue.';
COMMENT ON COLUMN ops.paused_queues.queue IS 'The queue.';
COMMENT ON COLUMN ops.paused_queues.reason IS 'Why, in the words of who paused it.';
COMMENT ON COLUMN ops.paused_queues.paused_by IS 'The login that paused it.';
COMMENT ON COLUMN ops.paused_queues.paused_at IS 'When.';

CREATE VIEW ops.running_jobs AS
 SELECT j.id AS job_id,
    (j.queue_name)::text AS queue,
    (j.task_name)::text AS task,
    j.args AS about,
    j.attempts,
    s.started_at,
    (clock_timestamp() - s.started_at) AS running_for,
    j.worker_id,
    COALESCE((w.last_heartbeat > (now() - signalops.worker_timeout())), false) AS is_worker_alive
   FROM ((procrastinate.procrastinate_jobs j
     LEFT JOIN procrastinate.procrastinate_workers w ON ((w.id = j.worker_id)))
     CROSS JOIN LATERAL ( SELECT max(e.at) AS started_at
           FROM procrastinate.procrastinate_events e
          WHERE ((e.job_id = j.id) AND (e.type = 'started'::procrastinate.procrastinate_job_event_type))) s)
  WHERE (j.status = 'doing'::procrastinate.procrastinate_job_status);

COMMENT ON VIEW ops.running_jobs IS 'The jobs that workers are at. One that runs for minutes under a worker that lives is stuck: procrastinate could not write down its end.';
COMMENT ON COLUMN ops.running_jobs.job_id IS 'The job.';
COMMENT ON COLUMN ops.running_jobs.queue IS 'Its queue.';
COMMENT ON COLUMN ops.running_jobs.task IS 'What it does.';
COMMENT ON COLUMN ops.running_jobs.about IS 'Its arguments, which are ids.';
COMMENT ON COLUMN ops.running_jobs.attempts IS 'How often it was begun before.';
COMMENT ON COLUMN ops.running_jobs.started_at IS 'When it was begun.';
COMMENT ON COLUMN ops.running_jobs.running_for IS 'How long ago that is.';
COMMENT ON COLUMN ops.running_jobs.worker_id IS 'The worker; NULL: it is known no longer.';
COMMENT ON COLUMN ops.running_jobs.is_worker_alive IS 'Whether that sent a heartbeat in the last 5 seconds.';

CREATE VIEW ops.workers AS
 SELECT w.id AS worker_id,
    w.last_heartbeat,
    (now() - w.last_heartbeat) AS silent_for,
    (w.last_heartbeat > (now() - signalops.worker_timeout())) AS is_alive,
    COALESCE(d.jobs, (0)::bigint) AS doing
   FROM (procrastinate.procrastinate_workers w
     LEFT JOIN ( SELECT j.worker_id,
            count(*) AS jobs
           FROM procrastinate.procrastinate_jobs j
          WHERE (j.status = 'doing'::procrastinate.procrastinate_job_status)
          GROUP BY j.worker_id) d ON ((d.worker_id = w.id)));

COMMENT ON VIEW ops.workers IS 'The workers that are known. The jobs of one that is silent for 5 seconds are given to others.';
COMMENT ON COLUMN ops.workers.worker_id IS 'Its number, new with each start.';
COMMENT ON COLUMN ops.workers.last_heartbeat IS 'Its last heartbeat; it sends one each second.';
COMMENT ON COLUMN ops.workers.silent_for IS 'How long ago that is.';
COMMENT ON COLUMN ops.workers.is_alive IS 'Whether it is less than 5 seconds.';
COMMENT ON COLUMN ops.workers.doing IS 'Jobs that it is at.';

CREATE VIEW ops.queue_health AS
 SELECT q.queue,
    COALESCE(j.ready, (0)::bigint) AS ready,
    COALESCE(j.scheduled, (0)::bigint) AS scheduled,
    COALESCE(j.doing, (0)::bigint) AS doing,
    COALESCE(j.failed, (0)::bigint) AS failed,
    (now() - ( SELECT min(e.at) AS min
           FROM procrastinate.procrastinate_events e
          WHERE (e.job_id = j.first_ready))) AS oldest_ready,
    ( SELECT max(r.running_for) AS max
           FROM ops.running_jobs r
          WHERE (r.queue = q.queue)) AS oldest_doing,
    COALESCE(j.workers, (0)::bigint) AS workers_busy,
    ( SELECT count(*) AS count
           FROM ops.workers w
          WHERE w.is_alive) AS workers_alive,
    p.paused_at,
    p.reason AS paused_because
   FROM ((( SELECT unnest(ops.queues()) AS queue
        UNION
         SELECT DISTINCT o.queue
           FROM ops.paused_queues o) q
     LEFT JOIN ( SELECT (n.queue_name)::text AS queue,
            count(*) FILTER (WHERE ((n.status = 'todo'::procrastinate.procrastinate_job_status) AND COALESCE((n.scheduled_at <= now()), true))) AS ready,
            count(*) FILTER (WHERE ((n.status = 'todo'::procrastinate.procrastinate_job_status) AND (n.scheduled_at > now()))) AS scheduled,
            count(*) FILTER (WHERE (n.status = 'doing'::procrastinate.procrastinate_job_status)) AS doing,
            count(*) FILTER (WHERE (n.status = ANY (ARRAY['failed'::procrastinate.procrastinate_job_status, 'aborted'::procrastinate.procrastinate_job_status]))) AS failed,
            min(n.id) FILTER (WHERE ((n.status = 'todo'::procrastinate.procrastinate_job_status) AND COALESCE((n.scheduled_at <= now()), true))) AS first_ready,
            count(DISTINCT n.worker_id) FILTER (WHERE (n.status = 'doing'::procrastinate.procrastinate_job_status)) AS workers
           FROM procrastinate.procrastinate_jobs n
          GROUP BY n.queue_name) j ON ((j.queue = q.queue)))
     LEFT JOIN ops.paused_queues p ON ((p.queue = q.queue)));

COMMENT ON VIEW ops.queue_health IS 'The queues: what waits, runs and was given up, and for how long. Reads the job table once, which is small when all is well.';
COMMENT ON COLUMN ops.queue_health.queue IS 'The queue.';
COMMENT ON COLUMN ops.queue_health.ready IS 'Jobs that any worker may begin now.';
COMMENT ON COLUMN ops.queue_health.scheduled IS 'Jobs that are to run later; only retries of jobs that failed are.';
COMMENT ON COLUMN ops.queue_health.doing IS 'Jobs that workers are at.';
COMMENT ON COLUMN ops.queue_health.failed IS 'Jobs that were given up, failed or aborted: ops.job_history lists them.';
COMMENT ON COLUMN ops.queue_health.oldest_ready IS 'How long ago the first of those that are ready was enqueued; NULL: none is ready.';
COMMENT ON COLUMN ops.queue_health.oldest_doing IS 'For how long the longest has been running; NULL: none is.';
COMMENT ON COLUMN ops.queue_health.workers_busy IS 'Workers that are at a job of it.';
COMMENT ON COLUMN ops.queue_health.workers_alive IS 'Workers that live, whatever their queue: which queues a worker serves is not stored.';
COMMENT ON COLUMN ops.queue_health.paused_at IS 'Since when it has been paused; NULL: it is not.';
COMMENT ON COLUMN ops.queue_health.paused_because IS 'Why it is paused.';

CREATE TABLE signalops.matches (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_version integer NOT NULL,
    outcome text DEFAULT 'notified'::text NOT NULL,
    CONSTRAINT matches_outcome_check CHECK ((outcome = ANY (ARRAY['notified'::text, 'counted'::text, 'late'::text, 'ignored'::text, 'silenced'::text, 'outside_hours'::text, 'cooldown'::text, 'digested'::text])))
)
PARTITION BY RANGE (event_id);

ALTER TABLE ONLY signalops.matches FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.matches IS 'Which rule, in which version, matched which event. Partitioned as events are.';
COMMENT ON COLUMN signalops.matches.tenant_id IS 'Whose event it is.';
COMMENT ON COLUMN signalops.matches.event_id IS 'The event.';
COMMENT ON COLUMN signalops.matches.rule_id IS 'The rule that matched.';
COMMENT ON COLUMN signalops.matches.rule_version IS 'The version that decided.';
COMMENT ON COLUMN signalops.matches.outcome IS 'notified: a delivery was made. counted: towards a window or absence. late, ignored: not counted (came in too late; the measured field is missing). silenced, outside_hours (active hours), cooldown: no notification. digested: in a digest with others.';

CREATE TABLE signalops.rule_states (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    state_version integer NOT NULL,
    group_key text NOT NULL,
    labels jsonb NOT NULL,
    last_match_at timestamp with time zone,
    notified_ranges tstzmultirange DEFAULT '{}'::tstzmultirange NOT NULL,
    cooldown_until timestamp with time zone,
    due_at timestamp with time zone,
    expires_at timestamp with time zone NOT NULL,
    causation_depth smallint DEFAULT 0 NOT NULL
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.rule_states FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.rule_states IS 'What a rule remembers of each of its groups. Its row lock makes many workers count as one.';
COMMENT ON COLUMN signalops.rule_states.tenant_id IS 'Whose rule it is.';
COMMENT ON COLUMN signalops.rule_states.rule_id IS 'The rule.';
COMMENT ON COLUMN signalops.rule_states.state_version IS 'The state''s version: rule_versions.state_version.';
COMMENT ON COLUMN signalops.rule_states.group_key IS 'The JSON list of the values of the fields it groups by, or its hash; []: the rule does not group.';
COMMENT ON COLUMN signalops.rule_states.labels IS 'The same values by field, for people.';
COMMENT ON COLUMN signalops.rule_states.last_match_at IS 'The latest event time of a match; NULL: none since the rule was enabled.';
COMMENT ON COLUMN signalops.rule_states.notified_ranges IS 'The ranges of event time in which a window was reached and notified: an event that extends one of them does not notify again.';
COMMENT ON COLUMN signalops.rule_states.cooldown_until IS 'Until when the cooldown lasts.';
COMMENT ON COLUMN signalops.rule_states.due_at IS 'When an absence fires, unless something matches before; NULL: it fired, or the rule has none.';
COMMENT ON COLUMN signalops.rule_states.expires_at IS 'When nothing that it remembers can matter any more.';
COMMENT ON COLUMN signalops.rule_states.causation_depth IS 'The causation_depth of the latest match (see events.causation_depth): the notice of an absence is one deeper.';

CREATE TABLE signalops.window_events (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    state_version integer NOT NULL,
    group_key text NOT NULL,
    at timestamp with time zone NOT NULL,
    event_id uuid NOT NULL,
    value numeric NOT NULL,
    distinct_value text
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.window_events FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.window_events IS 'The matches in rules'' windows: as long as one of them, or a late one, may need them.';
COMMENT ON COLUMN signalops.window_events.tenant_id IS 'Whose rule it is.';
COMMENT ON COLUMN signalops.window_events.rule_id IS 'The rule.';
COMMENT ON COLUMN signalops.window_events.state_version IS 'As in rule_states.';
COMMENT ON COLUMN signalops.window_events.group_key IS 'As in rule_states.';
COMMENT ON COLUMN signalops.window_events.at IS 'Event time: when it occurred, but not after it came in.';
COMMENT ON COLUMN signalops.window_events.event_id IS 'The event.';
COMMENT ON COLUMN signalops.window_events.value IS 'What it adds: 1, or the measured number of a sum.';
COMMENT ON COLUMN signalops.window_events.distinct_value IS 'The measured value where distinct ones count, as canonical JSON or its hash; else NULL.';

CREATE VIEW ops.slow_rules AS
 SELECT t.slug AS tenant,
    r.tenant_id,
    r.name AS rule,
    r.id AS rule_id,
    r.active_version AS version,
    r.enabled,
    v.conditions,
    octet_length((v.pattern)::text) AS pattern_bytes,
    COALESCE(m.matches, (0)::bigint) AS matches_in_an_hour,
    g.groups,
    h.retained AS window_events,
    d.dead AS dead_in_a_day
   FROM ((((((signalops.rules r
     JOIN signalops.tenants t ON ((t.id = r.tenant_id)))
     JOIN signalops.rule_versions v ON (((v.tenant_id = r.tenant_id) AND (v.rule_id = r.id) AND (v.version = r.active_version))))
     LEFT JOIN ( SELECT s.tenant_id,
            s.rule_id,
            s.matches
           FROM (signalops.tenants a
             CROSS JOIN LATERAL ( SELECT n.tenant_id,
                    n.rule_id,
                    count(*) AS matches
                   FROM signalops.matches n
                  WHERE ((n.tenant_id = a.id) AND (n.event_id >= signalops.uuid7_floor((now() - '01:00:00'::interval))))
                  GROUP BY n.tenant_id, n.rule_id) s)) m ON (((m.tenant_id = r.tenant_id) AND (m.rule_id = r.id))))
     CROSS JOIN LATERAL ( SELECT count(*) AS groups
           FROM signalops.rule_states n
          WHERE ((n.tenant_id = r.tenant_id) AND (n.rule_id = r.id))) g)
     CROSS JOIN LATERAL ( SELECT count(*) AS retained
           FROM signalops.window_events n
          WHERE ((n.tenant_id = r.tenant_id) AND (n.rule_id = r.id))) h)
     CROSS JOIN LATERAL ( SELECT count(*) AS dead
           FROM signalops.dead_letters n
          WHERE ((n.tenant_id = r.tenant_id) AND (n.rule_id = r.id) AND (n.resolved_at IS NULL) AND (n.died_at >= (now() - '1 day'::interval)))) d)
  WHERE (r.deleted_at IS NULL);

COMMENT ON VIEW ops.slow_rules IS 'What makes rules dear: their size, how often they match, what they remember, what comes of them. How long a rule takes to be evaluated is not stored, since all of a tenant''s are evaluated as one; a backtest times one alone: see ops.backtests.';
COMMENT ON COLUMN ops.slow_rules.tenant IS 'The tenant''s slug.';
COMMENT ON COLUMN ops.slow_rules.tenant_id IS 'Its id.';
COMMENT ON COLUMN ops.slow_rules.rule IS 'The rule''s name.';
COMMENT ON COLUMN ops.slow_rules.rule_id IS 'Its id.';
COMMENT ON COLUMN ops.slow_rules.version IS 'The version that decides now.';
COMMENT ON COLUMN ops.slow_rules.enabled IS 'Whether it is evaluated.';
COMMENT ON COLUMN ops.slow_rules.conditions IS 'Conditions of its pattern once every $or is expanded: what it costs to compile and to keep in memory.';
COMMENT ON COLUMN ops.slow_rules.pattern_bytes IS 'The length of its pattern as JSON.';
COMMENT ON COLUMN ops.slow_rules.matches_in_an_hour IS 'Events of the last hour that it matched.';
COMMENT ON COLUMN ops.slow_rules.groups IS 'Groups that it remembers, each a row which a match locks.';
COMMENT ON COLUMN ops.slow_rules.window_events IS 'Events in its windows.';
COMMENT ON COLUMN ops.slow_rules.dead_in_a_day IS 'Its deliveries that died in the last 24 hours and wait for somebody to look, as for a template that fails.';

CREATE TABLE signalops.api_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    prefix text NOT NULL,
    hash text NOT NULL,
    label text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    allowed_cidrs cidr[] DEFAULT '{}'::cidr[] NOT NULL,
    replaces uuid,
    last_used_at timestamp with time zone,
    rate_per_second numeric,
    rate_burst integer,
    digest bytea,
    made_by uuid,
    CONSTRAINT api_keys_allowed_cidrs_check CHECK ((cardinality(allowed_cidrs) <= 50)),
    CONSTRAINT api_keys_check CHECK (((rate_per_second IS NULL) = (rate_burst IS NULL))),
    CONSTRAINT api_keys_digest_check CHECK ((octet_length(digest) = 36)),
    CONSTRAINT api_keys_hash_check CHECK ((hash ~ '^\$2[aby]\$'::text)),
    CONSTRAINT api_keys_label_check CHECK (((length(label) >= 1) AND (length(label) <= 200))),
    CONSTRAINT api_keys_prefix_check CHECK ((length(prefix) = 16)),
    CONSTRAINT api_keys_rate_burst_check CHECK (((rate_burst >= 1) AND (rate_burst <= 1000000))),
    CONSTRAINT api_keys_rate_per_second_check CHECK (((rate_per_second >= 0.000001) AND (rate_per_second <= (1000000)::numeric)))
);

ALTER TABLE ONLY signalops.api_keys FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.api_keys IS 'API keys, as bcrypt hashes; the key itself is shown once and never stored.';
COMMENT ON COLUMN signalops.api_keys.tenant_id IS 'Whose key it is.';
COMMENT ON COLUMN signalops.api_keys.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.api_keys.prefix IS 'The first 16 characters of the key: enough to find the row, too little to guess the rest.';
COMMENT ON COLUMN signalops.api_keys.hash IS 'bcrypt hash of the whole key.';
COMMENT ON COLUMN signalops.api_keys.label IS 'What the tenant calls it.';
COMMENT ON COLUMN signalops.api_keys.scopes IS 'What it may do, such as events:write.';
COMMENT ON COLUMN signalops.api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.api_keys.expires_at IS 'From when it is refused; NULL: never.';
COMMENT ON COLUMN signalops.api_keys.revoked_at IS 'When it was revoked; NULL: it is not.';
COMMENT ON COLUMN signalops.api_keys.allowed_cidrs IS 'Networks from which it is accepted; none: from everywhere.';
COMMENT ON COLUMN signalops.api_keys.replaces IS 'The key that was rotated to this one; NULL: created, not rotated.';
COMMENT ON COLUMN signalops.api_keys.last_used_at IS 'When it was last let in, to the minute: it may have been used up to a minute later. NULL: it was not used since this is written.';
COMMENT ON COLUMN signalops.api_keys.rate_per_second IS 'Events a second that may come in with it, besides what its tenant may; NULL: no limit of its own.';
COMMENT ON COLUMN signalops.api_keys.rate_burst IS 'Events that may come in with it at once after a pause; NULL: no limit of its own.';
COMMENT ON COLUMN signalops.api_keys.digest IS 'HMAC-SHA256 of the whole key by the installation''s secret, behind 4 bytes that name the secret; NULL: a key of another format, or not used since it could be made.';
COMMENT ON COLUMN signalops.api_keys.made_by IS 'The key that it was made by: it ends no later, and pays from that one''s bucket, too. NULL: a person made it.';

CREATE TABLE signalops.batch_results (
    tenant_id uuid NOT NULL,
    batch uuid NOT NULL,
    counted_in uuid NOT NULL,
    job_id bigint NOT NULL,
    worker text NOT NULL,
    ruleset_version bigint NOT NULL,
    rules integer NOT NULL,
    events integer NOT NULL,
    dead integer DEFAULT 0 NOT NULL,
    processed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    meters_version bigint DEFAULT 0 NOT NULL,
    billed integer NOT NULL
)
PARTITION BY RANGE (batch);

ALTER TABLE ONLY signalops.batch_results FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.batch_results IS 'What a worker did with one tenant''s events of one batch. Partitioned by month of the batch.';
COMMENT ON COLUMN signalops.batch_results.tenant_id IS 'Whose events they were.';
COMMENT ON COLUMN signalops.batch_results.batch IS 'UUIDv7; the flush that stored them.';
COMMENT ON COLUMN signalops.batch_results.counted_in IS 'The batch that its usage entries name: the first of those that one job processed together.';
COMMENT ON COLUMN signalops.batch_results.job_id IS 'The procrastinate job that processed it; finished jobs are deleted.';
COMMENT ON COLUMN signalops.batch_results.worker IS 'The worker process: host and process id.';
COMMENT ON COLUMN signalops.batch_results.ruleset_version IS 'The version of the tenant''s rules that it used.';
COMMENT ON COLUMN signalops.batch_results.rules IS 'How many rules were evaluated for each event.';
COMMENT ON COLUMN signalops.batch_results.events IS 'Events processed and counted.';
COMMENT ON COLUMN signalops.batch_results.dead IS 'Events that became dead letters.';
COMMENT ON COLUMN signalops.batch_results.processed_at IS 'When, just before the commit.';
COMMENT ON COLUMN signalops.batch_results.meters_version IS 'The version of the tenant''s meters that it used.';
COMMENT ON COLUMN signalops.batch_results.billed IS 'Events of these that were counted: neither operational events nor replays.';

CREATE TABLE signalops.billing_periods (
    tenant_id uuid NOT NULL,
    period date NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    frozen_at timestamp with time zone DEFAULT now() NOT NULL,
    barrier bigint,
    closed_at timestamp with time zone,
    CONSTRAINT billing_periods_check CHECK ((ends_at > starts_at)),
    CONSTRAINT billing_periods_check1 CHECK (((closed_at IS NULL) OR (barrier IS NOT NULL))),
    CONSTRAINT billing_periods_period_check CHECK ((EXTRACT(day FROM period) = (1)::numeric))
);

ALTER TABLE ONLY signalops.billing_periods FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.billing_periods IS 'The billing periods that have ended: frozen, so that what is counted from then on is late; then closed, when no transaction can count into them.';
COMMENT ON COLUMN signalops.billing_periods.tenant_id IS 'Whose period it is.';
COMMENT ON COLUMN signalops.billing_periods.period IS 'The calendar month, by its first day.';
COMMENT ON COLUMN signalops.billing_periods.starts_at IS 'When it began in the tenant''s time zone.';
COMMENT ON COLUMN signalops.billing_periods.ends_at IS 'When it ended.';
COMMENT ON COLUMN signalops.billing_periods.frozen_at IS 'When tenants.closed_until became its end.';
COMMENT ON COLUMN signalops.billing_periods.barrier IS 'A transaction that began after the freezing was committed; when all before it have ended, no transaction counts by the old closed_until.';
COMMENT ON COLUMN signalops.billing_periods.closed_at IS 'When it was sealed and invoiced; NULL: not yet.';

CREATE TABLE signalops.channel_schedules (
    tenant_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    tokens double precision NOT NULL,
    refilled_at timestamp with time zone NOT NULL,
    next_due_at timestamp with time zone
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.channel_schedules FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.channel_schedules IS 'Fair queueing of channels: idle channels get jobs at once, the others share the workers'' capacity.';
COMMENT ON COLUMN signalops.channel_schedules.tenant_id IS 'Whose channel it is.';
COMMENT ON COLUMN signalops.channel_schedules.channel_id IS 'The channel.';
COMMENT ON COLUMN signalops.channel_schedules.tokens IS 'Deliveries that may have a job at once, as of refilled_at: 1,000, and 500 more a second.';
COMMENT ON COLUMN signalops.channel_schedules.refilled_at IS 'When the tokens were counted.';
COMMENT ON COLUMN signalops.channel_schedules.next_due_at IS 'When the first of its deliveries that wait without a job is due; NULL: none waits.';

CREATE TABLE signalops.credit_entries (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    grant_id uuid NOT NULL,
    kind text NOT NULL,
    amount numeric NOT NULL,
    invoice_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT credit_entries_check CHECK (((amount <> (0)::numeric) AND ((amount > (0)::numeric) = (kind = ANY (ARRAY['granted'::text, 'returned'::text]))))),
    CONSTRAINT credit_entries_check1 CHECK (((invoice_id IS NOT NULL) = (kind = ANY (ARRAY['burned'::text, 'returned'::text])))),
    CONSTRAINT credit_entries_kind_check CHECK ((kind = ANY (ARRAY['granted'::text, 'burned'::text, 'returned'::text, 'expired'::text])))
);

ALTER TABLE ONLY signalops.credit_entries FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.credit_entries IS 'The ledger of credit: each movement of each grant. Never changed, only added to.';
COMMENT ON COLUMN signalops.credit_entries.tenant_id IS 'Whose credit it is.';
COMMENT ON COLUMN signalops.credit_entries.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.credit_entries.grant_id IS 'The grant that it moves.';
COMMENT ON COLUMN signalops.credit_entries.kind IS 'granted, burned by an invoice, returned when that was voided, or expired.';
COMMENT ON COLUMN signalops.credit_entries.amount IS 'What it adds to the grant; negative: takes off.';
COMMENT ON COLUMN signalops.credit_entries.invoice_id IS 'The invoice that burned it, or whose voiding returned it.';
COMMENT ON COLUMN signalops.credit_entries.created_at IS 'When it was made.';

CREATE TABLE signalops.credit_grants (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    amount numeric NOT NULL,
    remaining numeric DEFAULT 0 NOT NULL,
    currency text NOT NULL,
    priority smallint DEFAULT 50 NOT NULL,
    expires_at timestamp with time zone,
    reason text NOT NULL,
    author text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    idempotency_key text,
    body_hash bytea,
    CONSTRAINT credit_grants_amount_check CHECK (((amount > (0)::numeric) AND (amount < '1000000000000000'::numeric))),
    CONSTRAINT credit_grants_author_check CHECK (((length(author) >= 1) AND (length(author) <= 200))),
    CONSTRAINT credit_grants_check CHECK (((remaining >= (0)::numeric) AND (remaining <= amount))),
    CONSTRAINT credit_grants_check1 CHECK (((body_hash IS NULL) = (idempotency_key IS NULL))),
    CONSTRAINT credit_grants_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT credit_grants_idempotency_key_check CHECK (((length(idempotency_key) >= 1) AND (length(idempotency_key) <= 255))),
    CONSTRAINT credit_grants_priority_check CHECK (((priority >= 0) AND (priority <= 100))),
    CONSTRAINT credit_grants_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

ALTER TABLE ONLY signalops.credit_grants FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.credit_grants IS 'Credit that invoices in its currency use up. A grant is never changed; what is left of it follows its entries.';
COMMENT ON COLUMN signalops.credit_grants.tenant_id IS 'Whose credit it is.';
COMMENT ON COLUMN signalops.credit_grants.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.credit_grants.amount IS 'How much was granted, in the currency''s major unit.';
COMMENT ON COLUMN signalops.credit_grants.remaining IS 'The sum of its entries: moved by them alone, and never below zero.';
COMMENT ON COLUMN signalops.credit_grants.currency IS 'ISO 4217; it pays invoices in no other.';
COMMENT ON COLUMN signalops.credit_grants.priority IS 'The least is burned first.';
COMMENT ON COLUMN signalops.credit_grants.expires_at IS 'An invoice issued from then on can''t use it; NULL: never.';
COMMENT ON COLUMN signalops.credit_grants.reason IS 'What it was given for.';
COMMENT ON COLUMN signalops.credit_grants.author IS 'Who answers for it.';
COMMENT ON COLUMN signalops.credit_grants.created_at IS 'When it was granted.';
COMMENT ON COLUMN signalops.credit_grants.idempotency_key IS 'With which it was sent; NULL: without one.';
COMMENT ON COLUMN signalops.credit_grants.body_hash IS 'SHA-256 of what was sent with the key: the key stands for nothing else.';

CREATE TABLE signalops.digests (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_version integer NOT NULL,
    channel_id uuid NOT NULL,
    opened_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    due_at timestamp with time zone NOT NULL,
    matched bigint NOT NULL,
    events uuid[] NOT NULL,
    causation_depth smallint NOT NULL,
    CONSTRAINT digests_events_check CHECK (((cardinality(events) >= 1) AND (cardinality(events) <= signalops.digest_events()))),
    CONSTRAINT digests_matched_check CHECK ((matched > 0))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.digests FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.digests IS 'The digests that are being collected. The transaction that removes one makes its delivery.';
COMMENT ON COLUMN signalops.digests.tenant_id IS 'Whose rule it is.';
COMMENT ON COLUMN signalops.digests.rule_id IS 'The rule.';
COMMENT ON COLUMN signalops.digests.rule_version IS 'The version that collected last: its template is rendered.';
COMMENT ON COLUMN signalops.digests.channel_id IS 'Where that version sends to.';
COMMENT ON COLUMN signalops.digests.opened_at IS 'When the first match came.';
COMMENT ON COLUMN signalops.digests.due_at IS 'When it is sent.';
COMMENT ON COLUMN signalops.digests.matched IS 'How many matches it collected.';
COMMENT ON COLUMN signalops.digests.events IS 'The first 100 of their events.';
COMMENT ON COLUMN signalops.digests.causation_depth IS 'The largest causation_depth of them (see events.causation_depth).';

CREATE TABLE signalops.event_schemas (
    tenant_id uuid NOT NULL,
    type text NOT NULL,
    mode text NOT NULL,
    schema json NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT event_schemas_mode_check CHECK ((mode = ANY (ARRAY['warn'::text, 'reject'::text]))),
    CONSTRAINT event_schemas_schema_check CHECK ((octet_length((schema)::text) <= 65536))
);

ALTER TABLE ONLY signalops.event_schemas FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.event_schemas IS 'JSON Schemas that validate the payloads of a tenant''s incoming events.';
COMMENT ON COLUMN signalops.event_schemas.tenant_id IS 'Whose schema it is.';
COMMENT ON COLUMN signalops.event_schemas.type IS 'The type of the events.';
COMMENT ON COLUMN signalops.event_schemas.mode IS 'warn: the answer names the faults; reject: the event is refused.';
COMMENT ON COLUMN signalops.event_schemas.schema IS 'JSON Schema of the payload (draft 2020-12 or 7), as it was written.';
COMMENT ON COLUMN signalops.event_schemas.updated_at IS 'When it was written last.';

CREATE TABLE signalops.events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    batch uuid NOT NULL,
    type text NOT NULL,
    source text,
    occurred_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    payload jsonb NOT NULL,
    attributes jsonb,
    causation_depth smallint DEFAULT 0 NOT NULL,
    over_limit boolean DEFAULT false NOT NULL,
    correlation character varying(128),
    trace character varying(55)
)
PARTITION BY RANGE (id);

ALTER TABLE ONLY signalops.events FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.events IS 'Accepted events, immutable from then on. Partitioned by month of the id, which is a UUIDv7.';
COMMENT ON COLUMN signalops.events.tenant_id IS 'Whose event it is.';
COMMENT ON COLUMN signalops.events.id IS 'UUIDv7 made when the request came in; answered to the producer.';
COMMENT ON COLUMN signalops.events.batch IS 'The flush that stored it; see batch_results for its processing.';
COMMENT ON COLUMN signalops.events.type IS 'Dot-separated words, such as user.signup.';
COMMENT ON COLUMN signalops.events.source IS 'Where it came from, in the producer''s words.';
COMMENT ON COLUMN signalops.events.occurred_at IS 'When it happened, in the producer''s words; else when it came in.';
COMMENT ON COLUMN signalops.events.received_at IS 'When it came in, by the clock of the API process.';
COMMENT ON COLUMN signalops.events.payload IS 'The producer''s object.';
COMMENT ON COLUMN signalops.events.attributes IS 'CloudEvents attributes beyond type, source and time (id, subject, extensions ...); NULL: none.';
COMMENT ON COLUMN signalops.events.causation_depth IS '0: sent by the tenant, and billed. 1 and above: an operational event of SignalOps, caused by an event one level up.';
COMMENT ON COLUMN signalops.events.over_limit IS 'Accepted beyond a hard limit whose overage is accept.';
COMMENT ON COLUMN signalops.events.correlation IS 'The X-Request-Id, or else the trace-id, that the request of the event came with; NULL when it came with neither.';
COMMENT ON COLUMN signalops.events.trace IS 'The traceparent (W3C Trace Context) that the request of the event came with.';

CREATE VIEW signalops.event_status WITH (security_invoker='true') AS
 SELECT e.tenant_id,
    e.id,
    e.batch,
    e.type,
    e.source,
    e.occurred_at,
    e.received_at,
    e.payload,
    e.attributes,
    e.causation_depth,
        CASE
            WHEN ((i.event_id IS NOT NULL) AND (i.replay_id IS NULL)) THEN 'pending'::text
            WHEN ((d.id IS NOT NULL) AND (d.resolution IS DISTINCT FROM 'retried'::text)) THEN 'dead'::text
            ELSE 'processed'::text
        END AS status,
    e.over_limit,
    e.correlation
   FROM ((signalops.events e
     LEFT JOIN signalops.inbox i ON (((i.tenant_id = e.tenant_id) AND (i.event_id = e.id))))
     LEFT JOIN signalops.dead_letters d ON (((d.tenant_id = e.tenant_id) AND (d.id = e.id))));

COMMENT ON VIEW signalops.event_status IS 'Events with their status: pending (in the inbox, and not for a replay), processed, or dead (a dead letter).';
COMMENT ON COLUMN signalops.event_status.status IS 'pending, processed or dead.';
COMMENT ON COLUMN signalops.event_status.correlation IS 'As in signalops.events.';

CREATE TABLE signalops.event_types (
    tenant_id uuid NOT NULL,
    type text NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    count bigint NOT NULL,
    fields jsonb NOT NULL,
    fields_cut boolean DEFAULT false NOT NULL,
    example jsonb,
    CONSTRAINT event_types_count_check CHECK ((count > 0))
)
WITH (fillfactor='70');

ALTER TABLE ONLY signalops.event_types FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.event_types IS 'What a tenant sends, for editors to offer: at most 1,000 types a tenant. Workers write it a second after they processed.';
COMMENT ON COLUMN signalops.event_types.tenant_id IS 'Whose events they are.';
COMMENT ON COLUMN signalops.event_types.type IS 'The type, as events name it.';
COMMENT ON COLUMN signalops.event_types.first_seen_at IS 'When the first of these events was received.';
COMMENT ON COLUMN signalops.event_types.last_seen_at IS 'When the last of these events was received.';
COMMENT ON COLUMN signalops.event_types.count IS 'The events of this type that were processed since the catalogue is kept, without dead letters; less what a killed worker had not written yet, about a second of its work. Usage is what is exact.';
COMMENT ON COLUMN signalops.event_types.fields IS 'The fields seen in samples: {path: {types: [...], example: ...}}, at most 200; paths as patterns name them.';
COMMENT ON COLUMN signalops.event_types.fields_cut IS 'There are further fields.';
COMMENT ON COLUMN signalops.event_types.example IS 'A recent event of at most 16 KiB; NULL: none was that small.';

CREATE TABLE signalops.idempotency_keys (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    event_id uuid NOT NULL,
    body_hash bytea NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.05', autovacuum_vacuum_scale_factor='0.05', autovacuum_analyze_scale_factor='0.05');

ALTER TABLE ONLY signalops.idempotency_keys FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.idempotency_keys IS 'Which key stored which event: the second request with a key gets the first one''s answer.';
COMMENT ON COLUMN signalops.idempotency_keys.tenant_id IS 'Whose key it is; two tenants may use the same one.';
COMMENT ON COLUMN signalops.idempotency_keys.key IS 'As sent; for CloudEvents source and id, with a line feed between (no plain key contains one).';
COMMENT ON COLUMN signalops.idempotency_keys.event_id IS 'The event that was stored under it.';
COMMENT ON COLUMN signalops.idempotency_keys.body_hash IS 'SHA-256 of the canonical event: another body under the same key is refused.';

CREATE TABLE signalops.invoice_lines (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    "position" smallint NOT NULL,
    kind text NOT NULL,
    meter text,
    plan text,
    version integer,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    late_period date,
    aggregation text,
    events bigint,
    quantity numeric,
    included numeric,
    unit text,
    amount numeric NOT NULL,
    description text NOT NULL,
    details jsonb NOT NULL,
    CONSTRAINT invoice_lines_check CHECK (((meter IS NOT NULL) = (kind = ANY (ARRAY['usage'::text, 'late'::text])))),
    CONSTRAINT invoice_lines_check1 CHECK (((late_period IS NOT NULL) = (kind = 'late'::text))),
    CONSTRAINT invoice_lines_check2 CHECK (((aggregation IS NULL) = (meter IS NULL))),
    CONSTRAINT invoice_lines_kind_check CHECK ((kind = ANY (ARRAY['base'::text, 'usage'::text, 'late'::text, 'credit'::text, 'correction'::text]))),
    CONSTRAINT invoice_lines_position_check CHECK (("position" > 0))
);

ALTER TABLE ONLY signalops.invoice_lines FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.invoice_lines IS 'The lines of invoices and credit notes, each rounded to the minor unit; totals are sums of them.';
COMMENT ON COLUMN signalops.invoice_lines.tenant_id IS 'Of the invoice.';
COMMENT ON COLUMN signalops.invoice_lines.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.invoice_lines.invoice_id IS 'The document that it stands on.';
COMMENT ON COLUMN signalops.invoice_lines."position" IS 'Its place there, from 1.';
COMMENT ON COLUMN signalops.invoice_lines.kind IS 'base: the base fee of a stretch; usage: a meter of a stretch; late: what a closed period costs more by what came late; credit: credit that was burned; correction: the amount of a credit note.';
COMMENT ON COLUMN signalops.invoice_lines.meter IS 'The meter''s key; NULL: it is not about usage.';
COMMENT ON COLUMN signalops.invoice_lines.plan IS 'The plan by whose terms it is priced.';
COMMENT ON COLUMN signalops.invoice_lines.version IS 'The version of that plan.';
COMMENT ON COLUMN signalops.invoice_lines.starts_at IS 'From when: the usage of the hours from then on.';
COMMENT ON COLUMN signalops.invoice_lines.ends_at IS 'Until when.';
COMMENT ON COLUMN signalops.invoice_lines.late_period IS 'The closed period that the usage belongs to; NULL: it is not late.';
COMMENT ON COLUMN signalops.invoice_lines.aggregation IS 'The meter''s.';
COMMENT ON COLUMN signalops.invoice_lines.events IS 'How many events are behind it.';
COMMENT ON COLUMN signalops.invoice_lines.quantity IS 'signalops.usage_by of those hours in the invoice''s period; late: by how much the closed period''s figure changes.';
COMMENT ON COLUMN signalops.invoice_lines.included IS 'How much of it the base fee includes.';
COMMENT ON COLUMN signalops.invoice_lines.unit IS 'What is counted in.';
COMMENT ON COLUMN signalops.invoice_lines.amount IS 'What it costs, rounded half up to the minor unit.';
COMMENT ON COLUMN signalops.invoice_lines.description IS 'For people.';
COMMENT ON COLUMN signalops.invoice_lines.details IS 'The arithmetic: {days, ofDays, price, steps, before, after}, as far as it applies.';

CREATE TABLE signalops.invoice_numbers (
    series text NOT NULL,
    last bigint NOT NULL,
    CONSTRAINT invoice_numbers_last_check CHECK ((last > 0)),
    CONSTRAINT invoice_numbers_series_check CHECK ((series = ANY (ARRAY['invoice'::text, 'credit_note'::text])))
);

ALTER TABLE ONLY signalops.invoice_numbers FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.invoice_numbers IS 'The last number of each series of documents, across tenants: of the operator, who issues them.';
COMMENT ON COLUMN signalops.invoice_numbers.series IS 'invoice or credit_note.';
COMMENT ON COLUMN signalops.invoice_numbers.last IS 'The last that was given. The transaction that takes the next locks the row until its commit, so a failure leaves no gap.';

CREATE TABLE signalops.meters (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    first_version bigint NOT NULL,
    end_version bigint,
    name text NOT NULL,
    aggregation text NOT NULL,
    field text,
    grammar smallint NOT NULL,
    pattern jsonb NOT NULL,
    group_by text[] DEFAULT '{}'::text[] NOT NULL,
    unit text,
    origin text DEFAULT 'tenant'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    allows_negative boolean DEFAULT true NOT NULL,
    CONSTRAINT meters_aggregation_check CHECK ((aggregation = ANY (ARRAY['count'::text, 'sum'::text, 'max'::text, 'min'::text, 'avg'::text, 'latest'::text, 'unique_count'::text]))),
    CONSTRAINT meters_check CHECK ((end_version > first_version)),
    CONSTRAINT meters_check1 CHECK (((field IS NULL) = (aggregation = 'count'::text))),
    CONSTRAINT meters_check2 CHECK (((ended_at IS NULL) = (end_version IS NULL))),
    CONSTRAINT meters_key_check CHECK (((key ~ '^[a-z][a-z0-9_]{0,62}$'::text) AND (key <> 'events'::text))),
    CONSTRAINT meters_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT meters_origin_check CHECK ((origin = ANY (ARRAY['tenant'::text, 'plan'::text]))),
    CONSTRAINT meters_pattern_check CHECK ((jsonb_typeof(pattern) = 'object'::text)),
    CONSTRAINT meters_unit_check CHECK (((length(unit) >= 1) AND (length(unit) <= 63)))
);

ALTER TABLE ONLY signalops.meters FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.meters IS 'What of a tenant''s events is counted, besides their number (the meter events). Never changed, only ended: a key never changes its meaning.';
COMMENT ON COLUMN signalops.meters.tenant_id IS 'Whose events it counts.';
COMMENT ON COLUMN signalops.meters.key IS 'Its name in usage, prices and limits, such as api_calls.';
COMMENT ON COLUMN signalops.meters.first_version IS 'The first version of the tenant''s meters_version in which it counts.';
COMMENT ON COLUMN signalops.meters.end_version IS 'The first version in which it counts no more; NULL: it counts.';
COMMENT ON COLUMN signalops.meters.name IS 'The name for people.';
COMMENT ON COLUMN signalops.meters.aggregation IS 'What is made of the events: how many, or of a field the sum, max, min, avg, latest value, or how many different ones.';
COMMENT ON COLUMN signalops.meters.field IS 'Path of the field, such as payload.bytes; NULL for count.';
COMMENT ON COLUMN signalops.meters.grammar IS 'Version of the pattern language.';
COMMENT ON COLUMN signalops.meters.pattern IS 'Which events it counts, in the language of rules.';
COMMENT ON COLUMN signalops.meters.group_by IS 'Paths of the fields by which it keeps its figures apart.';
COMMENT ON COLUMN signalops.meters.unit IS 'What it counts in, such as GB; NULL: pieces.';
COMMENT ON COLUMN signalops.meters.origin IS 'tenant: its own; plan: brought by its plan.';
COMMENT ON COLUMN signalops.meters.created_at IS 'When it was made; what was processed before is not counted.';
COMMENT ON COLUMN signalops.meters.ended_at IS 'When it ended; NULL: it counts.';
COMMENT ON COLUMN signalops.meters.allows_negative IS 'Whether values below 0 count; for a plan''s meter only if the plan allows it, since the billed tenant sends them.';

CREATE VIEW signalops.limited_meters WITH (security_invoker='true') AS
 SELECT tenant_id,
    key,
    first_version,
    name,
    aggregation,
    field,
    grammar,
    pattern,
    group_by,
    allows_negative
   FROM signalops.meters m
  WHERE ((end_version IS NULL) AND (aggregation = ANY (ARRAY['count'::text, 'sum'::text])) AND (EXISTS ( SELECT
           FROM signalops.limits l
          WHERE ((l.tenant_id = m.tenant_id) AND (l.meter = m.key) AND (COALESCE(l.soft, l.hard) IS NOT NULL)))));

COMMENT ON VIEW signalops.limited_meters IS 'The meters besides events whose quantities the API computes for incoming events: those with a limit now, earlier, or later.';

CREATE TABLE signalops.maintenance_runs (
    job text NOT NULL,
    succeeded_at timestamp with time zone DEFAULT now() NOT NULL,
    failed_at timestamp with time zone,
    error text
);

ALTER TABLE ONLY signalops.maintenance_runs FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.maintenance_runs IS 'The jobs that keep the installation in order, and when each last did.';
COMMENT ON COLUMN signalops.maintenance_runs.job IS 'Its name in the queue.';
COMMENT ON COLUMN signalops.maintenance_runs.succeeded_at IS 'When it last succeeded, or was first registered.';
COMMENT ON COLUMN signalops.maintenance_runs.failed_at IS 'When it last failed; NULL: never.';
COMMENT ON COLUMN signalops.maintenance_runs.error IS 'Why it did, without values.';

CREATE TABLE signalops.plans (
    plan text NOT NULL,
    version integer NOT NULL,
    grammar smallint NOT NULL,
    document jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT plans_document_check CHECK ((jsonb_typeof(document) = 'object'::text)),
    CONSTRAINT plans_plan_check CHECK ((plan ~ '^[a-z][a-z0-9_-]{0,62}$'::text)),
    CONSTRAINT plans_version_check CHECK ((version > 0))
);

ALTER TABLE ONLY signalops.plans FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.plans IS 'What the operator offers: fees, prices, meters and limits. Of the operator and no tenant: only the owner reads it.';
COMMENT ON COLUMN signalops.plans.plan IS 'The name for command lines, such as pro.';
COMMENT ON COLUMN signalops.plans.version IS 'From 1; a tenant keeps its version until it is subscribed again.';
COMMENT ON COLUMN signalops.plans.grammar IS 'Version of the pattern language of its meters.';
COMMENT ON COLUMN signalops.plans.document IS 'name, currency, baseFee, meters, prices and limits, as PlanDocument (signalops/usage/plans/plan_models.py) checks and writes them.';
COMMENT ON COLUMN signalops.plans.created_at IS 'When it was made.';

CREATE TABLE signalops.rate_buckets (
    tenant_id uuid NOT NULL,
    bucket text NOT NULL,
    level double precision NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.rate_buckets FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.rate_buckets IS 'What tenants and keys with a rate limit may bring in at once: a token an event, taken in the accepting transaction. Made, full, at first use.';
COMMENT ON COLUMN signalops.rate_buckets.tenant_id IS 'Whose it is.';
COMMENT ON COLUMN signalops.rate_buckets.bucket IS 'tenant, or the id of one of its keys.';
COMMENT ON COLUMN signalops.rate_buckets.level IS 'Tokens at that moment: those refilled since, by the present rate and up to the burst, are added at the next use.';
COMMENT ON COLUMN signalops.rate_buckets.at IS 'When that was, by the database''s clock.';

CREATE VIEW signalops.reconciliation_differences WITH (security_invoker='true') AS
 SELECT reconcile.tenant_id,
    reconcile.period,
    reconcile."check",
    reconcile.subject,
    reconcile.expected,
    reconcile.found
   FROM signalops.reconcile(NULL::uuid, NULL::date) reconcile(tenant_id, period, "check", subject, expected, found)
UNION ALL
 SELECT reconcile_numbers.tenant_id,
    reconcile_numbers.period,
    reconcile_numbers."check",
    reconcile_numbers.subject,
    reconcile_numbers.expected,
    reconcile_numbers.found
   FROM signalops.reconcile_numbers() reconcile_numbers(tenant_id, period, "check", subject, expected, found);

COMMENT ON VIEW signalops.reconciliation_differences IS 'The differences of all tenants and periods: expected is computed from the underlying records, found is the stored figure. For the owner of the schema; empty when every figure is proven.';
COMMENT ON COLUMN signalops.reconciliation_differences.tenant_id IS 'Whose; NULL: the operator''s.';
COMMENT ON COLUMN signalops.reconciliation_differences.period IS 'The billing period; NULL: it belongs to none.';
COMMENT ON COLUMN signalops.reconciliation_differences."check" IS 'accepted, event, batch, counter, entry, twice, sealed, chain, line, invoice, burned, credit or number: see the functions reconcile_...';
COMMENT ON COLUMN signalops.reconciliation_differences.subject IS 'What is wrong.';
COMMENT ON COLUMN signalops.reconciliation_differences.expected IS 'What it should be.';
COMMENT ON COLUMN signalops.reconciliation_differences.found IS 'What it is.';

CREATE TABLE signalops.replays (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    reason text NOT NULL,
    rules uuid[],
    events integer NOT NULL,
    batches uuid[] NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT replays_events_check CHECK ((events >= 0)),
    CONSTRAINT replays_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

ALTER TABLE ONLY signalops.replays FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.replays IS 'Replays: past events that are evaluated by the rules again.';
COMMENT ON COLUMN signalops.replays.tenant_id IS 'Whose events they are.';
COMMENT ON COLUMN signalops.replays.id IS 'UUIDv7; deliveries name it.';
COMMENT ON COLUMN signalops.replays.reason IS 'Why, for those who wonder about the second notification.';
COMMENT ON COLUMN signalops.replays.rules IS 'Only these rules decide; NULL: all.';
COMMENT ON COLUMN signalops.replays.events IS 'How many events were put into the inbox.';
COMMENT ON COLUMN signalops.replays.batches IS 'In these batches; the events themselves keep the batch that they came with.';
COMMENT ON COLUMN signalops.replays.requested_at IS 'When it was asked for.';

CREATE TABLE signalops.retention_watermarks (
    tenant_id uuid NOT NULL,
    kept_since timestamp with time zone NOT NULL,
    is_expiring boolean DEFAULT true NOT NULL
);

ALTER TABLE ONLY signalops.retention_watermarks FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.retention_watermarks IS 'Tenants whose events expire before the partitions in which they are, and how far that has come.';
COMMENT ON COLUMN signalops.retention_watermarks.tenant_id IS 'Whose it is.';
COMMENT ON COLUMN signalops.retention_watermarks.kept_since IS 'Since when all accepted events are stored; older ones are partly or wholly deleted. It never moves back, even if the retention grows.';
COMMENT ON COLUMN signalops.retention_watermarks.is_expiring IS 'Whether there may be something older, which signalops.expire is to remove.';

CREATE TABLE signalops.retired_invoice_numbers (
    series text NOT NULL,
    number bigint NOT NULL,
    CONSTRAINT retired_invoice_numbers_number_check CHECK ((number > 0)),
    CONSTRAINT retired_invoice_numbers_series_check CHECK ((series = ANY (ARRAY['invoice'::text, 'credit_note'::text])))
);

ALTER TABLE ONLY signalops.retired_invoice_numbers FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.retired_invoice_numbers IS 'The numbers of documents that went with their tenants: no other document is given one, and none is missing.';
COMMENT ON COLUMN signalops.retired_invoice_numbers.series IS 'invoice or credit_note.';
COMMENT ON COLUMN signalops.retired_invoice_numbers.number IS 'The number that the document had.';

CREATE TABLE signalops.ruleset_versions (
    tenant_id uuid NOT NULL,
    version bigint DEFAULT 1 NOT NULL
);

ALTER TABLE ONLY signalops.ruleset_versions FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.ruleset_versions IS 'How often a tenant''s rules changed: a worker''s compiled rules are valid for one value only.';
COMMENT ON COLUMN signalops.ruleset_versions.tenant_id IS 'Whose rules they are.';
COMMENT ON COLUMN signalops.ruleset_versions.version IS 'Counted up in the transaction of each change.';

CREATE TABLE signalops.silences (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    grammar smallint NOT NULL,
    pattern jsonb NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    reason text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT silences_check CHECK ((starts_at < ends_at)),
    CONSTRAINT silences_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

ALTER TABLE ONLY signalops.silences FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.silences IS 'Time ranges in which matches of some events notify nobody. The events are evaluated and counted as usual.';
COMMENT ON COLUMN signalops.silences.tenant_id IS 'Whose silence it is.';
COMMENT ON COLUMN signalops.silences.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.silences.grammar IS 'The grammar that the pattern is written in.';
COMMENT ON COLUMN signalops.silences.pattern IS 'Which events: a pattern as rules have it.';
COMMENT ON COLUMN signalops.silences.starts_at IS 'From when on.';
COMMENT ON COLUMN signalops.silences.ends_at IS 'Until when; ended early, it is set to that moment.';
COMMENT ON COLUMN signalops.silences.reason IS 'Why, for those who wonder where their notification is.';
COMMENT ON COLUMN signalops.silences.created_at IS 'When it was made.';

CREATE TABLE signalops.suppressions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    address text NOT NULL,
    reason text NOT NULL,
    detail text,
    delivery_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT suppressions_address_check CHECK (((address = lower(address)) AND (length(address) <= 254))),
    CONSTRAINT suppressions_detail_check CHECK ((length(detail) <= 500)),
    CONSTRAINT suppressions_reason_check CHECK ((reason = ANY (ARRAY['bounce'::text, 'complaint'::text])))
);

ALTER TABLE ONLY signalops.suppressions FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.suppressions IS 'Addresses that a tenant''s mail is not sent to any more: they do not exist, or called it spam. Who writes on loses his name as a sender.';
COMMENT ON COLUMN signalops.suppressions.tenant_id IS 'Whose mail it is.';
COMMENT ON COLUMN signalops.suppressions.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.suppressions.address IS 'The address, in lower case.';
COMMENT ON COLUMN signalops.suppressions.reason IS 'bounce: there is no such mailbox; complaint: the recipient reported the mail as spam.';
COMMENT ON COLUMN signalops.suppressions.detail IS 'What the recipient''s server said.';
COMMENT ON COLUMN signalops.suppressions.delivery_id IS 'The delivery that bounced or was reported.';
COMMENT ON COLUMN signalops.suppressions.created_at IS 'When the provider reported it.';

CREATE TABLE signalops.sweep_cursors (
    relation text NOT NULL,
    next_block bigint DEFAULT 0 NOT NULL,
    begun_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    ended_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
);

ALTER TABLE ONLY signalops.sweep_cursors FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.sweep_cursors IS 'Tables that are not partitioned and have no index by the age of their events: each is read through once a day, some blocks at a time.';
COMMENT ON COLUMN signalops.sweep_cursors.relation IS 'The table.';
COMMENT ON COLUMN signalops.sweep_cursors.next_block IS 'From which block on the present sweep is to read it.';
COMMENT ON COLUMN signalops.sweep_cursors.begun_at IS 'When the present sweep, or the last, began.';
COMMENT ON COLUMN signalops.sweep_cursors.ended_at IS 'When the last sweep ended; before begun_at: one is under way.';

CREATE TABLE signalops.tenant_deletions (
    id uuid NOT NULL,
    slug text NOT NULL,
    begun_at timestamp with time zone DEFAULT now() NOT NULL,
    begun_by jsonb,
    removed jsonb DEFAULT '{}'::jsonb NOT NULL,
    remaining jsonb,
    finished_at timestamp with time zone,
    CONSTRAINT tenant_deletions_check CHECK (((finished_at IS NULL) = (remaining IS NULL))),
    CONSTRAINT tenant_deletions_remaining_check CHECK ((jsonb_typeof(remaining) = 'object'::text)),
    CONSTRAINT tenant_deletions_removed_check CHECK ((jsonb_typeof(removed) = 'object'::text))
);

ALTER TABLE ONLY signalops.tenant_deletions FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.tenant_deletions IS 'The tenants that were deleted or are being deleted: all that is left of them.';
COMMENT ON COLUMN signalops.tenant_deletions.id IS 'The id that the tenant had.';
COMMENT ON COLUMN signalops.tenant_deletions.slug IS 'Its slug, which another tenant may have by now.';
COMMENT ON COLUMN signalops.tenant_deletions.begun_at IS 'When it was asked for.';
COMMENT ON COLUMN signalops.tenant_deletions.begun_by IS 'Who asked, as the audit log names him: {actor: {kind, name}, address, operation}; NULL: by SQL.';
COMMENT ON COLUMN signalops.tenant_deletions.removed IS 'How many rows were removed, by table.';
COMMENT ON COLUMN signalops.tenant_deletions.remaining IS 'How many were left, by table, counted in the transaction that removed the tenant itself: 0 of each; NULL: it is not finished.';
COMMENT ON COLUMN signalops.tenant_deletions.finished_at IS 'When nothing was left; NULL: it is being deleted.';

CREATE TABLE signalops.usage_distinct_values (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    hour timestamp with time zone NOT NULL,
    group_key text NOT NULL,
    period date NOT NULL,
    distinct_value text NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.05', autovacuum_analyze_scale_factor='0.05');

ALTER TABLE ONLY signalops.usage_distinct_values FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_distinct_values IS 'The different values that a meter of unique_count has met, by hour: those of a day or a month are not the sum of the hours''.';
COMMENT ON COLUMN signalops.usage_distinct_values.tenant_id IS 'Whose usage it is.';
COMMENT ON COLUMN signalops.usage_distinct_values.meter IS 'The meter''s key.';
COMMENT ON COLUMN signalops.usage_distinct_values.hour IS 'As of the counter.';
COMMENT ON COLUMN signalops.usage_distinct_values.group_key IS 'As of the counter.';
COMMENT ON COLUMN signalops.usage_distinct_values.period IS 'As of the counter.';
COMMENT ON COLUMN signalops.usage_distinct_values.distinct_value IS 'The value as JSON; long ones as their SHA-256.';

CREATE TABLE signalops.usage_entries (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    period date NOT NULL,
    id uuid NOT NULL,
    batch uuid NOT NULL,
    hour timestamp with time zone NOT NULL,
    group_key text NOT NULL,
    is_late boolean NOT NULL,
    events integer NOT NULL,
    value numeric,
    latest_at timestamp with time zone,
    latest_event uuid,
    event_ids uuid[] NOT NULL,
    CONSTRAINT usage_entries_events_check CHECK ((events > 0))
)
PARTITION BY RANGE (id);

ALTER TABLE ONLY signalops.usage_entries FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_entries IS 'The ledger of usage: what each batch added to each counter, and of which events. Partitioned by month of the id, which is a UUIDv7.';
COMMENT ON COLUMN signalops.usage_entries.tenant_id IS 'Whose usage it is.';
COMMENT ON COLUMN signalops.usage_entries.meter IS 'The meter''s key; events: all events.';
COMMENT ON COLUMN signalops.usage_entries.period IS 'The billing period that it is billed in, by its first day.';
COMMENT ON COLUMN signalops.usage_entries.id IS 'UUIDv7 made by the worker that processed the batch.';
COMMENT ON COLUMN signalops.usage_entries.batch IS 'The batch in which the events were processed.';
COMMENT ON COLUMN signalops.usage_entries.hour IS 'Start of the hour in which the events happened, in the tenant''s time zone.';
COMMENT ON COLUMN signalops.usage_entries.group_key IS 'The group, as the JSON list of the values of the meter''s group_by; [] when it has none.';
COMMENT ON COLUMN signalops.usage_entries.is_late IS 'Whether the period in which the events happened was closed already.';
COMMENT ON COLUMN signalops.usage_entries.events IS 'How many events.';
COMMENT ON COLUMN signalops.usage_entries.value IS 'Their number (count), sum (sum, avg), extreme (max, min) or latest value; NULL for unique_count.';
COMMENT ON COLUMN signalops.usage_entries.latest_at IS 'When the latest of them happened; NULL except for the aggregation latest.';
COMMENT ON COLUMN signalops.usage_entries.latest_event IS 'The latest of them; NULL except for the aggregation latest.';
COMMENT ON COLUMN signalops.usage_entries.event_ids IS 'The events.';

CREATE TABLE signalops.usage_hash_chain (
    tenant_id uuid NOT NULL,
    period date NOT NULL,
    digest bytea NOT NULL,
    previous bytea,
    days integer NOT NULL,
    sealed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT usage_hash_chain_days_check CHECK ((days >= 0)),
    CONSTRAINT usage_hash_chain_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT usage_hash_chain_previous_check CHECK ((length(previous) = 32))
);

ALTER TABLE ONLY signalops.usage_hash_chain FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_hash_chain IS 'A hash chain over the sealed figures, a link for each closed period: who changes a figure must forge all that follow.';
COMMENT ON COLUMN signalops.usage_hash_chain.tenant_id IS 'Whose chain it is.';
COMMENT ON COLUMN signalops.usage_hash_chain.period IS 'The period that is sealed.';
COMMENT ON COLUMN signalops.usage_hash_chain.digest IS 'SHA-256 of the previous digest and the period''s figures: see signalops.digest_days.';
COMMENT ON COLUMN signalops.usage_hash_chain.previous IS 'The digest of the period before; NULL: it is the first.';
COMMENT ON COLUMN signalops.usage_hash_chain.days IS 'How many rows of usage_daily it covers.';
COMMENT ON COLUMN signalops.usage_hash_chain.sealed_at IS 'When.';

CREATE TABLE signalops.usage_row_counts (
    tenant_id uuid NOT NULL,
    period date NOT NULL,
    rows bigint NOT NULL,
    limited_from_version bigint,
    CONSTRAINT usage_row_counts_rows_check CHECK ((rows >= 0))
)
WITH (fillfactor='50');

ALTER TABLE ONLY signalops.usage_row_counts FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_row_counts IS 'How many counters of groups and distinct values a tenant''s usage of a month takes: what one event can multiply.';
COMMENT ON COLUMN signalops.usage_row_counts.tenant_id IS 'Whose usage it is.';
COMMENT ON COLUMN signalops.usage_row_counts.period IS 'As of the counters.';
COMMENT ON COLUMN signalops.usage_row_counts.rows IS 'Rows of usage_distinct_values, and of usage_counters with a group.';
COMMENT ON COLUMN signalops.usage_row_counts.limited_from_version IS 'The version of the meters from which on neither groups nor distinct values are counted for the month; NULL: they are.';

ALTER TABLE ONLY ops.paused_queues
    ADD CONSTRAINT paused_queues_pkey PRIMARY KEY (queue);

ALTER TABLE ONLY signalops.accepted_counters
    ADD CONSTRAINT accepted_counters_pkey PRIMARY KEY (tenant_id, period, meter);

ALTER TABLE ONLY signalops.alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (alert, subject);

ALTER TABLE ONLY signalops.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.backtests
    ADD CONSTRAINT backtests_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.batch_results
    ADD CONSTRAINT batch_results_pkey PRIMARY KEY (tenant_id, batch);

ALTER TABLE ONLY signalops.billing_periods
    ADD CONSTRAINT billing_periods_pkey PRIMARY KEY (tenant_id, period);

ALTER TABLE ONLY signalops.channel_schedules
    ADD CONSTRAINT channel_schedules_pkey PRIMARY KEY (tenant_id, channel_id);

ALTER TABLE ONLY signalops.channels
    ADD CONSTRAINT channels_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.credit_entries
    ADD CONSTRAINT credit_entries_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.credit_grants
    ADD CONSTRAINT credit_grants_by_key UNIQUE (tenant_id, idempotency_key);

ALTER TABLE ONLY signalops.credit_grants
    ADD CONSTRAINT credit_grants_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.delivery_attempts
    ADD CONSTRAINT delivery_attempts_pkey PRIMARY KEY (tenant_id, delivery_id, attempt);

ALTER TABLE ONLY signalops.digests
    ADD CONSTRAINT digests_pkey PRIMARY KEY (tenant_id, rule_id);

ALTER TABLE ONLY signalops.event_schemas
    ADD CONSTRAINT event_schemas_pkey PRIMARY KEY (tenant_id, type);

ALTER TABLE ONLY signalops.event_types
    ADD CONSTRAINT event_types_pkey PRIMARY KEY (tenant_id, type);

ALTER TABLE ONLY signalops.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, key);

ALTER TABLE ONLY signalops.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (tenant_id, event_id);

ALTER TABLE ONLY signalops.invoice_lines
    ADD CONSTRAINT invoice_lines_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.invoice_lines
    ADD CONSTRAINT invoice_lines_tenant_id_invoice_id_position_key UNIQUE (tenant_id, invoice_id, "position");

ALTER TABLE ONLY signalops.invoice_numbers
    ADD CONSTRAINT invoice_numbers_pkey PRIMARY KEY (series);

ALTER TABLE ONLY signalops.invoices
    ADD CONSTRAINT invoices_by_key UNIQUE (tenant_id, idempotency_key);

ALTER TABLE ONLY signalops.invoices
    ADD CONSTRAINT invoices_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.invoices
    ADD CONSTRAINT invoices_tenant_id_kind_number_key UNIQUE (tenant_id, kind, number);

ALTER TABLE ONLY signalops.limits
    ADD CONSTRAINT limits_pkey PRIMARY KEY (tenant_id, meter, origin, starts_on);

ALTER TABLE ONLY signalops.maintenance_runs
    ADD CONSTRAINT maintenance_runs_pkey PRIMARY KEY (job);

ALTER TABLE ONLY signalops.matches
    ADD CONSTRAINT matches_pkey PRIMARY KEY (tenant_id, event_id, rule_id);

ALTER TABLE ONLY signalops.meters
    ADD CONSTRAINT meters_pkey PRIMARY KEY (tenant_id, key, first_version);

ALTER TABLE ONLY signalops.plans
    ADD CONSTRAINT plans_pkey PRIMARY KEY (plan, version);

ALTER TABLE ONLY signalops.rate_buckets
    ADD CONSTRAINT rate_buckets_pkey PRIMARY KEY (tenant_id, bucket);

ALTER TABLE ONLY signalops.replays
    ADD CONSTRAINT replays_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.retention_watermarks
    ADD CONSTRAINT retention_watermarks_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY signalops.retired_invoice_numbers
    ADD CONSTRAINT retired_invoice_numbers_pkey PRIMARY KEY (series, number);

ALTER TABLE ONLY signalops.rule_states
    ADD CONSTRAINT rule_states_pkey PRIMARY KEY (tenant_id, rule_id, state_version, group_key);

ALTER TABLE ONLY signalops.rule_versions
    ADD CONSTRAINT rule_versions_pkey PRIMARY KEY (tenant_id, rule_id, version);

ALTER TABLE ONLY signalops.rules
    ADD CONSTRAINT rules_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.ruleset_versions
    ADD CONSTRAINT ruleset_versions_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY signalops.send_targets
    ADD CONSTRAINT send_targets_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.silences
    ADD CONSTRAINT silences_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.subscriptions
    ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.subscriptions
    ADD CONSTRAINT subscriptions_tenant_id_starts_on_key UNIQUE (tenant_id, starts_on);

ALTER TABLE ONLY signalops.suppressions
    ADD CONSTRAINT suppressions_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.suppressions
    ADD CONSTRAINT suppressions_tenant_id_address_key UNIQUE (tenant_id, address);

ALTER TABLE ONLY signalops.sweep_cursors
    ADD CONSTRAINT sweep_cursors_pkey PRIMARY KEY (relation);

ALTER TABLE ONLY signalops.tenant_deletions
    ADD CONSTRAINT tenant_deletions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY signalops.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY signalops.tenants
    ADD CONSTRAINT tenants_slug_key UNIQUE (slug);

ALTER TABLE ONLY signalops.usage_adjustments
    ADD CONSTRAINT usage_adjustments_by_key UNIQUE (tenant_id, idempotency_key);

ALTER TABLE ONLY signalops.usage_adjustments
    ADD CONSTRAINT usage_adjustments_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.usage_counters
    ADD CONSTRAINT usage_counters_pkey PRIMARY KEY (tenant_id, meter, hour, group_key, period);

ALTER TABLE ONLY signalops.usage_daily
    ADD CONSTRAINT usage_daily_pkey PRIMARY KEY (tenant_id, period, day, meter, group_key);

ALTER TABLE ONLY signalops.usage_distinct_values
    ADD CONSTRAINT usage_distinct_values_pkey PRIMARY KEY (tenant_id, meter, hour, group_key, period, distinct_value);

ALTER TABLE ONLY signalops.usage_entries
    ADD CONSTRAINT usage_entries_pkey PRIMARY KEY (tenant_id, meter, period, id);

ALTER TABLE ONLY signalops.usage_hash_chain
    ADD CONSTRAINT usage_hash_chain_pkey PRIMARY KEY (tenant_id, period);

ALTER TABLE ONLY signalops.usage_row_counts
    ADD CONSTRAINT usage_row_counts_pkey PRIMARY KEY (tenant_id, period);

ALTER TABLE ONLY signalops.window_events
    ADD CONSTRAINT window_events_pkey PRIMARY KEY (tenant_id, rule_id, state_version, group_key, at, event_id);

CREATE INDEX api_keys_by_prefix ON signalops.api_keys USING btree (prefix);

CREATE UNIQUE INDEX api_keys_by_replaced ON signalops.api_keys USING btree (tenant_id, replaces) WHERE (replaces IS NOT NULL);

CREATE INDEX audit_log_by_id ON ONLY signalops.audit_log USING btree (id);

CREATE INDEX audit_log_by_target ON ONLY signalops.audit_log USING btree (tenant_id, target_id, id);

CREATE INDEX billing_periods_open ON signalops.billing_periods USING btree (tenant_id, period) WHERE (closed_at IS NULL);

CREATE INDEX channel_schedules_by_due ON signalops.channel_schedules USING btree (next_due_at) WHERE (next_due_at IS NOT NULL);

CREATE INDEX channels_by_id ON signalops.channels USING btree (id);

CREATE UNIQUE INDEX channels_by_name ON signalops.channels USING btree (tenant_id, name) WHERE (deleted_at IS NULL);

CREATE INDEX credit_entries_by_grant ON signalops.credit_entries USING btree (tenant_id, grant_id);

CREATE INDEX credit_entries_by_invoice ON signalops.credit_entries USING btree (tenant_id, invoice_id) WHERE (invoice_id IS NOT NULL);

CREATE INDEX credit_grants_expiring ON signalops.credit_grants USING btree (expires_at) WHERE (remaining > (0)::numeric);

CREATE INDEX credit_grants_remaining ON signalops.credit_grants USING btree (tenant_id, currency) WHERE (remaining > (0)::numeric);

CREATE INDEX dead_letters_by_channel ON signalops.dead_letters USING btree (tenant_id, channel_id, died_at DESC, id DESC) WHERE (resolved_at IS NULL);

CREATE INDEX dead_letters_by_kind ON signalops.dead_letters USING btree (tenant_id, kind, died_at DESC, id DESC) WHERE (resolved_at IS NULL);

CREATE INDEX dead_letters_by_rule ON signalops.dead_letters USING btree (tenant_id, rule_id, died_at DESC, id DESC) WHERE (resolved_at IS NULL);

CREATE INDEX dead_letters_open ON signalops.dead_letters USING btree (tenant_id, died_at DESC, id DESC) WHERE (resolved_at IS NULL);

CREATE INDEX deliveries_by_event ON ONLY signalops.deliveries USING btree (tenant_id, event_id);

CREATE INDEX deliveries_by_provider ON ONLY signalops.deliveries USING btree (tenant_id, channel_id, provider_id) WHERE (provider_id IS NOT NULL);

CREATE INDEX deliveries_by_replay ON ONLY signalops.deliveries USING btree (tenant_id, replay_id) WHERE (replay_id IS NOT NULL);

CREATE INDEX deliveries_by_rule ON ONLY signalops.deliveries USING btree (tenant_id, rule_id, channel_id, status, id);

CREATE INDEX deliveries_by_turn ON ONLY signalops.deliveries USING btree (tenant_id, channel_id, next_attempt_at) WHERE (next_attempt_at IS NOT NULL);

CREATE INDEX deliveries_in_hand ON ONLY signalops.deliveries USING btree (updated_at) WHERE ((status = ANY (ARRAY['pending'::text, 'sending'::text])) AND (next_attempt_at IS NULL));

CREATE INDEX digests_by_due ON signalops.digests USING btree (due_at);

CREATE INDEX events_by_type ON ONLY signalops.events USING btree (tenant_id, type, id);

CREATE INDEX expiries_unfinished ON signalops.retention_watermarks USING btree (tenant_id) WHERE is_expiring;

CREATE INDEX inbox_by_batch ON signalops.inbox USING btree (batch) WHERE (NOT is_parked);

CREATE INDEX inbox_parked ON signalops.inbox USING btree (tenant_id, batch) WHERE is_parked;

CREATE INDEX invoices_by_corrected ON signalops.invoices USING btree (tenant_id, corrects) WHERE (corrects IS NOT NULL);

CREATE UNIQUE INDEX invoices_by_period ON signalops.invoices USING btree (tenant_id, period, currency) WHERE ((kind = 'invoice'::text) AND (voided_at IS NULL));

CREATE UNIQUE INDEX meters_active ON signalops.meters USING btree (tenant_id, key) WHERE (end_version IS NULL);

CREATE INDEX rule_states_by_due ON signalops.rule_states USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE INDEX rule_states_by_expiry ON signalops.rule_states USING btree (expires_at);

CREATE INDEX rule_states_parked ON signalops.rule_states USING btree (tenant_id) WHERE (due_at = 'infinity'::timestamp with time zone);

CREATE INDEX rule_versions_recent ON signalops.rule_versions USING btree (tenant_id, created_at);

CREATE UNIQUE INDEX rules_by_name ON signalops.rules USING btree (tenant_id, name) WHERE (deleted_at IS NULL);

CREATE INDEX tenant_deletions_by_slug ON signalops.tenant_deletions USING btree (slug, begun_at);

CREATE INDEX tenant_deletions_unfinished ON signalops.tenant_deletions USING btree (begun_at) WHERE (finished_at IS NULL);

CREATE INDEX tenants_draining ON signalops.tenants USING btree (status_since) WHERE is_draining;

CREATE INDEX tenants_suspended ON signalops.tenants USING btree (id) WHERE (status = ANY (ARRAY['suspended'::text, 'deleting'::text]));

CREATE INDEX usage_adjustments_by_meter ON signalops.usage_adjustments USING btree (tenant_id, meter, hour);

CREATE INDEX usage_counters_late ON signalops.usage_counters USING btree (tenant_id, period, meter) WHERE is_late;

CREATE INDEX usage_sizes_by_period ON signalops.usage_row_counts USING btree (period) WHERE (limited_from_version IS NULL);

CREATE TRIGGER announce_key_deletion AFTER DELETE ON signalops.api_keys FOR EACH ROW EXECUTE FUNCTION signalops.notify_key_change();

COMMENT ON TRIGGER announce_key_deletion ON signalops.api_keys IS 'Nor is one let in that is gone.';

CREATE TRIGGER announce_key_deletion AFTER DELETE ON signalops.tenants FOR EACH ROW EXECUTE FUNCTION signalops.notify_key_change();

COMMENT ON TRIGGER announce_key_deletion ON signalops.tenants IS 'Nor is one let in that is gone.';

CREATE TRIGGER apply_credit_entry AFTER INSERT ON signalops.credit_entries FOR EACH ROW EXECUTE FUNCTION signalops.apply_credit_entry();

COMMENT ON TRIGGER apply_credit_entry ON signalops.credit_entries IS 'The remaining amount is the sum of the entries, whoever writes them.';

CREATE TRIGGER bind_secret BEFORE UPDATE OF config, kind, secret ON signalops.channels FOR EACH ROW WHEN (((old.secret IS NOT NULL) AND (new.secret = old.secret) AND (signalops.secret_destination(old.kind, old.config) IS DISTINCT FROM signalops.secret_destination(new.kind, new.config)))) EXECUTE FUNCTION signalops.bind_secret();

COMMENT ON TRIGGER bind_secret ON signalops.channels IS 'By whatever way it is changed: HTTP, the command line, SQL.';

CREATE TRIGGER bump_ruleset AFTER INSERT OR DELETE OR UPDATE ON signalops.rules FOR EACH ROW EXECUTE FUNCTION signalops.bump_ruleset();

COMMENT ON TRIGGER bump_ruleset ON signalops.rules IS 'No worker evaluates the rules of before the change in a batch that it takes after it.';

CREATE TRIGGER bump_ruleset AFTER INSERT OR DELETE OR UPDATE ON signalops.silences FOR EACH ROW EXECUTE FUNCTION signalops.bump_ruleset();

COMMENT ON TRIGGER bump_ruleset ON signalops.silences IS 'A silence takes effect with the next batch, as a change of a rule does.';

CREATE TRIGGER check_limit BEFORE INSERT OR UPDATE ON signalops.limits FOR EACH ROW EXECUTE FUNCTION signalops.check_limit();

COMMENT ON TRIGGER check_limit ON signalops.limits IS 'A limit is of events, or of a meter that counts or sums.';

CREATE TRIGGER check_status_change BEFORE UPDATE OF status ON signalops.tenants FOR EACH ROW WHEN ((new.status <> old.status)) EXECUTE FUNCTION signalops.check_status_change();

COMMENT ON TRIGGER check_status_change ON signalops.tenants IS 'A closed tenant stays closed, and only a closed tenant can be deleted.';

CREATE TRIGGER enforce_transition BEFORE UPDATE OF status ON signalops.deliveries FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION signalops.enforce_transition();

COMMENT ON TRIGGER enforce_transition ON signalops.deliveries IS 'No late callback and no second worker takes a delivery back.';

CREATE TRIGGER fill_dead_letter BEFORE INSERT ON signalops.dead_letters FOR EACH ROW EXECUTE FUNCTION signalops.fill_dead_letter();

COMMENT ON TRIGGER fill_dead_letter ON signalops.dead_letters IS 'Dead letters are filtered by rule and channel.';

CREATE TRIGGER log_cancellation AFTER UPDATE OF status ON signalops.backtests FOR EACH ROW WHEN (((new.status = 'cancelled'::text) AND (old.status <> 'cancelled'::text))) EXECUTE FUNCTION signalops.log_row_change('backtest', 'id', '', 'state,result,slices,scanned,scanned_until,error', '');

COMMENT ON TRIGGER log_cancellation ON signalops.backtests IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.api_keys FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('key', 'id', 'label', 'last_used_at,digest', 'hash');

COMMENT ON TRIGGER log_row_change ON signalops.api_keys IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT ON signalops.backtests FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('backtest', 'id', '', 'state,result,slices,scanned,scanned_until,error', '');

COMMENT ON TRIGGER log_row_change ON signalops.backtests IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.channels FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('channel', 'id', 'name', 'send_target_id', 'config,secret');

COMMENT ON TRIGGER log_row_change ON signalops.channels IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.credit_grants FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('credit', 'id', 'reason', 'remaining', '');

COMMENT ON TRIGGER log_row_change ON signalops.credit_grants IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.event_schemas FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('event-schema', 'type', 'type', '', '');

COMMENT ON TRIGGER log_row_change ON signalops.event_schemas IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.invoices FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('invoice', 'id', 'number', '', '');

COMMENT ON TRIGGER log_row_change ON signalops.invoices IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.limits FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('limit', 'meter', 'meter', 'set_at', '');

COMMENT ON TRIGGER log_row_change ON signalops.limits IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.meters FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('meter', 'key', 'name', 'first_version,end_version', '');

COMMENT ON TRIGGER log_row_change ON signalops.meters IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.plans FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('plan', 'plan', 'version', '', '');

COMMENT ON TRIGGER log_row_change ON signalops.plans IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.replays FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('replay', 'id', 'reason', 'batches', '');

COMMENT ON TRIGGER log_row_change ON signalops.replays IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER DELETE OR UPDATE ON signalops.rule_versions FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('rule-version', 'rule_id', 'version', '', '');

COMMENT ON TRIGGER log_row_change ON signalops.rule_versions IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER DELETE ON signalops.rules FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('rule', 'id', 'name', 'enabled_at', '');

COMMENT ON TRIGGER log_row_change ON signalops.rules IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.silences FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('silence', 'id', 'reason', '', '');

COMMENT ON TRIGGER log_row_change ON signalops.silences IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.subscriptions FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('subscription', 'id', 'plan', 'terms', '');

COMMENT ON TRIGGER log_row_change ON signalops.subscriptions IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.suppressions FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('suppression', 'id', 'address', '', '');

COMMENT ON TRIGGER log_row_change ON signalops.suppressions IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.tenants FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('tenant', 'id', 'slug', 'meters_version,closed_until,limited_meters_version,status_since,is_draining', '');

COMMENT ON TRIGGER log_row_change ON signalops.tenants IS 'Who did it is on record in the audit log.';

CREATE TRIGGER log_row_change AFTER INSERT OR DELETE OR UPDATE ON signalops.usage_adjustments FOR EACH ROW EXECUTE FUNCTION signalops.log_row_change('adjustment', 'id', 'meter', 'idempotency_key,body_hash', '');

COMMENT ON TRIGGER log_row_change ON signalops.usage_adjustments IS 'Who did it is on record in the audit log.';

CREATE CONSTRAINT TRIGGER log_rule_change AFTER INSERT OR UPDATE ON signalops.rules DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION signalops.log_rule_change();

COMMENT ON TRIGGER log_rule_change ON signalops.rules IS 'Who did it is on record in the audit log, with the rule''s content.';

CREATE TRIGGER notify_key_change AFTER UPDATE ON signalops.api_keys FOR EACH ROW WHEN ((((((((old.hash IS DISTINCT FROM new.hash) OR (old.scopes IS DISTINCT FROM new.scopes)) OR (old.allowed_cidrs IS DISTINCT FROM new.allowed_cidrs)) OR (old.expires_at IS DISTINCT FROM new.expires_at)) OR (old.revoked_at IS DISTINCT FROM new.revoked_at)) OR (old.rate_per_second IS DISTINCT FROM new.rate_per_second)) OR (old.rate_burst IS DISTINCT FROM new.rate_burst))) EXECUTE FUNCTION signalops.notify_key_change();

COMMENT ON TRIGGER notify_key_change ON signalops.api_keys IS 'A revoked key is refused at once everywhere.';

CREATE TRIGGER notify_key_change AFTER UPDATE ON signalops.tenants FOR EACH ROW WHEN ((((old.status IS DISTINCT FROM new.status) OR (old.rate_per_second IS DISTINCT FROM new.rate_per_second)) OR (old.rate_burst IS DISTINCT FROM new.rate_burst))) EXECUTE FUNCTION signalops.notify_key_change();

COMMENT ON TRIGGER notify_key_change ON signalops.tenants IS 'A suspended tenant is refused at once everywhere.';

CREATE TRIGGER notify_schema_change AFTER INSERT OR DELETE OR UPDATE ON signalops.event_schemas FOR EACH ROW EXECUTE FUNCTION signalops.notify_schema_change();

COMMENT ON TRIGGER notify_schema_change ON signalops.event_schemas IS 'A change is live in every API process at once.';

CREATE TRIGGER record_used_number AFTER DELETE ON signalops.invoices FOR EACH ROW EXECUTE FUNCTION signalops.record_used_number();

COMMENT ON TRIGGER record_used_number ON signalops.invoices IS 'Numbers stay without gaps.';

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON signalops.audit_log FOR EACH ROW EXECUTE FUNCTION signalops.refuse_log_change();

COMMENT ON TRIGGER refuse_change ON signalops.audit_log IS 'What was done stays on record as it was.';

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON signalops.credit_entries FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('grant more, or void the invoice that burned it');

COMMENT ON TRIGGER refuse_change ON signalops.credit_entries IS 'The ledger is only added to.';

CREATE TRIGGER refuse_change BEFORE UPDATE ON signalops.credit_grants FOR EACH ROW WHEN (((to_jsonb(new.*) - 'remaining'::text) <> (to_jsonb(old.*) - 'remaining'::text))) EXECUTE FUNCTION signalops.refuse_change('grant more, or have an invoice burn it');

COMMENT ON TRIGGER refuse_change ON signalops.credit_grants IS 'What was granted stays as it was; only what remains of it moves.';

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON signalops.invoice_lines FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('void its invoice, or issue a credit note');

COMMENT ON TRIGGER refuse_change ON signalops.invoice_lines IS 'A line stays as it was issued.';

CREATE TRIGGER refuse_change BEFORE UPDATE ON signalops.invoices FOR EACH ROW WHEN (((old.voided_at IS NOT NULL) OR ((to_jsonb(new.*) - '{voided_at,void_reason,voided_by}'::text[]) <> (to_jsonb(old.*) - '{voided_at,void_reason,voided_by}'::text[])))) EXECUTE FUNCTION signalops.refuse_change('void it once, or issue a credit note');

COMMENT ON TRIGGER refuse_change ON signalops.invoices IS 'An invoice stays as it was issued; it can be voided, once.';

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON signalops.plans FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('make a new version of the plan');

COMMENT ON TRIGGER refuse_change ON signalops.plans IS 'A version of a plan never changes.';

CREATE TRIGGER refuse_change BEFORE UPDATE ON signalops.subscriptions FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('subscribe the tenant again');

COMMENT ON TRIGGER refuse_change ON signalops.subscriptions IS 'By these terms it was billed. Deleted are those that have not begun to count: see subscribe.';

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON signalops.usage_daily FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('adjust the usage, which the open period bills');

COMMENT ON TRIGGER refuse_change ON signalops.usage_daily IS 'A sealed figure stays as it was.';

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON signalops.usage_hash_chain FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('adjust the usage, which the open period bills');

COMMENT ON TRIGGER refuse_change ON signalops.usage_hash_chain IS 'The chain is only added to.';

CREATE TRIGGER refuse_deletion BEFORE DELETE ON signalops.credit_grants FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('let it expire');

COMMENT ON TRIGGER refuse_deletion ON signalops.credit_grants IS 'What was granted stays on record.';

CREATE TRIGGER refuse_deletion BEFORE DELETE ON signalops.invoices FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('void it once, or issue a credit note');

COMMENT ON TRIGGER refuse_deletion ON signalops.invoices IS 'Numbers have no gaps: a voided invoice stays on record.';

CREATE TRIGGER refuse_time_zone_change BEFORE UPDATE OF time_zone ON signalops.tenants FOR EACH ROW WHEN ((new.time_zone <> old.time_zone)) EXECUTE FUNCTION signalops.refuse_time_zone_change();

COMMENT ON TRIGGER refuse_time_zone_change ON signalops.tenants IS 'An hour that was counted in one time zone may not exist in another.';

CREATE TRIGGER refuse_truncation BEFORE TRUNCATE ON signalops.audit_log FOR EACH STATEMENT EXECUTE FUNCTION signalops.refuse_log_change();

COMMENT ON TRIGGER refuse_truncation ON signalops.audit_log IS 'What was done stays on record.';

CREATE TRIGGER reset_circuit AFTER UPDATE OF enabled ON signalops.channels FOR EACH ROW WHEN ((new.enabled AND (NOT old.enabled))) EXECUTE FUNCTION signalops.reset_circuit();

COMMENT ON TRIGGER reset_circuit ON signalops.channels IS 'What failed for days may not disable it at once again.';

CREATE CONSTRAINT TRIGGER start_absence_timer AFTER INSERT OR UPDATE OF enabled, active_version ON signalops.rules DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION signalops.start_absence_timer();

COMMENT ON TRIGGER start_absence_timer ON signalops.rules IS 'A dead man''s switch runs from the moment its rule is enabled.';

CREATE TRIGGER start_draining BEFORE UPDATE OF status ON signalops.tenants FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION signalops.start_draining();

COMMENT ON TRIGGER start_draining ON signalops.tenants IS 'Resuming is a change of status, also in SQL.';

CREATE TRIGGER subscribe_to_free AFTER INSERT ON signalops.tenants FOR EACH ROW EXECUTE FUNCTION signalops.subscribe_to_free();

COMMENT ON TRIGGER subscribe_to_free ON signalops.tenants IS 'Every tenant has a plan from its first day on.';

CREATE TRIGGER version_limit AFTER INSERT OR DELETE OR UPDATE ON signalops.limits FOR EACH ROW EXECUTE FUNCTION signalops.version_limit();

COMMENT ON TRIGGER version_limit ON signalops.limits IS 'Events accepted after the commit are checked against the new limit.';

CREATE TRIGGER version_limited_meter AFTER INSERT OR UPDATE ON signalops.meters FOR EACH ROW EXECUTE FUNCTION signalops.version_limited_meter();

COMMENT ON TRIGGER version_limited_meter ON signalops.meters IS 'The API computes quantities by the active meters.';

CREATE TRIGGER version_meter BEFORE INSERT OR UPDATE ON signalops.meters FOR EACH ROW EXECUTE FUNCTION signalops.version_meter();

COMMENT ON TRIGGER version_meter ON signalops.meters IS 'A figure of last year means what it meant then.';

ALTER TABLE ONLY signalops.api_keys
    ADD CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.api_keys
    ADD CONSTRAINT api_keys_tenant_id_replaces_fkey FOREIGN KEY (tenant_id, replaces) REFERENCES signalops.api_keys(tenant_id, id);

ALTER TABLE ONLY signalops.backtests
    ADD CONSTRAINT backtests_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.billing_periods
    ADD CONSTRAINT billing_periods_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id);

ALTER TABLE ONLY signalops.channels
    ADD CONSTRAINT channels_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.credit_entries
    ADD CONSTRAINT credit_entries_tenant_id_grant_id_fkey FOREIGN KEY (tenant_id, grant_id) REFERENCES signalops.credit_grants(tenant_id, id);

ALTER TABLE ONLY signalops.credit_grants
    ADD CONSTRAINT credit_grants_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id);

ALTER TABLE ONLY signalops.event_schemas
    ADD CONSTRAINT event_schemas_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.invoice_lines
    ADD CONSTRAINT invoice_lines_tenant_id_invoice_id_fkey FOREIGN KEY (tenant_id, invoice_id) REFERENCES signalops.invoices(tenant_id, id);

ALTER TABLE ONLY signalops.invoices
    ADD CONSTRAINT invoices_tenant_id_corrects_fkey FOREIGN KEY (tenant_id, corrects) REFERENCES signalops.invoices(tenant_id, id);

ALTER TABLE ONLY signalops.invoices
    ADD CONSTRAINT invoices_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id);

ALTER TABLE ONLY signalops.invoices
    ADD CONSTRAINT invoices_tenant_id_period_fkey FOREIGN KEY (tenant_id, period) REFERENCES signalops.billing_periods(tenant_id, period);

ALTER TABLE ONLY signalops.limits
    ADD CONSTRAINT limits_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.meters
    ADD CONSTRAINT meters_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.replays
    ADD CONSTRAINT replays_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.rule_versions
    ADD CONSTRAINT rule_versions_tenant_id_channel_id_fkey FOREIGN KEY (tenant_id, channel_id) REFERENCES signalops.channels(tenant_id, id);

ALTER TABLE ONLY signalops.rule_versions
    ADD CONSTRAINT rule_versions_tenant_id_rule_id_fkey FOREIGN KEY (tenant_id, rule_id) REFERENCES signalops.rules(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.rules
    ADD CONSTRAINT rules_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.ruleset_versions
    ADD CONSTRAINT ruleset_versions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.silences
    ADD CONSTRAINT silences_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.subscriptions
    ADD CONSTRAINT subscriptions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.suppressions
    ADD CONSTRAINT suppressions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.usage_adjustments
    ADD CONSTRAINT usage_adjustments_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.usage_hash_chain
    ADD CONSTRAINT usage_hash_chain_tenant_id_period_fkey FOREIGN KEY (tenant_id, period) REFERENCES signalops.billing_periods(tenant_id, period);

ALTER TABLE signalops.accepted_counters ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.alerts ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.api_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.audit_log ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.backtests ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.batch_results ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.billing_periods ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.channel_schedules ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.channels ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.credit_entries ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.credit_grants ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.dead_letters ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.deliveries ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.delivery_attempts ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.digests ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.event_schemas ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.event_types ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.events ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.idempotency_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.inbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.invoice_lines ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.invoice_numbers ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.invoices ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.limits ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.maintenance_runs ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.matches ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.meters ENABLE ROW LEVEL SECURITY;

CREATE POLICY operations_look ON signalops.backtests FOR SELECT TO signalops_owner USING (true);

COMMENT ON POLICY operations_look ON signalops.backtests IS 'The view ops.backtests shows how long they take.';

CREATE POLICY operators_act ON signalops.plans TO signalops_platform USING (true) WITH CHECK (true);

COMMENT ON POLICY operators_act ON signalops.plans IS 'Operators read plans, and make versions of them.';

CREATE POLICY operators_act ON signalops.tenants TO signalops_platform USING (true) WITH CHECK (true);

COMMENT ON POLICY operators_act ON signalops.tenants IS 'Operators list, make and change tenants; of what these have they see one''s at a time.';

CREATE POLICY operators_read ON signalops.tenant_deletions FOR SELECT TO signalops_platform USING (true);

COMMENT ON POLICY operators_read ON signalops.tenant_deletions IS 'Operators of the installation read what was deleted.';

CREATE POLICY own_tenant ON signalops.accepted_counters USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.accepted_counters IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.api_keys USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.api_keys IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.audit_log USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.audit_log IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.backtests USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.backtests IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.batch_results USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.batch_results IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.billing_periods USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.billing_periods IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.channel_schedules USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.channel_schedules IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.channels USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.channels IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.credit_entries USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.credit_entries IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.credit_grants USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.credit_grants IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.dead_letters USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.dead_letters IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.deliveries USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.deliveries IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.delivery_attempts USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.delivery_attempts IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.digests USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.digests IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.event_schemas USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.event_schemas IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.event_types USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.event_types IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.events USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.events IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.idempotency_keys USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.idempotency_keys IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.inbox USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.inbox IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.invoice_lines USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.invoice_lines IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.invoices USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.invoices IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.limits USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.limits IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.matches USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.matches IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.meters USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.meters IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.rate_buckets USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.rate_buckets IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.replays USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.replays IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.retention_watermarks USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.retention_watermarks IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.rule_states USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.rule_states IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.rule_versions USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.rule_versions IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.rules USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.rules IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.ruleset_versions USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.ruleset_versions IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.send_targets USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.send_targets IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.silences USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.silences IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.subscriptions USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.subscriptions IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.suppressions USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.suppressions IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.tenants USING ((id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.tenants IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_adjustments USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_adjustments IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_counters USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_counters IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_daily USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_daily IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_distinct_values USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_distinct_values IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_entries USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_entries IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_hash_chain USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_hash_chain IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_row_counts USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_row_counts IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.window_events USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.window_events IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY owner_acts ON signalops.accepted_counters TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.accepted_counters IS 'A changed limit resets their thresholds; reconciliation checks them against the events.';

CREATE POLICY owner_acts ON signalops.alerts TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.alerts IS 'They are the installation''s, and of no tenant.';

CREATE POLICY owner_acts ON signalops.api_keys TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.api_keys IS 'find_keys looks a key up before any tenant is known.';

CREATE POLICY owner_acts ON signalops.audit_log TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.audit_log IS 'Actions are logged by functions of the owner, so that no role can log as another.';

CREATE POLICY owner_acts ON signalops.backtests TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.backtests IS 'Those of expired time are found by reading through the table.';

CREATE POLICY owner_acts ON signalops.batch_results TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.batch_results IS 'Reconciliation checks what was accepted against what was processed.';

CREATE POLICY owner_acts ON signalops.billing_periods TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.billing_periods IS 'Periods of all tenants are found and closed by narrow functions.';

CREATE POLICY owner_acts ON signalops.channel_schedules TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.channel_schedules IS 'enqueue_due_deliveries goes from channel to channel.';

CREATE POLICY owner_acts ON signalops.channels TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.channels IS 'find_called_channel looks a channel up before any tenant is known.';

CREATE POLICY owner_acts ON signalops.credit_entries TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.credit_entries IS 'Only functions move credit; the audit adds the entries up.';

CREATE POLICY owner_acts ON signalops.credit_grants TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.credit_grants IS 'Only functions change credit; reconciliation checks it against its entries.';

CREATE POLICY owner_acts ON signalops.dead_letters TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.dead_letters IS 'The audit counts the events that died.';

CREATE POLICY owner_acts ON signalops.deliveries TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.deliveries IS 'enqueue_due_deliveries and enqueue_lost_deliveries sweep all tenants for what has no job.';

CREATE POLICY owner_acts ON signalops.delivery_attempts TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.delivery_attempts IS 'Those of tenants that keep them for a shorter time are removed.';

CREATE POLICY owner_acts ON signalops.digests TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.digests IS 'flush_digests sweeps all tenants for what is due.';

CREATE POLICY owner_acts ON signalops.events TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.events IS 'The command line finds out whose event an id is.';

CREATE POLICY owner_acts ON signalops.idempotency_keys TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.idempotency_keys IS 'Those of expired events are found by reading through the table.';

CREATE POLICY owner_acts ON signalops.inbox TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.inbox IS 'take_batch removes a batch before it knows the tenants in it.';

CREATE POLICY owner_acts ON signalops.invoice_lines TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.invoice_lines IS 'issue_invoice alone writes them; the audit adds them up.';

CREATE POLICY owner_acts ON signalops.invoice_numbers TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.invoice_numbers IS 'issue_invoice takes numbers; the audit looks for gaps.';

CREATE POLICY owner_acts ON signalops.invoices TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.invoices IS 'Only issue_invoice writes them; reconciliation checks them against their lines.';

CREATE POLICY owner_acts ON signalops.limits TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.limits IS 'The command line sets the limits of a tenant; a change resets the thresholds.';

CREATE POLICY owner_acts ON signalops.maintenance_runs TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.maintenance_runs IS 'It is the installation''s, and of no tenant.';

CREATE POLICY owner_acts ON signalops.matches TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.matches IS 'flush_digests records the match.';

CREATE POLICY owner_acts ON signalops.meters TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.meters IS 'The command line lists the meters of a tenant; the audit reads what they count.';

CREATE POLICY owner_acts ON signalops.plans TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.plans IS 'The command line writes plans, and subscribe copies them to tenants.';

CREATE POLICY owner_acts ON signalops.retention_watermarks TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.retention_watermarks IS 'The removal of what has expired goes from tenant to tenant.';

CREATE POLICY owner_acts ON signalops.retired_invoice_numbers TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.retired_invoice_numbers IS 'The deletion of a tenant records them, and reconciliation of all numbers reads them.';

CREATE POLICY owner_acts ON signalops.rule_states TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.rule_states IS 'fire_absences and expire_rule_states sweep all tenants; start_absence_timer acts for the tenant whose rule changes.';

CREATE POLICY owner_acts ON signalops.rule_versions TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.rule_versions IS 'fire_absences and start_absence_timer read the rule''s content.';

CREATE POLICY owner_acts ON signalops.rules TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.rules IS 'fire_absences asks whether the rule still stands.';

CREATE POLICY owner_acts ON signalops.send_targets TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.send_targets IS 'enqueue_due_deliveries passes by send_targets whose circuit is open; reset_circuit closes it.';

CREATE POLICY owner_acts ON signalops.subscriptions TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.subscriptions IS 'Making a tenant subscribes it, and the command line lists tenants with their plans.';

CREATE POLICY owner_acts ON signalops.sweep_cursors TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.sweep_cursors IS 'Retention stores its progress.';

CREATE POLICY owner_acts ON signalops.tenant_deletions TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.tenant_deletions IS 'Deleting is done by functions of the owner.';

CREATE POLICY owner_acts ON signalops.tenants TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.tenants IS 'find_keys reads the status, and the command line lists and makes tenants.';

CREATE POLICY owner_acts ON signalops.usage_adjustments TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_adjustments IS 'The command line corrects usage; the audit reads the corrections.';

CREATE POLICY owner_acts ON signalops.usage_counters TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_counters IS 'Reconciliation checks counters against their entries.';

CREATE POLICY owner_acts ON signalops.usage_daily TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_daily IS 'Only seal_period writes them; reconciliation checks them against the counters.';

CREATE POLICY owner_acts ON signalops.usage_distinct_values TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_distinct_values IS 'Reconciliation counts distinct values again.';

CREATE POLICY owner_acts ON signalops.usage_entries TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_entries IS 'Reconciliation checks counters against their entries.';

CREATE POLICY owner_acts ON signalops.usage_hash_chain TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_hash_chain IS 'Only seal_period writes them; reconciliation computes them again.';

CREATE POLICY owner_acts ON signalops.usage_row_counts TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_row_counts IS 'limit_cardinality looks for those that are too large; reconciliation reads them.';

CREATE POLICY owner_acts ON signalops.window_events TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.window_events IS 'expire_rule_states removes what is past.';

ALTER TABLE signalops.plans ENABLE ROW LEVEL SECURITY;

CREATE POLICY platform_reads ON signalops.audit_log FOR SELECT TO signalops_platform USING (true);

COMMENT ON POLICY platform_reads ON signalops.audit_log IS 'Operators of the installation read what was done in all of it.';

ALTER TABLE signalops.rate_buckets ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.replays ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.retention_watermarks ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.retired_invoice_numbers ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rule_states ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rule_versions ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rules ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.ruleset_versions ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.send_targets ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.silences ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.subscriptions ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.suppressions ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.sweep_cursors ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.tenant_deletions ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_group_signalops_api ON signalops.accepted_counters TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.accepted_counters IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.api_keys TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.api_keys IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.events TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.events IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.idempotency_keys TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.idempotency_keys IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.inbox TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.inbox IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.limits TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.limits IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.rate_buckets TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.rate_buckets IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.tenants TO signalops_api USING ((id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.tenants IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.batch_results TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.batch_results IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.channel_schedules TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.channel_schedules IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.dead_letters TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.dead_letters IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.deliveries TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.deliveries IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.digests TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.digests IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.event_types TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.event_types IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.events TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.events IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.matches TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.matches IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.replays TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.replays IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.rule_states TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.rule_states IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.ruleset_versions TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.ruleset_versions IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.tenants TO signalops_worker USING ((id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.tenants IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.usage_counters TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.usage_counters IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.usage_distinct_values TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.usage_distinct_values IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.usage_entries TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.usage_entries IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.usage_row_counts TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.usage_row_counts IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.window_events TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.window_events IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

ALTER TABLE signalops.tenants ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_adjustments ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_counters ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_daily ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_distinct_values ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_entries ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_hash_chain ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_row_counts ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.window_events ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA ops TO signalops_worker;
GRANT USAGE ON SCHEMA ops TO signalops_operator;
GRANT USAGE ON SCHEMA ops TO signalops_platform;

GRANT USAGE ON SCHEMA signalops TO signalops_api;
GRANT USAGE ON SCHEMA signalops TO signalops_worker;
GRANT USAGE ON SCHEMA signalops TO signalops_platform;

REVOKE ALL ON FUNCTION ops.activity() FROM PUBLIC;
GRANT ALL ON FUNCTION ops.activity() TO signalops_operator;

REVOKE ALL ON FUNCTION ops.cancel_deliveries(tenant text, deliveries uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.cancel_deliveries(tenant text, deliveries uuid[]) TO signalops_operator;

REVOKE ALL ON FUNCTION ops.cancel_job(job bigint, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.cancel_job(job bigint, reason text) TO signalops_operator;

REVOKE ALL ON FUNCTION ops.discard_dead_letters(tenant text, letters uuid[], reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.discard_dead_letters(tenant text, letters uuid[], reason text) TO signalops_operator;

REVOKE ALL ON FUNCTION ops.drain_queue(queue text, at_most interval, OUT is_paused boolean, OUT ready bigint, OUT doing bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.drain_queue(queue text, at_most interval, OUT is_paused boolean, OUT ready bigint, OUT doing bigint) TO signalops_operator;

REVOKE ALL ON FUNCTION ops.find_tenant(named text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ops.log_installation_action(action text, target text, about jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION ops.measurements() FROM PUBLIC;
GRANT ALL ON FUNCTION ops.measurements() TO signalops_platform;
GRANT ALL ON FUNCTION ops.measurements() TO signalops_operator;

REVOKE ALL ON FUNCTION ops.pause_queue(queue text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.pause_queue(queue text, reason text) TO signalops_operator;

REVOKE ALL ON FUNCTION ops.queues() FROM PUBLIC;
GRANT ALL ON FUNCTION ops.queues() TO signalops_operator;

REVOKE ALL ON FUNCTION ops.require_ids(ids uuid[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION ops.require_reason(reason text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ops.resume_queue(queue text) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.resume_queue(queue text) TO signalops_operator;

REVOKE ALL ON FUNCTION ops.resume_tenant(tenant text) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.resume_tenant(tenant text) TO signalops_operator;

REVOKE ALL ON FUNCTION ops.retry_dead_letters(tenant text, letters uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.retry_dead_letters(tenant text, letters uuid[]) TO signalops_operator;

REVOKE ALL ON FUNCTION ops.retry_deliveries(tenant text, deliveries uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.retry_deliveries(tenant text, deliveries uuid[]) TO signalops_operator;

REVOKE ALL ON FUNCTION ops.retry_job(job bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.retry_job(job bigint) TO signalops_operator;

REVOKE ALL ON FUNCTION ops.suspend_tenant(tenant text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION ops.suspend_tenant(tenant text, reason text) TO signalops_operator;

GRANT SELECT ON TABLE signalops.usage_adjustments TO signalops_api;
GRANT SELECT ON TABLE signalops.usage_adjustments TO signalops_worker;
GRANT SELECT ON TABLE signalops.usage_adjustments TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.add_adjustment(tenant uuid, new_id uuid, of_meter text, at timestamp with time zone, of_grp text, quantity numeric, reason text, author text, key_id uuid, idempotency_key text, body_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.add_adjustment(tenant uuid, new_id uuid, of_meter text, at timestamp with time zone, of_grp text, quantity numeric, reason text, author text, key_id uuid, idempotency_key text, body_hash bytea) TO signalops_api;
GRANT ALL ON FUNCTION signalops.add_adjustment(tenant uuid, new_id uuid, of_meter text, at timestamp with time zone, of_grp text, quantity numeric, reason text, author text, key_id uuid, idempotency_key text, body_hash bytea) TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.alert_conditions(platform uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.apply_provider_status(delivery uuid, provider text, to_status text, because text) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.apply_provider_status(delivery uuid, provider text, to_status text, because text) TO signalops_api;

REVOKE ALL ON FUNCTION signalops.begin_deletion(slug_or_id text, confirmed text) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.begin_deletion(slug_or_id text, confirmed text) TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.bind_secret() FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.bump_meters_version(tenant uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.bump_meters_version(tenant uuid) TO signalops_api;
GRANT ALL ON FUNCTION signalops.bump_meters_version(tenant uuid) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.burn_credits(tenant uuid, invoice uuid, of_currency text, at_most numeric) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.burn_credits(tenant uuid, invoice uuid, of_currency text, at_most numeric) TO signalops_worker;
GRANT ALL ON FUNCTION signalops.burn_credits(tenant uuid, invoice uuid, of_currency text, at_most numeric) TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.claim_deliveries(requested jsonb, busy uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.claim_deliveries(requested jsonb, busy uuid[]) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.claim_delivery(tenant uuid, delivery uuid, busy uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.claim_delivery(tenant uuid, delivery uuid, busy uuid[]) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.close_circuits(tenant uuid, channels uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.close_circuits(tenant uuid, channels uuid[]) TO signalops_api;
GRANT ALL ON FUNCTION signalops.close_circuits(tenant uuid, channels uuid[]) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.current_plans(of_tenants uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.current_plans(of_tenants uuid[]) TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.delete_rows(tenant uuid, target regclass, at_most bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.delete_slice(tenant uuid, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.delete_slice(tenant uuid, at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.detach_partition(retention_days integer, audit_log_days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.detach_partition(retention_days integer, audit_log_days integer) TO signalops_worker;

GRANT SELECT ON TABLE signalops.usage_daily TO signalops_api;
GRANT SELECT ON TABLE signalops.usage_daily TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.drop_detached() FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.drop_detached() TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.drop_jobs(tenant uuid, at_most bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.emit_alert(platform uuid, what text, condition jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.emit_and_enqueue(event_type text, about jsonb, at_depth smallint) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.emit_and_enqueue(event_type text, about jsonb, at_depth smallint) TO signalops_api;
GRANT ALL ON FUNCTION signalops.emit_and_enqueue(event_type text, about jsonb, at_depth smallint) TO signalops_worker;
GRANT ALL ON FUNCTION signalops.emit_and_enqueue(event_type text, about jsonb, at_depth smallint) TO signalops_platform;

GRANT SELECT ON TABLE signalops.invoices TO signalops_api;
GRANT SELECT ON TABLE signalops.invoices TO signalops_worker;
GRANT SELECT ON TABLE signalops.invoices TO signalops_platform;

GRANT UPDATE(voided_at) ON TABLE signalops.invoices TO signalops_platform;

GRANT UPDATE(void_reason) ON TABLE signalops.invoices TO signalops_platform;

GRANT UPDATE(voided_by) ON TABLE signalops.invoices TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.emit_invoice_event(about signalops.invoices, what text, why text) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.emit_invoice_event(about signalops.invoices, what text, why text) TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) TO signalops_api;
GRANT ALL ON FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_backtest(tenant uuid, backtest uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_backtest(tenant uuid, backtest uuid) TO signalops_api;
GRANT ALL ON FUNCTION signalops.enqueue_backtest(tenant uuid, backtest uuid) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_deletion(tenant uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.enqueue_deletions() FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_deletions() TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_deliveries(requested jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_deliveries(requested jsonb) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_due_deliveries(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_due_deliveries(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_lost_batches(older_than interval, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_lost_batches(older_than interval, at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_lost_deliveries(older_than interval, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_lost_deliveries(older_than interval, at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_parked_backtests(tenant uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.evaluate_alerts(platform_slug text) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.evaluate_alerts(platform_slug text) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.expire(retention_days integer, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.expire(retention_days integer, at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.expire_credits(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.expire_credits(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.expire_rule_states(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.expire_rule_states(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.expired_partitions(retention_days integer, audit_log_days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.expired_partitions(retention_days integer, audit_log_days integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.find_called_channel(channel uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.find_called_channel(channel uuid) TO signalops_api;

REVOKE ALL ON FUNCTION signalops.find_keys(key_prefix text) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.find_keys(key_prefix text) TO signalops_api;

GRANT SELECT ON TABLE signalops.deliveries TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.deliveries TO signalops_worker;

GRANT UPDATE(rule_version) ON TABLE signalops.deliveries TO signalops_api;

GRANT UPDATE(status) ON TABLE signalops.deliveries TO signalops_api;

GRANT UPDATE(next_attempt_at) ON TABLE signalops.deliveries TO signalops_api;

GRANT UPDATE(updated_at) ON TABLE signalops.deliveries TO signalops_api;

GRANT UPDATE(attempts_at_reset) ON TABLE signalops.deliveries TO signalops_api;

REVOKE ALL ON FUNCTION signalops.find_tenant(wanted_id uuid, wanted_slug text) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.find_tenant(wanted_id uuid, wanted_slug text) TO signalops_api;

REVOKE ALL ON FUNCTION signalops.finish_deletion(tenant uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.finish_deletion(tenant uuid) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.fire_absences(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.fire_absences(at_most integer) TO signalops_worker;

GRANT ALL ON FUNCTION signalops.period_of(moment timestamp with time zone, zone text) TO signalops_operator;

GRANT SELECT ON TABLE signalops.usage_counters TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.usage_counters TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.flush_digests(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.flush_digests(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.freeze_periods(closing_after interval, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.freeze_periods(closing_after interval, at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.global_retention_cutoff(retention_days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.global_retention_cutoff(retention_days integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.grant_credit(tenant uuid, granted numeric, in_currency text, reason text, author text, priority smallint, expires_at timestamp with time zone, idempotency_key text, body_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.grant_credit(tenant uuid, granted numeric, in_currency text, reason text, author text, priority smallint, expires_at timestamp with time zone, idempotency_key text, body_hash bytea) TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.issue_invoice(tenant uuid, issued jsonb, lines jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.issue_invoice(tenant uuid, issued jsonb, lines jsonb) TO signalops_worker;
GRANT ALL ON FUNCTION signalops.issue_invoice(tenant uuid, issued jsonb, lines jsonb) TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.limit_cardinality() FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.limit_cardinality() TO signalops_worker;

GRANT SELECT ON TABLE signalops.limits TO signalops_api;
GRANT SELECT ON TABLE signalops.limits TO signalops_worker;
GRANT SELECT,INSERT,DELETE ON TABLE signalops.limits TO signalops_platform;

GRANT UPDATE(soft) ON TABLE signalops.limits TO signalops_platform;

GRANT UPDATE(hard) ON TABLE signalops.limits TO signalops_platform;

GRANT UPDATE(thresholds) ON TABLE signalops.limits TO signalops_platform;

GRANT UPDATE(overage) ON TABLE signalops.limits TO signalops_platform;

GRANT UPDATE(set_at) ON TABLE signalops.limits TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.lock_suspended_tenants(tenant_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.lock_suspended_tenants(tenant_ids uuid[]) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.log_row_change() FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.log_rule_change() FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.log_tenant_action(tenant uuid, action text, target_id text, target text, details jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.log_tenant_action(tenant uuid, action text, target_id text, target text, details jsonb) TO signalops_api;

REVOKE ALL ON FUNCTION signalops.make_partitions(months_ahead integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.make_partitions(months_ahead integer) TO signalops_worker;

GRANT SELECT ON TABLE signalops.tenants TO signalops_api;
GRANT SELECT ON TABLE signalops.tenants TO signalops_worker;

GRANT SELECT(id),INSERT(id) ON TABLE signalops.tenants TO signalops_platform;

GRANT SELECT(slug),INSERT(slug) ON TABLE signalops.tenants TO signalops_platform;

GRANT SELECT(name),INSERT(name),UPDATE(name) ON TABLE signalops.tenants TO signalops_platform;

GRANT SELECT(status),UPDATE(status) ON TABLE signalops.tenants TO signalops_platform;

GRANT SELECT(created_at) ON TABLE signalops.tenants TO signalops_platform;

GRANT SELECT(time_zone),INSERT(time_zone),UPDATE(time_zone) ON TABLE signalops.tenants TO signalops_platform;

GRANT SELECT(rate_per_second),UPDATE(rate_per_second) ON TABLE signalops.tenants TO signalops_platform;

GRANT SELECT(rate_burst),UPDATE(rate_burst) ON TABLE signalops.tenants TO signalops_platform;

GRANT SELECT(status_reason),UPDATE(status_reason) ON TABLE signalops.tenants TO signalops_platform;

GRANT SELECT(status_since) ON TABLE signalops.tenants TO signalops_platform;

GRANT SELECT(retention_days),UPDATE(retention_days) ON TABLE signalops.tenants TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.park_events(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.park_events(at_most integer) TO signalops_worker;

GRANT ALL ON FUNCTION signalops.period_start(day date, zone text) TO signalops_operator;

REVOKE ALL ON FUNCTION signalops.periods_ready(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.periods_ready(at_most integer) TO signalops_worker;

GRANT SELECT ON TABLE signalops.dead_letters TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.dead_letters TO signalops_worker;

GRANT UPDATE(resolved_at) ON TABLE signalops.dead_letters TO signalops_api;

GRANT UPDATE(resolution) ON TABLE signalops.dead_letters TO signalops_api;

GRANT UPDATE(reason) ON TABLE signalops.dead_letters TO signalops_api;

REVOKE ALL ON FUNCTION signalops.prune_jobs(history_days integer, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.prune_jobs(history_days integer, at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.reconcilable_range(of_tenant uuid, of_period date) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.reconcilable_range(of_tenant uuid, of_period date) TO signalops_api;
GRANT ALL ON FUNCTION signalops.reconcilable_range(of_tenant uuid, of_period date) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.record_barriers() FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.record_barriers() TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.record_key_uses(tenants uuid[], keys uuid[], moments timestamp with time zone[]) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.record_key_uses(tenants uuid[], keys uuid[], moments timestamp with time zone[]) TO signalops_api;

REVOKE ALL ON FUNCTION signalops.record_maintenance_run(of_job text, of_error text) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.record_maintenance_run(of_job text, of_error text) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.refuse_time_zone_change() FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.repair_schedules() FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.repair_schedules() TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.requeue_events(tenant uuid, events jsonb, wait interval, priority integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.requeue_events(tenant uuid, events jsonb, wait interval, priority integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.reset_circuit() FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.resume_tenants(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.resume_tenants(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.return_credits(tenant uuid, invoice uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.return_credits(tenant uuid, invoice uuid) TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.seal_period(tenant uuid, of_period date) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.seal_period(tenant uuid, of_period date) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.secret_destination(kind text, config jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.secret_destination(kind text, config jsonb) TO signalops_api;
GRANT ALL ON FUNCTION signalops.secret_destination(kind text, config jsonb) TO signalops_worker;
GRANT ALL ON FUNCTION signalops.secret_destination(kind text, config jsonb) TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.settle_deliveries(results jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.settle_deliveries(results jsonb) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.settle_delivery(tenant uuid, delivery uuid, attempt smallint, result jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.settle_delivery(tenant uuid, delivery uuid, attempt smallint, result jsonb) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.start_absence_timer() FROM PUBLIC;

GRANT SELECT ON TABLE signalops.subscriptions TO signalops_api;
GRANT SELECT ON TABLE signalops.subscriptions TO signalops_worker;
GRANT SELECT ON TABLE signalops.subscriptions TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.subscribe(tenant uuid, new_plan text, at_once boolean, author text, new_version integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.subscribe(tenant uuid, new_plan text, at_once boolean, author text, new_version integer) TO signalops_platform;

REVOKE ALL ON FUNCTION signalops.subscribe_to_free() FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.take_batch(first_batch uuid, job bigint, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.take_batch(first_batch uuid, job bigint, at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.unpark_events(tenant uuid, at_most integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.unpark_rule_states(tenant uuid, at_most integer) FROM PUBLIC;

GRANT ALL ON FUNCTION signalops.uuid7_floor(moment timestamp with time zone) TO signalops_operator;

GRANT ALL ON FUNCTION signalops.uuid7_time(id uuid) TO signalops_operator;

REVOKE ALL ON FUNCTION signalops.version_limit() FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.version_limited_meter() FROM PUBLIC;

GRANT SELECT ON TABLE signalops.audit_log TO signalops_api;
GRANT SELECT ON TABLE signalops.audit_log TO signalops_platform;

GRANT SELECT ON TABLE ops.actions TO signalops_operator;

GRANT SELECT ON TABLE ops.alerts TO signalops_operator;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE signalops.backtests TO signalops_api;
GRANT SELECT,UPDATE ON TABLE signalops.backtests TO signalops_worker;

GRANT SELECT ON TABLE ops.backtests TO signalops_operator;

GRANT SELECT ON TABLE ops.sessions TO signalops_operator;

GRANT SELECT ON TABLE ops.connections TO signalops_operator;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.channels TO signalops_api;
GRANT SELECT,UPDATE ON TABLE signalops.channels TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.rules TO signalops_api;
GRANT SELECT ON TABLE signalops.rules TO signalops_worker;

GRANT SELECT ON TABLE ops.dead_letters TO signalops_operator;

GRANT SELECT ON TABLE signalops.delivery_attempts TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.delivery_attempts TO signalops_worker;

GRANT SELECT ON TABLE ops.deliveries TO signalops_operator;

GRANT SELECT,INSERT ON TABLE signalops.rule_versions TO signalops_api;
GRANT SELECT ON TABLE signalops.rule_versions TO signalops_worker;

GRANT SELECT ON TABLE signalops.send_targets TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.send_targets TO signalops_worker;

GRANT SELECT ON TABLE ops.delivery_health TO signalops_operator;

GRANT SELECT,INSERT ON TABLE signalops.inbox TO signalops_api;
GRANT SELECT ON TABLE signalops.inbox TO signalops_worker;

GRANT SELECT ON TABLE ops.inbox_by_tenant TO signalops_operator;

GRANT SELECT ON TABLE ops.job_history TO signalops_operator;

GRANT SELECT ON TABLE ops.locks TO signalops_operator;

GRANT SELECT ON TABLE ops.partitions TO signalops_operator;

GRANT SELECT ON TABLE ops.tables TO signalops_operator;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.accepted_counters TO signalops_api;
GRANT SELECT ON TABLE signalops.accepted_counters TO signalops_worker;
GRANT SELECT ON TABLE signalops.accepted_counters TO signalops_platform;

GRANT SELECT ON TABLE ops.tenant_usage TO signalops_operator;

GRANT SELECT ON TABLE ops.outlook TO signalops_operator;

GRANT SELECT(queue) ON TABLE ops.paused_queues TO signalops_worker;

GRANT SELECT ON TABLE ops.running_jobs TO signalops_operator;

GRANT SELECT ON TABLE ops.workers TO signalops_operator;

GRANT SELECT ON TABLE ops.queue_health TO signalops_operator;

GRANT SELECT ON TABLE signalops.matches TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.matches TO signalops_worker;

GRANT SELECT ON TABLE signalops.rule_states TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.rule_states TO signalops_worker;

GRANT SELECT ON TABLE signalops.window_events TO signalops_api;
GRANT SELECT,INSERT,DELETE ON TABLE signalops.window_events TO signalops_worker;

GRANT SELECT ON TABLE ops.slow_rules TO signalops_operator;

GRANT SELECT ON TABLE signalops.api_keys TO signalops_api;

GRANT INSERT(tenant_id) ON TABLE signalops.api_keys TO signalops_api;
GRANT SELECT(tenant_id),INSERT(tenant_id) ON TABLE signalops.api_keys TO signalops_platform;

GRANT INSERT(id) ON TABLE signalops.api_keys TO signalops_api;
GRANT SELECT(id),INSERT(id) ON TABLE signalops.api_keys TO signalops_platform;

GRANT INSERT(prefix) ON TABLE signalops.api_keys TO signalops_api;
GRANT SELECT(prefix),INSERT(prefix) ON TABLE signalops.api_keys TO signalops_platform;

GRANT INSERT(hash) ON TABLE signalops.api_keys TO signalops_api;
GRANT INSERT(hash) ON TABLE signalops.api_keys TO signalops_platform;

GRANT INSERT(label),UPDATE(label) ON TABLE signalops.api_keys TO signalops_api;
GRANT SELECT(label),INSERT(label),UPDATE(label) ON TABLE signalops.api_keys TO signalops_platform;

GRANT INSERT(scopes) ON TABLE signalops.api_keys TO signalops_api;
GRANT SELECT(scopes),INSERT(scopes) ON TABLE signalops.api_keys TO signalops_platform;

GRANT SELECT(created_at) ON TABLE signalops.api_keys TO signalops_platform;

GRANT INSERT(expires_at),UPDATE(expires_at) ON TABLE signalops.api_keys TO signalops_api;
GRANT SELECT(expires_at),INSERT(expires_at),UPDATE(expires_at) ON TABLE signalops.api_keys TO signalops_platform;

GRANT UPDATE(revoked_at) ON TABLE signalops.api_keys TO signalops_api;
GRANT SELECT(revoked_at),UPDATE(revoked_at) ON TABLE signalops.api_keys TO signalops_platform;

GRANT INSERT(allowed_cidrs),UPDATE(allowed_cidrs) ON TABLE signalops.api_keys TO signalops_api;
GRANT SELECT(allowed_cidrs),INSERT(allowed_cidrs),UPDATE(allowed_cidrs) ON TABLE signalops.api_keys TO signalops_platform;

GRANT INSERT(replaces) ON TABLE signalops.api_keys TO signalops_api;
GRANT SELECT(replaces),INSERT(replaces) ON TABLE signalops.api_keys TO signalops_platform;

GRANT SELECT(last_used_at) ON TABLE signalops.api_keys TO signalops_platform;

GRANT INSERT(rate_per_second),UPDATE(rate_per_second) ON TABLE signalops.api_keys TO signalops_api;
GRANT SELECT(rate_per_second),INSERT(rate_per_second),UPDATE(rate_per_second) ON TABLE signalops.api_keys TO signalops_platform;

GRANT INSERT(rate_burst),UPDATE(rate_burst) ON TABLE signalops.api_keys TO signalops_api;
GRANT SELECT(rate_burst),INSERT(rate_burst),UPDATE(rate_burst) ON TABLE signalops.api_keys TO signalops_platform;

GRANT INSERT(digest),UPDATE(digest) ON TABLE signalops.api_keys TO signalops_api;
GRANT INSERT(digest) ON TABLE signalops.api_keys TO signalops_platform;

GRANT INSERT(made_by) ON TABLE signalops.api_keys TO signalops_api;
GRANT SELECT(made_by),INSERT(made_by) ON TABLE signalops.api_keys TO signalops_platform;

GRANT SELECT ON TABLE signalops.batch_results TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.batch_results TO signalops_worker;

GRANT SELECT ON TABLE signalops.billing_periods TO signalops_api;
GRANT SELECT ON TABLE signalops.billing_periods TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.channel_schedules TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.channel_schedules TO signalops_worker;

GRANT SELECT ON TABLE signalops.credit_entries TO signalops_api;
GRANT SELECT ON TABLE signalops.credit_entries TO signalops_worker;
GRANT SELECT ON TABLE signalops.credit_entries TO signalops_platform;

GRANT SELECT ON TABLE signalops.credit_grants TO signalops_api;
GRANT SELECT ON TABLE signalops.credit_grants TO signalops_worker;
GRANT SELECT ON TABLE signalops.credit_grants TO signalops_platform;

GRANT SELECT ON TABLE signalops.digests TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.digests TO signalops_worker;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE signalops.event_schemas TO signalops_api;

GRANT SELECT,INSERT ON TABLE signalops.events TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.events TO signalops_worker;

GRANT SELECT ON TABLE signalops.event_status TO signalops_api;
GRANT SELECT ON TABLE signalops.event_status TO signalops_worker;

GRANT SELECT ON TABLE signalops.event_types TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.event_types TO signalops_worker;

GRANT SELECT,INSERT ON TABLE signalops.idempotency_keys TO signalops_api;

GRANT SELECT ON TABLE signalops.invoice_lines TO signalops_api;
GRANT SELECT ON TABLE signalops.invoice_lines TO signalops_worker;
GRANT SELECT ON TABLE signalops.invoice_lines TO signalops_platform;

GRANT SELECT ON TABLE signalops.meters TO signalops_api;
GRANT SELECT ON TABLE signalops.meters TO signalops_worker;

GRANT INSERT(tenant_id) ON TABLE signalops.meters TO signalops_api;
GRANT SELECT(tenant_id) ON TABLE signalops.meters TO signalops_platform;

GRANT INSERT(key) ON TABLE signalops.meters TO signalops_api;
GRANT SELECT(key) ON TABLE signalops.meters TO signalops_platform;

GRANT INSERT(first_version) ON TABLE signalops.meters TO signalops_api;
GRANT SELECT(first_version) ON TABLE signalops.meters TO signalops_platform;

GRANT INSERT(name) ON TABLE signalops.meters TO signalops_api;
GRANT SELECT(name) ON TABLE signalops.meters TO signalops_platform;

GRANT INSERT(aggregation) ON TABLE signalops.meters TO signalops_api;
GRANT SELECT(aggregation) ON TABLE signalops.meters TO signalops_platform;

GRANT INSERT(field) ON TABLE signalops.meters TO signalops_api;

GRANT INSERT(grammar) ON TABLE signalops.meters TO signalops_api;

GRANT INSERT(pattern) ON TABLE signalops.meters TO signalops_api;

GRANT INSERT(group_by) ON TABLE signalops.meters TO signalops_api;
GRANT SELECT(group_by) ON TABLE signalops.meters TO signalops_platform;

GRANT INSERT(unit) ON TABLE signalops.meters TO signalops_api;
GRANT SELECT(unit) ON TABLE signalops.meters TO signalops_platform;

GRANT UPDATE(ended_at) ON TABLE signalops.meters TO signalops_api;
GRANT UPDATE(ended_at) ON TABLE signalops.meters TO signalops_worker;

GRANT INSERT(allows_negative) ON TABLE signalops.meters TO signalops_api;

GRANT SELECT ON TABLE signalops.limited_meters TO signalops_api;
GRANT SELECT ON TABLE signalops.limited_meters TO signalops_worker;

GRANT SELECT ON TABLE signalops.plans TO signalops_platform;

GRANT INSERT(plan) ON TABLE signalops.plans TO signalops_platform;

GRANT INSERT(version) ON TABLE signalops.plans TO signalops_platform;

GRANT INSERT(grammar) ON TABLE signalops.plans TO signalops_platform;

GRANT INSERT(document) ON TABLE signalops.plans TO signalops_platform;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.rate_buckets TO signalops_api;

GRANT SELECT,INSERT ON TABLE signalops.replays TO signalops_api;
GRANT SELECT ON TABLE signalops.replays TO signalops_worker;

GRANT SELECT ON TABLE signalops.retention_watermarks TO signalops_api;
GRANT SELECT ON TABLE signalops.retention_watermarks TO signalops_worker;
GRANT SELECT ON TABLE signalops.retention_watermarks TO signalops_platform;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.ruleset_versions TO signalops_api;
GRANT SELECT ON TABLE signalops.ruleset_versions TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.silences TO signalops_api;
GRANT SELECT ON TABLE signalops.silences TO signalops_worker;

GRANT SELECT,INSERT,DELETE ON TABLE signalops.suppressions TO signalops_api;
GRANT SELECT ON TABLE signalops.suppressions TO signalops_worker;

GRANT SELECT ON TABLE signalops.tenant_deletions TO signalops_platform;

GRANT SELECT ON TABLE signalops.usage_distinct_values TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.usage_distinct_values TO signalops_worker;

GRANT SELECT ON TABLE signalops.usage_entries TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.usage_entries TO signalops_worker;

GRANT SELECT ON TABLE signalops.usage_hash_chain TO signalops_api;
GRANT SELECT ON TABLE signalops.usage_hash_chain TO signalops_worker;

GRANT SELECT ON TABLE signalops.usage_row_counts TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.usage_row_counts TO signalops_worker;
