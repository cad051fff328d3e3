-- Plans: the meters, limits and billing segments that a subscription brings.

create or replace function signalops.add_plan_meters(tenant uuid, terms jsonb, in_grammar smallint) returns void
language sql volatile as $$
  -- One of its own that counts the same gives way: the tenant could end that, and with it what it is billed for; and one of
  -- another plan that takes negative values otherwise.
  update signalops.meters h set ended_at = now()
  from jsonb_to_recordset(terms -> 'meters') as m (key text, aggregation text, field text, pattern jsonb, "groupBy" text[], "allowNegative" boolean)
  where h.tenant_id = tenant and h.key = m.key and h.end_version is null and (h.origin = 'tenant' or h.allows_negative <> coalesce(m."allowNegative", false))
    and (h.aggregation, h.field, h.pattern, h.group_by) is not distinct from (m.aggregation, m.field, m.pattern, m."groupBy");
  -- Counted from now on even if the plan begins later: an early figure does no harm.
  insert into signalops.meters (tenant_id, key, first_version, name, aggregation, field, grammar, pattern, group_by, unit, origin, allows_negative)
  select tenant, m.key, 0, m.name, m.aggregation, m.field, in_grammar, m.pattern, m."groupBy", m.unit, 'plan',
    coalesce(m."allowNegative", false)
  from jsonb_to_recordset(terms -> 'meters')
    as m (key text, name text, aggregation text, field text, pattern jsonb, "groupBy" text[], unit text, "allowNegative" boolean)
  where not exists (
    -- What has the key and counts something else is left to the trigger, which refuses it.
    select from signalops.meters h where h.tenant_id = tenant and h.key = m.key and h.end_version is null
      and (h.aggregation, h.field, h.pattern, h.group_by) is not distinct from (m.aggregation, m.field, m.pattern, m."groupBy")
  )
  order by m.key
$$;
comment on function signalops.add_plan_meters is
  'Gives a tenant the meters of a plan that it lacks, or has as its own. A unique_violation: it has one of that key that counts something else.';

create or replace function signalops.set_plan_limits(tenant uuid, terms jsonb, from_day date) returns void
language sql volatile as $$
  insert into signalops.limits (tenant_id, meter, origin, starts_on, soft, hard, thresholds, overage)
  select tenant, n.meter, 'plan', from_day, n.soft, n.hard, n.thresholds, n.overage
  from jsonb_to_recordset(terms -> 'limits') as n (meter text, soft numeric, hard numeric, thresholds smallint[], overage text)
  union all
  -- A limit of the plan before, which this one has not, ends.
  select distinct tenant, l.meter, 'plan', from_day, null::numeric, null::numeric, '{}'::smallint[], 'refuse'
  from signalops.limits l
  where l.tenant_id = tenant and l.origin = 'plan'
    and not terms -> 'limits' @> jsonb_build_array(jsonb_build_object('meter', l.meter))
$$;
comment on function signalops.set_plan_limits is 'Sets the limits of a plan from a day on.';

create or replace function signalops.billing_segments(tenant uuid, in_period date)
returns table (plan text, version integer, terms jsonb, starts_on date, ends_on date, days integer, of_days integer)
language sql stable parallel safe as $$
  with subscribed as (
    select s.plan, s.version, s.terms, greatest(s.starts_on, in_period) as first_day,
      least(lead(s.starts_on, 1, 'infinity') over (order by s.starts_on), (in_period + interval '1 month')::date) as next_day
    from signalops.subscriptions s
    where s.tenant_id = tenant and s.starts_on < in_period + interval '1 month'
  )
  select h.plan, h.version, h.terms, h.first_day, h.next_day, h.next_day - h.first_day,
    (in_period + interval '1 month')::date - in_period
  from subscribed h where h.first_day < h.next_day order by h.first_day
$$;
comment on function signalops.billing_segments is
  'The billing segments of a period (named by its first day) under one plan each, in order: from starts_on until before ends_on, which are days of the '
  'of_days of the period. A period that begins before the tenant''s first plan has days of none.';

create or replace function signalops.end_unneeded_meters(tenant uuid) returns bigint
language sql volatile as $$
  with remaining as (
    select s.terms, lead(s.starts_on, 1, 'infinity') over (order by s.starts_on) as next_day
    from signalops.subscriptions s where s.tenant_id = tenant
  ), ended as (
    update signalops.meters m set ended_at = now()
    from signalops.tenants t
    where t.id = tenant and m.tenant_id = tenant and m.origin = 'plan' and m.end_version is null and not exists (
      select from remaining k
      -- A plan that is over has days in a period that is still open: what happened then is still to be counted.
      where k.next_day > (t.closed_until at time zone t.time_zone)::date
        and k.terms -> 'meters' @> jsonb_build_array(jsonb_build_object('key', m.key))
    )
    returning m.key
  )
  select count(*) from ended
$$;
comment on function signalops.end_unneeded_meters is
  'Ends the meters that plans brought and that no plan of an open period, the present or a scheduled one has; returns how many.';
