-- Takes back backtests and replays; replays that still wait are dropped, since they would be billed as new events.

delete from signalops.inbox where replay_id is not null;

create or replace function signalops.read_batch(wanted uuid) returns table (tenant uuid, ruleset bigint, events text)
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set timezone = 'UTC'
as $$
declare
  tenants uuid[];
  ids uuid[];
begin
  -- A worker that freezes, or whose machine is gone, must not keep the batch from others: its session ends, and all is undone.
  perform set_config('idle_in_transaction_session_timeout', '10s', true);
  select array_agg(t.tenant_id), array_agg(t.event_id) into tenants, ids from signalops.take_batch(wanted) t;
  perform signalops.act_for(tenants);
  return query
    select t.tenant_id, coalesce((select r.version from signalops.rulesets r where r.tenant_id = t.tenant_id), 0),
      -- One text per tenant: parsing it costs a third of loading as many rows.
      json_agg(json_build_object('id', e.id, 'depth', e.depth, 'attributes', e.attributes,
        'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload) order by e.id)::text
    from unnest(tenants, ids) as t (tenant_id, event_id)
    -- The limit keeps the planner from joining: a join planned while the partition was empty reads all of it for each batch.
    cross join lateral (
      select * from signalops.events e where e.tenant_id = t.tenant_id and e.id = t.event_id limit 1
    ) e
    group by t.tenant_id;
  perform signalops.act_for(null);
end
$$;
comment on function signalops.read_batch(uuid) is
  'Takes a batch and returns its events by tenant, with the version of the rules to use: '
  '[{id, depth, type, source, occurredAt, payload, attributes}].';

drop function signalops.take_batch(uuid);
create function signalops.take_batch(wanted uuid) returns table (tenant_id uuid, event_id uuid)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query delete from signalops.inbox i where i.batch = wanted returning i.tenant_id, i.event_id;
end
$$;
comment on function signalops.take_batch(uuid) is
  'Takes a batch out of the inbox. A second worker with the same batch waits for the first one''s commit and then finds nothing: '
  'that is what makes processing exactly-once.';
revoke all on function signalops.take_batch(uuid) from public;
grant execute on function signalops.take_batch(uuid) to signalops_worker;

create or replace view signalops.event_status with (security_invoker = true) as
select e.tenant_id, e.id, e.batch, e.type, e.source, e.occurred_at, e.received_at, e.payload, e.attributes, e.depth,
  case when i.event_id is not null then 'pending' when d.id is not null then 'dead' else 'processed' end as status
from signalops.events e
left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id
left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id;
comment on view signalops.event_status is
  'Events with what became of them: pending (in the inbox), processed, or dead (a dead letter).';

drop index signalops.deliveries_by_replay;
alter table signalops.inbox drop column replay_id;
drop table signalops.replays;
drop function signalops.enqueue_backtest(uuid, uuid);
drop table signalops.backtests;
