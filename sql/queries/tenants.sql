-- Station tenants: tenants, as operators make and change them.

-- add-tenant: makes a tenant
insert into signalops.tenants (id, slug, name, time_zone) values (%(id)s, %(slug)s, %(name)s, %(time_zone)s);

-- find-tenant: a tenant by its id, or else by its slug
select id, slug, status from signalops.tenants
where id = %(id)s or slug = %(slug)s order by id = %(id)s desc nulls last limit 1;

-- lock-tenant: the status of a tenant, which nobody else changes until the end of the transaction
select status from signalops.tenants where id = %(id)s for no key update;

-- read-tenant: a tenant with the plan that it has today
select t.id, t.slug, t.name, t.time_zone as "timeZone", t.status, t.status_reason as "statusReason", t.status_since as "statusSince",
  h.plan, t.created_at as "createdAt", t.rate_per_second::float8 as rate, t.rate_burst as burst,
  t.retention_days as "retentionDays"
from signalops.tenants t cross join lateral signalops.current_plans(array[t.id]) h where t.id = %(id)s;

-- list-tenants: a page of tenants between two ids, of one status or of all, with the plans that they have today
with page as materialized (
  select t.id, t.slug, t.name, t.time_zone, t.status, t.status_reason, t.status_since, t.created_at from signalops.tenants t
  where t.id > %(lower)s and t.id < %(upper)s and (%(status)s::text is null or t.status = %(status)s)
  order by case when %(upwards)s then t.id end, t.id desc limit %(limit)s
)
select p.id, p.slug, p.name, p.time_zone as "timeZone", p.status, p.status_reason as "statusReason", p.status_since as "statusSince",
  h.plan, p.created_at as "createdAt"
from page p join signalops.current_plans(array(select id from page)) h on h.tenant = p.id
order by case when %(upwards)s then p.id end, p.id desc;

-- every-tenant: id and slug of every tenant, for the owner's command line
select id, slug from signalops.tenants order by slug;

-- change-tenant: sets the columns of a tenant that changes has, also to NULL; the others stay
update signalops.tenants t
set name = case when c.changes ? 'name' then c.changes ->> 'name' else t.name end,
  time_zone = case when c.changes ? 'time_zone' then c.changes ->> 'time_zone' else t.time_zone end,
  rate_per_second = case when c.changes ? 'rate_per_second' then (c.changes ->> 'rate_per_second')::numeric else t.rate_per_second end,
  rate_burst = case when c.changes ? 'rate_burst' then (c.changes ->> 'rate_burst')::integer else t.rate_burst end,
  retention_days = case when c.changes ? 'retention_days' then (c.changes ->> 'retention_days')::integer else t.retention_days end
from (select %(changes)s::jsonb as changes) c where t.id = %(id)s;

-- move-tenant: gives a tenant another status
update signalops.tenants set status = %(status)s, status_reason = %(reason)s where id = %(id)s;

-- accepted-events: how many events of a tenant were accepted in this month
select to_char(p.period, 'YYYY-MM') as period, coalesce(q.accepted, 0)::bigint as events
from signalops.tenants t
cross join lateral (select signalops.period_of(now(), t.time_zone) as period) p
left join signalops.accepted_counters q on q.tenant_id = t.id and q.period = p.period and q.meter = 'events'
where t.id = %(id)s;
