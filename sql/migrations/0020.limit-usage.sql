-- Station usage: limits of any meter that counts or sums, exact in the transaction that accepts, with notices at thresholds of one's choice.

create table signalops.limits (
  tenant_id uuid not null references signalops.tenants (id) on delete cascade,
  meter text not null,
  origin text not null check (origin in ('tenant', 'plan')),
  starts_on date not null,
  soft numeric check (soft >= 0 and soft < 'Infinity'),
  hard numeric check (hard >= 0 and hard < 'Infinity'),
  thresholds smallint[] not null default '{}'
    check (1 <= all (thresholds) and 1000 >= all (thresholds) and array_position(thresholds, null) is null and cardinality(thresholds) <= 20),
  overage text not null default 'refuse' check (overage in ('refuse', 'accept')),
  set_at timestamptz not null default now(),
  primary key (tenant_id, meter, origin, starts_on),
  check (thresholds = '{}' or coalesce(soft, hard) is not null)
);
comment on table signalops.limits is
  'How much of a meter may be accepted in a calendar month. The tenant''s own go before its plan''s, later ones before earlier ones.';
comment on column signalops.limits.tenant_id is 'Whose limit it is.';
comment on column signalops.limits.meter is 'The key of the meter: events, or one that counts or sums.';
comment on column signalops.limits.origin is 'tenant: agreed with it; plan: brought by its plan.';
comment on column signalops.limits.starts_on is 'The day, in the tenant''s time zone, from which it holds.';
comment on column signalops.limits.soft is 'The amount at which a notice is emitted; NULL: none.';
comment on column signalops.limits.hard is 'The amount beyond which events are refused, or marked; NULL: none. With neither soft nor hard there is no limit.';
comment on column signalops.limits.thresholds is 'Percentages of hard (of soft, without hard) at which notices are emitted.';
comment on column signalops.limits.overage is 'What becomes of events beyond hard: refuse, or accept (and mark).';
comment on column signalops.limits.set_at is 'When it was set.';
call signalops.protect('signalops.limits');
call signalops.admit_owner('signalops.limits', 'The command line sets the limits of a tenant; a change has them weighed anew.');
call signalops.admit_group('signalops.limits', 'signalops_api');
grant select on signalops.limits to signalops_api, signalops_worker;

alter table signalops.tenants add column scales bigint not null default 0;
comment on column signalops.tenants.scales is
  'Version of its limited meters besides events, by which the API weighs what comes in: 0 until there are any, for most for ever.';
comment on column signalops.tenants.metering is 'Version of its meters: 0 until it has any, and one more with each change.';

alter table signalops.tenants no force row level security;
alter table signalops.limits no force row level security;
insert into signalops.limits (tenant_id, meter, origin, starts_on, soft, hard)
select id, 'events', 'tenant', (created_at at time zone 'UTC')::date, soft_limit, hard_limit
from signalops.tenants where coalesce(soft_limit, hard_limit) is not null;

alter table signalops.quotas no force row level security;
alter table signalops.quotas
  drop constraint quotas_pkey,
  drop constraint quotas_accepted_check,
  alter column accepted type numeric,
  add column meter text not null default 'events',
  add column told jsonb not null default '{}' check (jsonb_typeof(told) = 'object'),
  add column calm_until numeric not null default 0,
  add column scales bigint not null default 0,
  add primary key (tenant_id, period, meter),
  add constraint quotas_accepted_check check (accepted >= 0 and accepted < 'Infinity');
update signalops.quotas q set told = jsonb_build_object('soft', coalesce(t.soft_limit, 0))
from signalops.tenants t where t.id = q.tenant_id and q.soft_reached_at is not null;
alter table signalops.quotas drop column soft_reached_at;
alter table signalops.tenants drop column soft_limit, drop column hard_limit;
alter table signalops.quotas force row level security;
alter table signalops.limits force row level security;
alter table signalops.tenants force row level security;
comment on table signalops.quotas is
  'What was accepted in a month of each limited meter and of events, counted in the accepting transaction: the limit is exact across processes.';
comment on column signalops.quotas.period is 'First day of the calendar month, in the tenant''s time zone.';
comment on column signalops.quotas.accepted is 'The amount accepted; duplicates, refusals and operational events do not count.';
comment on column signalops.quotas.meter is 'The meter''s key.';
comment on column signalops.quotas.told is
  'The amounts of which the tenant was told, by what they are: {"50": 60000, "soft": 100000, "hard": 120000}, where 50 is a threshold.';
comment on column signalops.quotas.calm_until is
  'As long as accepted stays below it there is nothing to tell or to refuse, and accept looks at nothing else; 0: it has to find out.';
