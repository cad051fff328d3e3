-- Station ingest: replays. All run in a transaction of the tenant.

-- choose-events: past events between two ids, one by one or all, and whether they can be replayed
select e.id, case when e.causation_depth > 0 then 'operational' when i.event_id is not null then 'waiting' when e.status = 'dead' then 'dead'
  else 'chosen' end as verdict
from signalops.event_status e
left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id -- also what another replay has put there
where e.tenant_id = %(tenant)s and e.id >= %(lower)s and e.id < %(upper)s
  and (%(ids)s::uuid[] is null or e.id = any (%(ids)s::uuid[])) and (%(type)s::text is null or e.type = %(type)s)
order by e.id limit %(limit)s;

-- unknown-rules: which of these rules a tenant does not have
select w.id from unnest(%(rules)s::uuid[]) as w (id)
where not exists (
  select from signalops.rules r where r.tenant_id = %(tenant)s and r.id = w.id and r.deleted_at is null);

-- refill-inbox: puts events into the inbox again, except those that another replay has just put there; returns the batches they are in
insert into signalops.inbox (tenant_id, event_id, batch, replay_id)
select %(tenant)s, w.event, w.batch, %(replay)s from unnest(%(events)s::uuid[], %(batches)s::uuid[]) as w (event, batch)
on conflict do nothing
returning batch;

-- add-replay: notes a replay, and enqueues the batches that it made, behind single events as any bulk
with noted as (
  insert into signalops.replays (tenant_id, id, reason, rules, events, batches)
  values (%(tenant)s, %(id)s, %(reason)s, %(rules)s, %(events)s, %(batches)s)
)
select signalops.enqueue('events', 'process_batch', %(priority)s, jsonb_build_object('batch', batch))
from unnest(%(batches)s::uuid[]) as batch;

-- list-replays: a page of a tenant's replays between two ids, or one of them, with how far they are
select r.id, r.reason, r.rules, r.events, r.requested_at as "requestedAt",
  (select count(*) from signalops.inbox i where i.tenant_id = r.tenant_id and i.batch = any (r.batches) and not i.is_parked)
    + (select count(*) from signalops.inbox i where i.tenant_id = r.tenant_id and i.batch = any (r.batches) and i.is_parked) as waiting,
  (select count(*) from signalops.deliveries d where d.tenant_id = r.tenant_id and d.replay_id = r.id) as deliveries
from signalops.replays r
where r.tenant_id = %(tenant)s and r.id > %(lower)s and r.id < %(upper)s and (%(id)s::uuid is null or r.id = %(id)s)
order by case when %(upwards)s then r.id end, r.id desc limit %(limit)s;
