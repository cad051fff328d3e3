-- Station send: pace. Each outlet has a circuit breaker and may have a rate limit; each channel gets its fair turn; what must wait has no
-- job, however much waits.

alter table signalops.channels
  add column outlet_id uuid,
  add column most_per_minute integer check (most_per_minute > 0);
comment on column signalops.channels.outlet_id is
  'The outlet that it sends through, where channels share one (a bot, an account); NULL: one of its own, with its id.';
comment on column signalops.channels.most_per_minute is 'How many messages its outlet may send in a minute; NULL: as many as there are.';

create table signalops.outlets (
  tenant_id uuid not null,
  id uuid not null,
  failures integer not null default 0,
  failing_since timestamptz,
  opened_until timestamptz,
  probe uuid,
  tokens double precision not null default 0,
  refilled_at timestamptz not null default '-infinity',
  primary key (tenant_id, id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.outlets is
  'What sending through an outlet is like: made at its first failure, or with a rate limit. Exact across workers by its row lock.';
comment on column signalops.outlets.tenant_id is 'Whose outlet it is.';
comment on column signalops.outlets.id is 'The channel''s id, or channels.outlet_id.';
comment on column signalops.outlets.failures is 'Attempts in a row that failed for now; from the fifth on the circuit opens.';
comment on column signalops.outlets.failing_since is 'When the first attempt after the last success failed; NULL: it works.';
comment on column signalops.outlets.opened_until is 'Until when nobody calls it; then one attempt may try. NULL: the circuit is closed.';
comment on column signalops.outlets.probe is 'The delivery that finds out whether it works again; NULL: none is on its way.';
comment on column signalops.outlets.tokens is 'Messages that may be sent at once, as of refilled_at.';
comment on column signalops.outlets.refilled_at is 'When the tokens were counted.';
call signalops.protect('signalops.outlets');
call signalops.admit_owner('signalops.outlets', 'enqueue_due_deliveries passes by outlets whose circuit is open; forget_failures closes it.');
grant select on signalops.outlets to signalops_api;
grant select, insert, update on signalops.outlets to signalops_worker;

create table signalops.channel_queues (
  tenant_id uuid not null,
  channel_id uuid not null,
  tokens double precision not null,
  refilled_at timestamptz not null,
  next_due_at timestamptz,
  primary key (tenant_id, channel_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.channel_queues is 'The turns of the channels: who has sent little lately gets jobs at once, the others share what workers can do.';
comment on column signalops.channel_queues.tenant_id is 'Whose channel it is.';
comment on column signalops.channel_queues.channel_id is 'The channel.';
comment on column signalops.channel_queues.tokens is 'Deliveries that may have a job at once, as of refilled_at: 1,000, and 500 more a second.';
comment on column signalops.channel_queues.refilled_at is 'When the tokens were counted.';
comment on column signalops.channel_queues.next_due_at is 'When the first of its deliveries that wait without a job is due; NULL: none waits.';
call signalops.protect('signalops.channel_queues');
call signalops.admit_group('signalops.channel_queues', 'signalops_worker');
call signalops.admit_owner('signalops.channel_queues', 'enqueue_due_deliveries goes from channel to channel.');
grant select, insert, update on signalops.channel_queues to signalops_api, signalops_worker;
-- Serves enqueue_due_deliveries.
create index channel_queues_by_due on signalops.channel_queues (next_due_at) where next_due_at is not null;

drop index signalops.deliveries_by_due;
-- Serves enqueue_due_deliveries and mend_queues: what waits in a channel, in the order in which it is due.
create index deliveries_by_turn on signalops.deliveries (tenant_id, channel_id, next_attempt_at) where next_attempt_at is not null;

insert into signalops.channel_queues (tenant_id, channel_id, tokens, refilled_at, next_due_at)
select tenant_id, channel_id, 0, now(), min(next_attempt_at)
from signalops.deliveries where next_attempt_at is not null group by tenant_id, channel_id;

create function signalops.await_turn(tenant uuid, channel uuid, due timestamptz) returns void
language plpgsql volatile
as $$
begin
  insert into signalops.channel_queues as q (tenant_id, channel_id, tokens, refilled_at, next_due_at)
  values (tenant, channel, 1000, clock_timestamp(), due)
  on conflict (tenant_id, channel_id) do update set next_due_at = excluded.next_due_at
  -- Most deliveries are due after another one of their channel: those need not wait for its row.
  where q.next_due_at is null or q.next_due_at > excluded.next_due_at;
end
$$;
comment on function signalops.await_turn(uuid, uuid, timestamptz) is 'Notes that a delivery of a channel waits without a job until a moment.';

create or replace function signalops.enqueue_deliveries(wanted jsonb) returns bigint
language plpgsql volatile security definer set search_path = procrastinate, pg_temp
as $$
begin
  perform procrastinate_defer_jobs_v1((
    select array_agg(row('deliveries', 'send_delivery', j.priority, null, null,
      case when jsonb_array_length(j.told) = 1 then j.told -> 0
        else (j.told -> 0) || jsonb_build_object('more', j.told - 0) end, null)::procrastinate_job_to_defer_v1 order by j.priority desc, j.part)
    from (
      select p.priority, p.part, jsonb_agg(p.job - 'priority' order by p.place) as told
      from (
        select w.job, w.place, r.priority, (row_number() over (partition by r.priority order by w.place) - 1) / 20 as part
        from jsonb_array_elements(wanted) with ordinality as w (job, place),
          lateral (select coalesce((w.job ->> 'priority')::integer, -6)) as r (priority)
      ) p
      group by p.priority, p.part
    ) j));
  return jsonb_array_length(wanted);
end
$$;
comment on function signalops.enqueue_deliveries(jsonb) is
  'Enqueues one attempt each: [{tenant, delivery, priority}], not empty; returns how many. -5: the channel has sent little lately; -6: '
  'usual; -7: backlog. Events go first (0), bulk loads of events last (-10). Twenty share a job: fetching and finishing one costs a worker '
  'more than sending.';

create function signalops.grant_turns(decided jsonb) returns table (channel uuid, granted integer, priority integer)
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  -- More jobs than workers have at hand delay whoever comes next: while so many wait, only who has sent little lately gets one at once.
  is_full boolean := exists (
    select from procrastinate.procrastinate_jobs j where j.queue_name = 'deliveries' and j.status = 'todo' offset 2000);
begin
  return query
    with asked as (
      select m.tenant, m.channel, count(*)::integer as wanted
      from jsonb_to_recordset(decided) as m (tenant uuid, channel uuid, outcome text, not_before timestamptz)
      where coalesce(m.outcome, 'notified') = 'notified' and m.not_before is null
      -- In one order, so that two workers can't lock each other out.
      group by m.tenant, m.channel order by m.tenant, m.channel
    ), taken as (
      insert into signalops.channel_queues as q (tenant_id, channel_id, tokens, refilled_at)
      select a.tenant, a.channel, 1000 - a.wanted, clock_timestamp() from asked a
      on conflict (tenant_id, channel_id) do update set refilled_at = clock_timestamp(),
        tokens = excluded.tokens - 1000
          + least(1000, greatest(q.tokens, 0) + 500 * extract(epoch from clock_timestamp() - q.refilled_at))
      returning q.channel_id, q.tokens
    )
    select a.channel,
      case when is_full and t.tokens + a.wanted < 900 then 0 else greatest(0, a.wanted + least(0, floor(t.tokens))::integer) end,
      case when t.tokens + a.wanted >= 900 then -5 else -6 end
    from asked a join taken t on t.channel_id = a.channel;
end
$$;
comment on function signalops.grant_turns(jsonb) is
  'Says how many of a batch''s new deliveries get a job at once, by channel, and of which priority; the others wait for their channel''s turn.';

create function signalops.tokens_at(moment timestamptz, tokens double precision, refilled_at timestamptz, most_per_minute integer)
returns double precision
language sql immutable parallel safe
return least(greatest(1, most_per_minute / 60.0), coalesce(tokens, 0)
  + case when coalesce(refilled_at, '-infinity') = '-infinity' then 1e9 else extract(epoch from moment - refilled_at) end
    * most_per_minute / 60.0);
comment on function signalops.tokens_at(timestamptz, double precision, timestamptz, integer) is
  'How many messages an outlet with a rate limit may send at a moment: a second''s worth at most, and at least one.';

create function signalops.take_turn(tenant uuid, outlet uuid, delivery uuid, most_per_minute integer) returns timestamptz
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  found_outlet signalops.outlets;
  moment timestamptz;
  left_over double precision;
begin
  select * into found_outlet from signalops.outlets o where o.tenant_id = tenant and o.id = outlet;
  -- The usual case takes no lock: nothing has failed, and nothing is limited.
  if most_per_minute is null and found_outlet.opened_until is null then
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
  if most_per_minute is not null then
    left_over := signalops.tokens_at(moment, found_outlet.tokens, found_outlet.refilled_at, most_per_minute) - 1;
    if left_over < 0 then
      return moment + make_interval(secs => -left_over * 60 / most_per_minute);
    end if;
    update signalops.outlets o set tokens = left_over, refilled_at = moment where o.tenant_id = tenant and o.id = outlet;
  end if;
  if found_outlet.opened_until is not null then
    -- This one finds out for all others; if its worker dies, another may in half a minute.
    update signalops.outlets o set opened_until = moment + interval '30 seconds', probe = delivery
    where o.tenant_id = tenant and o.id = outlet;
  end if;
  return null;
end
$$;
comment on function signalops.take_turn(uuid, uuid, uuid, integer) is
  'Asks an outlet whether a delivery may be sent now: NULL, or when to ask again. After an outage one attempt alone is let through.';

create function signalops.note_outcome(tenant uuid, outlet uuid, delivery uuid, outcome text, pause interval) returns timestamptz
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  failing timestamptz;
begin
  if outcome = 'sent' then
    update signalops.outlets o set failures = 0, failing_since = null, opened_until = null, probe = null
    where o.tenant_id = tenant and o.id = outlet and (o.failures > 0 or o.failing_since is not null or o.opened_until is not null);
    return null;
  elsif outcome not in ('temporary', 'throttled', 'broken') then
    -- It says something of one message, and nothing of the outlet: another one may find out.
    update signalops.outlets o set opened_until = clock_timestamp(), probe = null
    where o.tenant_id = tenant and o.id = outlet and o.probe = delivery;
    return null;
  end if;
  insert into signalops.outlets as o (tenant_id, id, failures, failing_since, opened_until)
  values (tenant, outlet, (outcome = 'temporary')::integer, clock_timestamp(), clock_timestamp() + pause)
  on conflict (tenant_id, id) do update set
    -- What was on its way when the circuit opened says nothing new: counted, a burst alone would close the outlet for long.
    failures = o.failures + case when o.opened_until is null or o.probe = delivery then excluded.failures else 0 end,
    failing_since = coalesce(o.failing_since, excluded.failing_since),
    opened_until = greatest(excluded.opened_until, case
      when o.opened_until is not null and o.probe is distinct from delivery then o.opened_until
      when outcome <> 'temporary' then case when o.probe = delivery then clock_timestamp() end
      when o.failures >= 4 then clock_timestamp() + least(interval '10 minutes', interval '15 seconds' * 2 ^ least(o.failures - 4, 10))
      -- A probe after a pause that was asked for: the circuit closes again.
      end),
    probe = nullif(o.probe, delivery)
  returning o.failing_since into failing;
  return failing;
end
$$;
comment on function signalops.note_outcome(uuid, uuid, uuid, text, interval) is
  'Notes what came of an attempt: a success closes the circuit, the fifth failure in a row opens it for 15 seconds, each probe that fails '
  'for twice as long, up to 10 minutes; throttled opens it for the pause that was asked for. Returns since when the outlet fails.';

create function signalops.disable_channel(tenant uuid, channel uuid, because text) returns boolean
language plpgsql volatile
as $$
declare
  called text;
begin
  update signalops.channels c set enabled = false, disabled_because = left(because, 500), updated_at = now()
  where c.tenant_id = tenant and c.id = channel and c.enabled returning c.name into called;
  if not found then
    return false;
  end if;
  perform signalops.announce('signalops.channel.disabled', jsonb_build_object(
    'channel', jsonb_build_object('id', channel, 'name', called), 'reason', left(because, 500)), 1::smallint);
  return true;
end
$$;
comment on function signalops.disable_channel(uuid, uuid, text) is
  'Disables a channel that wants or brings nothing any more, and tells the tenant: signalops.channel.disabled.';

create or replace function signalops.bury_delivery(tenant uuid, delivery uuid, because text) returns void
language plpgsql volatile
as $$
declare
  lost record;
begin
  select d.event_id, d.rule_id, d.channel_id, d.attempts, coalesce(e.depth, 0) as depth, c.enabled into lost
  from signalops.deliveries d
  left join signalops.events e on e.tenant_id = d.tenant_id and e.id = d.event_id
  left join signalops.channels c on c.tenant_id = d.tenant_id and c.id = d.channel_id
  where d.tenant_id = tenant and d.id = delivery;
  insert into signalops.dead_letters (tenant_id, id, kind, event_id, delivery_id, error)
  values (tenant, delivery, 'delivery', lost.event_id, delivery, left(because, 500))
  on conflict (tenant_id, id) do update
    set error = excluded.error, died_at = now(), ended_at = null, ending = null, reason = null;
  -- Of a channel that is disabled the tenant was told once; its backlog would be so many more notices.
  if lost.enabled then
    perform signalops.announce('signalops.delivery.dead', jsonb_build_object('delivery', delivery, 'event', lost.event_id,
      'rule', jsonb_build_object('id', lost.rule_id), 'channel', jsonb_build_object('id', lost.channel_id),
      'attempts', lost.attempts, 'error', left(because, 500)), (lost.depth + 1)::smallint);
  end if;
end
$$;

create function signalops.claim_delivery(tenant uuid, delivery uuid, busy uuid[])
returns table (outlet uuid, channel uuid, attempt smallint, attempts_before smallint, context jsonb, replay boolean, about text, event json,
  rule json, template jsonb, kind text, config jsonb, secret bytea, enabled boolean, retry_schedule integer[],
  suppressed boolean)
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
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
        'id', e.id, 'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload) end,
      case when r.id is not null then json_build_object('id', r.id, 'name', r.name, 'version', v.version, 'severity', v.severity) end,
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
comment on function signalops.claim_delivery(uuid, uuid, uuid[]) is
  'Begins an attempt and returns all that it needs; no row if there is nothing to send, or not yet: then it waits for its channel''s turn, a '
  'second if the channel is among the busy. Acts for the tenant. What waits already is not claimed: only the sweep wakes it.';

create function signalops.settle_delivery(tenant uuid, delivery uuid, attempt smallint, said jsonb) returns boolean
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
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
    next_attempt_at = clock_timestamp() + make_interval(secs => (said ->> 'delay')::double precision)
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
    delivery, said ->> 'outcome', make_interval(secs => (said ->> 'pause')::double precision));
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
comment on function signalops.settle_delivery(uuid, uuid, smallint, jsonb) is
  'Records an attempt and what follows from it: {started_at, duration_ms, outcome, status_code, answer, error, request_id, provider_id, status, '
  'delay, pause, patience}; delay and pause (asked for by the provider) in seconds, patience the seconds of failure after which the channel is '
  'disabled. Acts for the tenant. Returns whether the delivery died of it.';

create function signalops.claim_deliveries(wanted jsonb, busy uuid[])
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

create function signalops.settle_deliveries(said jsonb) returns setof uuid
language plpgsql volatile
as $$
declare
  one jsonb;
begin
  -- What a crash of the server takes back is sent again, with the same id, as after a crash of the worker.
  perform set_config('synchronous_commit', 'off', true);
  for one in select * from jsonb_array_elements(said) loop
    if signalops.settle_delivery((one ->> 'tenant')::uuid, (one ->> 'delivery')::uuid, (one ->> 'attempt')::smallint, one) then
      return next (one ->> 'delivery')::uuid;
    end if;
  end loop;
end
$$;
comment on function signalops.settle_deliveries(jsonb) is
  'Records attempts in their order, each with its tenant, delivery and attempt beside what settle_delivery takes; returns which deliveries '
  'died. What fails belongs to one outlet, and what succeeds comes in the order of the outlets: no two of them lock each other out.';

create function signalops.forget_failures() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update signalops.outlets o set failures = 0, failing_since = null, opened_until = null, probe = null
  where o.tenant_id = new.tenant_id and o.id = coalesce(new.outlet_id, new.id);
  return null;
end
$$;
comment on function signalops.forget_failures() is 'Has a channel that is enabled again begin anew.';
revoke all on function signalops.forget_failures() from public;
create trigger forget_failures after update of enabled on signalops.channels
  for each row when (new.enabled and not old.enabled) execute function signalops.forget_failures();
comment on trigger forget_failures on signalops.channels is 'What failed for days may not disable it at once again.';

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

create or replace function signalops.enqueue_lost_deliveries(older_than interval, at_most integer) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  with old as (
    select tenant_id, id, channel_id from signalops.deliveries
    where status in ('pending', 'sending') and updated_at < now() - older_than and next_attempt_at is null
    order by updated_at limit at_most for update skip locked
  ), waiting as materialized (
    select j.args ->> 'delivery' as delivery from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'send_delivery' and exists (select from old)
    union all
    select m ->> 'delivery' from procrastinate.procrastinate_jobs j, jsonb_array_elements(j.args -> 'more') m
    where j.status = 'todo' and j.task_name = 'send_delivery' and exists (select from old)
  ), lost as (
    update signalops.deliveries d set updated_at = now()
    from old where d.tenant_id = old.tenant_id and d.id = old.id
      and not exists (select from waiting w where w.delivery = old.id::text)
    returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id) as job
  )
  select coalesce((select signalops.enqueue_deliveries(jobs) from (select jsonb_agg(job) as jobs from lost) l where jobs is not null), 0)
$$;

create function signalops.mend_queues() returns bigint
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
revoke all on function signalops.mend_queues() from public;
grant execute on function signalops.mend_queues() to signalops_worker;

create function signalops.start_deliveries(decided jsonb) returns void
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  waiting jsonb;
  jobs jsonb;
begin
  with turns as materialized (
    select * from signalops.grant_turns(decided)
  )
  select
    jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery, 'channel', m.channel, 'due', m.due)) filter (where m.due is not null),
    jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery, 'priority', m.priority)) filter (where m.due is null)
  into waiting, jobs
  from (
    select d.tenant, d.delivery, d.channel, t.priority, coalesce(d.not_before, case when t.granted < row_number() over (
      partition by d.channel, d.not_before is null order by d.delivery) then clock_timestamp() end) as due
    from jsonb_to_recordset(decided) as d (tenant uuid, delivery uuid, channel uuid, outcome text, not_before timestamptz)
    left join turns t on t.channel = d.channel
    where coalesce(d.outcome, 'notified') = 'notified'
  ) m;
  if jobs is not null then
    perform signalops.enqueue_deliveries(jobs);
  end if;
  if waiting is null then
    return;
  end if;
  update signalops.deliveries d set next_attempt_at = w.due
  from jsonb_to_recordset(waiting) as w (tenant uuid, delivery uuid, due timestamptz)
  where d.tenant_id = w.tenant and d.id = w.delivery and d.next_attempt_at is null;
  perform signalops.await_turn(w.tenant, w.channel, w.due)
  from (
    select w.tenant, w.channel, min(w.due) as due from jsonb_to_recordset(waiting) as w (tenant uuid, channel uuid, due timestamptz)
    group by w.tenant, w.channel order by w.tenant, w.channel
  ) w;
