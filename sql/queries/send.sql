-- Station send. All but claim-delivery and settle-delivery, which act for the tenant themselves, run in a transaction of it.

-- claim-delivery: Begins an attempt and reads all that it needs; no row if there is nothing to send, or not yet.
select * from signalops.claim_delivery(%(tenant)s, %(delivery)s);

-- read-listed-events: The events that a digest lists, in its order; ends after the one with which the payloads exceed 1 MiB.
-- One after the other: a join would read and unpack all of them first.
with recursive listed as (
  select 0 as place, 0 as size, null::json as event
  union all
  select l.place + 1, l.size + coalesce(octet_length(e.payload), 0), case when e.id is not null then json_build_object(
    'id', e.id, 'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload::json) end
  from listed l
  left join lateral (
    select id, type, source, occurred_at, payload::text from signalops.events
    where tenant_id = %(tenant)s and id = (%(ids)s::uuid[])[l.place + 1] limit 1
  ) e on true
  where l.place < least(cardinality(%(ids)s::uuid[]), 100) and l.size <= 1048576
)
select event from listed where event is not null order by place;

-- settle-delivery: Records an attempt and what follows from it; returns whether the delivery died.
select signalops.settle_delivery(%(tenant)s, %(delivery)s, %(attempt)s::smallint, %(said)s);

-- add-channel: Stores a channel; no row if the tenant has one of that name.
insert into signalops.channels (tenant_id, id, name, kind, config, secret)
values (%(tenant)s, %(id)s, %(name)s, %(kind)s, %(config)s, %(secret)s)
on conflict (tenant_id, name) where deleted_at is null do nothing
returning id;

-- list-channels: The tenant's channels by name, without their secrets.
select id, name, kind, config, secret is not null as has_secret, enabled, created_at
from signalops.channels where tenant_id = %(tenant)s and deleted_at is null order by name;