comment on column signalops.quotas.scales is
  'The version of tenants.scales that it is counted by; a row that was left behind, since its meter had no limit, begins anew from usage_counters.';
call signalops.admit_owner('signalops.quotas', 'A limit that changes has quotas weighed anew; the audit holds them against the events.');

alter table signalops.events add column over_limit boolean not null default false;
comment on column signalops.events.over_limit is 'Accepted beyond a hard limit whose overage is accept.';
create or replace view signalops.event_status with (security_invoker = true) as
select e.tenant_id, e.id, e.batch, e.type, e.source, e.occurred_at, e.received_at, e.payload, e.attributes, e.depth,
  case when i.event_id is not null and i.replay_id is null then 'pending'
    when d.id is not null and d.ending is distinct from 'retried' then 'dead' else 'processed' end as status,
  e.over_limit
from signalops.events e
left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id
left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id;

create view signalops.limited_meters with (security_invoker = true) as
select m.tenant_id, m.key, m.since, m.name, m.aggregation, m.field, m.grammar, m.pattern, m.group_by
from signalops.meters m
where m.until is null and m.aggregation in ('count', 'sum') and exists (
  select from signalops.limits l where l.tenant_id = m.tenant_id and l.meter = m.key and coalesce(l.soft, l.hard) is not null);
comment on view signalops.limited_meters is
  'The meters besides events that the API weighs incoming events by: those with a limit now, earlier, or later.';
grant select on signalops.limited_meters to signalops_api, signalops_worker;

create function signalops.limit_of(tenant uuid, of_meter text, on_day date) returns setof signalops.limits
language sql stable parallel safe rows 1
as $$
  select * from signalops.limits l
  where l.tenant_id = tenant and l.meter = of_meter and l.starts_on <= on_day
  order by l.origin desc, l.starts_on desc limit 1
$$;
comment on function signalops.limit_of(uuid, text, date) is
  'The limit of a meter that holds on a day: the tenant''s own before the plan''s, of these the latest; none if it never had any.';

create function signalops.check_limit() returns trigger
language plpgsql
as $$
begin
  if new.meter <> 'events' and not exists (
    select from signalops.meters m
    where m.tenant_id = new.tenant_id and m.key = new.meter and m.aggregation in ('count', 'sum')
  ) then
    raise 'there is no meter % that counts or sums: limits are for these', new.meter using errcode = 'check_violation';
  end if;
  return new;
end
$$;
comment on function signalops.check_limit() is 'Only what adds up can have a limit.';
create trigger check_limit before insert or update on signalops.limits for each row execute function signalops.check_limit();
comment on trigger check_limit on signalops.limits is 'A limit is of events, or of a meter that counts or sums.';

create function signalops.await_changed_limits() returns void
language plpgsql volatile
set lock_timeout = '100ms'
as $$
begin
  perform pg_advisory_xact_lock_shared(hashtext('signalops.new_quotas'));
end
$$;
comment on function signalops.await_changed_limits() is
  'Before a flush uses rows of quotas that it made: awaits the limits that are being changed, by whoever can''t see these rows. At most for '
  'a moment, since the change may be waiting for the flush: then lock_not_available, and the flush is sent again.';

create function signalops.renew_quotas(tenant uuid, of_meter text) returns void
language plpgsql volatile
as $$
declare
  zone text;
  month date;
  before bigint;
  version bigint;
begin
  -- First the tenant, then its quotas in the order of accept, then new ones: whoever changes limits locks in this order.
  update signalops.tenants t set scales = t.scales + (of_meter <> 'events')::integer where t.id = tenant
  returning t.scales - (of_meter <> 'events')::integer, t.scales, t.time_zone into before, version, zone;
  if not found then
    return;
  end if;
  month := signalops.period_of(now(), zone);
  if version > 0 then
    insert into signalops.quotas (tenant_id, period, meter, scales)
    select tenant, month, m.key, m.scales
    from (select 'events' as key, before as scales union all select l.key, -1 from signalops.limited_meters l where l.tenant_id = tenant) m
    order by m.key
    on conflict do nothing;
  end if;
  perform from signalops.quotas q where q.tenant_id = tenant order by q.period, q.meter for update;
  -- Flushes that have made rows which can't be seen here yet.
  perform pg_advisory_xact_lock(hashtext('signalops.new_quotas'));
  update signalops.quotas q set calm_until = 0, scales = version,
    accepted = case when q.meter = 'events' or q.scales = before then q.accepted else coalesce((
      select greatest(sum(u.value), 0) from signalops.usage_counters u
      where u.tenant_id = tenant and u.meter = q.meter
        and u.hour >= signalops.starts_at(q.period, zone)
        and u.hour < signalops.starts_at((q.period + interval '1 month')::date, zone)), 0) end
  where q.tenant_id = tenant
    and (q.meter = 'events' or q.meter in (select l.key from signalops.limited_meters l where l.tenant_id = tenant));
