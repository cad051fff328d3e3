-- The circuit breaker of a send target.

create or replace function signalops.record_circuit_outcome(tenant uuid, send_target uuid, delivery uuid, outcome text, pause interval) returns timestamptz
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  failing timestamptz;
begin
  if outcome = 'sent' then
    update signalops.send_targets o set failures = 0, failing_since = null, circuit_open_until = null, half_open_delivery_id = null
    where o.tenant_id = tenant and o.id = send_target and (o.failures > 0 or o.failing_since is not null or o.circuit_open_until is not null);
    return null;
  elsif outcome not in ('transient', 'throttled', 'misconfigured') then
    -- The outcome concerns one message, not the send target: another delivery may probe.
    update signalops.send_targets o set circuit_open_until = clock_timestamp(), half_open_delivery_id = null
    where o.tenant_id = tenant and o.id = send_target and o.half_open_delivery_id = delivery;
    return null;
  end if;
  insert into signalops.send_targets as o (tenant_id, id, failures, failing_since, circuit_open_until)
  values (tenant, send_target, (outcome = 'transient')::integer, clock_timestamp(), clock_timestamp() + pause)
  on conflict (tenant_id, id) do update set
    -- Attempts in flight when the circuit opened are not counted: a burst alone would open it for long.
    failures = o.failures + case when o.circuit_open_until is null or o.half_open_delivery_id = delivery then excluded.failures else 0 end,
    failing_since = coalesce(o.failing_since, excluded.failing_since),
    circuit_open_until = greatest(excluded.circuit_open_until, case
      when o.circuit_open_until is not null and o.half_open_delivery_id is distinct from delivery then o.circuit_open_until
      when outcome <> 'transient' then case when o.half_open_delivery_id = delivery then clock_timestamp() end
      when o.failures >= signalops.circuit_failures() - 1 then clock_timestamp()
        + least(signalops.circuit_max_pause(), signalops.circuit_pause() * 2 ^ least(o.failures - signalops.circuit_failures() + 1, 10))
      -- A half_open_delivery_id after a pause that was asked for: the circuit closes again.
      end),
    half_open_delivery_id = nullif(o.half_open_delivery_id, delivery)
  returning o.failing_since into failing;
  return failing;
end
$$;
comment on function signalops.record_circuit_outcome is
  'Records an attempt''s outcome: a success closes the circuit, the fifth failure in a row opens it for 15 seconds, each failed half-open attempt for twice '
  'as long, up to 10 minutes; throttled opens it for the requested pause. Returns since when the send target fails.';

create or replace function signalops.disable_channel(tenant uuid, channel uuid, because text) returns boolean
language plpgsql volatile as $$
declare
  called text;
begin
  update signalops.channels c set enabled = false, disabled_because = left(because, 500), updated_at = now()
  where c.tenant_id = tenant and c.id = channel and c.enabled returning c.name into called;
  if not found then
    return false;
  end if;
  perform signalops.emit_and_enqueue('signalops.channel.disabled', jsonb_build_object(
    'channel', jsonb_build_object('id', channel, 'name', called), 'reason', left(because, 500)), 1::smallint);
  return true;
end
$$;
comment on function signalops.disable_channel is
  'Disables a channel whose receiver is gone or fails for days, and emits signalops.channel.disabled.';

create or replace function signalops.reset_circuit() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update signalops.send_targets o set failures = 0, failing_since = null, circuit_open_until = null, half_open_delivery_id = null
  where o.tenant_id = new.tenant_id and o.id = coalesce(new.send_target_id, new.id);
  return null;
end
$$;
comment on function signalops.reset_circuit is 'Resets the circuit of a channel that is enabled again.';

create or replace trigger reset_circuit after update of enabled on signalops.channels
  for each row when (new.enabled and not old.enabled) execute function signalops.reset_circuit();
comment on trigger reset_circuit on signalops.channels is 'What failed for days may not disable it at once again.';

create or replace function signalops.close_circuits(tenant uuid, channels uuid[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  closed uuid[];
  due uuid[];
begin
  if not pg_has_role(coalesce(nullif(current_setting('role', true), 'none'), session_user), 'signalops_owner', 'member') then
    perform signalops.require_tenant(tenant);
  end if;
  closed := array(
    select o.id from signalops.send_targets o
    where o.tenant_id = tenant and (o.failures > 0 or o.failing_since is not null or o.circuit_open_until is not null) and o.id in (
      select coalesce(c.send_target_id, c.id) from signalops.channels c where c.tenant_id = tenant and c.id = any (channels))
    order by o.id for update);
  if closed = '{}' then
    return;
  end if;
  update signalops.send_targets o set failures = 0, failing_since = null, circuit_open_until = null, half_open_delivery_id = null
  where o.tenant_id = tenant and o.id = any (closed);
  -- What waited for the circuit alone; so many at once that a request can answer, the rest at the time that was set. Lock order:
  -- deliveries come before send_targets, so those that somebody has locked, who may want the row of send_targets next, are skipped.
  with waking as (
    update signalops.deliveries d set next_attempt_at = now(), updated_at = now()
    where d.tenant_id = tenant and d.id in (
      select w.id from signalops.deliveries w
      where w.tenant_id = tenant and w.status = 'pending' and w.next_attempt_at > now() and w.next_attempt_at < 'infinity'
        and w.channel_id in (select c.id from signalops.channels c where c.tenant_id = tenant and coalesce(c.send_target_id, c.id) = any (closed))
      order by w.next_attempt_at limit 10000 for update skip locked)
    returning d.channel_id
  )
  select array_agg(distinct channel_id) into due from waking;
  perform signalops.schedule_channel(tenant, c.id, now()) from (select unnest(due) as id order by 1) c;
end
$$;
comment on function signalops.close_circuits is
  'Lets channels send at once, whatever pause their receivers asked for: a person has seen that they work, or asks again.';
