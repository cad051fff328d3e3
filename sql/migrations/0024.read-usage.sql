-- Station usage: the one definition of a quantity; corrections by people; and the time zone, which is fixed once something is counted.

create function signalops.usage_by(
  tenant uuid, of_meter text, lower timestamptz, upper timestamptz, step text, by_group boolean, in_period date,
  until_period date default null
) returns table (bucket timestamptz, grp text, events bigint, quantity numeric)
language plpgsql stable
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  zone text := (select t.time_zone from signalops.tenants t where t.id = tenant);
begin
  return query
    with counted as (
      select u.hour, u.grp, u.period, u.aggregation, u.events, u.value, u.latest_at, u.latest_event, 0::numeric as adjusted
      from signalops.usage_counters u
      -- greatest passes over NULL: without a period the range is as it was asked for.
      where u.tenant_id = tenant and u.meter = of_meter
        and u.hour >= greatest(lower, signalops.starts_at(in_period, zone)) and u.hour < upper
        and (in_period is null or u.period = in_period and not u.is_late) and (until_period is null or u.period <= until_period)
      union all
      -- What a period bills late lies in hours before it: their range would read all that was billed in its own time.
      select u.hour, u.grp, u.period, u.aggregation, u.events, u.value, u.latest_at, u.latest_event, 0
      from signalops.usage_counters u
      where u.tenant_id = tenant and u.period = in_period and u.meter = of_meter and u.is_late and u.hour >= lower and u.hour < upper
      union all
      select a.hour, a.grp, a.period, null, 0, null, null, null, a.quantity
      from signalops.usage_adjustments a
      where a.tenant_id = tenant and a.meter = of_meter and a.hour >= lower and a.hour < upper
        and (in_period is null or a.period = in_period) and (until_period is null or a.period <= until_period)
    ), placed as (
      -- By the local day, which is turned into its first moment once for all its hours, not for each: that took half of the time.
      -- An hour is kept as it was counted: truncated again, the half of one after a change of the clock would join the other half.
      select case when step = 'hour' then c.hour end as slot,
        case step when 'day' then (c.hour at time zone zone)::date when 'month' then signalops.period_of(c.hour, zone) end as day,
        case when by_group then c.grp else '[]' end as shown, c.*
      from counted c
    ), differing as (
      select p.slot, p.day, p.shown, count(distinct i.item) as items
      from placed p
      join signalops.usage_items i on (i.tenant_id, i.meter, i.hour, i.grp, i.period) = (tenant, of_meter, p.hour, p.grp, p.period)
      where p.aggregation = 'unique_count'
      group by p.slot, p.day, p.shown
    ), summed as (
      select p.slot, p.day, p.shown, sum(p.events)::bigint as events, max(p.aggregation) as aggregation, sum(p.adjusted) as adjusted,
        sum(p.value) as total, max(p.value) as greatest, min(p.value) as least,
        (array_agg(p.value order by p.latest_at desc, p.latest_event desc) filter (where p.aggregation = 'latest'))[1] as latest
      from placed p
      group by p.slot, p.day, p.shown
    )
    select coalesce(s.slot, signalops.starts_at(s.day, zone), lower), s.shown, s.events, trim_scale(s.adjusted + coalesce(case s.aggregation
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
comment on function signalops.usage_by(uuid, text, timestamptz, timestamptz, text, boolean, date, date) is
  'What a tenant''s meter counted in the hours from lower to before upper, with the adjustments: the one definition of a quantity. By '
  'hour, day or month in the tenant''s time zone (bucket: its start), or at once; by group, or all together ([]). Only what a period '
  'bills, or whatever it was billed in (NULL); or up to a period, what that and those before it bill. Nothing counted: no row.';

alter table signalops.usage_adjustments
  add column idempotency_key text check (length(idempotency_key) between 1 and 255),
  add column body_hash bytea check ((body_hash is null) = (idempotency_key is null));
comment on column signalops.usage_adjustments.idempotency_key is 'With which it was sent; NULL: without one.';
comment on column signalops.usage_adjustments.body_hash is 'SHA-256 of what was sent with the key: the key stands for nothing else.';
-- Serves add_adjustment: a correction that is sent twice is made once.
alter table signalops.usage_adjustments add constraint usage_adjustments_by_key unique (tenant_id, idempotency_key);
-- Through add_adjustment alone: whoever adds to a period must have it held open meanwhile.
revoke insert on signalops.usage_adjustments from signalops_api;

create function signalops.add_adjustment(
  tenant uuid, new_id uuid, of_meter text, at timestamptz, of_grp text, quantity numeric, reason text, author text,
  key_id uuid default null, idempotency_key text default null, body_hash bytea default null
) returns signalops.usage_adjustments
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  zone text;
  closed timestamptz;
  slot timestamptz;
  made signalops.usage_adjustments;
begin
  -- Closing changes this row first, so it waits for us; and if it was first, we wait, and read what it closed.
  select t.time_zone, t.closed_until into zone, closed from signalops.tenants t
  where t.id = tenant and t.id = signalops.current_tenant() for share;
  if not found then
    raise 'usage is adjusted in a transaction of its tenant: call signalops.act_as first' using errcode = 'insufficient_privilege';
  end if;
  if of_meter <> 'events' and not exists (
    select from signalops.meters m
    where m.tenant_id = tenant and m.key = of_meter and m.aggregation in ('count', 'sum', 'unique_count')
  ) then
    raise 'the meter % can''t be adjusted: only what counts or sums can be added to', of_meter using errcode = 'check_violation';
  end if;
  slot := date_trunc('hour', at, zone);
  insert into signalops.usage_adjustments as a
    (tenant_id, id, meter, hour, grp, period, is_late, quantity, reason, author, key_id, idempotency_key, body_hash)
  values (tenant, new_id, of_meter, slot, of_grp, signalops.period_of(greatest(slot, closed), zone), slot < closed,
    quantity, reason, author, key_id, idempotency_key, body_hash)
  on conflict on constraint usage_adjustments_by_key do nothing
  returning a.* into made;
  if not found then
    select a.* into made from signalops.usage_adjustments a
    where a.tenant_id = tenant and a.idempotency_key = add_adjustment.idempotency_key;
  end if;
  return made;
end
$$;
comment on function signalops.add_adjustment(uuid, uuid, text, timestamptz, text, numeric, text, text, uuid, text, bytea) is
  'Corrects the usage of the hour of a moment by a quantity, for the current tenant. When its billing period is closed, the open one '
  'bills it, late. Returns the adjustment; with an idempotency key that was used before the first one, with an id of its own.';
revoke all on function signalops.add_adjustment(uuid, uuid, text, timestamptz, text, numeric, text, text, uuid, text, bytea) from public;
grant execute on function signalops.add_adjustment(uuid, uuid, text, timestamptz, text, numeric, text, text, uuid, text, bytea)
  to signalops_api;

create function signalops.fix_time_zone() returns trigger
language plpgsql
as $$
begin
  -- What a worker has in hand is still in the inbox for us, until it commits what it counted.
  if new.closed_until > '-infinity' or exists (select from signalops.usage_counters u where u.tenant_id = new.id)
    or exists (select from signalops.usage_adjustments a where a.tenant_id = new.id)
    or exists (select from signalops.inbox i where i.tenant_id = new.id) then
    raise 'the tenant % has usage in the time zone %, which is fixed by that: make another tenant', old.slug, old.time_zone
      using errcode = 'check_violation';
  end if;
  return new;
end
$$;
comment on function signalops.fix_time_zone() is 'Keeps the time zone of a tenant once something of it was or will be counted: its hours and periods lie in it.';
create trigger fix_time_zone before update of time_zone on signalops.tenants
  for each row when (new.time_zone <> old.time_zone) execute function signalops.fix_time_zone();
comment on trigger fix_time_zone on signalops.tenants is 'An hour that was counted in one time zone may not exist in another.';
