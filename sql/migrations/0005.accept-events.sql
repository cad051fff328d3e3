-- Accepting: what a flush of the API does in one statement and one transaction.

-- Functions on the hot path are plpgsql: it keeps their plans, where sql functions are planned anew for each call before PostgreSQL 18.

-- A flush holds events of many tenants. One statement for all of them costs half of one statement per tenant (measured with
-- 64 events of 50 tenants), so for its duration the rows of exactly these tenants are visible.
create function signalops.current_group() returns uuid[]
language sql stable parallel safe
return nullif(current_setting('signalops.tenant_group', true), '')::uuid[];
comment on function signalops.current_group() is
  'The tenants of the flush or batch that signalops.accept, read_batch or record_batch is at; NULL outside of them.';

create function signalops.act_for(tenants uuid[]) returns void
language plpgsql volatile
as $$
begin
  perform set_config('signalops.tenant_group', coalesce(tenants::text, ''), true);
end
$$;
comment on function signalops.act_for(uuid[]) is
  'Opens the rows of a group of tenants to the functions that handle a flush or a batch; NULL closes them again.';

create procedure signalops.admit_group(target regclass, product_role text, key text default 'tenant_id')
language plpgsql
as $$
begin
  execute format(
    'create policy tenant_group_%s on %s to %I using (%I = any ((select signalops.current_group())::uuid[])) '
    'with check (%I = any ((select signalops.current_group())::uuid[]))', product_role, target, product_role, key, key);
  execute format('comment on policy tenant_group_%s on %s is %L', product_role, target,
    'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.');
end
$$;
comment on procedure signalops.admit_group(regclass, text, text) is
  'Gives a table that is handled for many tenants at once its policy for a role of the product.';
call signalops.admit_group('signalops.tenants', 'signalops_api', 'id');
call signalops.admit_group('signalops.quotas', 'signalops_api');
call signalops.admit_group('signalops.idempotency_keys', 'signalops_api');
call signalops.admit_group('signalops.events', 'signalops_api');
call signalops.admit_group('signalops.inbox', 'signalops_api');

create function signalops.emit(tenant uuid, in_batch uuid, event_type text, about jsonb, at_depth smallint) returns uuid
language sql volatile
as $$
  with emitted as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, depth)
    values (tenant, signalops.new_id(), in_batch, event_type, 'signalops', clock_timestamp(), clock_timestamp(), about, at_depth)
    returning id)
  insert into signalops.inbox (tenant_id, event_id, batch) select tenant, id, in_batch from emitted returning event_id
$$;
comment on function signalops.emit(uuid, uuid, text, jsonb, smallint) is
  'Stores an operational event of a tenant in a batch that is about to be enqueued: rules can match it, nobody is billed for it.';

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

create function signalops.store(flush jsonb, in_batch uuid) returns bigint
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
