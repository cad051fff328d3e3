-- Station usage: what lowers a bill is the operator's: corrections downwards, and values below 0 of a plan's meters.
-- Stage: pre

alter table signalops.meters add column allows_negative boolean not null default true;
comment on column signalops.meters.allows_negative is 'Whether values below 0 count; of a plan''s meter not, unless the plan says so: who is billed sends them.';
create or replace view signalops.limited_meters with (security_invoker = true) as
select m.tenant_id, m.key, m.since, m.name, m.aggregation, m.field, m.grammar, m.pattern, m.group_by, m.allows_negative
from signalops.meters m
where m.until is null and m.aggregation in ('count', 'sum')
  and exists (select from signalops.limits l where l.tenant_id = m.tenant_id and l.meter = m.key and coalesce(l.soft, l.hard) is not null);
grant insert (allows_negative) on signalops.meters to signalops_api;
grant select (name, unit, group_by, since) on signalops.meters to signalops_platform;
grant select on signalops.usage_adjustments to signalops_platform;
grant execute on function signalops.add_adjustment(uuid, uuid, text, timestamptz, text, numeric, text, text, uuid, text, bytea) to signalops_platform;

create or replace function signalops.add_plan_meters(tenant uuid, terms jsonb, in_grammar smallint) RETURNS void
    LANGUAGE sql
    AS $$
  -- One of its own that counts the same gives way: the tenant could end that, and with it what it is billed for; and one of
  -- another plan that takes negative values otherwise.
  update signalops.meters h set ended_at = now()
  from jsonb_to_recordset(terms -> 'meters') as m (key text, aggregation text, field text, pattern jsonb, "groupBy" text[], "allowNegative" boolean)
  where h.tenant_id = tenant and h.key = m.key and h.until is null and (h.origin = 'tenant' or h.allows_negative <> coalesce(m."allowNegative", false))
    and (h.aggregation, h.field, h.pattern, h.group_by) is not distinct from (m.aggregation, m.field, m.pattern, m."groupBy");
  -- Counted from now on even if the plan begins later: a figure that is ready early harms nobody.
  insert into signalops.meters (tenant_id, key, since, name, aggregation, field, grammar, pattern, group_by, unit, origin, allows_negative)
  select tenant, m.key, 0, m.name, m.aggregation, m.field, in_grammar, m.pattern, m."groupBy", m.unit, 'plan',
    coalesce(m."allowNegative", false)
  from jsonb_to_recordset(terms -> 'meters')
    as m (key text, name text, aggregation text, field text, pattern jsonb, "groupBy" text[], unit text, "allowNegative" boolean)
  where not exists (
    -- What has the key and counts something else is left to the trigger, which refuses it.
    select from signalops.meters h where h.tenant_id = tenant and h.key = m.key and h.until is null
      and (h.aggregation, h.field, h.pattern, h.group_by) is not distinct from (m.aggregation, m.field, m.pattern, m."groupBy")
  )
  order by m.key
$$;
