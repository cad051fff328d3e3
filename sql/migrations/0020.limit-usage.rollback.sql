-- Takes back limits of meters: a soft and a hard limit of events remain; notices of thresholds told are forgotten.

drop function signalops.accept(jsonb, jsonb, uuid, integer);
drop function signalops.tell(uuid, timestamptz, uuid, text[], text[]);
drop function signalops.give_back(jsonb, timestamptz);
drop function signalops.recount(jsonb, timestamptz, integer);
drop function signalops.admit(uuid, timestamptz, jsonb, jsonb, text[], text[]);
drop function signalops.weight(jsonb, text);
drop function signalops.count_in(jsonb, timestamptz);
drop trigger version_limited_meter on signalops.meters;
drop function signalops.version_limited_meter();
drop trigger version_limit on signalops.limits;
drop function signalops.version_limit();
drop function signalops.renew_quotas(uuid, text);
drop function signalops.await_changed_limits();

alter table signalops.tenants
  add column soft_limit bigint check (soft_limit >= 0),
  add column hard_limit bigint check (hard_limit >= 0);
comment on column signalops.tenants.soft_limit is 'Events a calendar month (UTC) at which a notice is emitted, once; NULL: none.';
comment on column signalops.tenants.hard_limit is 'Events a calendar month (UTC) beyond which events are refused; NULL: none. A new value holds at once.';
alter table signalops.tenants no force row level security;
alter table signalops.limits no force row level security;
update signalops.tenants t set soft_limit = l.soft, hard_limit = case l.overage when 'refuse' then l.hard end
from signalops.tenants s cross join lateral signalops.limit_of(s.id, 'events', current_date) l where s.id = t.id;

alter table signalops.quotas no force row level security;
delete from signalops.quotas where meter <> 'events';
alter table signalops.quotas
  add column soft_reached_at timestamptz,
  drop constraint quotas_pkey,
  drop constraint quotas_accepted_check;
update signalops.quotas set soft_reached_at = now() where told ? 'soft';
alter table signalops.quotas
  alter column accepted type bigint,
  drop column meter, drop column told, drop column calm_until, drop column scales,
  add primary key (tenant_id, period),
  add constraint quotas_accepted_check check (accepted >= 0);
drop policy owner_acts on signalops.quotas;
alter table signalops.quotas force row level security;
alter table signalops.tenants force row level security;
comment on table signalops.quotas is 'Events accepted in a month, counted in the accepting transaction: the limit is exact across processes.';
comment on column signalops.quotas.period is 'First day of the calendar month (UTC).';
comment on column signalops.quotas.accepted is 'Events accepted; duplicates, refusals and operational events do not count.';
comment on column signalops.quotas.soft_reached_at is 'When the soft limit was reached and its notice emitted; NULL: not yet.';

drop view signalops.limited_meters;
drop function signalops.limit_of(uuid, text, date);
drop table signalops.limits;
drop function signalops.check_limit();
alter table signalops.tenants drop column scales;
comment on column signalops.tenants.metering is 'Version of its meters and limits: 0 until it has any, and one more with each change.';

drop view signalops.event_status;
alter table signalops.events drop column over_limit;
create view signalops.event_status with (security_invoker = true) as
select e.tenant_id, e.id, e.batch, e.type, e.source, e.occurred_at, e.received_at, e.payload, e.attributes, e.depth,
  case when i.event_id is not null and i.replay_id is null then 'pending'
    when d.id is not null and d.ending is distinct from 'retried' then 'dead' else 'processed' end as status
from signalops.events e
left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id
left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id;
comment on view signalops.event_status is
  'Events with what became of them: pending (in the inbox, and not for a replay), processed, or dead (a dead letter).';
comment on column signalops.event_status.status is 'pending, processed or dead.';
grant select on signalops.event_status to signalops_api, signalops_worker;

create function signalops.count_in(asked jsonb, month date) returns table (tenant uuid, near_soft boolean)
language plpgsql volatile
as $$
declare
  places tid[];
  totals bigint[];
  tenants uuid[];
  nearing boolean[];
