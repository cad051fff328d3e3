-- Station usage: what lowers a bill is the operator's: corrections downwards, and values below 0 of a plan's meters.

create or replace function signalops.add_plan_meters(tenant uuid, terms jsonb, in_grammar smallint) RETURNS void
    LANGUAGE sql
    AS $$
  -- One of its own that counts the same gives way: the tenant could end that, and with it what it is billed for.
  update signalops.meters h set ended_at = now()
  from jsonb_to_recordset(terms -> 'meters') as m (key text, aggregation text, field text, pattern jsonb, "groupBy" text[])
  where h.tenant_id = tenant and h.key = m.key and h.until is null and h.origin = 'tenant'
    and (h.aggregation, h.field, h.pattern, h.group_by) is not distinct from (m.aggregation, m.field, m.pattern, m."groupBy");
  -- Counted from now on even if the plan begins later: a figure that is ready early harms nobody.
  insert into signalops.meters (tenant_id, key, since, name, aggregation, field, grammar, pattern, group_by, unit, origin)
  select tenant, m.key, 0, m.name, m.aggregation, m.field, in_grammar, m.pattern, m."groupBy", m.unit, 'plan'
  from jsonb_to_recordset(terms -> 'meters')
    as m (key text, name text, aggregation text, field text, pattern jsonb, "groupBy" text[], unit text)
  where not exists (
    -- What has the key and counts something else is left to the trigger, which refuses it.
    select from signalops.meters h where h.tenant_id = tenant and h.key = m.key and h.until is null
      and (h.aggregation, h.field, h.pattern, h.group_by) is not distinct from (m.aggregation, m.field, m.pattern, m."groupBy")
  )
  order by m.key
$$;

drop view signalops.limited_meters;
alter table signalops.meters drop column allows_negative;
create view signalops.limited_meters with (security_invoker = true) as
select m.tenant_id, m.key, m.since, m.name, m.aggregation, m.field, m.grammar, m.pattern, m.group_by
from signalops.meters m
where m.until is null and m.aggregation in ('count', 'sum')
  and exists (select from signalops.limits l where l.tenant_id = m.tenant_id and l.meter = m.key and coalesce(l.soft, l.hard) is not null);
comment on view signalops.limited_meters is
  'The meters besides events that the API weighs incoming events by: those with a limit now, earlier, or later.';
grant select on signalops.limited_meters to signalops_api, signalops_worker;
revoke select (name, unit, group_by, since) on signalops.meters from signalops_platform;
revoke select on signalops.usage_adjustments from signalops_platform;
revoke execute on function signalops.add_adjustment(uuid, uuid, text, timestamptz, text, numeric, text, text, uuid, text, bytea) from signalops_platform;
