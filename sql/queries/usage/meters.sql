-- Station usage: what is counted of a tenant's events.

-- active-meters: every meter of a tenant that counts, with the version of its meters_version, and the months that keep no groups
select t.meters_version, m.key, m.aggregation, m.field, m.grammar, m.pattern, m.group_by, m.allows_negative,
  coalesce(l.months, '{}') as limited
from signalops.tenants t
left join signalops.meters m on m.tenant_id = t.id and m.end_version is null
left join lateral (
  select array_agg(s.period) as months from signalops.usage_row_counts s where s.tenant_id = t.id and s.limited_from_version is not null
) l on true
where t.id = %(tenant)s
order by m.key;

-- list-meters: a tenant's meters as they are or were at last, by key
select * from (
  select distinct on (m.key) m.key, m.name, m.aggregation, m.field, m.pattern, m.group_by as "groupBy", m.unit, m.origin, m.allows_negative as "allowNegative",
    m.created_at as "createdAt", m.ended_at as "endedAt"
  from signalops.meters m
  where m.tenant_id = %(tenant)s and m.key > %(after)s and (%(key)s::text is null or m.key = %(key)s)
  order by m.key, m.first_version desc
) as m
where %(ended)s or m."endedAt" is null
limit %(limit)s;

-- counts-the-same: whether a meter's key means what another one says
select (m.aggregation, m.field, m.pattern, m.group_by)
  is not distinct from (%(aggregation)s, %(field)s::text, %(pattern)s::jsonb, %(group_by)s::text[])
  and (%(allows_negative)s::boolean is null or m.allows_negative = %(allows_negative)s)
from signalops.meters m
where m.tenant_id = %(tenant)s and m.key = %(key)s
limit 1;

-- add-meter: makes a meter, which counts from the next batch on
insert into signalops.meters (tenant_id, key, first_version, name, aggregation, field, grammar, pattern, group_by, unit, allows_negative)
values (%(tenant)s, %(key)s, 0, %(name)s, %(aggregation)s, %(field)s, %(grammar)s, %(pattern)s, %(group_by)s, %(unit)s,
  coalesce(%(allows_negative)s, true));

-- count-meters: how many meters of its own a tenant has that count, and how many it has made in the last 30 days
select count(*) filter (where end_version is null), count(*) filter (where created_at > now() - interval '30 days')
from signalops.meters where tenant_id = %(tenant)s and origin = 'tenant';

-- end-meter: has a meter of the tenant's own count no more
update signalops.meters set ended_at = now()
where tenant_id = %(tenant)s and key = %(key)s and end_version is null and origin = 'tenant';
