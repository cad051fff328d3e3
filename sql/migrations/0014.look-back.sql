-- Looking back: backtests, which hold a rule against past events and tell nobody, and replays, which run some of them anew on purpose.

create table signalops.backtests (
  tenant_id uuid not null references signalops.tenants (id) on delete cascade,
  id uuid not null,
  asked jsonb not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null check (ends_at > starts_at),
  status text not null default 'queued' check (status in ('queued', 'running', 'done', 'failed', 'cancelled')),
  slices integer not null default 0,
  scanned bigint not null default 0,
  looked_until timestamptz,
  state jsonb check (state is null or status = 'running'),
  result jsonb,
  error text check ((error is not null) = (status = 'failed') and length(error) <= 500),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
comment on table signalops.backtests is
  'Rules held against past events. A job does about a second of the work at a time, and saves here where it is: the newest 50 of a tenant.';
comment on column signalops.backtests.tenant_id is 'Whose events they are.';
comment on column signalops.backtests.id is 'UUIDv7.';
comment on column signalops.backtests.asked is
  'What is held against what, as it was when it was asked for: {candidate, baseline, silences, types, examples}.';
comment on column signalops.backtests.starts_at is 'Events received from then on.';
comment on column signalops.backtests.ends_at is 'Events received before.';
comment on column signalops.backtests.status is 'queued -> running -> done; or -> failed, or -> cancelled.';
comment on column signalops.backtests.slices is 'How many slices of the work are saved: of two workers at one slice only the first saves it.';
comment on column signalops.backtests.scanned is 'Events looked through.';
comment on column signalops.backtests.looked_until is 'All events received before are looked through; NULL: not begun.';
comment on column signalops.backtests.state is 'From where the next slice goes on; NULL before the first and after the last.';
comment on column signalops.backtests.result is 'What was found, so far or in the end.';
comment on column signalops.backtests.error is 'Why it failed, in a sentence.';
comment on column signalops.backtests.created_at is 'When it was asked for.';
comment on column signalops.backtests.updated_at is 'When it was saved last.';
call signalops.protect('signalops.backtests');
grant select, insert, update, delete on signalops.backtests to signalops_api;
grant select, update on signalops.backtests to signalops_worker;

create function signalops.enqueue_backtest(tenant uuid, backtest uuid) returns bigint
language plpgsql volatile security definer set search_path = procrastinate, pg_temp
as $$
begin
  -- The lock: one slice at a time in the whole installation, in turn, so that looking back takes one core from the present and no
  -- tenant's long backtest keeps another's short one waiting.
  return (procrastinate_defer_jobs_v1(array[row('backtests', 'run_backtest', -20, 'backtests', null,
    jsonb_build_object('tenant', tenant, 'backtest', backtest), null)::procrastinate_job_to_defer_v1]))[1];
end
$$;
comment on function signalops.enqueue_backtest(uuid, uuid) is 'Enqueues the next slice of a backtest, below all other jobs; returns the job.';
revoke all on function signalops.enqueue_backtest(uuid, uuid) from public;
grant execute on function signalops.enqueue_backtest(uuid, uuid) to signalops_api, signalops_worker;

create table signalops.replays (
  tenant_id uuid not null references signalops.tenants (id) on delete cascade,
  id uuid not null,
  reason text not null check (length(reason) between 1 and 500),
  rules uuid[],
  events integer not null check (events >= 0),
  batches uuid[] not null,
  requested_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
comment on table signalops.replays is 'Past events that were run through the rules anew, on purpose.';
comment on column signalops.replays.tenant_id is 'Whose events they are.';
comment on column signalops.replays.id is 'UUIDv7; deliveries name it.';
comment on column signalops.replays.reason is 'Why, for those who wonder about the second notification.';
comment on column signalops.replays.rules is 'Only these rules decide; NULL: all.';
comment on column signalops.replays.events is 'How many events were put into the inbox.';
comment on column signalops.replays.batches is 'In these batches; the events themselves keep the batch that they came with.';
comment on column signalops.replays.requested_at is 'When it was asked for.';
call signalops.protect('signalops.replays');
call signalops.admit_group('signalops.replays', 'signalops_worker');
grant select, insert on signalops.replays to signalops_api;
grant select on signalops.replays to signalops_worker;

alter table signalops.inbox add column replay_id uuid;
comment on column signalops.inbox.replay_id is 'The replay that put it here; NULL: the event is new.';
-- Serves list-replays.
create index deliveries_by_replay on signalops.deliveries (tenant_id, replay_id) where replay_id is not null;

create or replace view signalops.event_status with (security_invoker = true) as
select e.tenant_id, e.id, e.batch, e.type, e.source, e.occurred_at, e.received_at, e.payload, e.attributes, e.depth,
  case when i.event_id is not null and i.replay_id is null then 'pending' when d.id is not null then 'dead' else 'processed' end as status
from signalops.events e
left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id
left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id;
comment on view signalops.event_status is
  'Events with what became of them: pending (in the inbox, and not for a replay), processed, or dead (a dead letter).';

drop function signalops.take_batch(uuid);
create function signalops.take_batch(wanted uuid) returns table (tenant_id uuid, event_id uuid, replay_id uuid)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query delete from signalops.inbox i where i.batch = wanted returning i.tenant_id, i.event_id, i.replay_id;
end
$$;
comment on function signalops.take_batch(uuid) is
  'Takes a batch out of the inbox. A second worker with the same batch waits for the first one''s commit and then finds nothing: '
  'that is what makes processing exactly-once.';
revoke all on function signalops.take_batch(uuid) from public;
grant execute on function signalops.take_batch(uuid) to signalops_worker;

create or replace function signalops.read_batch(wanted uuid) returns table (tenant uuid, ruleset bigint, events text)
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set timezone = 'UTC'
as $$
declare
  tenants uuid[];
  ids uuid[];
  replays uuid[];
begin
  -- A worker that freezes, or whose machine is gone, must not keep the batch from others: its session ends, and all is undone.
  perform set_config('idle_in_transaction_session_timeout', '10s', true);
  select array_agg(t.tenant_id), array_agg(t.event_id), array_agg(t.replay_id) into tenants, ids, replays
  from signalops.take_batch(wanted) t;
  perform signalops.act_for(tenants);
  return query
    select t.tenant_id, coalesce((select r.version from signalops.rulesets r where r.tenant_id = t.tenant_id), 0),
      -- One text per tenant: parsing it costs a third of loading as many rows.
      json_agg(json_build_object('id', e.id, 'depth', e.depth, 'attributes', e.attributes,
        'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload,
        'replay', t.replay_id, 'replay_rules', p.rules) order by e.id)::text
    from unnest(tenants, ids, replays) as t (tenant_id, event_id, replay_id)
    -- The limit keeps the planner from joining: a join planned while the partition was empty reads all of it for each batch.
    cross join lateral (
      select * from signalops.events e where e.tenant_id = t.tenant_id and e.id = t.event_id limit 1
    ) e
    left join lateral (
      select r.rules from signalops.replays r where r.tenant_id = t.tenant_id and r.id = t.replay_id limit 1
    ) p on true
    group by t.tenant_id;
  perform signalops.act_for(null);
end
$$;
comment on function signalops.read_batch(uuid) is
  'Takes a batch and returns its events by tenant, with the version of the rules to use: '
  '[{id, depth, type, source, occurredAt, payload, attributes, replay, replay_rules}].';
