-- Station send: what a receiver asks for is bounded where it is kept; what hangs or is switched off can be ended.

create or replace function signalops.settle_delivery(tenant uuid, delivery uuid, attempt smallint, said jsonb) RETURNS boolean
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  settled record;
  failing_since timestamptz;
  is_dead boolean := false;
begin
  perform signalops.act_as(tenant);
  insert into signalops.delivery_attempts
    (tenant_id, delivery_id, attempt, started_at, duration_ms, outcome, status_code, answer, error, request_id)
  select tenant, delivery, settle_delivery.attempt, a.started_at, a.duration_ms, a.outcome, a.status_code, a.answer, a.error, a.request_id
  from jsonb_to_record(said) as a (started_at timestamptz, duration_ms integer, outcome text, status_code integer, answer text, error text,
    request_id text);

  -- Two workers may have one delivery in hand after a rescue. What was sent is sent, whoever says so; beyond that only the newest
  -- attempt decides.
  update signalops.deliveries d set status = said ->> 'status', provider_id = said ->> 'provider_id', updated_at = now(),
    next_attempt_at = clock_timestamp() + make_interval(secs => (said ->> 'delay')::double precision)
  where d.tenant_id = tenant and d.id = delivery and signalops.may_become(d.status, said ->> 'status')
    and (d.attempts = settle_delivery.attempt or said ->> 'status' = 'sent')
  returning d.channel_id, d.status, d.next_attempt_at into settled;
  if found then
    is_dead := settled.status = 'dead';
  else
    select d.channel_id, null, null::timestamptz as next_attempt_at into settled
    from signalops.deliveries d where d.tenant_id = tenant and d.id = delivery;
  end if;

  failing_since := signalops.note_outcome(tenant,
    coalesce((select c.outlet_id from signalops.channels c where c.tenant_id = tenant and c.id = settled.channel_id limit 1),
      settled.channel_id),
    delivery, said ->> 'outcome', make_interval(secs => (said ->> 'pause')::double precision));
  -- After the outlet, as claim_delivery locks them.
  if settled.next_attempt_at is not null then
    perform signalops.await_turn(tenant, settled.channel_id, settled.next_attempt_at);
  end if;
  if said ->> 'outcome' = 'gone' then
    perform signalops.disable_channel(tenant, settled.channel_id, said ->> 'error');
  elsif failing_since < now() - make_interval(secs => (said ->> 'patience')::double precision) then
    perform signalops.disable_channel(tenant, settled.channel_id, format('It has failed since %s (UTC), at last so: %s',
      to_char(failing_since at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), said ->> 'error'));
  end if;
  if is_dead then
    perform signalops.bury_delivery(tenant, delivery, said ->> 'error');
  end if;
  return is_dead;
end
$$;

create or replace function signalops.claim_delivery(tenant uuid, delivery uuid, busy uuid[]) RETURNS TABLE(outlet uuid, channel uuid, attempt smallint, attempts_before smallint, context jsonb, replay boolean, about text, event json, rule json, template jsonb, kind text, config jsonb, secret bytea, enabled boolean, retry_schedule integer[], suppressed boolean)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
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
        'id', e.id, 'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload,
        'correlation', e.correlation, 'trace', e.trace) end,
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

create or replace function signalops.retry_deliveries(tenant uuid, wanted uuid[]) RETURNS SETOF uuid
    LANGUAGE plpgsql
    AS $$
declare
  one record;
  retried uuid[] := '{}';
begin
  for one in
    update signalops.deliveries d set next_attempt_at = now(), updated_at = now()
    where d.tenant_id = tenant and d.id = any (wanted) and d.next_attempt_at is not null
    returning d.id, d.channel_id
  loop
    perform signalops.await_turn(tenant, one.channel_id, now());
    retried := retried || one.id;
  end loop;
  perform signalops.note_actions(tenant, 'delivery.retried', retried);
  return query select unnest(retried);
end
$$;

create or replace function signalops.cancel_deliveries(tenant uuid, wanted uuid[]) RETURNS SETOF uuid
    LANGUAGE plpgsql
    AS $$
declare
  cancelled uuid[];
begin
  with ended as (
    update signalops.deliveries d set status = 'cancelled', next_attempt_at = null, updated_at = now()
    where d.tenant_id = tenant and d.id = any (wanted) and d.status in ('pending', 'retrying')
    returning d.id
  )
  select array_agg(e.id) into cancelled from ended e;
  perform signalops.note_actions(tenant, 'delivery.cancelled', cancelled);
  return query select unnest(cancelled);
end
$$;

drop function signalops.close_circuit(uuid, uuid);
