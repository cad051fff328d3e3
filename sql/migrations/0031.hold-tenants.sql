-- Holds what is queued of a suspended tenant: it waits where it is, out of the way of the sweeps, until the tenant is resumed.

alter table signalops.tenants add column is_resuming boolean not null default false;
comment on column signalops.tenants.is_resuming is 'Whether something may still be held of it, though it is no longer suspended.';
-- Serves held_among, take_batch and set_aside: empty as a rule.
create index tenants_held on signalops.tenants (id) where status in ('suspended', 'deleting');
-- Serves resume_tenants.
create index tenants_resuming on signalops.tenants (status_since) where is_resuming;

alter table signalops.inbox add column is_held boolean not null default false;
comment on column signalops.inbox.is_held is 'Whether it waits for its tenant to be resumed; no job is for it till then.';
drop index signalops.inbox_by_batch;
-- Serves take_batch, enqueue_lost_batches and list-replays.
create index inbox_by_batch on signalops.inbox (batch) where not is_held;
-- Serves release_events, list-replays and held-tenants.
create index inbox_held on signalops.inbox (tenant_id, batch) where is_held;
-- Serves release_groups.
create index rule_groups_held on signalops.rule_groups (tenant_id) where due_at = 'infinity';

create function signalops.note_resumption() returns trigger
language plpgsql
as $$
begin
  -- Closed right after it was resumed, it may have something held yet.
  new.is_resuming := (old.status = 'suspended' or old.is_resuming) and new.status in ('active', 'closed');
  return new;
end
$$;
comment on function signalops.note_resumption() is 'Has what is held of a tenant go on when it is no longer suspended, whoever says so.';
create trigger note_resumption before update of status on signalops.tenants
  for each row when (old.status is distinct from new.status) execute function signalops.note_resumption();
comment on trigger note_resumption on signalops.tenants is 'Resuming is a change of status, also in SQL.';

create function signalops.held_among(wanted uuid[]) returns uuid[]
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select array_agg(h.id) from (
    -- Locked, so that none is resumed before what is set aside for it can be seen; in one order, against deadlocks.
    select t.id from signalops.tenants t where t.id = any (wanted) and t.status in ('suspended', 'deleting') order by t.id for share
  ) h
$$;
comment on function signalops.held_among(uuid[]) is
  'Which of these tenants are suspended or being deleted, and remain so until the transaction ends; NULL: none. Nothing of theirs is begun.';
revoke all on function signalops.held_among(uuid[]) from public;
grant execute on function signalops.held_among(uuid[]) to signalops_worker;

create or replace function signalops.take_batch(wanted uuid) returns table (tenant_id uuid, event_id uuid, replay_id uuid)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  held uuid[];
begin
  -- Nobody is held, as a rule: then this is a look at an empty index.
  if exists (select from signalops.tenants t where t.status in ('suspended', 'deleting')) then
    held := signalops.held_among(array(
      select distinct i.tenant_id from signalops.inbox i where i.batch = wanted and not i.is_held));
    update signalops.inbox i set is_held = true where i.batch = wanted and not i.is_held and i.tenant_id = any (held);
  end if;
  return query
    delete from signalops.inbox i where i.batch = wanted and not i.is_held returning i.tenant_id, i.event_id, i.replay_id;
end
$$;
comment on function signalops.take_batch(uuid) is
  'Takes a batch out of the inbox, but for the events of tenants that are held: these are marked, and wait. A second worker with the '
  'same batch waits for the first one''s commit and then finds nothing: that is what makes processing exactly-once.';

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
  channels uuid[];
  held uuid[];
  one record;
