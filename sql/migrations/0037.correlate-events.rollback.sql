-- Stations ingest, rules and send: events forget what their requests were found again by.

create or replace function signalops.claim_delivery(tenant uuid, delivery uuid, busy uuid[])
returns table (outlet uuid, channel uuid, attempt smallint, attempts_before smallint, context jsonb, replay boolean, about text, event json,
  rule json, template jsonb, kind text, config jsonb, secret bytea, enabled boolean, retry_schedule integer[],
  suppressed boolean)
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  asked record;
  wait_until timestamptz;
begin
  perform signalops.act_as(tenant);
  -- `not in`: with `in` the planner takes the small partial index deliveries_in_hand and reads all of it, for each claim, once a
  -- burst has made it large.
  select d.channel_id, coalesce(c.outlet_id, d.channel_id) as outlet, c.most_per_minute, c.enabled into asked
  from signalops.deliveries d
  left join lateral (select * from signalops.channels c where c.tenant_id = tenant and c.id = d.channel_id limit 1) c on true
  where d.tenant_id = tenant and d.id = delivery and d.next_attempt_at is null
    and d.status not in ('retrying', 'sent', 'delivered', 'read', 'dead', 'cancelled', 'suppressed')
  for update of d;
  if not found then
    return;
  end if;
  if asked.channel_id = any (busy) then
    wait_until := clock_timestamp() + interval '1 second';
  elsif asked.enabled then -- what can't be sent any more need not wait to be told so
    wait_until := signalops.take_turn(tenant, asked.outlet, delivery, asked.most_per_minute);
  end if;
  if wait_until is not null then
    update signalops.deliveries d set status = 'pending', next_attempt_at = wait_until, updated_at = now()
    where d.tenant_id = tenant and d.id = delivery;
    perform signalops.await_turn(tenant, asked.channel_id, wait_until);
    return;
  end if;
  return query
    with claimed as (
      update signalops.deliveries d set status = 'sending', attempts = d.attempts + 1, updated_at = now()
      where d.tenant_id = tenant and d.id = delivery
      returning d.event_id, d.rule_id, d.rule_version, d.channel_id, d.attempts, d.attempts_before, d.context, d.replay_id
    )
    select asked.outlet, d.channel_id, d.attempts, d.attempts_before, d.context, d.replay_id is not null,
      -- Only of the rule itself: to another one that matches such an event, and of what a tenant sends by that name, it is an event.
      case when e.depth > 0 and e.payload #>> '{rule,id}' = d.rule_id::text then
        case e.type when 'signalops.rule.digest' then 'digest' when 'signalops.rule.absent' then 'absence' else 'event' end
        else 'event' end,
      case when e.id is not null then json_build_object(
        'id', e.id, 'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload) end,
      case when r.id is not null then json_build_object('id', r.id, 'name', r.name, 'version', v.version, 'severity', v.severity) end,
      v.template, c.kind, c.config, c.secret, c.enabled, c.retry_schedule,
      c.kind = 'email' and exists (
        select from signalops.suppressions s where s.tenant_id = tenant and s.address = lower(c.config ->> 'to'))
    from claimed d
    -- Outer joins: what was deleted meanwhile must become a dead letter, not an endless attempt.
    left join lateral (select * from signalops.events e where e.tenant_id = tenant and e.id = d.event_id limit 1) e on true
    left join lateral (select * from signalops.rules r where r.tenant_id = tenant and r.id = d.rule_id limit 1) r on true
    left join lateral (
      select * from signalops.rule_versions v
      where v.tenant_id = tenant and v.rule_id = d.rule_id and v.version = d.rule_version limit 1
    ) v on true
    left join lateral (select * from signalops.channels c where c.tenant_id = tenant and c.id = d.channel_id limit 1) c on true;
end
$$;

create or replace function signalops.read_batch(wanted uuid)
returns table (tenant uuid, ruleset bigint, metering bigint, time_zone text, closed_until timestamptz, events text)
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
  -- Closing a period waits for every transaction that may have read an older closed_until. Taking the batch gave this one its
  -- number, by which it is waited for; so closed_until is read after that, in a statement of its own.
  return query
    select t.tenant_id, coalesce((select r.version from signalops.rulesets r where r.tenant_id = t.tenant_id), 0),
      n.metering, n.time_zone, n.closed_until,
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
    cross join lateral (
      select s.metering, s.time_zone, s.closed_until from signalops.tenants s where s.id = t.tenant_id limit 1
    ) n
    group by t.tenant_id, n.metering, n.time_zone, n.closed_until;
  perform signalops.act_for(null);
end
$$;

create or replace function signalops.store(flush jsonb, in_batch uuid) returns bigint
language plpgsql volatile
as $$
declare
  fresh bigint;
begin
  with incoming as materialized (
    select * from jsonb_to_recordset(flush) as i (tenant uuid, id uuid, type text, source text, occurred_at timestamptz,
      received_at timestamptz, payload jsonb, attributes jsonb, key text, hash text, over_limit boolean)
  ), keyed as (
    insert into signalops.idempotency_keys (tenant_id, key, event_id, body_hash)
    select tenant, key, id, decode(hash, 'hex') from incoming where key is not null
    on conflict do nothing returning event_id
  ), stored as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, attributes, over_limit)
    select tenant, id, in_batch, type, source, occurred_at, received_at, payload, attributes, coalesce(over_limit, false)
    from incoming where key is null or id in (select event_id from keyed)
    returning tenant_id, id
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch) select tenant_id, id, in_batch from stored
  )
  select count(*) into fresh from stored;
  return fresh;
end
$$;

drop view signalops.event_status;
create view signalops.event_status with (security_invoker = true) as
select e.tenant_id, e.id, e.batch, e.type, e.source, e.occurred_at, e.received_at, e.payload, e.attributes, e.depth,
  case when i.event_id is not null and i.replay_id is null then 'pending'
    when d.id is not null and d.ending is distinct from 'retried' then 'dead' else 'processed' end as status,
  e.over_limit
from signalops.events e
left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id
left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id;
comment on view signalops.event_status is
  'Events with what became of them: pending (in the inbox, and not for a replay), processed, or dead (a dead letter).';
comment on column signalops.event_status.status is 'pending, processed or dead.';
grant select on signalops.event_status to signalops_api, signalops_worker;
alter table signalops.events drop column correlation, drop column trace;
