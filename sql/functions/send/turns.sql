-- Pace: rate limits of outlets, and the turns of channels.

create or replace function signalops.await_turn(tenant uuid, channel uuid, due timestamptz) returns void
language plpgsql volatile as $$
begin
  insert into signalops.channel_queues as q (tenant_id, channel_id, tokens, refilled_at, next_due_at)
  values (tenant, channel, signalops.channel_burst(), clock_timestamp(), due)
  on conflict (tenant_id, channel_id) do update set next_due_at = excluded.next_due_at
  -- Most deliveries are due after another one of their channel: those need not wait for its row.
  where q.next_due_at is null or q.next_due_at > excluded.next_due_at;
end
$$;
comment on function signalops.await_turn is 'Notes that a delivery of a channel waits without a job until a moment.';

create or replace function signalops.grant_turns(decided jsonb) returns table (channel uuid, granted integer, priority integer)
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  -- More jobs than workers have at hand delay whoever comes next: while so many wait, only who has sent little lately gets one at once.
  is_full boolean := exists (
    select from procrastinate.procrastinate_jobs j where j.queue_name = 'deliveries' and j.status = 'todo' offset signalops.delivery_jobs_full());
begin
  return query
    with asked as (
      select m.tenant, m.channel, count(*)::integer as wanted
      from jsonb_to_recordset(decided) as m (tenant uuid, channel uuid, outcome text, not_before timestamptz)
      where coalesce(m.outcome, 'notified') = 'notified' and m.not_before is null
      -- Lock order: channel_queues by key.
      group by m.tenant, m.channel order by m.tenant, m.channel
    ), taken as (
      insert into signalops.channel_queues as q (tenant_id, channel_id, tokens, refilled_at)
      select a.tenant, a.channel, signalops.channel_burst() - a.wanted, clock_timestamp() from asked a
      on conflict (tenant_id, channel_id) do update set refilled_at = clock_timestamp(),
        tokens = excluded.tokens - signalops.channel_burst() + least(signalops.channel_burst(),
          greatest(q.tokens, 0) + signalops.channel_refill() * extract(epoch from clock_timestamp() - q.refilled_at))
      returning q.channel_id, q.tokens
    )
    select a.channel,
      case when is_full and t.tokens + a.wanted < signalops.channel_quiet() then 0 else greatest(0, a.wanted + least(0, floor(t.tokens))::integer) end,
      case when t.tokens + a.wanted >= signalops.channel_quiet() then signalops.priority_quiet_channel() else signalops.priority_delivery() end
    from asked a join taken t on t.channel_id = a.channel;
end
$$;
comment on function signalops.grant_turns is
  'Says how many of a batch''s new deliveries get a job at once, by channel, and of which priority; the others wait for their channel''s turn.';

create or replace function signalops.take_turn(tenant uuid, outlet uuid, delivery uuid, max_per_minute integer) returns timestamptz
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  found_outlet signalops.outlets;
  moment timestamptz;
  left_over double precision;
begin
  select * into found_outlet from signalops.outlets o where o.tenant_id = tenant and o.id = outlet;
  -- The usual case takes no lock: nothing has failed, and nothing is limited.
  if max_per_minute is null and found_outlet.opened_until is null then
    return null;
  end if;
  if found_outlet.id is null then
    insert into signalops.outlets (tenant_id, id) values (tenant, outlet) on conflict do nothing;
  end if;
  select * into found_outlet from signalops.outlets o where o.tenant_id = tenant and o.id = outlet for update;
  -- Only now: a clock read before the lock may be older than refilled_at, and the same second would refill twice.
  moment := clock_timestamp();
  if found_outlet.opened_until > moment then
    return found_outlet.opened_until;
  end if;
  if max_per_minute is not null then
    left_over := signalops.tokens_at(moment, found_outlet.tokens, found_outlet.refilled_at, max_per_minute) - 1;
    if left_over < 0 then
      return moment + make_interval(secs => -left_over * 60 / max_per_minute);
    end if;
    update signalops.outlets o set tokens = left_over, refilled_at = moment where o.tenant_id = tenant and o.id = outlet;
  end if;
  if found_outlet.opened_until is not null then
    -- This one finds out for all others; if its worker dies, another may in half a minute.
    update signalops.outlets o set opened_until = moment + signalops.circuit_probe_timeout(), probe = delivery
    where o.tenant_id = tenant and o.id = outlet;
  end if;
  return null;
end
$$;
comment on function signalops.take_turn is
  'Asks an outlet whether a delivery may be sent now: NULL, or when to ask again. After an outage one attempt alone is let through.';

create or replace function signalops.mend_queues() returns bigint
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
  insert into signalops.channel_queues as q (tenant_id, channel_id, tokens, refilled_at, next_due_at)
  select tenant_id, channel_id, 0, now(), next_attempt_at from waiting w
  where not exists (select from signalops.tenants t where t.id = w.tenant_id and t.status in ('suspended', 'deleting'))
  on conflict (tenant_id, channel_id) do update set next_due_at = excluded.next_due_at
    where q.next_due_at is null or q.next_due_at > excluded.next_due_at;
  get diagnostics mended = row_count;
  return mended;
end
$$;
comment on function signalops.mend_queues is
  'Finds channels whose deliveries wait for less long than the channel is known to (put there by hand, or by the release before); returns how many.';