begin
  -- What a crash of the server takes back is claimed again: no reason to wait for the disk.
  perform set_config('synchronous_commit', 'off', true);
  -- In the order of the channels, as grant_turns has it, so that no two workers lock each other out.
  perform signalops.act_for((select array_agg(w.tenant) from jsonb_to_recordset(wanted) as w (tenant uuid)));
  select array_agg(w.tenant order by w.tenant, d.channel_id, w.delivery), array_agg(w.delivery order by w.tenant, d.channel_id, w.delivery),
    array_agg(d.channel_id order by w.tenant, d.channel_id, w.delivery)
  into tenants, deliveries, channels
  from jsonb_to_recordset(wanted) as w (tenant uuid, delivery uuid), lateral (
    -- `attempts` keeps the planner from deliveries_by_rule, of which it would read all that a tenant has, sparing itself the table.
    select d.channel_id from signalops.deliveries d where d.tenant_id = w.tenant and d.id = w.delivery and d.attempts >= 0 limit 1) d;
  perform signalops.act_for(null);
  held := signalops.held_among(tenants);
  for one in select * from unnest(tenants, deliveries, channels) as u (tenant, delivery, channel) loop
    if one.tenant = any (held) then
      perform signalops.act_as(one.tenant);
      update signalops.deliveries d set status = 'pending', next_attempt_at = clock_timestamp(), updated_at = now()
      where d.tenant_id = one.tenant and d.id = one.delivery and d.next_attempt_at is null
        and d.status not in ('retrying', 'sent', 'delivered', 'read', 'dead', 'cancelled', 'suppressed');
      -- For ever, as far as the sweep can see: resuming the tenant wakes its channels.
      perform signalops.await_turn(one.tenant, one.channel, 'infinity');
      continue;
    end if;
    return query select one.tenant, one.delivery, c.* from signalops.claim_delivery(one.tenant, one.delivery, busy) c;
  end loop;
end
$$;
comment on function signalops.claim_deliveries(jsonb, uuid[]) is
  'Begins an attempt at each of [{tenant, delivery}], whatever their tenants, as claim_delivery does; those of tenants that are held '
  'wait again, without an attempt.';

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
    select q.tenant_id, q.channel_id, c.most_per_minute, o.opened_until, o.tokens, o.refilled_at, h.id as held
    from signalops.channel_queues q
    left join lateral (
      select * from signalops.channels c where c.tenant_id = q.tenant_id and c.id = q.channel_id limit 1
    ) c on true
    left join lateral (
      select * from signalops.outlets o where o.tenant_id = q.tenant_id and o.id = coalesce(c.outlet_id, q.channel_id) limit 1
    ) o on true
    left join lateral (
      select t.id from signalops.tenants t where t.id = q.tenant_id and t.status in ('suspended', 'deleting') limit 1
    ) h on true
    where q.next_due_at <= now() order by q.next_due_at limit 500 for update of q skip locked
  loop
    if turn.held is not null and signalops.held_among(array[turn.held]) is not null then
      update signalops.channel_queues q set next_due_at = 'infinity'
      where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
      continue;
    end if;
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
  'no more than its outlet''s rate limit admits, and none while its circuit is open or its tenant is held. Returns how many.';

