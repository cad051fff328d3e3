-- Station usage: how much of a meter may be accepted in a month.

-- limited-meters: the meters by which a tenant's incoming events are weighed, with their version; one row without a meter for none
select t.limited_meters_version, m.key, m.aggregation, m.field, m.grammar, m.pattern, m.group_by, m.allows_negative
from signalops.tenants t
left join signalops.limited_meters m on m.tenant_id = t.id
where t.id = %(tenant)s;

-- list-limits: the limits in effect today, with what is accepted in this month and the amounts of which notices were emitted
select l.meter, l.origin, l.starts_on, l.soft, l.hard, l.thresholds, l.overage, p.period,
  coalesce(q.accepted, 0) as accepted, coalesce(q.notified, '{}') as notified
from signalops.tenants t
cross join lateral (select signalops.period_of(now(), t.time_zone) as period) p
cross join lateral (select distinct s.meter from signalops.limits s where s.tenant_id = t.id) s
cross join lateral signalops.limit_of(t.id, s.meter, (now() at time zone t.time_zone)::date) l
left join signalops.accepted_counters q on q.tenant_id = t.id and q.period = p.period and q.meter = l.meter
where t.id = %(tenant)s and coalesce(l.soft, l.hard) is not null
order by l.meter;

-- set-limit: sets a limit of the tenant's own from today on
insert into signalops.limits (tenant_id, meter, origin, starts_on, soft, hard, thresholds, overage)
select t.id, %(meter)s, 'tenant', (now() at time zone t.time_zone)::date, %(soft)s, %(hard)s, %(thresholds)s, %(overage)s
from signalops.tenants t where t.id = %(tenant)s
on conflict (tenant_id, meter, origin, starts_on) do update
  set soft = excluded.soft, hard = excluded.hard, thresholds = excluded.thresholds, overage = excluded.overage, set_at = now();

-- remove-limit: takes a tenant's own limit of a meter away, so that its plan's applies
delete from signalops.limits where tenant_id = %(tenant)s and meter = %(meter)s and origin = 'tenant' returning meter;