begin
  -- In the order of the tenants: two flushes that share some lock the counters in the same order.
  select array_agg(q.ctid), array_agg(q.accepted + w.events), array_agg(w.tenant),
    array_agg(coalesce(q.accepted + w.events >= t.soft_limit and q.soft_reached_at is null, false))
  into places, totals, tenants, nearing
  from (select * from jsonb_to_recordset(asked) as a (tenant uuid, events integer) order by a.tenant) w
  cross join lateral (
    select q.ctid, * from signalops.quotas q where q.tenant_id = w.tenant and q.period = month limit 1 for update
  ) q
  cross join lateral (select * from signalops.tenants t where t.id = w.tenant limit 1) t
  where t.hard_limit is null or q.accepted + w.events <= t.hard_limit;
  -- A locked row stays where it is; and a statement of its own sees it, even if another flush has just moved it there.
  update signalops.quotas q set accepted = c.total from unnest(places, totals) as c (place, total) where q.ctid = c.place;
  return query select * from unnest(tenants, nearing);
end
$$;
comment on function signalops.count_in(jsonb, date) is
  'Counts [{tenant, events}] against the limits and returns the tenants whose events all fit; the others are for admit.';

create function signalops.admit(wanted uuid, month date, offered jsonb) returns jsonb
language plpgsql volatile
as $$
declare
  room bigint;
  admitted jsonb;
begin
  insert into signalops.quotas (tenant_id, period) values (wanted, month) on conflict do nothing;
  -- The row lock makes the limit exact: whoever else accepts for this tenant waits for our commit.
  select coalesce(t.hard_limit, 9223372036854775807) - q.accepted into room
  from signalops.quotas q join signalops.tenants t on t.id = q.tenant_id
  where q.tenant_id = wanted and q.period = month
  for update of q;
  -- What is stored already needs no room; a repeat within the flush shares the place of its first.
  select coalesce(jsonb_agg(item order by ord) filter (where stored or place <= room), '[]') into admitted
  from (
    select item, ord, stored, count(*) filter (where ord = first and not stored) over (order by first) as place
    from (
      select i.item, i.ord, k.key is not null as stored,
        min(i.ord) over (partition by coalesce(i.item ->> 'key', E'\n' || i.ord)) as first
      from jsonb_array_elements(offered) with ordinality as i (item, ord)
      left join lateral (
        select k.key from signalops.idempotency_keys k where k.tenant_id = wanted and k.key = i.item ->> 'key' limit 1
      ) k on true
      where i.item ->> 'tenant' = wanted::text
    ) as items
  ) as placed;
  update signalops.quotas set accepted = accepted + jsonb_array_length(admitted)
  where tenant_id = wanted and period = month;
  return admitted;
end
$$;
comment on function signalops.admit(uuid, date, jsonb) is
  'The careful path of accept, for a tenant''s first events of a month and at its hard limit: counts and returns what may come in.';

create or replace function signalops.store(flush jsonb, in_batch uuid) returns bigint
language plpgsql volatile
as $$
declare
  fresh bigint;
begin
  with incoming as materialized (
    select * from jsonb_to_recordset(flush) as i (tenant uuid, id uuid, type text, source text, occurred_at timestamptz,
      received_at timestamptz, payload jsonb, attributes jsonb, key text, hash text)
  ), keyed as (
    insert into signalops.idempotency_keys (tenant_id, key, event_id, body_hash)
    select tenant, key, id, decode(hash, 'hex') from incoming where key is not null
    on conflict do nothing returning event_id
  ), stored as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, attributes)
    select tenant, id, in_batch, type, source, occurred_at, received_at, payload, attributes
    from incoming where key is null or id in (select event_id from keyed)
    returning tenant_id, id
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch) select tenant_id, id, in_batch from stored
  )
  select count(*) into fresh from stored;
  return fresh;
end
$$;
comment on function signalops.store(jsonb, uuid) is
  'Stores the events whose idempotency key is new, and puts them into the inbox; returns how many were.';

