-- Hard limits while accepting: accepted counters are locked and counted in the accepting transaction.

create or replace function signalops.metered_quantity(event jsonb, of_meter text) returns numeric
language sql immutable parallel safe
return case of_meter when 'events' then 1 else coalesce((event #>> array['quantities', of_meter])::numeric, 0) end;
comment on function signalops.metered_quantity is 'How much an event of a flush adds to a meter.';

create or replace function signalops.try_count(demand jsonb, moment timestamptz) returns table (tenant uuid, of_meter text, is_calm boolean)
language plpgsql volatile as $$
begin
  -- Lock order: accepted counters by tenant and meter, rows that a month lacks yet included.
  return query
    insert into signalops.accepted_counters as q (tenant_id, period, meter, accepted, limited_meters_version)
    select a.tenant, signalops.period_of(moment, t.time_zone), a.meter, a.amount, a.limited_meters_version
    from (
      select * from jsonb_to_recordset(demand) as a (tenant uuid, meter text, amount numeric, limited_meters_version bigint) order by a.tenant, a.meter
    ) a
    cross join lateral (select t.time_zone from signalops.tenants t where t.id = a.tenant and t.status <> 'deleting' limit 1) t
    on conflict (tenant_id, period, meter) do update set accepted = q.accepted + excluded.accepted
    where q.limited_meters_version = excluded.limited_meters_version and q.accepted + excluded.accepted < q.next_threshold
    returning q.tenant_id, q.meter, q.accepted < q.next_threshold;
end
$$;
comment on function signalops.try_count is
  'Counts [{tenant, meter, amount, limited_meters_version}] and locks their accepted counters. Returns what it counted: calm where that was all there was to do, and not calm '
  'where the row is the first of its month; missing tenants need the slow path: a threshold was reached, or limited_meters_version is stale.';

create or replace function signalops.apply_limits(for_tenant uuid, moment timestamptz, demand jsonb, offered jsonb, counted text[], made text[])
returns table (event jsonb, refused_by text, period_end timestamptz)
language plpgsql volatile as $$
declare
  zone text;
  month date;
  version bigint;
  meters text[];
  rooms numeric[];
  refuses boolean[];
  enough boolean;
  place record;
  blocked text;
  verdicts text[] := '{}';
begin
  select t.time_zone, signalops.period_of(moment, t.time_zone), t.limited_meters_version into zone, month, version
  from signalops.tenants t where t.id = for_tenant and t.status <> 'deleting';
  -- Undo what try_count has counted, which is counted again below; and the row that it made can be of a newer limited_meters_version.
  update signalops.accepted_counters q set accepted = q.accepted - a.amount, limited_meters_version = case when q.meter = any (made) then version else q.limited_meters_version end
  from jsonb_to_recordset(demand) as a (tenant uuid, meter text, amount numeric)
  where a.tenant = for_tenant and a.meter = any (counted)
    and q.tenant_id = for_tenant and q.period = month and q.meter = a.meter;

  if not exists (
    select from jsonb_to_recordset(demand) as a (tenant uuid, meter text, limited_meters_version bigint)
    join signalops.accepted_counters q on q.tenant_id = for_tenant and q.period = month and q.meter = a.meter
    where a.tenant = for_tenant and a.meter = 'events' and a.limited_meters_version = q.limited_meters_version
  ) then
    return;
  end if;

  select array_agg(q.meter order by q.meter), array_agg(r.room order by q.meter),
    array_agg(coalesce(l.overage = 'refuse', false) order by q.meter), bool_and(a.amount <= r.room)
  into meters, rooms, refuses, enough
  from jsonb_to_recordset(demand) as a (tenant uuid, meter text, amount numeric)
  join signalops.accepted_counters q on q.tenant_id = for_tenant and q.period = month and q.meter = a.meter
  left join lateral signalops.limit_of(for_tenant, q.meter, (moment at time zone zone)::date) l on true
  cross join lateral (select coalesce(l.hard - q.accepted, 'Infinity') as room) r
  where a.tenant = for_tenant;

  for place in
    select i.item, i.ord::integer, i.stored, min(i.ord) over (partition by coalesce(i.item ->> 'key', E'\n' || i.ord))::integer as first,
      array(select signalops.metered_quantity(i.item, m) from unnest(meters) with ordinality as u (m, n) order by u.n) as needs
    from (
      select o.item, o.ord, k.key is not null as stored
      from jsonb_array_elements(offered) with ordinality as o (item, ord)
      left join lateral (
        select k.key from signalops.idempotency_keys k where k.tenant_id = for_tenant and k.key = o.item ->> 'key' limit 1
      ) k on not enough
      where o.item ->> 'tenant' = for_tenant::text
    ) i
    order by i.ord
  loop
    event := place.item;
    -- What is stored already needs no room; a repeat within the flush shares the place of its first.
    if enough or place.stored then
      refused_by := null;
    elsif place.first < place.ord then
      refused_by := verdicts[place.first];
    else
      select min(x.meter) filter (where x.refuses),
        case when bool_or(not x.refuses) then event || '{"over_limit": true}' else event end
      into refused_by, event
      from unnest(meters, place.needs, rooms, refuses) as x (meter, need, room, refuses) where x.need > greatest(x.room, 0);
      if refused_by is null then
        rooms := array(select x.room - x.need from unnest(rooms, place.needs) with ordinality as x (room, need, n) order by x.n);
      end if;
      verdicts[place.ord] := refused_by;
    end if;
    period_end := signalops.period_start((month + interval '1 month')::date, zone);
    return next;
  end loop;
end
$$;
comment on function signalops.apply_limits is
  'The slow path of accept, for a tenant that reached a threshold or limit: undoes what try_count counted, and returns each of its '
  'events with the meter that refuses it, or marked when it is over a limit. No row when limited_meters_version is stale.';

create or replace function signalops.update_counters(admitted jsonb, moment timestamptz, direction integer) returns void
language plpgsql volatile as $$
begin
  update signalops.accepted_counters q set accepted = q.accepted + direction * w.amount
  from (
    select i.tenant, m.meter, sum(m.weight) as amount
    from jsonb_to_recordset(admitted) as i (tenant uuid, quantities jsonb)
    cross join lateral (
      select 'events' as meter, 1::numeric as weight union all
      select u.key, u.value::numeric from jsonb_each_text(i.quantities) as u (key, value)
    ) m
    group by i.tenant, m.meter
  ) w
  cross join lateral (select t.time_zone from signalops.tenants t where t.id = w.tenant limit 1) t
  where q.tenant_id = w.tenant and q.period = signalops.period_of(moment, t.time_zone) and q.meter = w.meter;
end
$$;
comment on function signalops.update_counters is 'Counts events of a flush (direction 1), or takes them back (-1); their accepted counters are locked already.';
