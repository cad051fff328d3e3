-- Limits: the notices when usage reaches a threshold.

create or replace function signalops.emit_limit_notices(for_tenant uuid, moment timestamptz, in_batch uuid, meters text[], refusing text[])
returns table (event_id uuid, verdict text, of_meter text)
language plpgsql volatile as $$
declare
  quota record;
begin
  for quota in
    select q.period, q.meter, q.accepted, q.notified, l.overage, l.hard, coalesce(l.hard, l.soft) as whole, p.points,
      exists (
        select from signalops.limits f where f.tenant_id = for_tenant and f.meter = q.meter and f.starts_on < q.period + interval '1 month'
          and f.starts_on > (moment at time zone t.time_zone)::date) as is_changing
    from signalops.tenants t
    join signalops.accepted_counters q on q.tenant_id = t.id and q.period = signalops.period_of(moment, t.time_zone) and q.meter = any (meters)
    left join lateral signalops.limit_of(for_tenant, q.meter, (moment at time zone t.time_zone)::date) l on true
    cross join lateral (
      select coalesce(jsonb_object_agg(p.name, trim_scale(p.at)) filter (where (q.notified ->> p.name)::numeric >= p.at is not true), '{}') as points
      from (
        select 'soft' as name, l.soft as at union all select 'hard', l.hard union all
        select percent::text, percent * coalesce(l.hard, l.soft) / 100 from unnest(l.thresholds) as percent
      ) p where p.at is not null
    ) p
    where t.id = for_tenant order by q.meter
  loop
    return query
      select signalops.emit(for_tenant, in_batch, 'signalops.usage.' || k.kind || '_reached',
        jsonb_build_object('meter', quota.meter, 'period', to_char(quota.period, 'YYYY-MM'), 'accepted', trim_scale(quota.accepted))
        || case k.kind when 'threshold' then jsonb_build_object('limit', trim_scale(quota.whole), 'percent', p.key::integer)
          when 'hard_limit' then jsonb_build_object('limit', p.value, 'overage', quota.overage)
          else jsonb_build_object('limit', p.value) end, 1::smallint), k.kind, quota.meter
      from jsonb_each(quota.points) as p (key, value)
      cross join lateral (select case p.key when 'soft' then 'soft_limit' when 'hard' then 'hard_limit' else 'threshold' end as kind) k
      where p.value::numeric <= quota.accepted or (p.key = 'hard' and quota.meter = any (refusing))
      order by p.value::numeric, p.key;
    update signalops.accepted_counters q set notified = q.notified || p.reached, next_threshold = p.next
    from (
      select coalesce(jsonb_object_agg(p.key, p.value) filter (where r.is_reached), '{}') as reached,
        case when quota.is_changing then 0 else least(min(p.value::numeric) filter (where not r.is_reached), quota.hard, 'Infinity') end as next
      from jsonb_each(quota.points) as p (key, value)
      cross join lateral (
        select p.value::numeric <= quota.accepted or (p.key = 'hard' and quota.meter = any (refusing)) as is_reached) r
    ) p
    where q.tenant_id = for_tenant and q.period = quota.period and q.meter = quota.meter
      and (p.reached <> '{}' or q.next_threshold <> p.next);
  end loop;
end
$$;
comment on function signalops.emit_limit_notices is
  'Emits the notices of limits and thresholds that a tenant''s counters have reached, each once, and stores the next threshold.';