end
$$;
comment on function signalops.renew_quotas(uuid, text) is
  'Has accept find out anew what a tenant''s quotas allow; another meter than events starts a new version of tenants.scales, and a meter '
  'whose limit is new begins with what its counters hold of the month.';

create function signalops.version_limit() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op in ('UPDATE', 'DELETE') then
    perform signalops.renew_quotas(old.tenant_id, old.meter);
  end if;
  if tg_op = 'INSERT' or (tg_op = 'UPDATE' and (new.tenant_id, new.meter) <> (old.tenant_id, old.meter)) then
    perform signalops.renew_quotas(new.tenant_id, new.meter);
  end if;
  return null;
end
$$;
comment on function signalops.version_limit() is 'A limit that is set, changed or removed holds from its commit on, for every process.';
revoke all on function signalops.version_limit() from public;
create trigger version_limit after insert or update or delete on signalops.limits for each row execute function signalops.version_limit();
comment on trigger version_limit on signalops.limits is 'What is accepted after the commit is held against the new limit.';

create function signalops.version_limited_meter() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from signalops.limits l where l.tenant_id = new.tenant_id and l.meter = new.key) then
    perform signalops.renew_quotas(new.tenant_id, new.key);
  end if;
  return null;
end
$$;
comment on function signalops.version_limited_meter() is 'A limited meter that ends, or begins again, changes what the API weighs.';
revoke all on function signalops.version_limited_meter() from public;
create trigger version_limited_meter after insert or update on signalops.meters
  for each row execute function signalops.version_limited_meter();
comment on trigger version_limited_meter on signalops.meters is 'The API weighs by the meters that count.';

drop function signalops.accept(jsonb, jsonb, uuid, integer);
drop function signalops.count_in(jsonb, date);
drop function signalops.admit(uuid, date, jsonb);
drop function signalops.give_back(jsonb, date);

create function signalops.count_in(asked jsonb, moment timestamptz) returns table (tenant uuid, of_meter text, is_calm boolean)
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