create function signalops.give_back(admitted jsonb, month date)
returns table (event_id uuid, verdict text, first_id uuid)
language plpgsql volatile
as $$
begin
  return query
    with repeated as materialized (
      select i.tenant, i.id, decode(i.hash, 'hex') as body_hash, k.body_hash as first_hash, k.event_id as first
      from jsonb_to_recordset(admitted) as i (tenant uuid, id uuid, key text, hash text)
      cross join lateral (
        select * from signalops.idempotency_keys k where k.tenant_id = i.tenant and k.key = i.key limit 1
      ) k
      where k.event_id <> i.id
    ), counted as (
      update signalops.quotas q set accepted = q.accepted - r.events
      from (select tenant, count(*) as events from repeated group by tenant) r
      where q.tenant_id = r.tenant and q.period = month
    )
    select r.id, case when r.body_hash = r.first_hash then 'duplicate' else 'conflict' end, r.first from repeated r;
end
$$;
comment on function signalops.give_back(jsonb, date) is
  'Of events whose idempotency key was stored before, returns the first event and whether the body is the same, and uncounts them.';

create function signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer)
returns table (event_id uuid, verdict text, first_id uuid)
language plpgsql volatile
-- The hot statements go through primary keys, and a generic plan saves planning each of them anew. But a plan made while a table
-- was small is kept while it grows a thousandfold: so seq scans are off, and a table is looked up row by row (lateral, limit 1)
-- where a join could come to read the whole of it.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  -- The flush's own moment, which its usage is counted by as well: accepted and processed agree at the turn of a month.
  month date := date_trunc('month', signalops.time_of(in_batch) at time zone 'UTC');
  fitting uuid[];
  near_soft uuid[];
  admitted jsonb := flush;
  part uuid;
  fresh bigint;
  emitted bigint := 0;
begin
  perform signalops.act_for((select array_agg(a.tenant) from jsonb_to_recordset(asked) as a (tenant uuid)));

  select coalesce(array_agg(c.tenant), '{}'), array_agg(c.tenant) filter (where c.near_soft) into fitting, near_soft
  from signalops.count_in(asked, month) c;
  if cardinality(fitting) < jsonb_array_length(asked) then
    for part in
      select a.tenant from jsonb_to_recordset(asked) as a (tenant uuid) where a.tenant <> all (fitting) order by a.tenant
    loop
      admitted := (select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(admitted) i where i ->> 'tenant' <> part::text)
        || signalops.admit(part, month, flush);
      near_soft := near_soft || part;
    end loop;
    return query
      select (f.item ->> 'id')::uuid, 'refused', null::uuid
      from (select jsonb_array_elements(flush) except select jsonb_array_elements(admitted)) as f (item);
  end if;

  fresh := signalops.store(admitted, in_batch);
  if fresh < jsonb_array_length(admitted) then
    return query select * from signalops.give_back(admitted, month);
  end if;

  if near_soft is not null then
    return query
      with reached as (
        update signalops.quotas q set soft_reached_at = now()
        from signalops.tenants t
        where q.tenant_id = any (near_soft) and q.period = month and t.id = q.tenant_id
          and q.soft_reached_at is null and q.accepted >= t.soft_limit
        returning q.tenant_id, q.accepted, t.soft_limit
      )
      select signalops.emit(r.tenant_id, in_batch, 'signalops.usage.soft_limit_reached', jsonb_build_object(
        'period', to_char(month, 'YYYY-MM'), 'limit', r.soft_limit, 'accepted', r.accepted), 1::smallint), 'soft_limit', r.tenant_id
      from reached r;
    get diagnostics emitted = row_count;
  end if;

  if fresh + emitted > 0 then
    perform signalops.enqueue('events', 'process_batch', in_priority, jsonb_build_object('batch', in_batch));
  end if;
  perform signalops.act_for(null);
end
$$;
comment on function signalops.accept(jsonb, jsonb, uuid, integer) is
  'Accepts a flush: [{tenant, id, type, source, occurred_at, received_at, payload, attributes, key, hash}] with [{tenant, events}], '
  'how many each tenant has in it. Counts against the limits, stores, fills the inbox and enqueues one job. Returns only what was '
  'not plainly accepted: refused (hard limit), duplicate or conflict (first_id is the event stored under the key), and soft_limit '
  '(event_id is the notice, first_id the tenant), once when it was reached.';
