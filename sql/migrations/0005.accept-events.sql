-- Accepting: what a flush of the API does in one statement and one transaction.

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

create function signalops.admit(tenant uuid, month date, offered jsonb) returns jsonb
language plpgsql volatile
as $$
declare
  room bigint;
  admitted jsonb;
begin
  insert into signalops.quotas (tenant_id, period) values (tenant, month) on conflict do nothing;
  -- The row lock makes the limit exact: whoever else accepts for this tenant waits for our commit.
  select coalesce(t.hard_limit, 9223372036854775807) - q.accepted into room
  from signalops.quotas q join signalops.tenants t on t.id = q.tenant_id
  where q.tenant_id = tenant and q.period = month
  for update of q;
  -- What is stored already needs no room; a repeat within the flush shares the place of its first.
  select coalesce(jsonb_agg(item order by ord) filter (where stored or place <= room), '[]') into admitted
  from (
    select item, ord, stored, count(*) filter (where ord = first and not stored) over (order by first) as place
    from (
      select i.item, i.ord, k.key is not null as stored,
        min(i.ord) over (partition by coalesce(i.item ->> 'key', E'\n' || i.ord)) as first
      from jsonb_array_elements(offered) with ordinality as i (item, ord)
      left join signalops.idempotency_keys k on k.tenant_id = tenant and k.key = i.item ->> 'key'
    ) as items
  ) as placed;
  update signalops.quotas set accepted = accepted + jsonb_array_length(admitted)
  where tenant_id = tenant and period = month;
  return admitted;
end
$$;
comment on function signalops.admit(uuid, date, jsonb) is
  'The careful path of accept, for the first events of a month and at the hard limit: counts and returns what may come in.';

create function signalops.store(tenant uuid, in_batch uuid, admitted jsonb) returns integer
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  fresh integer;
begin
  with incoming as materialized (
    select * from jsonb_to_recordset(admitted) as i (id uuid, type text, source text, occurred_at timestamptz,
      received_at timestamptz, payload jsonb, attributes jsonb, key text, hash text)
  ), keyed as (
    insert into signalops.idempotency_keys (tenant_id, key, event_id, body_hash)
    select tenant, key, id, decode(hash, 'hex') from incoming where key is not null
    on conflict do nothing returning event_id
  ), stored as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, attributes)
    select tenant, id, in_batch, type, source, occurred_at, received_at, payload, attributes
    from incoming where key is null or id in (select event_id from keyed)
    returning id
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch) select tenant, id, in_batch from stored
  )
  select count(*) into fresh from stored;
  return fresh;
end
$$;
comment on function signalops.store(uuid, uuid, jsonb) is
  'Stores the events of one tenant whose idempotency key is new, and puts them into the inbox; returns how many were.';

create function signalops.accept(flush jsonb, in_batch uuid, in_priority integer)
returns table (event_id uuid, verdict text, first_id uuid)
language plpgsql volatile
-- The hot statements go through primary keys. A generic plan saves planning each of them anew for each tenant, and seq scans
-- are off because a plan made while a partition was small would be kept while the partition grows a thousandfold.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  month date := date_trunc('month', now() at time zone 'UTC');
  part record;
  admitted jsonb;
  asked integer;
  fresh integer;
  total bigint;
  soft bigint;
  any_stored boolean := false;
begin
  -- In the order of the tenants, which the caller sorts: two flushes lock the counters in the same order.
  for part in select p.tenant, p.events from jsonb_to_recordset(flush) as p (tenant uuid, events jsonb) loop
    perform set_config('signalops.tenant_id', part.tenant::text, true);
    admitted := part.events;
    asked := jsonb_array_length(admitted);

    update signalops.quotas q set accepted = q.accepted + asked
    from signalops.tenants t
    where q.tenant_id = part.tenant and q.period = month and t.id = part.tenant
      and (t.hard_limit is null or q.accepted + asked <= t.hard_limit);
    if not found then
      admitted := signalops.admit(part.tenant, month, part.events);
      asked := jsonb_array_length(admitted);
      return query
        select (refused.item ->> 'id')::uuid, 'refused', null::uuid
        from (select jsonb_array_elements(part.events) except select jsonb_array_elements(admitted)) as refused (item);
    end if;

    fresh := signalops.store(part.tenant, in_batch, admitted);
    any_stored := any_stored or fresh > 0;
    if fresh < asked then
      update signalops.quotas q set accepted = q.accepted - (asked - fresh)
      where q.tenant_id = part.tenant and q.period = month;
      return query
        select i.id, case when k.body_hash = decode(i.hash, 'hex') then 'duplicate' else 'conflict' end, k.event_id
        from jsonb_to_recordset(admitted) as i (id uuid, key text, hash text)
        join signalops.idempotency_keys k on k.tenant_id = part.tenant and k.key = i.key and k.event_id <> i.id;
    end if;

    update signalops.quotas q set soft_reached_at = now()
    from signalops.tenants t
    where q.tenant_id = part.tenant and q.period = month and t.id = part.tenant
      and q.soft_reached_at is null and q.accepted >= t.soft_limit
    returning q.accepted, t.soft_limit into total, soft;
    if found then
      return query select signalops.emit(part.tenant, in_batch, 'signalops.usage.soft_limit_reached',
        jsonb_build_object('period', to_char(month, 'YYYY-MM'), 'limit', soft, 'accepted', total), 1::smallint),
        'soft_limit', part.tenant;
      any_stored := true;
    end if;
  end loop;

  if any_stored then
    perform signalops.enqueue('events', 'process_batch', in_priority, jsonb_build_object('batch', in_batch));
  end if;
end
$$;
comment on function signalops.accept(jsonb, uuid, integer) is
  'Accepts a flush: [{tenant, events: [{id, type, source, occurred_at, received_at, payload, attributes, key, hash}]}], '
  'sorted by tenant. Counts against the limits, stores, fills the inbox and enqueues one job. Returns only what was not plainly '
  'accepted: refused (hard limit), duplicate or conflict (first_id is the event stored under the key), and soft_limit (event_id is '
  'the notice, first_id the tenant), once when it was reached.';
