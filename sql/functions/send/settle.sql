-- Attempts: their outcomes.

create or replace function signalops.settle_delivery(tenant uuid, delivery uuid, attempt smallint, result jsonb) returns boolean
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  settled record;
  failing_since timestamptz;
  is_dead boolean := false;
begin
  perform signalops.set_tenant(tenant);
  insert into signalops.delivery_attempts
    (tenant_id, delivery_id, attempt, started_at, duration_ms, outcome, status_code, answer, error, request_id)
  select tenant, delivery, settle_delivery.attempt, a.started_at, a.duration_ms, a.outcome, a.status_code, a.answer, a.error, a.request_id
  from jsonb_to_record(result) as a (started_at timestamptz, duration_ms integer, outcome text, status_code integer, answer text, error text,
    request_id text);

  -- Two workers may have one delivery in hand after a rescue. A successful attempt counts, whichever worker made it; beyond that only the newest
  -- attempt decides.
  update signalops.deliveries d set status = result ->> 'status', provider_id = result ->> 'provider_id', updated_at = now(),
    next_attempt_at = clock_timestamp() + make_interval(secs => case when result ->> 'delay' is not null then least((result ->> 'delay')::double precision, 3110400) end)
  where d.tenant_id = tenant and d.id = delivery and signalops.is_valid_transition(d.status, result ->> 'status')
    and (d.attempts = settle_delivery.attempt or result ->> 'status' = 'sent')
  returning d.channel_id, d.status, d.next_attempt_at into settled;
  if found then
    is_dead := settled.status = 'dead';
  else
    select d.channel_id, null, null::timestamptz as next_attempt_at into settled
    from signalops.deliveries d where d.tenant_id = tenant and d.id = delivery;
  end if;

  failing_since := signalops.record_circuit_outcome(tenant,
    coalesce((select c.send_target_id from signalops.channels c where c.tenant_id = tenant and c.id = settled.channel_id limit 1),
      settled.channel_id),
    delivery, result ->> 'outcome', make_interval(secs => case when result ->> 'pause' is not null then least(greatest((result ->> 'pause')::double precision, 0), 86400) end));
  if failing_since is not null then
    update signalops.send_targets o set last_error = left(result ->> 'error', 500)
    where o.tenant_id = tenant and o.id = coalesce(
      (select c.send_target_id from signalops.channels c where c.tenant_id = tenant and c.id = settled.channel_id limit 1), settled.channel_id);
  end if;
  -- After the row of send_targets, as claim_delivery locks them.
  if settled.next_attempt_at is not null then
    perform signalops.schedule_channel(tenant, settled.channel_id, settled.next_attempt_at);
  end if;
  if result ->> 'outcome' = 'gone' then
    perform signalops.disable_channel(tenant, settled.channel_id, result ->> 'error');
  elsif failing_since < now() - make_interval(secs => (result ->> 'patience')::double precision) then
    perform signalops.disable_channel(tenant, settled.channel_id, format('It has failed since %s (UTC), at last so: %s',
      to_char(failing_since at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), result ->> 'error'));
  end if;
  if is_dead then
    perform signalops.dead_letter_delivery(tenant, delivery, result ->> 'error');
  end if;
  return is_dead;
end
$$;
comment on function signalops.settle_delivery is
  'Records an attempt and what follows from it: {started_at, duration_ms, outcome, status_code, answer, error, request_id, provider_id, status, '
  'delay, pause, patience}; delay and pause (asked for by the provider) in seconds, patience the seconds of failure after which the channel is '
  'disabled. Acts for the tenant. Returns whether the delivery died of it.';

create or replace function signalops.settle_deliveries(results jsonb) returns setof uuid
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  one jsonb;
  locked uuid[];
begin
  -- What a crash of the server takes back is sent again, with the same id, as after a crash of the worker.
  perform set_config('synchronous_commit', 'off', true);
  perform signalops.set_tenant_group((select array_agg(s.tenant) from jsonb_to_recordset(results) as s (tenant uuid)));
  locked := array(select l.delivery from signalops.lock_deliveries(results) l);
  perform signalops.set_tenant_group(null);
  for one in select * from jsonb_array_elements(results) loop
    -- Deleted while it was on its way.
    continue when (one ->> 'delivery')::uuid <> all (locked);
    if signalops.settle_delivery((one ->> 'tenant')::uuid, (one ->> 'delivery')::uuid, (one ->> 'attempt')::smallint, one) then
      return next (one ->> 'delivery')::uuid;
    end if;
  end loop;
end
$$;
comment on function signalops.settle_deliveries is
  'Records attempts in their order, each with its tenant, delivery and attempt beside what settle_delivery takes; returns which deliveries died. '
  'What fails belongs to one send target, and what succeeds comes in the order of the send_targets: no two of them lock each other out.';
