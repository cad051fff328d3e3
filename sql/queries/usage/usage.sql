-- Station usage: what was counted, and corrected.

-- find-meter: a meter of a tenant as it was last, or the one of all events, with the tenant's time zone
select t.time_zone, coalesce(m.name, 'Events') as name, coalesce(m.aggregation, 'count') as aggregation, m.unit,
  coalesce(m.group_by, '{}') as group_by
from signalops.tenants t
left join lateral (
  select m.key, m.name, m.aggregation, m.unit, m.group_by from signalops.meters m where m.tenant_id = t.id and m.key = %(meter)s order by m.first_version desc limit 1
) m on true
where t.id = %(tenant)s and (m.key is not null or %(meter)s = 'events');

-- is-limited: whether a month of a range of hours has more groups and distinct values than are kept
select exists (
  select from signalops.usage_row_counts s join signalops.tenants t on t.id = s.tenant_id
  where s.tenant_id = %(tenant)s and s.limited_from_version is not null
    and signalops.period_start(s.period, t.time_zone) < %(upper)s
    and signalops.period_start((s.period + interval '1 month')::date, t.time_zone) > %(lower)s
);

-- usage-by: what a meter counted in a range of hours, by window and group, or of one group alone
select bucket, group_key, events, quantity
from signalops.usage_by(%(tenant)s, %(meter)s, %(lower)s, %(upper)s, %(step)s, %(by_group)s, null)
where %(group_key)s::text is null or group_key = %(group_key)s
order by bucket, group_key limit %(limit)s;

-- quota-of-month: how much was accepted in a month, and the limits on it: those of today, or of its last day
select ceil(l.soft) as soft_limit, floor(l.hard) as hard_limit, coalesce(q.accepted, 0) as accepted
from signalops.tenants t
left join signalops.accepted_counters q on q.tenant_id = t.id and q.period = %(period)s and q.meter = 'events'
left join lateral signalops.limit_of(t.id, 'events',
  least((now() at time zone t.time_zone)::date, (%(period)s::date + interval '1 month' - interval '1 day')::date)) l on true
where t.id = %(tenant)s;

-- add-adjustment: corrects the usage of an hour; with an idempotency key that was used before the first correction comes back
select id, meter, hour, group_key, period, is_late, quantity, reason, author, created_at, body_hash
from signalops.add_adjustment(%(tenant)s, %(id)s, %(meter)s, %(at)s, %(group_key)s, %(quantity)s, %(reason)s, %(author)s, %(key)s,
  %(idempotency_key)s, %(body_hash)s);

-- list-adjustments: a page of corrections, each with the fields of its meter's groups
select a.id, a.meter, a.hour, a.group_key, a.period, a.is_late, a.quantity, a.reason, a.author, a.created_at,
  coalesce((select m.group_by from signalops.meters m where m.tenant_id = a.tenant_id and m.key = a.meter
    order by m.first_version desc limit 1), '{}') as group_by
from signalops.usage_adjustments a
where a.tenant_id = %(tenant)s and a.id > %(lower)s and a.id < %(upper)s
  and (%(meter)s::text is null or a.meter = %(meter)s)
order by case when %(upwards)s then a.id end, a.id desc limit %(limit)s;
