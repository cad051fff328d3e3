-- Suspended tenants: what is queued of them is set aside, and released when they are resumed.

create or replace function signalops.lock_suspended_tenants(tenant_ids uuid[]) returns uuid[]
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
  select array_agg(h.id) from (
    -- Lock order: tenants by id. Locked, so that none is resumed before what is set aside for it can be seen.
    select t.id from signalops.tenants t where t.id = any (tenant_ids) and t.status in ('suspended', 'deleting') order by t.id for share
  ) h
$$;
comment on function signalops.lock_suspended_tenants is
  'Which of these tenants are suspended or being deleted, and remain so until the transaction ends; NULL: none. Nothing of theirs is begun.';

create or replace function signalops.park_events(at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
  suspended uuid[];
  digests bigint;
  groups bigint;
begin
  if not exists (select from signalops.tenants t where t.status in ('suspended', 'deleting')) then
    return 0;
  end if;
  suspended := signalops.lock_suspended_tenants(array(
    (select d.tenant_id from signalops.digests d where d.due_at <= now() order by d.due_at limit at_most)
    union
    (select g.tenant_id from signalops.rule_states g where g.due_at <= now() order by g.due_at limit at_most)));
  if suspended is null then
    return 0;
  end if;
  update signalops.digests d set due_at = 'infinity'
  from (
    select d.tenant_id, d.rule_id from signalops.digests d
    where d.due_at <= now() and d.tenant_id = any (suspended) order by d.due_at limit at_most for update skip locked
  ) due
  where d.tenant_id = due.tenant_id and d.rule_id = due.rule_id;
  get diagnostics digests = row_count;
  update signalops.rule_states g set due_at = 'infinity'
  from (
    select g.tenant_id, g.rule_id, g.state_version, g.group_key from signalops.rule_states g
    where g.due_at <= now() and g.tenant_id = any (suspended) order by g.due_at limit at_most for update skip locked
  ) due
  where g.tenant_id = due.tenant_id and g.rule_id = due.rule_id and g.state_version = due.state_version and g.group_key = due.group_key;
  get diagnostics groups = row_count;
  return greatest(digests, groups);
end
$$;
comment on function signalops.park_events is
  'Parks due digests and absences of suspended tenants, so that sweeps skip them; returns the larger of both counts.';

create or replace function signalops.unpark_events(tenant uuid, at_most integer) returns bigint
language plpgsql volatile set enable_seqscan = off as $$
declare
  released bigint;
begin
  -- No more than workers have at hand: others are not to step over them.
  if exists (select from procrastinate.procrastinate_jobs j where j.queue_name = 'events' and j.status = 'todo' offset signalops.delivery_jobs_full() - 1) then
    return 0;
  end if;
  with oldest as (
    select i.batch from signalops.inbox i where i.tenant_id = tenant and i.is_parked order by i.batch limit at_most
  ), released as (
    -- Whole batches: the record of one names the one version of the meters by which it was counted.
    update signalops.inbox i set is_parked = false
    where i.tenant_id = tenant and i.is_parked and i.batch = any (array(select o.batch from oldest o))
    returning i.batch
  ), batches as (
    select r.batch, count(*) as events from released r group by r.batch order by r.batch
  )
  -- Behind single events, as any bulk: a resumed tenant delays no other.
  select sum(b.events) into released from batches b
  where signalops.enqueue('events', 'process_batch', signalops.priority_bulk(), jsonb_build_object('batch', b.batch)) is not null;
  return coalesce(released, 0);
end
$$;
comment on function signalops.unpark_events is
  'Unparks the oldest batches of a tenant, up to about at_most events, unless too many wait already; returns how many events.';

create or replace function signalops.unpark_rule_states(tenant uuid, at_most integer) returns bigint
language plpgsql volatile set enable_seqscan = off as $$
declare
  released bigint;
begin
  update signalops.rule_states g set due_at = now()
  from (
    select g.tenant_id, g.rule_id, g.state_version, g.group_key from signalops.rule_states g
    where g.tenant_id = tenant and g.due_at = 'infinity' order by g.rule_id, g.state_version, g.group_key limit at_most for update
  ) parked
  where g.tenant_id = parked.tenant_id and g.rule_id = parked.rule_id and g.state_version = parked.state_version and g.group_key = parked.group_key;
  get diagnostics released = row_count;
  return released;
end
$$;
comment on function signalops.unpark_rule_states is
  'Unparks a tenant''s absence timers, which restart at the resumption; returns how many.';

create or replace function signalops.enqueue_parked_backtests(tenant uuid) returns bigint
language plpgsql volatile as $$
declare
  released bigint;
begin
  perform signalops.set_tenant(tenant);
  select count(signalops.enqueue_backtest(tenant, b.id)) into released from (
    select b.id from signalops.backtests b
    where b.tenant_id = tenant and b.status in ('queued', 'running') and not exists (
      select from procrastinate.procrastinate_jobs j
      -- One that is `doing` may just have found its tenant suspended; of two jobs for an iteration one finds it saved.
      where j.status = 'todo' and j.task_name = 'run_backtest' and j.args ->> 'backtest' = b.id::text)
    order by b.id
  ) b;
  return released;
end
$$;
comment on function signalops.enqueue_parked_backtests is 'Gives jobs to the backtests of a tenant that are not over and have none; returns how many.';

create or replace function signalops.resume_tenants(at_most integer) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
  resumed uuid[];
  released bigint;
begin
  resumed := array(select t.id from signalops.tenants t where t.is_draining order by t.status_since limit 100 for no key update skip locked);
  -- Lock order, of all of them: tenants, rule_states, digests, channel_schedules. Of each a little: a large backlog of one doesn't keep the
  -- channels and digests of the next waiting.
  select coalesce(sum(signalops.enqueue_parked_backtests(r.id) + signalops.unpark_events(r.id, at_most) + signalops.unpark_rule_states(r.id, at_most)), 0)
  into released from (select unnest(resumed) as id order by 1) r;
  -- These are few: rules and channels.
  perform from signalops.digests d where d.tenant_id = any (resumed) and d.due_at = 'infinity' order by d.tenant_id, d.rule_id for update;
  update signalops.digests d set due_at = now() where d.tenant_id = any (resumed) and d.due_at = 'infinity';
  perform from signalops.channel_schedules q
  where q.tenant_id = any (resumed) and q.next_due_at = 'infinity' order by q.tenant_id, q.channel_id for update;
  update signalops.channel_schedules q set next_due_at = now() where q.tenant_id = any (resumed) and q.next_due_at = 'infinity';
  update signalops.tenants t set is_draining = exists (
    select from signalops.inbox i where i.tenant_id = t.id and i.is_parked) or exists (
    select from signalops.rule_states g where g.tenant_id = t.id and g.due_at = 'infinity')
  where t.id = any (resumed);
  return released > 0;
end
$$;
comment on function signalops.resume_tenants is
  'Unparks a part of each resumed tenant''s work, oldest first; returns whether there may be more.';
