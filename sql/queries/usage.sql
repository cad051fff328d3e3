-- Station usage: what was accepted and processed.

-- usage-of-month: a month's limits and counts of a tenant, with the days that have any
select t.soft_limit, t.hard_limit, coalesce(q.accepted, 0) as accepted,
  coalesce((select sum(u.quantity) from signalops.usage_counters u
    where u.tenant_id = t.id and u.meter = 'events' and u.day >= %(period)s and u.day < %(period)s + interval '1 month'), 0)::bigint
    as processed,
  (select coalesce(jsonb_object_agg(u.day, u.quantity order by u.day), '{}') from signalops.usage_counters u
    where u.tenant_id = t.id and u.meter = 'events' and u.day >= %(period)s and u.day < %(period)s + interval '1 month') as days
from signalops.tenants t
left join signalops.quotas q on q.tenant_id = t.id and q.period = %(period)s
where t.id = %(tenant)s;