end
$$;
comment on function signalops.start_deliveries(jsonb) is
  'Gives the new deliveries of a batch their jobs, as far as their channels have a turn; the others wait. Locks the channels until the commit.';

create or replace function signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) returns void
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  decided jsonb := results -> 'matches';
begin
  perform signalops.act_for((select array_agg(p.tenant) from jsonb_to_recordset(results -> 'parts') as p (tenant uuid)));

  if coalesce(results -> 'groups', '[]') <> '[]' then
    decided := decided || signalops.weigh(results -> 'groups');
  end if;
  if decided <> '[]' then
    with matched as materialized (
      select m.*, coalesce(m.outcome, 'notified') as result from jsonb_to_recordset(decided) as m (tenant uuid, event uuid, rule uuid,
        version integer, channel uuid, delivery uuid, outcome text, not_before timestamptz, context jsonb, replay uuid)
    ), noted as (
      insert into signalops.matches (tenant_id, event_id, rule_id, rule_version, outcome)
      select tenant, event, rule, version, result from matched
      -- Only a replay repeats a match; the first decision stays on record.
      on conflict do nothing
    )
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id, next_attempt_at, context, replay_id)
    select tenant, delivery, event, rule, version, channel, not_before, context, replay from matched where result = 'notified';
  end if;
  if results -> 'dead' <> '[]' then
    insert into signalops.dead_letters (tenant_id, id, kind, event_id, error)
    select d.tenant, d.event, 'event', d.event, left(d.error, 500)
    from jsonb_to_recordset(results -> 'dead') as d (tenant uuid, event uuid, error text)
    -- Somebody had it retried, and it died again.
    on conflict (tenant_id, id) do update
      set error = excluded.error, died_at = now(), ended_at = null, ending = null, reason = null;
  end if;

  -- A batch that was bisected around a poisonous event is recorded in several parts.
  insert into signalops.batches as b (tenant_id, batch, job_id, worker, ruleset, rules, events, dead)
  select p.tenant, in_batch, job, worker, p.ruleset, p.rules, p.events, p.dead
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, ruleset bigint, rules integer, events integer, dead integer)
  on conflict (tenant_id, batch) do update
    set events = b.events + excluded.events, dead = b.dead + excluded.dead, processed_at = clock_timestamp();

  -- Last, since turns and counters stay locked until the commit; and in one order, so that two workers can't lock each other out.
  if decided <> '[]' then
    perform signalops.start_deliveries(decided);
  end if;
  insert into signalops.usage_counters as u (tenant_id, meter, day, quantity)
  select p.tenant, 'events', (signalops.time_of(in_batch) at time zone 'UTC')::date, p.billed
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, billed bigint) where p.billed > 0 order by p.tenant
  on conflict (tenant_id, meter, day) do update set quantity = u.quantity + excluded.quantity;

  perform signalops.act_for(null);
end
$$;
