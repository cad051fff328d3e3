-- What accepting consists of: rows of events, idempotency keys and the inbox.

create or replace function signalops.emit(tenant uuid, in_batch uuid, event_type text, about jsonb, at_depth smallint) returns uuid
language sql volatile as $$
  with emitted as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, causation_depth)
    values (tenant, signalops.new_id(), in_batch, event_type, 'signalops', clock_timestamp(), clock_timestamp(), about, at_depth)
    returning id)
  insert into signalops.inbox (tenant_id, event_id, batch) select tenant, id, in_batch from emitted returning event_id
$$;
comment on function signalops.emit is
  'Stores an operational event of a tenant in a batch that is about to be enqueued: rules can match it, but it is not billed.';

create or replace function signalops.insert_events(flush jsonb, in_batch uuid, place text) returns bigint
language plpgsql volatile as $$
declare
  fresh bigint;
  received timestamptz := signalops.uuid7_time((place || '-7000-8000-000000000000')::uuid);
begin
  with incoming as materialized (
    select signalops.repositioned_id(place, i.id) as event_id, i.* from jsonb_to_recordset(flush) as i (tenant uuid, id text, type text, source text, occurred_at timestamptz,
      received_at timestamptz, payload jsonb, attributes jsonb, key text, hash text, over_limit boolean, correlation text, trace text)
  ), keyed as (
    insert into signalops.idempotency_keys (tenant_id, key, event_id, body_hash)
    select tenant, key, incoming.event_id, decode(hash, 'hex') from incoming where key is not null
    on conflict do nothing returning event_id
  ), stored as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, attributes, over_limit,
      correlation, trace)
    select tenant, incoming.event_id, in_batch, type, source, coalesce(occurred_at, received), coalesce(received_at, received), payload, attributes, coalesce(over_limit, false),
      correlation, trace
    from incoming where key is null or incoming.event_id in (select keyed.event_id from keyed)
    returning tenant_id, id
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch) select tenant_id, id, in_batch from stored
  )
  select count(*) into fresh from stored;
  return fresh;
end
$$;
comment on function signalops.insert_events is
  'Stores the events whose idempotency key is new, with ids placed in this transaction, and puts them into the inbox; returns how many were.';

create or replace function signalops.uncount_duplicates(admitted jsonb, moment timestamptz, place text)
returns table (event_id uuid, verdict text, first_id uuid)
language plpgsql volatile as $$
declare
  repeated jsonb;
begin
  select jsonb_agg(i.item || jsonb_build_object('first', k.event_id, 'is_same', k.body_hash = decode(i.item ->> 'hash', 'hex')))
  into repeated
  from jsonb_array_elements(admitted) as i (item)
  cross join lateral (
    select * from signalops.idempotency_keys k where k.tenant_id = (i.item ->> 'tenant')::uuid and k.key = i.item ->> 'key' limit 1
  ) k
  where k.event_id <> signalops.repositioned_id(place, i.item ->> 'id');
  perform signalops.update_counters(repeated, moment, -1);
  return query
    select r.id, case when r.is_same then 'duplicate' else 'conflict' end, r.first
    from jsonb_to_recordset(repeated) as r (id uuid, is_same boolean, first uuid);
end
$$;
comment on function signalops.uncount_duplicates is
  'Of events whose idempotency key was stored before, returns the first event and whether the body is the same, and uncounts them.';
