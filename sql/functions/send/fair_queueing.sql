-- Pace: rate limits of send_targets, and the turns of channels.

create or replace function signalops.schedule_channel(tenant uuid, channel uuid, due timestamptz) returns void
language plpgsql volatile as $$
begin
  insert into signalops.channel_schedules as q (tenant_id, channel_id, tokens, refilled_at, next_due_at)
  values (tenant, channel, signalops.channel_burst(), clock_timestamp(), due)
  on conflict (tenant_id, channel_id) do update set next_due_at = excluded.next_due_at
  -- Most deliveries are due after another one of their channel: those need not wait for its row.
  where q.next_due_at is null or q.next_due_at > excluded.next_due_at;
end
$$;
comment on function signalops.schedule_channel is 'Sets when the next delivery of a channel that waits without a job is due.';

create or replace function signalops.assign_slots(decided jsonb) returns table (channel uuid, granted integer, priority integer)
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  -- More jobs than workers can run delay every later one: while many wait, only idle channels get one at once.
  is_full boolean := exists (
    select from procrastinate.procrastinate_jobs j where j.queue_name = 'deliveries' and j.status = 'todo' offset signalops.delivery_jobs_full());
begin
  return query
    with requested as (
      select m.tenant, m.channel, count(*)::integer as wanted_slots
      from jsonb_to_recordset(decided) as m (tenant uuid, channel uuid, outcome text, not_before timestamptz)
      where coalesce(m.outcome, 'notified') = 'notified' and m.not_before is null
      -- Lock order: channel_schedules by key.
      group by m.tenant, m.channel order by m.tenant, m.channel
    ), taken as (
      insert into signalops.channel_schedules as q (tenant_id, channel_id, tokens, refilled_at)
      select a.tenant, a.channel, signalops.channel_burst() - a.wanted_slots, clock_timestamp() from requested a
      on conflict (tenant_id, channel_id) do update set refilled_at = clock_timestamp(),
        tokens = excluded.tokens - signalops.channel_burst() + least(signalops.channel_burst(),
          greatest(q.tokens, 0) + signalops.channel_refill() * extract(epoch from clock_timestamp() - q.refilled_at))
      returning q.channel_id, q.tokens
    )
    select a.channel,
      case when is_full and t.tokens + a.wanted_slots < signalops.channel_idle() then 0 else greatest(0, a.wanted_slots + least(0, floor(t.tokens))::integer) end,
      case when t.tokens + a.wanted_slots >= signalops.channel_idle() then signalops.priority_idle_channel() else signalops.priority_delivery() end
    from requested a join taken t on t.channel_id = a.channel;
end
$$;
comment on function signalops.assign_slots is
  'Says how many of a batch''s new deliveries get a job at once, by channel, and of which priority; the others wait for their channel''s turn.';

create or replace function signalops.try_acquire_slot(tenant uuid, send_target uuid, delivery uuid, max_per_minute integer) returns timestamptz
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  target signalops.send_targets;
  moment timestamptz;
  left_over double precision;
begin
  select * into target from signalops.send_targets o where o.tenant_id = tenant and o.id = send_target;
  -- The usual case takes no lock: nothing has failed, and nothing is limited.
  if max_per_minute is null and target.circuit_open_until is null then
    return null;
  end if;
  if target.id is null then
    insert into signalops.send_targets (tenant_id, id) values (tenant, send_target) on conflict do nothing;
  end if;
  select * into target from signalops.send_targets o where o.tenant_id = tenant and o.id = send_target for update;
  -- Only now: a clock read before the lock may be older than refilled_at, and the same second would refill twice.
  moment := clock_timestamp();
  if target.circuit_open_until > moment then
    return target.circuit_open_until;
  end if;
  if max_per_minute is not null then
    left_over := signalops.tokens_at(moment, target.tokens, target.refilled_at, max_per_minute) - 1;
    if left_over < 0 then
      return moment + make_interval(secs => -left_over * 60 / max_per_minute);
    end if;
    update signalops.send_targets o set tokens = left_over, refilled_at = moment where o.tenant_id = tenant and o.id = send_target;
  end if;
  if target.circuit_open_until is not null then
    -- This one finds out for all others; if its worker dies, another may in half a minute.
    update signalops.send_targets o set circuit_open_until = moment + signalops.circuit_probe_timeout(), half_open_delivery_id = delivery
    where o.tenant_id = tenant and o.id = send_target;
  end if;
  return null;
end
$$;
comment on function signalops.try_acquire_slot is
  'Acquires a slot of a send target for a delivery: NULL, or when to try again. While the circuit is half-open only one attempt gets one.';

create or replace function signalops.repair_schedules() returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
  mended bigint;
begin
  with recursive waiting as (
    -- Hops from channel to channel along the index: a group by would read all that waits.
    (select d.tenant_id, d.channel_id, d.next_attempt_at from signalops.deliveries d
      where d.next_attempt_at is not null order by d.tenant_id, d.channel_id, d.next_attempt_at limit 1)
    union all
    select n.* from waiting w, lateral (
      select d.tenant_id, d.channel_id, d.next_attempt_at from signalops.deliveries d
      where d.next_attempt_at is not null and (d.tenant_id, d.channel_id) > (w.tenant_id, w.channel_id)
      order by d.tenant_id, d.channel_id, d.next_attempt_at limit 1) n
  )
  insert into signalops.channel_schedules as q (tenant_id, channel_id, tokens, refilled_at, next_due_at)
  select tenant_id, channel_id, 0, now(), next_attempt_at from waiting w
  where not exists (select from signalops.tenants t where t.id = w.tenant_id and t.status in ('suspended', 'deleting'))
  on conflict (tenant_id, channel_id) do update set next_due_at = excluded.next_due_at
    where q.next_due_at is null or q.next_due_at > excluded.next_due_at;
  get diagnostics mended = row_count;
  return mended;
end
$$;
comment on function signalops.repair_schedules is
  'Finds channels whose deliveries wait for less long than the channel is known to (put there by hand, or by the release before); returns how many.';
