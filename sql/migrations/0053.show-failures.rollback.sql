-- Sending: a channel shows why it fails; a person's retry closes its circuit, and renders anew what could not be rendered.

create or replace function signalops.close_circuit(tenant uuid, channel uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  outlet uuid;
begin
  perform signalops.require_tenant(tenant);
  select coalesce(c.outlet_id, c.id) into outlet from signalops.channels c where c.tenant_id = tenant and c.id = channel;
  update signalops.outlets o set failures = 0, failing_since = null, opened_until = null, probe = null
  where o.tenant_id = tenant and o.id = outlet and (o.failures > 0 or o.failing_since is not null or o.opened_until is not null);
  if not found then
    return;
  end if;
  -- What waited for the circuit alone; so many at once that a request can answer, the rest at the time that was set.
  with due as (
    update signalops.deliveries d set next_attempt_at = now(), updated_at = now()
    where d.tenant_id = tenant and d.id in (
      select w.id from signalops.deliveries w
      where w.tenant_id = tenant and w.status = 'pending' and w.next_attempt_at > now() and w.next_attempt_at < 'infinity'
        and w.channel_id in (select c.id from signalops.channels c where c.tenant_id = tenant and coalesce(c.outlet_id, c.id) = outlet)
      order by w.next_attempt_at limit 10000)
    returning d.channel_id
  )
  update signalops.channel_queues q set next_due_at = now()
  where q.tenant_id = tenant and q.next_due_at > now() and q.next_due_at < 'infinity' and q.channel_id in (select channel_id from due);
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
      case when r.id is not null then json_build_object('id', r.id, 'name', r.name, 'version', v.version, 'severity', v.severity,
        'enabled', r.enabled) end,
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
    next_attempt_at = clock_timestamp() + make_interval(secs => case when said ->> 'delay' is not null then least((said ->> 'delay')::double precision, 3110400) end)
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
    delivery, said ->> 'outcome', make_interval(secs => case when said ->> 'pause' is not null then least(greatest((said ->> 'pause')::double precision, 0), 86400) end));
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

create or replace function signalops.retry_dead_letters(tenant uuid, letters uuid[]) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  retried uuid[];
  channels uuid[];
  batches uuid[];
begin
  with ended as (
    update signalops.dead_letters l set ended_at = now(), ending = 'retried', reason = null
    where l.tenant_id = tenant and l.id = any (letters) and l.ended_at is null
    returning l.kind, l.id
  ), again as (
    -- They wait for their channel's turn, which keeps them from pushing others aside.
    update signalops.deliveries d
    set status = 'retrying', next_attempt_at = now(), attempts_before = d.attempts, updated_at = now()
    -- Not joined: a plan made for few letters would read the deliveries whole for many.
    where d.tenant_id = tenant and d.id = any (array(select e.id from ended e where e.kind = 'delivery')) and d.status = 'dead'
    returning d.channel_id
  ), parts as (
    -- As large as a replay's: one job reads a batch whole.
    select e.id, (row_number() over (order by e.id) - 1) / 500 as part from ended e where e.kind = 'event'
  ), made as materialized (
    select p.part, signalops.new_id() as batch from parts p group by p.part
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch)
    select tenant, p.id, m.batch from parts p join made m using (part) on conflict do nothing returning batch
  )
  select (select array_agg(id) from ended), (select array_agg(distinct channel_id order by channel_id) from again),
    (select array_agg(distinct batch) from waiting)
  into retried, channels, batches;
  perform signalops.await_turn(tenant, c.id, now()) from unnest(channels) as c (id);
  perform signalops.enqueue('events', 'process_batch', -10, jsonb_build_object('batch', b.batch)) from unnest(batches) as b (batch);
  perform signalops.note_actions(tenant, 'dead-letter.retried', retried);
  return coalesce(cardinality(retried), 0);
end
$$;

COMMENT ON FUNCTION signalops.retry_dead_letters(tenant uuid, letters uuid[]) IS 'Gives dead letters another chance: a delivery is tried again with a schedule of its own, an event is processed again, and counted then. For many: select signalops.retry_dead_letters(TENANT, array(select id from signalops.pick_dead_letters(TENANT, ...))). Returns how many.';

revoke update (rule_version) on signalops.deliveries from signalops_api;
alter table signalops.outlets drop column last_error;
