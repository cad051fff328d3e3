-- Fairness: which deliveries get jobs now, channel by channel.

create or replace function signalops.enqueue_due_deliveries(at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
-- Due deliveries are few, whatever the statistics say.
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  is_full boolean := exists (
    select from procrastinate.procrastinate_jobs j where j.queue_name = 'deliveries' and j.status = 'todo' offset signalops.delivery_jobs_refill() - 1);
  channels bigint := (select count(*) from (
    select from signalops.channel_schedules q where q.next_due_at <= now() limit 500) due);
  turn record;
  share double precision;
  woken jsonb;
  jobs jsonb := '[]';
begin
  if is_full or channels = 0 then
    return 0;
  end if;
  for turn in
    select q.tenant_id, q.channel_id, c.max_per_minute, o.circuit_open_until, o.tokens, o.refilled_at, h.id as suspended_tenant
    from signalops.channel_schedules q
    left join lateral (
      select * from signalops.channels c where c.tenant_id = q.tenant_id and c.id = q.channel_id limit 1
    ) c on true
    left join lateral (
      select * from signalops.send_targets o where o.tenant_id = q.tenant_id and o.id = coalesce(c.send_target_id, q.channel_id) limit 1
    ) o on true
    left join lateral (
      select t.id from signalops.tenants t where t.id = q.tenant_id and t.status in ('suspended', 'deleting') limit 1
    ) h on true
    where q.next_due_at <= now() order by q.next_due_at limit 500 for update of q skip locked
  loop
    if turn.suspended_tenant is not null and signalops.lock_suspended_tenants(array[turn.suspended_tenant]) is not null then
      update signalops.channel_schedules q set next_due_at = 'infinity'
      where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
      continue;
    end if;
    if turn.circuit_open_until > now() then
      update signalops.channel_schedules q set next_due_at = turn.circuit_open_until
      where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
      continue;
    end if;
    share := greatest(1, at_most / channels);
    if turn.circuit_open_until is not null then
      share := 1; -- while a circuit is open one attempt tries
    elsif turn.max_per_minute is not null then
      -- More would only be put back.
      share := least(share, signalops.tokens_at(clock_timestamp(), turn.tokens, turn.refilled_at, turn.max_per_minute));
      if share < 1 then
        update signalops.channel_schedules q set next_due_at = clock_timestamp() + make_interval(secs => (1 - share) * 60 / turn.max_per_minute)
        where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
        continue;
      end if;
    end if;
    with due as (
      select d.id from signalops.deliveries d
      where d.tenant_id = turn.tenant_id and d.channel_id = turn.channel_id and d.next_attempt_at <= now()
      order by d.next_attempt_at limit floor(share)
      for update skip locked
    ), taken as (
      update signalops.deliveries d set status = 'pending', next_attempt_at = null, updated_at = now()
      from due where d.tenant_id = turn.tenant_id and d.id = due.id
      returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id, 'priority', signalops.priority_backlog()) as job
    )
    select jsonb_agg(job) into woken from taken;
    jobs := jobs || coalesce(woken, '[]');
    update signalops.channel_schedules q set next_due_at = (
      -- An enqueued delivery has not acquired its slot yet: the next must not be enqueued for the same one.
      select greatest(d.next_attempt_at, case
        when turn.circuit_open_until is not null or turn.max_per_minute is not null then now() + interval '1 second' end)
      from signalops.deliveries d
      where d.tenant_id = turn.tenant_id and d.channel_id = turn.channel_id and d.next_attempt_at is not null
      order by d.next_attempt_at limit 1)
    where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
  end loop;
  if jobs <> '[]' then
    perform signalops.enqueue_deliveries(jobs);
  end if;
  return jsonb_array_length(jobs);
end
$$;
comment on function signalops.enqueue_due_deliveries is
  'Gives jobs to deliveries whose time has come, channel by channel: each gets an equal share of what workers can have at hand, but no more than '
  'its send target''s rate limit admits, and none while its circuit is open or its tenant is suspended. Returns how many.';
