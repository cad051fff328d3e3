-- Takes the deletion of tenants away. The proofs of those that were deleted go with it, and the numbers of their documents are missing then.

create or replace function signalops.count_in(asked jsonb, moment timestamptz) returns table (tenant uuid, of_meter text, is_calm boolean)
language plpgsql volatile
as $$
begin
  -- In one order, rows that a month lacks yet included: two flushes that share some can't lock each other out.
  return query
    insert into signalops.quotas as q (tenant_id, period, meter, accepted, scales)
    select a.tenant, signalops.period_of(moment, t.time_zone), a.meter, a.amount, a.scales
    from (
      select * from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric, scales bigint) order by a.tenant, a.meter
    ) a
    cross join lateral (select t.time_zone from signalops.tenants t where t.id = a.tenant limit 1) t
    on conflict (tenant_id, period, meter) do update set accepted = q.accepted + excluded.accepted
    where q.scales = excluded.scales and q.accepted + excluded.accepted < q.calm_until
    returning q.tenant_id, q.meter, q.accepted < q.calm_until;
end
$$;
comment on function signalops.count_in(jsonb, timestamptz) is
  'Counts [{tenant, meter, amount, scales}] and locks their quotas. Returns what it counted: calm where that was all there was to do, and '
  'not calm where the row is the first of its month; what is missing had something to tell or refuse, or was weighed by old scales.';

