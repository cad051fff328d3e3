-- Attempts: a worker claims deliveries.

create or replace function signalops.claim_delivery(tenant uuid, delivery uuid, busy uuid[]) returns table (
  send_target uuid, channel uuid, attempt smallint, attempts_at_reset smallint, window_context jsonb, replay boolean, about text, event json, rule
  json, template jsonb, kind text, config jsonb, secret bytea, enabled boolean, retry_schedule integer[], suppressed boolean
)
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  claimable record;
  wait_until timestamptz;
begin
  perform signalops.set_tenant(tenant);
  -- `not in`: with `in` the planner takes the small partial index deliveries_in_hand and reads all of it, for each claim, once a
  -- burst has made it large.
  select d.channel_id, coalesce(c.send_target_id, d.channel_id) as send_target, c.max_per_minute, c.enabled into claimable
  from signalops.deliveries d
  left join lateral (select * from signalops.channels c where c.tenant_id = tenant and c.id = d.channel_id limit 1) c on true
  where d.tenant_id = tenant and d.id = delivery and d.next_attempt_at is null
    and d.status not in ('retrying', 'sent', 'delivered', 'read', 'dead', 'cancelled', 'suppressed')
  for update of d;
  if not found then
    return;
  end if;
  if claimable.channel_id = any (busy) then
    wait_until := clock_timestamp() + interval '1 second';
  elsif claimable.enabled then -- what can't be sent need not wait for its dead letter
    wait_until := signalops.try_acquire_slot(tenant, claimable.send_target, delivery, claimable.max_per_minute);
  end if;
  if wait_until is not null then
    update signalops.deliveries d set status = 'pending', next_attempt_at = wait_until, updated_at = now()
    where d.tenant_id = tenant and d.id = delivery;
    perform signalops.schedule_channel(tenant, claimable.channel_id, wait_until);
    return;
  end if;
  return query
    with claimed as (
      update signalops.deliveries d set status = 'sending', attempts = d.attempts + 1, updated_at = now()
      where d.tenant_id = tenant and d.id = delivery
      returning d.event_id, d.rule_id, d.rule_version, d.channel_id, d.attempts, d.attempts_at_reset, d.window_context, d.replay_id
    )
    select claimable.send_target, d.channel_id, d.attempts, d.attempts_at_reset, d.window_context, d.replay_id is not null,
      -- Only of the rule itself: to another one that matches such an event, and of what a tenant sends by that name, it is an event.
      case when e.causation_depth > 0 and e.payload #>> '{rule,id}' = d.rule_id::text then
        case e.type when 'signalops.rule.digest' then 'digest' when 'signalops.rule.absent' then 'absence' else 'event' end
        else 'event' end,
      case when e.id is not null then json_build_object(
        'id', e.id, 'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload,
        'correlation', e.correlation, 'trace', e.trace) end,
      case when r.id is not null then json_build_object('id', r.id, 'name', r.name, 'version', v.version, 'severity', v.severity,
        'enabled', r.enabled, 'timeZone', (select z.time_zone from signalops.tenants z where z.id = tenant limit 1)) end,
      v.template, c.kind, c.config, c.secret, c.enabled, c.retry_schedule,
      c.kind = 'email' and exists (
        select from signalops.suppressions s where s.tenant_id = tenant and s.address = lower(c.config ->> 'to'))
    from claimed d
    -- Outer joins: a delivery of a deleted rule or channel must become a dead letter, not an endless attempt.
    left join lateral (select * from signalops.events e where e.tenant_id = tenant and e.id = d.event_id limit 1) e on true
    left join lateral (select * from signalops.rules r where r.tenant_id = tenant and r.id = d.rule_id limit 1) r on true
    left join lateral (
      select * from signalops.rule_versions v
      where v.tenant_id = tenant and v.rule_id = d.rule_id and v.version = d.rule_version limit 1
    ) v on true
    left join lateral (select * from signalops.channels c where c.tenant_id = tenant and c.id = d.channel_id limit 1) c on true;
end
$$;
comment on function signalops.claim_delivery is
  'Begins an attempt and returns all that it needs; no row if there is nothing to send, or not yet: then it waits for its channel''s turn, a second '
  'if the channel is among the busy. Acts for the tenant. What waits already is not claimed: only the sweep wakes it.';

create or replace function signalops.lock_deliveries(requested jsonb) returns table (tenant uuid, delivery uuid, channel_id uuid)
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
begin
  return query
    select w.tenant, w.delivery, d.channel_id
    from (select * from jsonb_to_recordset(requested) as w (tenant uuid, delivery uuid) order by w.tenant, w.delivery) w
    cross join lateral (
      -- `attempts` keeps the planner from deliveries_by_rule, of which it would read all that a tenant has, sparing itself the table.
      select d.channel_id from signalops.deliveries d where d.tenant_id = w.tenant and d.id = w.delivery and d.attempts >= 0
      limit 1 for update) d;
end
$$;
comment on function signalops.lock_deliveries is
  'Locks [{tenant, delivery}] in one order and returns those that are there, with their channels: a transaction with several locks all of them before '
  'their send_targets.';

create or replace function signalops.claim_deliveries(requested jsonb, busy uuid[])
returns table (tenant uuid, delivery uuid, send_target uuid, channel uuid, attempt smallint, attempts_at_reset smallint, window_context jsonb,
  replay boolean, about text, event json, rule json, template jsonb, kind text, config jsonb, secret bytea, enabled boolean,
  retry_schedule integer[], suppressed boolean)
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  tenants uuid[];
  deliveries uuid[];
  channels uuid[];
  suspended uuid[];
  one record;
begin
  -- What a crash of the server takes back is claimed again: no reason to wait for the disk.
  perform set_config('synchronous_commit', 'off', true);
  -- Lock order: all deliveries (lock_deliveries), tenants, send_targets, channel_schedules, these by channel.
  perform signalops.set_tenant_group((select array_agg(w.tenant) from jsonb_to_recordset(requested) as w (tenant uuid)));
  select array_agg(l.tenant order by l.tenant, l.channel_id, l.delivery), array_agg(l.delivery order by l.tenant, l.channel_id, l.delivery),
    array_agg(l.channel_id order by l.tenant, l.channel_id, l.delivery)
  into tenants, deliveries, channels from signalops.lock_deliveries(requested) l;
  perform signalops.set_tenant_group(null);
  suspended := signalops.lock_suspended_tenants(tenants);
  for one in select * from unnest(tenants, deliveries, channels) as u (tenant, delivery, channel) loop
    if one.tenant = any (suspended) then
      perform signalops.set_tenant(one.tenant);
      update signalops.deliveries d set status = 'pending', next_attempt_at = clock_timestamp(), updated_at = now()
      where d.tenant_id = one.tenant and d.id = one.delivery and d.next_attempt_at is null
        and d.status not in ('retrying', 'sent', 'delivered', 'read', 'dead', 'cancelled', 'suppressed');
      -- Without end for the sweep: resuming the tenant wakes its channels.
      perform signalops.schedule_channel(one.tenant, one.channel, 'infinity');
      continue;
    end if;
    return query select one.tenant, one.delivery, c.* from signalops.claim_delivery(one.tenant, one.delivery, busy) c;
  end loop;
end
$$;
comment on function signalops.claim_deliveries is
  'Begins an attempt at each of [{tenant, delivery}], whatever their tenants, as claim_delivery does; those of suspended tenants wait again, '
  'without an attempt.';
