-- Station send. All but claim-deliveries and settle-deliveries, which act for the tenants themselves, run in a transaction of it.

-- claim-deliveries: Begins an attempt at each and reads all that it needs; no row where there is nothing to send, or not yet.
select * from signalops.claim_deliveries(%(requested)s, %(busy)s);

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
  where l.place < least(cardinality(%(ids)s::uuid[]), signalops.digest_events()) and l.size <= 1048576
)
select event from listed where event is not null order by place;

-- settle-deliveries: Records attempts and what follows from them; returns the deliveries that died.
select signalops.settle_deliveries(%(attempts)s);