create or replace function signalops.admit(wanted uuid, moment timestamptz, asked jsonb, offered jsonb, counted text[], made text[])
returns table (event jsonb, refused_by text, period_end timestamptz)
language plpgsql volatile
as $$
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
  select t.time_zone, signalops.period_of(moment, t.time_zone), t.scales into zone, month, version
  from signalops.tenants t where t.id = wanted;
  -- What count_in has counted already is counted again by what comes in; and the row that it made may hold for newer scales.
  update signalops.quotas q set accepted = q.accepted - a.amount, scales = case when q.meter = any (made) then version else q.scales end
  from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric)
  where a.tenant = wanted and a.meter = any (counted)
    and q.tenant_id = wanted and q.period = month and q.meter = a.meter;

  if not exists (
    select from jsonb_to_recordset(asked) as a (tenant uuid, meter text, scales bigint)
    join signalops.quotas q on q.tenant_id = wanted and q.period = month and q.meter = a.meter
    where a.tenant = wanted and a.meter = 'events' and a.scales = q.scales
  ) then
    return;
  end if;

  select array_agg(q.meter order by q.meter), array_agg(r.room order by q.meter),
    array_agg(coalesce(l.overage = 'refuse', false) order by q.meter), bool_and(a.amount <= r.room)
  into meters, rooms, refuses, enough
  from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric)
  join signalops.quotas q on q.tenant_id = wanted and q.period = month and q.meter = a.meter
  left join lateral signalops.limit_of(wanted, q.meter, (moment at time zone zone)::date) l on true
  cross join lateral (select coalesce(l.hard - q.accepted, 'Infinity') as room) r
  where a.tenant = wanted;

  for place in
    select i.item, i.ord::integer, i.stored, min(i.ord) over (partition by coalesce(i.item ->> 'key', E'\n' || i.ord))::integer as first,
      array(select signalops.weight(i.item, m) from unnest(meters) with ordinality as u (m, n) order by u.n) as needs
    from (
      select o.item, o.ord, k.key is not null as stored
      from jsonb_array_elements(offered) with ordinality as o (item, ord)
      left join lateral (
        select k.key from signalops.idempotency_keys k where k.tenant_id = wanted and k.key = o.item ->> 'key' limit 1
      ) k on not enough
      where o.item ->> 'tenant' = wanted::text
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
    period_end := signalops.starts_at((month + interval '1 month')::date, zone);
    return next;
  end loop;
end
$$;
comment on function signalops.admit(uuid, timestamptz, jsonb, jsonb, text[], text[]) is
  'The careful path of accept, for a tenant whose quotas have something to tell or refuse: undoes what count_in counted, and returns each '
  'of its events with the meter that refuses it, or marked when it is over a limit. Nothing at all when it was weighed by old scales.';

create or replace function signalops.note_types(seen jsonb) returns void
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  perform signalops.act_for((select array_agg(distinct s.tenant) from jsonb_to_recordset(seen) as s (tenant uuid)));

  with noted as (
    -- In one order, so that two workers can't lock each other out.
    select s.*, k.fields as known, k.type is null as is_new,
      count(*) filter (where k.type is null) over (partition by s.tenant order by s.type) as place
    from jsonb_to_recordset(seen)
      as s (tenant uuid, type text, first uuid, last uuid, count bigint, fields jsonb, cut boolean, example jsonb)
    left join lateral (
      select e.type, e.fields from signalops.event_types e where e.tenant_id = s.tenant and e.type = s.type limit 1
    ) k on true
    order by s.tenant, s.type
  ), room as (
    select n.tenant, 1000 - (select count(*) from signalops.event_types e where e.tenant_id = n.tenant) as places
    from noted n where n.is_new group by n.tenant
  )
  insert into signalops.event_types as t (tenant_id, type, first_seen_at, last_seen_at, count, fields, fields_cut, example)
  select n.tenant, n.type, signalops.time_of(n.first), signalops.time_of(n.last), n.count, n.fields, n.cut, n.example
  from noted n left join room r on r.tenant = n.tenant
  where not n.is_new or n.place <= r.places
  order by n.tenant, n.type
  on conflict (tenant_id, type) do update set
    first_seen_at = least(t.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(t.last_seen_at, excluded.last_seen_at),
    count = t.count + excluded.count,
    fields = case when excluded.fields = '{}' then t.fields else signalops.merge_fields(t.fields, excluded.fields) end,
    fields_cut = t.fields_cut or excluded.fields_cut,
    example = coalesce(excluded.example, t.example);

  perform signalops.act_for(null);
end
$$;
comment on function signalops.note_types(jsonb) is
  'Adds what a worker has seen to the catalogue: [{tenant, type, first, last, count, fields, cut, example}], first and last being ids of '
  'events. A tenant''s types beyond 1,000 are not catalogued: whoever puts ids into types fills nothing.';

create or replace function signalops.settle_deliveries(said jsonb) returns setof uuid
language plpgsql volatile
as $$
declare
  one jsonb;
begin
  -- What a crash of the server takes back is sent again, with the same id, as after a crash of the worker.
  perform set_config('synchronous_commit', 'off', true);
  for one in select * from jsonb_array_elements(said) loop
    if signalops.settle_delivery((one ->> 'tenant')::uuid, (one ->> 'delivery')::uuid, (one ->> 'attempt')::smallint, one) then
      return next (one ->> 'delivery')::uuid;
    end if;
  end loop;
end
$$;
comment on function signalops.settle_deliveries(jsonb) is
  'Records attempts in their order, each with its tenant, delivery and attempt beside what settle_delivery takes; returns which deliveries '
  'died. What fails belongs to one outlet, and what succeeds comes in the order of the outlets: no two of them lock each other out.';

create or replace function signalops.refuse_change() returns trigger
language plpgsql
as $$
begin
  raise 'a row of % is never changed: %', tg_table_name, tg_argv[0] using errcode = 'check_violation';
end
$$;
comment on function signalops.refuse_change() is 'Keeps what was agreed upon as it was; its argument is the remedy.';

create or replace function signalops.audit_numbers()
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable
as $$
  select null::uuid, null::date, 'number', format('%s %s', s.kind, n.number), case when n.number <= s.last then 'one' else 'none' end,
    count(i.id)::text
  from (
    select k.kind, coalesce(max(l.last), 0) as last,
      greatest(max(l.last), (select max(i.number) from signalops.invoices i where i.kind = k.kind), 0) as most
    from (values ('invoice'), ('credit_note')) k (kind) left join signalops.invoice_numbers l on l.series = k.kind
    group by k.kind
  ) s
  cross join lateral generate_series(1, s.most) as n (number)
  left join signalops.invoices i on i.kind = s.kind and i.number = n.number
  group by s.kind, s.last, n.number having count(i.id) <> (n.number <= s.last)::int
$$;
comment on function signalops.audit_numbers() is
  'Check number: each number of a series is one document''s, of whatever tenant, up to the last that was given.';

drop function signalops.enqueue_deletions();
drop function signalops.finish_deletion(uuid);
drop function signalops.delete_slice(uuid, integer);
drop function signalops.begin_deletion(text, text);
drop function signalops.enqueue_deletion(uuid);
drop function signalops.drop_jobs(uuid, bigint);
drop function signalops.delete_rows(uuid, regclass, bigint);
drop function signalops.tenant_tables();
drop trigger keep_number on signalops.invoices;
drop function signalops.keep_number();
drop table signalops.deleted_numbers;
drop table signalops.tenant_deletions;
