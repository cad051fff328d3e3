-- Takes back meters: usage is counted by day of receipt again, and by nothing but the number of events.

drop function signalops.read_batch(uuid);
create function signalops.read_batch(wanted uuid) returns table (tenant uuid, ruleset bigint, events text)
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set timezone = 'UTC'
as $$
declare
  tenants uuid[];
  ids uuid[];
  replays uuid[];
begin
  -- A worker that freezes, or whose machine is gone, must not keep the batch from others: its session ends, and all is undone.
  perform set_config('idle_in_transaction_session_timeout', '10s', true);
  select array_agg(t.tenant_id), array_agg(t.event_id), array_agg(t.replay_id) into tenants, ids, replays
  from signalops.take_batch(wanted) t;
  perform signalops.act_for(tenants);
  return query
    select t.tenant_id, coalesce((select r.version from signalops.rulesets r where r.tenant_id = t.tenant_id), 0),
      -- One text per tenant: parsing it costs a third of loading as many rows.
      json_agg(json_build_object('id', e.id, 'depth', e.depth, 'attributes', e.attributes,
        'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload,
        'replay', t.replay_id, 'replay_rules', p.rules) order by e.id)::text
    from unnest(tenants, ids, replays) as t (tenant_id, event_id, replay_id)
    -- The limit keeps the planner from joining: a join planned while the partition was empty reads all of it for each batch.
    cross join lateral (
      select * from signalops.events e where e.tenant_id = t.tenant_id and e.id = t.event_id limit 1
    ) e
    left join lateral (
      select r.rules from signalops.replays r where r.tenant_id = t.tenant_id and r.id = t.replay_id limit 1
    ) p on true
    group by t.tenant_id;
  perform signalops.act_for(null);
end
$$;
comment on function signalops.read_batch(uuid) is
  'Takes a batch and returns its events by tenant, with the version of the rules to use: '
  '[{id, depth, type, source, occurredAt, payload, attributes, replay, replay_rules}].';

create or replace function signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) returns void
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  decided jsonb := results -> 'matches';
begin
  perform signalops.act_for((select array_agg(p.tenant) from jsonb_to_recordset(results -> 'parts') as p (tenant uuid)));

  if coalesce(results -> 'groups', '[]') <> '[]' then
    decided := decided || signalops.weigh(results -> 'groups');
  end if;
  if decided <> '[]' then
    with matched as materialized (
      select m.*, coalesce(m.outcome, 'notified') as result from jsonb_to_recordset(decided) as m (tenant uuid, event uuid, rule uuid,
        version integer, channel uuid, delivery uuid, outcome text, not_before timestamptz, context jsonb, replay uuid)
    ), noted as (
      insert into signalops.matches (tenant_id, event_id, rule_id, rule_version, outcome)
      select tenant, event, rule, version, result from matched
      -- Only a replay repeats a match; the first decision stays on record.
      on conflict do nothing
    )
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id, next_attempt_at, context, replay_id)
    select tenant, delivery, event, rule, version, channel, not_before, context, replay from matched where result = 'notified';
  end if;
  if results -> 'dead' <> '[]' then
    insert into signalops.dead_letters (tenant_id, id, kind, event_id, error)
    select d.tenant, d.event, 'event', d.event, left(d.error, 500)
    from jsonb_to_recordset(results -> 'dead') as d (tenant uuid, event uuid, error text)
    -- Somebody had it retried, and it died again.
    on conflict (tenant_id, id) do update
      set error = excluded.error, died_at = now(), ended_at = null, ending = null, reason = null;
  end if;

  -- A batch that was bisected around a poisonous event is recorded in several parts.
  insert into signalops.batches as b (tenant_id, batch, job_id, worker, ruleset, rules, events, dead)
  select p.tenant, in_batch, job, worker, p.ruleset, p.rules, p.events, p.dead
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, ruleset bigint, rules integer, events integer, dead integer)
  on conflict (tenant_id, batch) do update
    set events = b.events + excluded.events, dead = b.dead + excluded.dead, processed_at = clock_timestamp();

  -- Last, since turns and counters stay locked until the commit; and in one order, so that two workers can't lock each other out.
  if decided <> '[]' then
    perform signalops.start_deliveries(decided);
  end if;
  insert into signalops.usage_counters as u (tenant_id, meter, day, quantity)
  select p.tenant, 'events', (signalops.time_of(in_batch) at time zone 'UTC')::date, p.billed
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, billed bigint) where p.billed > 0 order by p.tenant
  on conflict (tenant_id, meter, day) do update set quantity = u.quantity + excluded.quantity;

  perform signalops.act_for(null);
end
$$;
comment on function signalops.record_batch(uuid, bigint, text, jsonb) is
  'Records what was decided about a batch: matches, deliveries with their jobs, dead events, usage. {parts: [{tenant, ruleset, rules, '
  'events, billed, dead}], matches: [{tenant, event, rule, version, channel, delivery, outcome, not_before, context, replay}], groups: '
  'what weigh decides, dead: [{tenant, event, error}]}. A match without an outcome is notified of; one with not_before waits till then.';
drop function signalops.count_usage(uuid, jsonb);
alter table signalops.batches drop column metering, drop column billed;

alter table signalops.usage_counters rename to usage_counters_by_hour;
alter table signalops.usage_counters_by_hour rename constraint usage_counters_pkey to usage_counters_by_hour_pkey;
create table signalops.usage_counters (
  tenant_id uuid not null,
  meter text not null check (length(meter) between 1 and 63),
  day date not null,
  quantity bigint not null check (quantity >= 0),
  primary key (tenant_id, meter, day)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.usage_counters is 'Usage by day: added to in the transaction that takes the events out of the inbox, so each is counted exactly once.';
comment on column signalops.usage_counters.tenant_id is 'Whose usage it is.';
comment on column signalops.usage_counters.meter is 'What is counted; events: processed events.';
comment on column signalops.usage_counters.day is 'The day (UTC) of the flush that stored the events; months agree with quotas.period.';
comment on column signalops.usage_counters.quantity is 'How many.';
call signalops.protect('signalops.usage_counters');
grant select on signalops.usage_counters to signalops_api;
grant select, insert, update on signalops.usage_counters to signalops_worker;
call signalops.admit_group('signalops.usage_counters', 'signalops_worker');
alter table signalops.usage_counters no force row level security;
insert into signalops.usage_counters (tenant_id, meter, day, quantity)
select tenant_id, 'events', (signalops.time_of(batch) at time zone 'UTC')::date, sum(events)
from signalops.usage_entries where meter = 'events' group by 1, 3;
alter table signalops.usage_counters force row level security;
drop table signalops.usage_counters_by_hour;
drop table signalops.usage_entries;
drop table signalops.usage_items;
drop table signalops.usage_adjustments;
drop table signalops.meters;
drop function signalops.version_meter();
drop function signalops.bump_metering(uuid);
drop policy owner_acts on signalops.batches;
drop policy owner_acts on signalops.dead_letters;
drop policy tenant_group_signalops_worker on signalops.tenants;
drop function signalops.starts_at(date, text);
drop function signalops.period_of(timestamptz, text);
alter table signalops.tenants drop column time_zone, drop column metering, drop column closed_until;
drop function signalops.is_time_zone(text);