create function signalops.weight(event jsonb, of_meter text) returns numeric
language sql immutable parallel safe
return case of_meter when 'events' then 1 else coalesce((event #>> array['weights', of_meter])::numeric, 0) end;
comment on function signalops.weight(jsonb, text) is 'How much an event of a flush adds to a meter.';

create function signalops.admit(wanted uuid, moment timestamptz, asked jsonb, offered jsonb, counted text[], made text[])
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

create function signalops.recount(admitted jsonb, moment timestamptz, direction integer) returns void
language plpgsql volatile
as $$
begin
  update signalops.quotas q set accepted = q.accepted + direction * w.amount
  from (
    select i.tenant, m.meter, sum(m.weight) as amount
    from jsonb_to_recordset(admitted) as i (tenant uuid, weights jsonb)
    cross join lateral (
      select 'events' as meter, 1::numeric as weight union all
      select u.key, u.value::numeric from jsonb_each_text(i.weights) as u (key, value)
    ) m
    group by i.tenant, m.meter
  ) w
  cross join lateral (select t.time_zone from signalops.tenants t where t.id = w.tenant limit 1) t
  where q.tenant_id = w.tenant and q.period = signalops.period_of(moment, t.time_zone) and q.meter = w.meter;
end
$$;
comment on function signalops.recount(jsonb, timestamptz, integer) is
  'Counts events of a flush (direction 1), or takes them back (-1); their quotas are locked already.';

create function signalops.give_back(admitted jsonb, moment timestamptz) returns table (event_id uuid, verdict text, first_id uuid)
language plpgsql volatile
as $$
declare
  repeated jsonb;
begin
  select jsonb_agg(i.item || jsonb_build_object('first', k.event_id, 'is_same', k.body_hash = decode(i.item ->> 'hash', 'hex')))
  into repeated
  from jsonb_array_elements(admitted) as i (item)
  cross join lateral (
    select * from signalops.idempotency_keys k where k.tenant_id = (i.item ->> 'tenant')::uuid and k.key = i.item ->> 'key' limit 1
  ) k
  where k.event_id <> (i.item ->> 'id')::uuid;
  perform signalops.recount(repeated, moment, -1);
  return query
    select r.id, case when r.is_same then 'duplicate' else 'conflict' end, r.first
    from jsonb_to_recordset(repeated) as r (id uuid, is_same boolean, first uuid);
end
$$;
comment on function signalops.give_back(jsonb, timestamptz) is
  'Of events whose idempotency key was stored before, returns the first event and whether the body is the same, and uncounts them.';

create function signalops.tell(wanted uuid, moment timestamptz, in_batch uuid, meters text[], refusing text[])
returns table (event_id uuid, verdict text, of_meter text)
language plpgsql volatile
as $$
declare
  quota record;
begin
  for quota in
    select q.period, q.meter, q.accepted, q.told, l.overage, l.hard, coalesce(l.hard, l.soft) as whole, p.points,
      exists (
        select from signalops.limits f where f.tenant_id = wanted and f.meter = q.meter and f.starts_on < q.period + interval '1 month'
          and f.starts_on > (moment at time zone t.time_zone)::date) as is_changing
    from signalops.tenants t
    join signalops.quotas q on q.tenant_id = t.id and q.period = signalops.period_of(moment, t.time_zone) and q.meter = any (meters)
    left join lateral signalops.limit_of(wanted, q.meter, (moment at time zone t.time_zone)::date) l on true
    cross join lateral (
      select coalesce(jsonb_object_agg(p.name, trim_scale(p.at)) filter (where (q.told ->> p.name)::numeric >= p.at is not true), '{}') as points
      from (
        select 'soft' as name, l.soft as at union all select 'hard', l.hard union all
        select percent::text, percent * coalesce(l.hard, l.soft) / 100 from unnest(l.thresholds) as percent
      ) p where p.at is not null
    ) p
    where t.id = wanted order by q.meter
  loop
    return query
      select signalops.emit(wanted, in_batch, 'signalops.usage.' || k.kind || '_reached',
        jsonb_build_object('meter', quota.meter, 'period', to_char(quota.period, 'YYYY-MM'), 'accepted', trim_scale(quota.accepted))
        || case k.kind when 'threshold' then jsonb_build_object('limit', trim_scale(quota.whole), 'percent', p.key::integer)
          when 'hard_limit' then jsonb_build_object('limit', p.value, 'overage', quota.overage)
          else jsonb_build_object('limit', p.value) end, 1::smallint), k.kind, quota.meter
      from jsonb_each(quota.points) as p (key, value)
      cross join lateral (select case p.key when 'soft' then 'soft_limit' when 'hard' then 'hard_limit' else 'threshold' end as kind) k
      where p.value::numeric <= quota.accepted or (p.key = 'hard' and quota.meter = any (refusing))
      order by p.value::numeric, p.key;
    update signalops.quotas q set told = q.told || p.reached, calm_until = p.next
    from (
      select coalesce(jsonb_object_agg(p.key, p.value) filter (where r.is_reached), '{}') as reached,
        case when quota.is_changing then 0 else least(min(p.value::numeric) filter (where not r.is_reached), quota.hard, 'Infinity') end as next
      from jsonb_each(quota.points) as p (key, value)
      cross join lateral (
        select p.value::numeric <= quota.accepted or (p.key = 'hard' and quota.meter = any (refusing)) as is_reached) r
    ) p
    where q.tenant_id = wanted and q.period = quota.period and q.meter = quota.meter
      and (p.reached <> '{}' or q.calm_until <> p.next);
  end loop;
end
$$;
comment on function signalops.tell(uuid, timestamptz, uuid, text[], text[]) is
  'Emits the notices of limits and thresholds that a tenant''s quotas have reached, each once, and notes until when there are none.';

create or replace function signalops.store(flush jsonb, in_batch uuid) returns bigint
language plpgsql volatile
as $$
declare
  fresh bigint;
begin
  with incoming as materialized (
    select * from jsonb_to_recordset(flush) as i (tenant uuid, id uuid, type text, source text, occurred_at timestamptz,
      received_at timestamptz, payload jsonb, attributes jsonb, key text, hash text, over_limit boolean)
  ), keyed as (
    insert into signalops.idempotency_keys (tenant_id, key, event_id, body_hash)
    select tenant, key, id, decode(hash, 'hex') from incoming where key is not null
    on conflict do nothing returning event_id
  ), stored as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, attributes, over_limit)
    select tenant, id, in_batch, type, source, occurred_at, received_at, payload, attributes, coalesce(over_limit, false)
    from incoming where key is null or id in (select event_id from keyed)
    returning tenant_id, id
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch) select tenant_id, id, in_batch from stored
  )
  select count(*) into fresh from stored;
  return fresh;
end
$$;

