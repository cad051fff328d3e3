-- Alerts: conditions that are out of bounds, raised and ended once.

create or replace function signalops.record_maintenance_run(of_job text, of_error text) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  insert into signalops.maintenance_runs as m (job, failed_at, error)
  values (of_job, case when of_error is not null then now() end, left(of_error, 500))
  on conflict (job) do update set
    succeeded_at = case when of_error is null then now() else m.succeeded_at end,
    failed_at = coalesce(excluded.failed_at, m.failed_at),
    error = coalesce(excluded.error, m.error)
$$;
comment on function signalops.record_maintenance_run is 'Records the end of a maintenance job: success, or an error.';

create or replace function signalops.alert_conditions(platform uuid)
returns table (alert text, subject text, severity text, value double precision, is_over boolean, raise_after interval, resolve_after interval,
  summary text, remedy text)
language sql stable as $$
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
comment on function signalops.alert_conditions is
  'The alert conditions at or near their threshold, except those that the operators'' own tenant causes. Missing rows are '
  'within bounds.';

create or replace function signalops.emit_alert(platform uuid, what text, condition jsonb) returns void
language plpgsql volatile as $$
begin
  if platform is not null then
    perform signalops.set_tenant(platform);
    perform signalops.emit_and_enqueue('signalops.alert.' || what, condition, 1::smallint);
  end if;
end
$$;
comment on function signalops.emit_alert is 'Makes an alert an event of the operators'' tenant; without one it only stands in ops.alerts.';

create or replace function signalops.evaluate_alerts(platform_slug text) returns table (alert text, subject text, became text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
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
comment on function signalops.evaluate_alerts is
  'Evaluates the alert conditions; emits events to the operators'' tenant, named by its slug, for alerts that are raised or '
  'resolved, once each. Returns them.';