create or replace function signalops.enqueue_lost_batches(older_than interval, at_most integer) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  with recursive waiting as (
    -- Hops from batch to batch along the index: a select distinct would read the whole backlog.
    (select batch from signalops.inbox where not is_held order by batch limit 1)
    union all
    select (select i.batch from signalops.inbox i where not i.is_held and i.batch > w.batch order by i.batch limit 1)
    from waiting w where w.batch < signalops.id_at(now() - older_than)
  ), old as (
    select batch from waiting where batch < signalops.id_at(now() - older_than) limit at_most
  )
  select count(signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', batch)))
  from old,
    -- Whoever processes a batch holds its rows. That a job is `doing` says less: procrastinate leaves it so, under a worker that
    -- lives on, when it could not write down how the job ended.
    lateral (select from signalops.inbox i where i.batch = old.batch and not i.is_held limit 1 for update skip locked) as idle
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
  select tenant_id, channel_id, 0, now(), next_attempt_at from waiting w
  where not exists (select from signalops.tenants t where t.id = w.tenant_id and t.status in ('suspended', 'deleting'))
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
      select g.tenant_id, g.rule_id from signalops.digests g
      where g.due_at <= now() and not exists (
        select from signalops.tenants t where t.id = g.tenant_id and t.status in ('suspended', 'deleting'))
      order by g.due_at limit at_most for update skip locked
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
  -- A suspended tenant's events were refused: what is not known to be absent gets its whole time again.
  update signalops.rule_groups g set due_at = late.due_at
  from (
    select g.tenant_id, g.rule_id, g.since, g.group_key, greatest(t.status_since, g.seen_at) + v.time as due_at
    from signalops.rule_groups g
    cross join lateral (
      select t.status_since from signalops.tenants t
      where t.id = g.tenant_id and t.status = 'active' and t.status_since > t.created_at limit 1
    ) t
    cross join lateral (
      select (v.absent ->> 'after')::interval + coalesce(v.absent ->> 'lateness', '0s')::interval as time
      from signalops.rule_versions v where v.tenant_id = g.tenant_id and v.rule_id = g.rule_id and v.version = g.since limit 1
    ) v
    where g.due_at <= now() - interval '1 second' and greatest(t.status_since, g.seen_at) + v.time > now()
    order by g.due_at limit at_most for update of g skip locked
  ) late
  where g.tenant_id = late.tenant_id and g.rule_id = late.rule_id and g.since = late.since and g.group_key = late.group_key;

  with due as (
    select g.tenant_id, g.rule_id, g.since, g.group_key from signalops.rule_groups g
    -- What came in before the time was up may still wait to be processed, or be on its way into the inbox.
    where g.due_at <= now() - interval '1 second' and not exists (
      select from signalops.inbox i where i.tenant_id = g.tenant_id and i.event_id < signalops.id_at(g.due_at))
      and not exists (
        select from signalops.tenants t where t.id = g.tenant_id and t.status in ('suspended', 'deleting'))
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
    -- A closed tenant's events are refused, which is no news to anybody.
    join signalops.tenants t on t.id = s.tenant_id and t.status = 'active'
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
    where e.ends_at <= now() - closing_after and t.status <> 'deleting' and not exists (
      select from signalops.inbox i
      where i.tenant_id = t.id and i.event_id < signalops.id_at(e.ends_at) and i.replay_id is null
        -- What is held may wait for years; then it is late, as whatever is counted after the closing.
        and not i.is_held)
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

create function signalops.set_aside(at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  held uuid[];
  digests bigint;
  groups bigint;
begin
  if not exists (select from signalops.tenants t where t.status in ('suspended', 'deleting')) then
    return 0;
  end if;
  held := signalops.held_among(array(
    (select d.tenant_id from signalops.digests d where d.due_at <= now() order by d.due_at limit at_most)
    union
    (select g.tenant_id from signalops.rule_groups g where g.due_at <= now() order by g.due_at limit at_most)));
  if held is null then
    return 0;
  end if;
  update signalops.digests d set due_at = 'infinity'
  from (
    select d.tenant_id, d.rule_id from signalops.digests d
    where d.due_at <= now() and d.tenant_id = any (held) order by d.due_at limit at_most for update skip locked
  ) due
  where d.tenant_id = due.tenant_id and d.rule_id = due.rule_id;
  get diagnostics digests = row_count;
  update signalops.rule_groups g set due_at = 'infinity'
  from (
    select g.tenant_id, g.rule_id, g.since, g.group_key from signalops.rule_groups g
    where g.due_at <= now() and g.tenant_id = any (held) order by g.due_at limit at_most for update skip locked
  ) due
  where g.tenant_id = due.tenant_id and g.rule_id = due.rule_id and g.since = due.since and g.group_key = due.group_key;
  get diagnostics groups = row_count;
  return greatest(digests, groups);
end
$$;
comment on function signalops.set_aside(integer) is
  'Takes digests and absences of tenants that are held out of the sweeps'' way, until they are resumed; returns how many of the more numerous.';
revoke all on function signalops.set_aside(integer) from public;
grant execute on function signalops.set_aside(integer) to signalops_worker;

create function signalops.release_events(tenant uuid, at_most integer) returns bigint
language plpgsql volatile
set enable_seqscan = off
as $$
declare
  released bigint;
begin
  -- No more than workers have at hand: others are not to step over them.
  if exists (select from procrastinate.procrastinate_jobs j where j.queue_name = 'events' and j.status = 'todo' offset 1999) then
    return 0;
  end if;
  with oldest as (
    select i.batch from signalops.inbox i where i.tenant_id = tenant and i.is_held order by i.batch limit at_most
  ), released as (
    -- Whole batches: the record of one names the one version of the meters by which it was counted.
    update signalops.inbox i set is_held = false
    where i.tenant_id = tenant and i.is_held and i.batch = any (array(select o.batch from oldest o))
    returning i.batch
  ), batches as (
    select r.batch, count(*) as events from released r group by r.batch order by r.batch
  )
  -- Behind single events, as any bulk: a tenant that comes back delays nobody's.
  select sum(b.events) into released from batches b
  where signalops.enqueue('events', 'process_batch', -10, jsonb_build_object('batch', b.batch)) is not null;
  return coalesce(released, 0);
end
$$;
comment on function signalops.release_events(uuid, integer) is
  'Gives jobs to the oldest held batches of a tenant, of about so many events, while not too many wait already; returns of how many events.';
revoke all on function signalops.release_events(uuid, integer) from public;

create function signalops.release_groups(tenant uuid, at_most integer) returns bigint
language plpgsql volatile
set enable_seqscan = off
as $$
declare
  released bigint;
begin
  update signalops.rule_groups g set due_at = now()
  from (
    select g.tenant_id, g.rule_id, g.since, g.group_key from signalops.rule_groups g
    where g.tenant_id = tenant and g.due_at = 'infinity' limit at_most for update
  ) held
  where g.tenant_id = held.tenant_id and g.rule_id = held.rule_id and g.since = held.since and g.group_key = held.group_key;
  get diagnostics released = row_count;
  return released;
end
$$;
comment on function signalops.release_groups(uuid, integer) is
  'Has a tenant''s held absences looked at again, which gives each its whole time from the resumption on; returns of how many groups.';
revoke all on function signalops.release_groups(uuid, integer) from public;

create function signalops.release_backtests(tenant uuid) returns bigint
language plpgsql volatile
as $$
declare
  released bigint;
begin
  perform signalops.act_as(tenant);
  select count(signalops.enqueue_backtest(tenant, b.id)) into released from (
    select b.id from signalops.backtests b
    where b.tenant_id = tenant and b.status in ('queued', 'running') and not exists (
      select from procrastinate.procrastinate_jobs j
      -- One that is `doing` may just have found its tenant held; and of two jobs for a slice one finds it saved.
      where j.status = 'todo' and j.task_name = 'run_backtest' and j.args ->> 'backtest' = b.id::text)
    order by b.id
  ) b;
  return released;
end
$$;
comment on function signalops.release_backtests(uuid) is 'Gives jobs to the backtests of a tenant that are not over and have none; returns how many.';
revoke all on function signalops.release_backtests(uuid) from public;

create function signalops.resume_tenants(at_most integer) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  resumed uuid;
  released bigint := 0;
begin
  -- Each a little: a large backlog of one doesn't keep the channels and digests of the next waiting.
  for resumed in
    select t.id from signalops.tenants t where t.is_resuming order by t.status_since limit 100 for no key update skip locked
  loop
    -- These are few: rules, channels and backtests.
    update signalops.digests d set due_at = now() where d.tenant_id = resumed and d.due_at = 'infinity';
    update signalops.channel_queues q set next_due_at = now() where q.tenant_id = resumed and q.next_due_at = 'infinity';
    released := released + signalops.release_backtests(resumed) + signalops.release_events(resumed, at_most)
      + signalops.release_groups(resumed, at_most);
    update signalops.tenants t set is_resuming = exists (
      select from signalops.inbox i where i.tenant_id = resumed and i.is_held) or exists (
      select from signalops.rule_groups g where g.tenant_id = resumed and g.due_at = 'infinity')
    where t.id = resumed;
  end loop;
  return released > 0;
end
$$;
comment on function signalops.resume_tenants(integer) is
  'Lets a part of what is held of each tenant that was resumed go on, the oldest first; returns whether there may be more to do at once.';
revoke all on function signalops.resume_tenants(integer) from public;
grant execute on function signalops.resume_tenants(integer) to signalops_worker;
