-- Lets go of what is held: the workers of before process and send it, whatever the tenant's status.

drop function signalops.resume_tenants(integer);
drop function signalops.release_backtests(uuid);
drop function signalops.release_groups(uuid, integer);
drop function signalops.release_events(uuid, integer);
drop function signalops.set_aside(integer);

create or replace function signalops.take_batch(wanted uuid) returns table (tenant_id uuid, event_id uuid, replay_id uuid)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query delete from signalops.inbox i where i.batch = wanted returning i.tenant_id, i.event_id, i.replay_id;
end
$$;
comment on function signalops.take_batch(uuid) is
  'Takes a batch out of the inbox. A second worker with the same batch waits for the first one''s commit and then finds nothing: '
  'that is what makes processing exactly-once.';

create or replace function signalops.claim_deliveries(wanted jsonb, busy uuid[])
returns table (tenant uuid, delivery uuid, outlet uuid, channel uuid, attempt smallint, attempts_before smallint, context jsonb,
  replay boolean, about text, event json, rule json, template jsonb, kind text, config jsonb, secret bytea, enabled boolean,
  retry_schedule integer[], suppressed boolean)
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  tenants uuid[];
  deliveries uuid[];
  one record;
begin
  -- What a crash of the server takes back is claimed again: no reason to wait for the disk.
  perform set_config('synchronous_commit', 'off', true);
  -- In the order of the channels, as grant_turns has it, so that no two workers lock each other out.
  perform signalops.act_for((select array_agg(w.tenant) from jsonb_to_recordset(wanted) as w (tenant uuid)));
  select array_agg(w.tenant order by w.tenant, d.channel_id, w.delivery), array_agg(w.delivery order by w.tenant, d.channel_id, w.delivery)
  into tenants, deliveries
  from jsonb_to_recordset(wanted) as w (tenant uuid, delivery uuid), lateral (
    -- `attempts` keeps the planner from deliveries_by_rule, of which it would read all that a tenant has, sparing itself the table.
    select d.channel_id from signalops.deliveries d where d.tenant_id = w.tenant and d.id = w.delivery and d.attempts >= 0 limit 1) d;
  perform signalops.act_for(null);
  for one in select * from unnest(tenants, deliveries) as u (tenant, delivery) loop
    return query select one.tenant, one.delivery, c.* from signalops.claim_delivery(one.tenant, one.delivery, busy) c;
  end loop;
end
$$;
comment on function signalops.claim_deliveries(jsonb, uuid[]) is
  'Begins an attempt at each of [{tenant, delivery}], whatever their tenants, as claim_delivery does.';

