-- Schema ops: what tenants wait for, use and cost.

create or replace view ops.inbox_by_tenant as
select t.slug as tenant, i.tenant_id, t.status, i.waiting, i.parked, i.replayed, i.oldest, now() - i.oldest as oldest_age
from (
  select n.tenant_id, count(*) as waiting, count(*) filter (where n.is_parked) as parked, count(n.replay_id) as replayed,
    min(signalops.uuid7_time(n.event_id)) filter (where n.replay_id is null) as oldest
  from signalops.inbox n group by n.tenant_id
) i
join signalops.tenants t on t.id = i.tenant_id;
comment on view ops.inbox_by_tenant is
  'Events that were accepted and are not processed yet, by tenant. Reads the inbox once, which is small when all is well.';
comment on column ops.inbox_by_tenant.tenant is 'The tenant''s slug.';
comment on column ops.inbox_by_tenant.tenant_id is 'Its id.';
comment on column ops.inbox_by_tenant.status is 'active, suspended (then they wait for it to be resumed), closed or deleting.';
comment on column ops.inbox_by_tenant.waiting is 'Its events that wait.';
comment on column ops.inbox_by_tenant.parked is 'Those of them that wait for it to be resumed.';
comment on column ops.inbox_by_tenant.replayed is 'Those of them that a replay put there.';
comment on column ops.inbox_by_tenant.oldest is 'When the first of them was accepted, replays apart; NULL: there is no other.';
comment on column ops.inbox_by_tenant.oldest_age is 'How long ago that is.';

create or replace view ops.slow_rules as
select t.slug as tenant, r.tenant_id, r.name as rule, r.id as rule_id, r.active_version as version, r.enabled, v.conditions,
  octet_length(v.pattern::text) as pattern_bytes, coalesce(m.matches, 0) as matches_in_an_hour, g.groups, h.retained as window_events,
  d.dead as dead_in_a_day
from signalops.rules r
join signalops.tenants t on t.id = r.tenant_id
join signalops.rule_versions v on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.active_version
left join (
  select s.tenant_id, s.rule_id, s.matches
  from signalops.tenants a
  cross join lateral (
    select n.tenant_id, n.rule_id, count(*) as matches from signalops.matches n
    where n.tenant_id = a.id and n.event_id >= signalops.uuid7_floor(now() - interval '1 hour') group by n.tenant_id, n.rule_id
  ) s
) m on m.tenant_id = r.tenant_id and m.rule_id = r.id
cross join lateral (
  select count(*) as groups from signalops.rule_states n where n.tenant_id = r.tenant_id and n.rule_id = r.id
) g
cross join lateral (
  select count(*) as retained from signalops.window_events n where n.tenant_id = r.tenant_id and n.rule_id = r.id
) h
cross join lateral (
  select count(*) as dead from signalops.dead_letters n
  where n.tenant_id = r.tenant_id and n.rule_id = r.id and n.resolved_at is null and n.died_at >= now() - interval '1 day'
) d
where r.deleted_at is null;
comment on view ops.slow_rules is
  'What makes rules dear: their size, how often they match, what they remember, what comes of them. How long a rule takes to be evaluated is not '
  'stored, since all of a tenant''s are evaluated as one; a backtest times one alone: see ops.backtests.';
comment on column ops.slow_rules.tenant is 'The tenant''s slug.';
comment on column ops.slow_rules.tenant_id is 'Its id.';
comment on column ops.slow_rules.rule is 'The rule''s name.';
comment on column ops.slow_rules.rule_id is 'Its id.';
comment on column ops.slow_rules.version is 'The version that decides now.';
comment on column ops.slow_rules.enabled is 'Whether it is evaluated.';
comment on column ops.slow_rules.conditions is 'Conditions of its pattern once every $or is expanded: what it costs to compile and to keep in memory.';
comment on column ops.slow_rules.pattern_bytes is 'The length of its pattern as JSON.';
comment on column ops.slow_rules.matches_in_an_hour is 'Events of the last hour that it matched.';
comment on column ops.slow_rules.groups is 'Groups that it remembers, each a row which a match locks.';
comment on column ops.slow_rules.window_events is 'Events in its windows.';
comment on column ops.slow_rules.dead_in_a_day is
  'Its deliveries that died in the last 24 hours and wait for somebody to look, as for a template that fails.';

create or replace view ops.backtests as
select t.slug as tenant, b.tenant_id, b.id as backtest_id, b.status, b.scanned as events, b.created_at as requested_at,
  b.updated_at as saved_at, b.updated_at - b.created_at as took,
  round(b.scanned::numeric / nullif(extract(epoch from b.updated_at - b.created_at), 0::numeric)) as events_per_second,
  regexp_replace(b.error, '([(:"]|\s'').*', '') as error
from signalops.backtests b
join signalops.tenants t on t.id = b.tenant_id;
comment on view ops.backtests is 'Backtests, of which a tenant keeps 50, and how fast they went: rules alone against stored events.';
comment on column ops.backtests.tenant is 'The tenant''s slug.';
comment on column ops.backtests.tenant_id is 'Its id.';
comment on column ops.backtests.backtest_id is 'The backtest.';
comment on column ops.backtests.status is 'queued, running, done, failed or cancelled.';
comment on column ops.backtests.events is 'Events looked through.';
comment on column ops.backtests.requested_at is 'When it was asked for.';
comment on column ops.backtests.saved_at is 'When its work was saved last.';
comment on column ops.backtests.took is 'The time between, in which it may have waited for a worker.';
comment on column ops.backtests.events_per_second is 'Events by that time.';
comment on column ops.backtests.error is 'Why it failed, without what the error quotes: that may be of a payload, and is in the tenant''s own.';

create or replace view ops.tenant_usage as
select t.slug as tenant, t.id as tenant_id, q.meter, q.period, q.accepted, l.soft, l.hard, l.overage,
  round(100 * q.accepted / nullif(coalesce(l.hard, l.soft), 0), 1) as percent, coalesce(c.events, 0) + coalesce(e.events, 0) as counted
from signalops.tenants t
cross join lateral (
  select signalops.period_of(now(), t.time_zone) as period, (now() at time zone t.time_zone)::date as today
) p
join signalops.accepted_counters q on q.tenant_id = t.id and q.period = p.period
left join lateral (
  select * from signalops.limits n where n.tenant_id = t.id and n.meter = q.meter and n.starts_on <= p.today
  order by n.origin desc, n.starts_on desc limit 1
) l on true
cross join lateral (
  select sum(u.events) as events from signalops.usage_counters u
  where u.tenant_id = t.id and u.meter = q.meter and u.period = p.period and not u.is_late
    and u.hour >= signalops.period_start(p.period, t.time_zone)
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
comment on column ops.tenant_usage.soft is 'The amount at which the tenant is notified; NULL: none.';
comment on column ops.tenant_usage.hard is 'The amount beyond which it is refused, or marked; NULL: none.';
comment on column ops.tenant_usage.overage is 'Overage beyond hard: refuse or accept; NULL: it never had a limit.';
comment on column ops.tenant_usage.percent is 'Accepted of hard (of soft, without hard); NULL: there is no limit.';
comment on column ops.tenant_usage.counted is
  'Events processed and billed in this month, late ones too; what is accepted above it waits, died, or belongs to another month.';