create function signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer)
returns table (event_id uuid, verdict text, first_id uuid, of_meter text, period_end timestamptz)
language plpgsql volatile
-- The hot statements go through primary keys, and a generic plan saves planning each of them anew. But a plan made while a table
-- was small is kept while it grows a thousandfold: so seq scans are off, and a table is looked up row by row (lateral, limit 1)
-- where a join could come to read the whole of it.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  -- The flush's own moment: the same for all of it, and for whoever asks later.
  moment timestamptz := signalops.time_of(in_batch);
  tenants uuid[];
  meters text[];
  calms boolean[];
  admitted jsonb := flush;
  part record;
  checked jsonb;
  taken jsonb := '[]';
  careful uuid[] := '{}';
  telling jsonb := '[]';
  fresh bigint;
  notices bigint;
  emitted bigint := 0;
begin
  perform signalops.act_for((select array_agg(a.tenant) from jsonb_to_recordset(asked) as a (tenant uuid)));

  select array_agg(c.tenant), array_agg(c.of_meter), array_agg(c.is_calm) into tenants, meters, calms
  from signalops.count_in(asked, moment) c;
  if (cardinality(tenants) = jsonb_array_length(asked) and true = all (calms)) is not true then
    if false = any (calms) then
      perform signalops.await_changed_limits();
    end if;
    for part in
      select a.tenant, jsonb_agg(a) as asked, array_agg(a.meter) as meters, array_agg(c.meter) as counted,
        array_agg(c.meter) filter (where not c.is_calm) as made
      from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric, scales bigint)
      left join unnest(tenants, meters, calms) as c (tenant, meter, is_calm) on c.tenant = a.tenant and c.meter = a.meter
      group by a.tenant having bool_and(coalesce(c.is_calm, false)) is false order by a.tenant
    loop
      careful := careful || part.tenant;
      select jsonb_agg(c) into checked from signalops.admit(part.tenant, moment, part.asked, flush, part.counted, part.made) c;
      if checked is null then
        return query select null::uuid, 'stale', part.tenant, null::text, null::timestamptz;
        continue;
      end if;
      return query
        select (c.event ->> 'id')::uuid, 'refused', null::uuid, c.refused_by, c.period_end
        from jsonb_to_recordset(checked) as c (event jsonb, refused_by text, period_end timestamptz) where c.refused_by is not null;
      taken := taken || (
        select coalesce(jsonb_agg(c.event), '[]')
        from jsonb_to_recordset(checked) as c (event jsonb, refused_by text) where c.refused_by is null);
      telling := telling || jsonb_build_object('tenant', part.tenant, 'meters', part.meters, 'refusing', (
        select array_agg(distinct c.refused_by) from jsonb_to_recordset(checked) as c (refused_by text)));
    end loop;
    perform signalops.recount(taken, moment, 1);
    admitted := taken || (
      select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(flush) i where (i ->> 'tenant')::uuid <> all (careful));
    return query
      select o.id, 'over_limit', null::uuid, null::text, null::timestamptz
      from jsonb_to_recordset(taken) as o (id uuid, over_limit boolean) where o.over_limit;
  end if;

  fresh := signalops.store(admitted, in_batch);
  if fresh < jsonb_array_length(admitted) then
    return query
      select g.event_id, g.verdict, g.first_id, null::text, null::timestamptz from signalops.give_back(admitted, moment) g;
  end if;

  for part in select * from jsonb_to_recordset(telling) as t (tenant uuid, meters text[], refusing text[])
  loop
    return query
      select t.event_id, t.verdict, part.tenant, t.of_meter, null::timestamptz
      from signalops.tell(part.tenant, moment, in_batch, part.meters, part.refusing) t;
    get diagnostics notices = row_count;
    emitted := emitted + notices;
  end loop;

  if fresh + emitted > 0 then
    perform signalops.enqueue('events', 'process_batch', in_priority, jsonb_build_object('batch', in_batch));
  end if;
  perform signalops.act_for(null);
end
$$;
comment on function signalops.accept(jsonb, jsonb, uuid, integer) is
  'Accepts a flush: [{tenant, id, type, source, occurred_at, received_at, payload, attributes, key, hash, weights: {meter: amount}}] with '
  '[{tenant, meter, amount, scales}]: what each tenant''s events add to the meter events and to each of its limited meters, and the version '
  'of these (tenants.scales). Counts against the limits, stores, fills the inbox and enqueues one job. Returns only what was not plainly '
  'accepted: stale (nothing of the tenant first_id is stored: weigh by its present scales and send again), refused (by of_meter, until '
  'period_end), over_limit, duplicate or conflict (first_id is the event stored under the key); and as soft_limit, hard_limit and '
  'threshold the notices it emitted (of the tenant first_id), each once when it was reached.';
