-- The view of events with their state.

create or replace view signalops.event_status with (security_invoker = true) as
select e.tenant_id, e.id, e.batch, e.type, e.source, e.occurred_at, e.received_at, e.payload, e.attributes, e.causation_depth,
  case when i.event_id is not null and i.replay_id is null then 'pending'
    when d.id is not null and d.resolution is distinct from 'retried' then 'dead' else 'processed' end as status,
  e.over_limit, e.correlation
from signalops.events e
left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id
left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id;
comment on view signalops.event_status is
  'Events with their status: pending (in the inbox, and not for a replay), processed, or dead (a dead letter).';
comment on column signalops.event_status.status is 'pending, processed or dead.';
comment on column signalops.event_status.correlation is 'As in signalops.events.';
