-- Station usage: plans, and who has which.

-- newest-plan: the newest version of a plan
select plan, version, document, created_at from signalops.plans where plan = %(plan)s order by version desc limit 1;

-- plan-version: one version of a plan
select plan, version, document, created_at from signalops.plans where plan = %(plan)s and version = %(version)s;

-- list-plans: every plan in its newest version, and how many tenants have it in any
select distinct on (p.plan) p.plan, p.version, p.document ->> 'name' as name, p.document ->> 'currency' as currency,
  p.document ->> 'baseFee' as base_fee, coalesce(h.tenants, 0) as tenants, p.created_at
from signalops.plans p
left join (select plan, count(*) as tenants from signalops.current_plans() group by plan) h on h.plan = p.plan
order by p.plan, p.version desc;

-- add-plan: stores a version of a plan
insert into signalops.plans (plan, version, grammar, document) values (%(plan)s, %(version)s, %(grammar)s, %(document)s);

-- subscribe: gives a tenant a plan, in its newest version or another
select s.plan, s.version, s.starts_on from signalops.subscribe(%(tenant)s, %(plan)s, %(at_once)s, %(author)s, %(version)s) s;

-- plans-of-tenant: the plan that a tenant has, and after it those that are scheduled, with the first day of the present period
select s.plan, s.version, s.terms, s.starts_on, date_trunc('month', n.today)::date as period,
  coalesce(t.retention_days, (s.terms ->> 'retentionDays')::integer) as retention_days, x.kept_since
from signalops.tenants t
left join signalops.retention_watermarks x on x.tenant_id = t.id
cross join lateral (select (now() at time zone t.time_zone)::date as today) n
join signalops.subscriptions s on s.tenant_id = t.id and s.starts_on >= (
  select c.starts_on from signalops.subscriptions c
  where c.tenant_id = t.id and c.starts_on <= n.today order by c.starts_on desc limit 1
)
where t.id = %(tenant)s order by s.starts_on;

-- billing-segments: the billing segments of a period under one plan each
select plan, version, terms, starts_on, ends_on, days, of_days from signalops.billing_segments(%(tenant)s, %(period)s);