create or replace function signalops.enqueue_due_deliveries(at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
-- Whatever the statistics say of what is due, it is little of the table.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  is_full boolean := exists (
    select from procrastinate.procrastinate_jobs j where j.queue_name = 'deliveries' and j.status = 'todo' offset 999);
  channels bigint := (select count(*) from (
    select from signalops.channel_queues q where q.next_due_at <= now() limit 500) due);
  turn record;
  share double precision;
  woken jsonb;
  jobs jsonb := '[]';
begin
  if is_full or channels = 0 then
    return 0;
  end if;
  for turn in
    select q.tenant_id, q.channel_id, c.most_per_minute, o.opened_until, o.tokens, o.refilled_at from signalops.channel_queues q
    left join lateral (
      select * from signalops.channels c where c.tenant_id = q.tenant_id and c.id = q.channel_id limit 1
    ) c on true
    left join lateral (
      select * from signalops.outlets o where o.tenant_id = q.tenant_id and o.id = coalesce(c.outlet_id, q.channel_id) limit 1
    ) o on true
    where q.next_due_at <= now() order by q.next_due_at limit 500 for update of q skip locked
  loop
    if turn.opened_until > now() then
      update signalops.channel_queues q set next_due_at = turn.opened_until
      where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
      continue;
    end if;
    share := greatest(1, at_most / channels);
    if turn.opened_until is not null then
      share := 1; -- while a circuit is open one attempt tries
    elsif turn.most_per_minute is not null then
      -- More would only be put back.
      share := least(share, signalops.tokens_at(clock_timestamp(), turn.tokens, turn.refilled_at, turn.most_per_minute));
      if share < 1 then
        update signalops.channel_queues q set next_due_at = clock_timestamp() + make_interval(secs => (1 - share) * 60 / turn.most_per_minute)
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
      returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id, 'priority', -7) as job
    )
    select jsonb_agg(job) into woken from taken;
    jobs := jobs || coalesce(woken, '[]');
    update signalops.channel_queues q set next_due_at = (
      -- What was woken has not asked its outlet yet: the next must not be woken for the same turn.
      select greatest(d.next_attempt_at, case
        when turn.opened_until is not null or turn.most_per_minute is not null then now() + interval '1 second' end)
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
comment on function signalops.enqueue_due_deliveries(integer) is
  'Gives jobs to deliveries whose time has come, channel by channel: each gets an equal share of what workers can have at hand, but '
  'no more than its outlet''s rate limit admits, and none while its circuit is open. Returns how many.';

create or replace function signalops.enqueue_lost_batches(older_than interval, at_most integer) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  with recursive waiting as (
    -- Hops from batch to batch along the index: a select distinct would read the whole backlog.
    (select batch from signalops.inbox order by batch limit 1)
    union all
    select (select i.batch from signalops.inbox i where i.batch > w.batch order by i.batch limit 1)
    from waiting w where w.batch < signalops.id_at(now() - older_than)
  ), old as (
    select batch from waiting where batch < signalops.id_at(now() - older_than) limit at_most
  )
  select count(signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', batch)))
  from old,
    -- Whoever processes a batch holds its rows. That a job is `doing` says less: procrastinate leaves it so, under a worker that
    -- lives on, when it could not write down how the job ended.
    lateral (select from signalops.inbox i where i.batch = old.batch limit 1 for update skip locked) as idle
  where not exists (
    select from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'process_batch' and j.args ->> 'batch' = old.batch::text)
$$;
comment on function signalops.enqueue_lost_batches(interval, integer) is
  'Gives a new job to batches that wait in the inbox without one (deleted, aborted, stuck): accepted means processed, whatever becomes '
  'of a job. Returns how many.';

create or replace function signalops.mend_queues() returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
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
  select tenant_id, channel_id, 0, now(), next_attempt_at from waiting
  on conflict (tenant_id, channel_id) do update set next_due_at = excluded.next_due_at
    where q.next_due_at is null or q.next_due_at > excluded.next_due_at;
  get diagnostics mended = row_count;
  return mended;
end
$$;
comment on function signalops.mend_queues() is
  'Finds channels whose deliveries wait for less long than the channel is known to (put there by hand, or by the release before); '
  'returns how many.';

create or replace function signalops.tell_digests(at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  in_batch uuid := signalops.new_id();
  one signalops.digests;
  notice uuid;
  delivery uuid;
  jobs jsonb := '[]';
begin
  for one in
    delete from signalops.digests d
    using (
      select tenant_id, rule_id from signalops.digests where due_at <= now() order by due_at limit at_most for update skip locked
    ) due
    where d.tenant_id = due.tenant_id and d.rule_id = due.rule_id
    returning d.*
  loop
    notice := signalops.emit(one.tenant_id, in_batch, 'signalops.rule.digest', jsonb_build_object(
      'rule', jsonb_build_object('id', one.rule_id, 'version', one.rule_version),
      'since', one.opened_at, 'until', one.due_at, 'count', one.matched, 'events', one.events), one.depth + 1::smallint);
    delivery := signalops.new_id();
    insert into signalops.matches (tenant_id, event_id, rule_id, rule_version)
    values (one.tenant_id, notice, one.rule_id, one.rule_version);
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id)
    values (one.tenant_id, delivery, notice, one.rule_id, one.rule_version, one.channel_id);
    jobs := jobs || jsonb_build_object('tenant', one.tenant_id, 'delivery', delivery);
  end loop;
  if jobs <> '[]' then
    perform signalops.enqueue_deliveries(jobs);
    perform signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', in_batch));
  end if;
  return jsonb_array_length(jobs);
end
$$;
comment on function signalops.tell_digests(integer) is
  'Closes the digests that are due: each becomes an operational event signalops.rule.digest and one delivery of it, or stays as it is. '
  'Returns how many.';

create or replace function signalops.tell_absences(at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  in_batch uuid := signalops.new_id();
  told bigint;
begin
  with due as (
    select g.tenant_id, g.rule_id, g.since, g.group_key from signalops.rule_groups g
    -- What came in before the time was up may still wait to be processed, or be on its way into the inbox.
    where g.due_at <= now() - interval '1 second' and not exists (
      select from signalops.inbox i where i.tenant_id = g.tenant_id and i.event_id < signalops.id_at(g.due_at))
    order by g.due_at limit at_most for update of g skip locked
  ), spent as (
    update signalops.rule_groups g set due_at = null, forget_at = now() + interval '1 hour'
    from due where g.tenant_id = due.tenant_id and g.rule_id = due.rule_id and g.since = due.since and g.group_key = due.group_key
    returning g.*
  ), emitted as (
    select signalops.emit(s.tenant_id, in_batch, 'signalops.rule.absent', jsonb_build_object(
      'rule', jsonb_build_object('id', r.id, 'version', r.active_version),
      'group', s.labels, 'lastSeenAt', s.seen_at, 'after', v.absent ->> 'after'), s.depth + 1::smallint)
    from spent s
    -- A group that was not seen since the rule was enabled again may have been there meanwhile, unnoticed.
    join signalops.rules r on r.tenant_id = s.tenant_id and r.id = s.rule_id and r.enabled
      and (s.group_key = '[]' or coalesce(s.seen_at >= r.enabled_at, true))
    join signalops.rule_versions v
      on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.active_version and v.since = s.since
  )
  select count(*) into told from emitted;
  if told > 0 then
    perform signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', in_batch));
  end if;
  return told;
end
$$;
comment on function signalops.tell_absences(integer) is
  'Emits signalops.rule.absent for each group in which nothing matched for as long as its rule says; the rule is notified of when that '
  'event is processed. Returns how many.';

create or replace function signalops.freeze_periods(closing_after interval, at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  frozen bigint;
begin
  with due as materialized (
    -- All of it follows from the row that is locked: of two workers the second finds the tenant advanced, or locked.
    select t.id, p.period, signalops.starts_at(p.period, t.time_zone) as starts_at, e.ends_at
    from signalops.tenants t
    cross join lateral (select case when t.closed_until = '-infinity' then signalops.first_period(t.id, t.time_zone, t.created_at)
      else signalops.period_of(t.closed_until, t.time_zone) end as period) p
    cross join lateral (select signalops.starts_at((p.period + interval '1 month')::date, t.time_zone) as ends_at) e
    where e.ends_at <= now() - closing_after and not exists (
      select from signalops.inbox i
      where i.tenant_id = t.id and i.event_id < signalops.id_at(e.ends_at) and i.replay_id is null)
    order by t.id limit at_most for update of t skip locked
  ), noted as (
    insert into signalops.billing_periods (tenant_id, period, starts_at, ends_at)
    select d.id, d.period, d.starts_at, d.ends_at from due d returning *
  ), advanced as (
    update signalops.tenants t set closed_until = n.ends_at from noted n where t.id = n.tenant_id returning t.id
  )
  select count(*) into frozen from advanced;
  return frozen;
end
$$;
comment on function signalops.freeze_periods(interval, integer) is
  'Freezes the next period of tenants whose month ended so long ago, and of whom nothing waits that came before its end; returns of '
  'how many. It must be committed before note_barriers.';

update signalops.digests set due_at = now() where due_at = 'infinity';
update signalops.rule_groups set due_at = now() where due_at = 'infinity';
update signalops.channel_queues set next_due_at = now() where next_due_at = 'infinity';
drop trigger note_resumption on signalops.tenants;
drop function signalops.note_resumption();
drop function signalops.held_among(uuid[]);
drop index signalops.rule_groups_held;
drop index signalops.inbox_held;
drop index signalops.inbox_by_batch;
alter table signalops.inbox drop column is_held;
-- Serves take_batch and enqueue_lost_batches.
create index inbox_by_batch on signalops.inbox (batch);
drop index signalops.tenants_resuming;
drop index signalops.tenants_held;
alter table signalops.tenants drop column is_resuming;
