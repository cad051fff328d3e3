-- Usage by hour, day or month: the one definition of a quantity.

create or replace function signalops.usage_by(
  tenant uuid, of_meter text, lower timestamptz, upper timestamptz, step text, by_group boolean, in_period date,
  until_period date default null
) returns table (bucket timestamptz, group_key text, events bigint, quantity numeric)
language plpgsql stable set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
  zone text := (select t.time_zone from signalops.tenants t where t.id = tenant);
begin
  return query
    with counted as (
      select u.hour, u.group_key, u.period, u.aggregation, u.events, u.value, u.latest_at, u.latest_event, 0::numeric as adjusted
      from signalops.usage_counters u
      -- greatest passes over NULL: without a period the range is as it was asked for.
      where u.tenant_id = tenant and u.meter = of_meter
        and u.hour >= greatest(lower, signalops.period_start(in_period, zone)) and u.hour < upper
        and (in_period is null or u.period = in_period and not u.is_late) and (until_period is null or u.period <= until_period)
      union all
      -- What a period bills late lies in hours before it: their range would read all that was billed in its own time.
      select u.hour, u.group_key, u.period, u.aggregation, u.events, u.value, u.latest_at, u.latest_event, 0
      from signalops.usage_counters u
      where u.tenant_id = tenant and u.period = in_period and u.meter = of_meter and u.is_late and u.hour >= lower and u.hour < upper
      union all
      select a.hour, a.group_key, a.period, null, 0, null, null, null, a.quantity
      from signalops.usage_adjustments a
      where a.tenant_id = tenant and a.meter = of_meter and a.hour >= lower and a.hour < upper
        and (in_period is null or a.period = in_period) and (until_period is null or a.period <= until_period)
    ), placed as (
      -- By the local day, which is turned into its first moment once for all its hours, not for each: that took half of the time.
      -- An hour is kept as it was counted: truncated again, the half of one after a change of the clock would join the other half.
      select case when step = 'hour' then c.hour end as slot,
        case step when 'day' then (c.hour at time zone zone)::date when 'month' then signalops.period_of(c.hour, zone) end as day,
        case when by_group then c.group_key else '[]' end as shown, c.*
      from counted c
    ), differing as (
      select p.slot, p.day, p.shown, count(distinct i.distinct_value) as items
      from placed p
      join signalops.usage_distinct_values i on (i.tenant_id, i.meter, i.hour, i.group_key, i.period) = (tenant, of_meter, p.hour, p.group_key, p.period)
      where p.aggregation = 'unique_count'
      group by p.slot, p.day, p.shown
    ), summed as (
      select p.slot, p.day, p.shown, sum(p.events)::bigint as events, max(p.aggregation) as aggregation, sum(p.adjusted) as adjusted,
        sum(p.value) as total, max(p.value) as greatest, min(p.value) as least,
        (array_agg(p.value order by p.latest_at desc, p.latest_event desc) filter (where p.aggregation = 'latest'))[1] as latest
      from placed p
      group by p.slot, p.day, p.shown
    )
    select coalesce(s.slot, signalops.period_start(s.day, zone), lower), s.shown, s.events, trim_scale(s.adjusted + coalesce(case s.aggregation
        when 'count' then s.events
        when 'sum' then s.total
        when 'max' then s.greatest
        when 'min' then s.least
        when 'avg' then round(s.total / s.events, 12)
        when 'latest' then s.latest
        when 'unique_count' then (
          select d.items from differing d
          where (d.slot, d.day, d.shown) is not distinct from (s.slot, s.day, s.shown))
      end, 0))
    from summed s;
end
$$;
comment on function signalops.usage_by is
  'What a tenant''s meter counted in the hours from lower to before upper, with the adjustments: the one definition of a quantity. By hour, day or '
  'month in the tenant''s time zone (bucket: its start), or at once; by group, or all together ([]). Only what a period bills, or whatever it was '
  'billed in (NULL); or up to a period, what that and those before it bill. Nothing counted: no row.';
