-- What follows from a match of a rule with a window, an absence, a cooldown or a digest: weighed in the transaction that processes
-- the event, under the lock of its group, so that many workers count as one.

alter table signalops.matches
  add column outcome text not null default 'notified' check (outcome in
    ('notified', 'counted', 'late', 'ignored', 'silenced', 'quiet', 'cooldown', 'digested'));
comment on column signalops.matches.outcome is
  'notified: a delivery was made. counted: towards a window or absence. late, ignored: not counted (came in too late; the measured '
  'field is missing). silenced, quiet (active hours), cooldown: nobody was told. digested: is told with others.';

alter table signalops.deliveries
  add column context jsonb,
  add column replay_id uuid,
  drop constraint deliveries_check,
  add constraint waits_or_is_in_hand check (
    case status when 'retrying' then next_attempt_at is not null when 'pending' then true else next_attempt_at is null end);
comment on column signalops.deliveries.context is
  'What a window saw when it fired: {value, group, since, until}; NULL without one.';
comment on column signalops.deliveries.replay_id is 'The replay that asked for it; NULL: the event itself did.';
comment on column signalops.deliveries.status is
  'pending (has a job, or waits for active hours) -> sending -> sent; or -> retrying (waits, has no job) -> pending; or -> dead (has a '
  'dead letter).';
comment on column signalops.deliveries.next_attempt_at is 'When the sweep enqueues it; only while it waits.';

drop index signalops.deliveries_by_due;
-- Serves enqueue_due_deliveries: what waits is found by when it is due, however much waits.
create index deliveries_by_due on signalops.deliveries (next_attempt_at) where next_attempt_at is not null;
drop index signalops.deliveries_in_hand;
-- Serves enqueue_lost_deliveries.
create index deliveries_in_hand on signalops.deliveries (updated_at) where status in ('pending', 'sending') and next_attempt_at is null;

create table signalops.rule_groups (
  tenant_id uuid not null,
  rule_id uuid not null,
  since integer not null,
  group_key text not null,
  labels jsonb not null,
  seen_at timestamptz,
  told tstzmultirange not null default '{}',
  quiet_until timestamptz,
  due_at timestamptz,
  forget_at timestamptz not null,
  depth smallint not null default 0,
  primary key (tenant_id, rule_id, since, group_key)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.rule_groups is 'What a rule remembers of each of its groups. Its row lock makes many workers count as one.';
comment on column signalops.rule_groups.tenant_id is 'Whose rule it is.';
comment on column signalops.rule_groups.rule_id is 'The rule.';
comment on column signalops.rule_groups.since is 'The state''s version: rule_versions.since.';
comment on column signalops.rule_groups.group_key is 'The JSON list of the values of the fields it groups by, or its hash; []: the rule does not group.';
comment on column signalops.rule_groups.labels is 'The same values by field, for people.';
comment on column signalops.rule_groups.seen_at is 'The latest event time of a match; NULL: none since the rule was enabled.';
comment on column signalops.rule_groups.told is
  'The stretches of event time for which a window was reached and told: what joins one of them is not told again.';
comment on column signalops.rule_groups.quiet_until is 'Until when the cooldown lasts.';
comment on column signalops.rule_groups.due_at is 'When an absence is told, unless something matches before; NULL: was told, or the rule has none.';
comment on column signalops.rule_groups.forget_at is 'When nothing that it remembers can matter any more.';
comment on column signalops.rule_groups.depth is 'The depth of the latest match (see events.depth): the notice of an absence is one deeper.';
call signalops.protect('signalops.rule_groups');
call signalops.admit_group('signalops.rule_groups', 'signalops_worker');
call signalops.admit_owner('signalops.rule_groups', 'tell_absences and forget_groups sweep all tenants; arm_absence acts for whoever changes a rule.');
grant select on signalops.rule_groups to signalops_api;
grant select, insert, update on signalops.rule_groups to signalops_worker;
-- Serves tell_absences.
create index rule_groups_by_due on signalops.rule_groups (due_at) where due_at is not null;
-- Serves forget_groups.
create index rule_groups_by_forget on signalops.rule_groups (forget_at);

create table signalops.window_events (
  tenant_id uuid not null,
  rule_id uuid not null,
  since integer not null,
  group_key text not null,
  at timestamptz not null,
  event_id uuid not null,
  weight numeric not null,
  item text,
  primary key (tenant_id, rule_id, since, group_key, at, event_id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.window_events is 'The matches that rules'' windows hold: as long as one of them, or one that comes in late, may need it.';
comment on column signalops.window_events.tenant_id is 'Whose rule it is.';
comment on column signalops.window_events.rule_id is 'The rule.';
comment on column signalops.window_events.since is 'As in rule_groups.';
comment on column signalops.window_events.group_key is 'As in rule_groups.';
comment on column signalops.window_events.at is 'Event time: when it occurred, but not after it came in.';
comment on column signalops.window_events.event_id is 'The event.';
comment on column signalops.window_events.weight is 'What it adds: 1, or the measured number of a sum.';
comment on column signalops.window_events.item is 'The measured value where distinct ones count, as canonical JSON or its hash; else NULL.';
call signalops.protect('signalops.window_events');
call signalops.admit_group('signalops.window_events', 'signalops_worker');
call signalops.admit_owner('signalops.window_events', 'forget_groups removes what is past.');
grant select on signalops.window_events to signalops_api;
grant select, insert, delete on signalops.window_events to signalops_worker;

create table signalops.digests (
  tenant_id uuid not null,
  rule_id uuid not null,
  rule_version integer not null,
  channel_id uuid not null,
  opened_at timestamptz not null default clock_timestamp(),
  due_at timestamptz not null,
  matched bigint not null check (matched > 0),
  events uuid[] not null check (cardinality(events) between 1 and 100),
  depth smallint not null,
  primary key (tenant_id, rule_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.digests is 'The digests that are being collected. The transaction that removes one makes its delivery.';
comment on column signalops.digests.tenant_id is 'Whose rule it is.';
comment on column signalops.digests.rule_id is 'The rule.';
comment on column signalops.digests.rule_version is 'The version that collected last: its template tells.';
comment on column signalops.digests.channel_id is 'Where that version sends to.';
comment on column signalops.digests.opened_at is 'When the first match came.';
comment on column signalops.digests.due_at is 'When it is told.';
comment on column signalops.digests.matched is 'How many matches it holds.';
comment on column signalops.digests.events is 'The first 100 of their events.';
comment on column signalops.digests.depth is 'The largest depth of them (see events.depth).';
call signalops.protect('signalops.digests');
call signalops.admit_group('signalops.digests', 'signalops_worker');
call signalops.admit_owner('signalops.digests', 'tell_digests sweeps all tenants for what is due.');
grant select on signalops.digests to signalops_api;
grant select, insert, update on signalops.digests to signalops_worker;
-- Serves tell_digests.
create index digests_by_due on signalops.digests (due_at);

call signalops.admit_owner('signalops.rules', 'tell_absences asks whether the rule still stands.');
call signalops.admit_owner('signalops.rule_versions', 'tell_absences and arm_absence read what the rule says.');
call signalops.admit_owner('signalops.matches', 'tell_digests notes the match that it makes.');

-- The measure is a step function of event time: each event adds its weight at its time and takes it away `span` later, each distinct
-- value counts while at least one of its events does. Where it reaches the threshold are the stretches. A new event changes it for
-- `span` from its time on: only there is it looked at anew.
create function signalops.cross_window(
  tenant uuid, rule uuid, state integer, in_group text, kind text, threshold numeric, span interval, keep interval, events jsonb,
  inout told tstzmultirange, out crossings jsonb)
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  -- A count needs no more events before a new one than this. Sums and distinct values look at so many at most.
  before_it bigint := case kind when 'count' then threshold - 1 else 20000 end;
  seen_before timestamptz := (
    select w.at from signalops.window_events w
    where w.tenant_id = tenant and w.rule_id = rule and w.since = state and w.group_key = in_group
    order by w.at desc limit 1);
  touched tstzmultirange;
  reached tstzmultirange;
  near tstzmultirange;
begin
  with noted as (
    insert into signalops.window_events (tenant_id, rule_id, since, group_key, at, event_id, weight, item)
    select tenant, rule, state, in_group, e.at, e.event, e.weight, e.item
    from jsonb_to_recordset(events) as e (event uuid, at timestamptz, weight numeric, item text)
    on conflict do nothing returning at
  )
  select range_agg(tstzrange(at, at + span)) into touched from noted;
  if touched is null then
    return; -- a replay of what counts already
  end if;

  with held as materialized (
    select p.part, h.at, h.weight, h.item
    from unnest(touched) as p (part)
    cross join lateral (
      (select w.at, w.weight, w.item from signalops.window_events w
        where w.tenant_id = tenant and w.rule_id = rule and w.since = state and w.group_key = in_group
          and w.at < lower(p.part) and w.at > lower(p.part) - span
        order by w.at desc limit before_it)
      union all
      (select w.at, w.weight, w.item from signalops.window_events w
        where w.tenant_id = tenant and w.rule_id = rule and w.since = state and w.group_key = in_group
          and w.at >= lower(p.part) and w.at < upper(p.part)
        order by w.at limit 20000)
    ) h
  ), presences as (
    select h.part, h.at as begins, h.at + span as ends, h.weight from held h where kind <> 'distinct'
    union all
    select d.part, lower(d.presence), upper(d.presence), 1
    from (
      select h.part, unnest(range_agg(tstzrange(h.at, h.at + span))) as presence from held h where kind = 'distinct' group by h.item, h.part
    ) d
  ), levels as (
    select part, moment, sum(change) over w as level, lead(moment) over w as next
    from (
      -- What began before the part is one step, at its beginning: half as many to sort.
      select part, lower(part), sum(weight) from presences where begins <= lower(part) group by part
      union all
      select part, begins, weight from presences where begins > lower(part)
      union all
      select part, ends, -weight from presences
    ) as s (part, moment, change)
    window w as (partition by part order by moment)
  ), found as (
    select part, unnest(range_agg(tstzrange(moment, next)) * tstzmultirange(part)) as stretch
    from levels where level >= threshold and next is not null group by part
  )
  -- A sum may also rise when something negative leaves it: that counts once an event sees it, and not in the future.
  select coalesce(range_agg(f.stretch), '{}') into reached
  from found f where kind <> 'sum' or exists (select from held h where h.part = f.part and f.stretch @> h.at);

  near := told * tstzmultirange(tstzrange(lower(touched) - span, upper(touched), '[]'));
  told := told - touched + reached - tstzmultirange(tstzrange(null, lower(touched) - keep));

  with come as materialized (
    select e.event, e.at from jsonb_to_recordset(events) as e (event uuid, at timestamptz)
  )
  select jsonb_agg(to_jsonb(t)) into crossings
  from (
    -- One event may bring about several stretches; it tells of the first.
    select distinct on (c.event) c.event, m.value, lower(s.stretch) - span as since, lower(s.stretch) as until
    from unnest(near - touched + reached) as s (stretch)
    cross join lateral (
      select e.event from come e
      where e.at > lower(s.stretch) - span and e.at <= lower(s.stretch) order by e.at desc, e.event desc limit 1
    ) c
    cross join lateral (
      -- Readers take numbers as doubles.
      select case kind when 'distinct' then count(distinct w.item) else least(sum(w.weight), 1.7e308) end as value
      from signalops.window_events w
      where w.tenant_id = tenant and w.rule_id = rule and w.since = state and w.group_key = in_group
        and w.at > lower(s.stretch) - span and w.at <= lower(s.stretch)
    ) m
    -- Of what was told, only what events have seen is known: what negative ones have taken away since may come again.
    where s.stretch && reached and not s.stretch && (near * tstzmultirange(tstzrange(null, seen_before, '[]')))
    order by c.event, lower(s.stretch)
  ) t;
end
$$;
comment on function signalops.cross_window(uuid, uuid, integer, text, text, numeric, interval, interval, jsonb, tstzmultirange) is
  'Adds [{event, at, weight, item}] to a group''s window (count, sum or distinct) and returns the stretches told and to be told, with the '
  'crossings that are new: [{event, value, since, until}], the event being the one that brought it about. The group must be locked.';

create function signalops.weigh(groups jsonb) returns jsonb
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  one record;
  stretches tstzmultirange;
  is_quiet boolean;
  crossings jsonb;
  weighed jsonb;
  quiet timestamptz;
  -- An array, flattened at the end: jsonb that grows is copied whole each time.
  parts jsonb[] := '{}';
  decided jsonb;
begin
  for one in
    select *, e.first_at, e.last_at, e.deepest from jsonb_to_recordset(groups) as g (tenant uuid, rule uuid, version integer, since integer,
      channel uuid, "group" text, labels jsonb, kind text, threshold numeric, span interval, lateness interval, cooldown interval,
      digest_due timestamptz, events jsonb)
    cross join lateral (
      select min(e.at) as first_at, max(e.at) as last_at, max(e.depth) as deepest
      from jsonb_to_recordset(g.events) as e (at timestamptz, depth smallint)
    ) e
    -- In one order, so that two workers can't lock each other out.
    order by g.tenant, g.rule, g.since, g."group"
  loop
    stretches := null;
    is_quiet := false;
    crossings := null;
    quiet := null;
    if one.kind <> 'each' or one.cooldown is not null then
      insert into signalops.rule_groups as s (tenant_id, rule_id, since, group_key, labels, seen_at, due_at, depth, forget_at)
      values (one.tenant, one.rule, one.since, one."group", one.labels,
        -- The notice of an absence has the same group and is no match.
        case when one.kind <> 'each' then one.last_at end,
        case one.kind when 'absent' then one.last_at + one.span + one.lateness end,
        case one.kind when 'absent' then one.deepest else 0 end,
        clock_timestamp() + one.span + one.lateness + coalesce(one.cooldown, '0') + interval '1 hour')
      on conflict (tenant_id, rule_id, since, group_key) do update set
        seen_at = greatest(s.seen_at, excluded.seen_at),
        due_at = case when excluded.seen_at > s.seen_at or s.seen_at is null then greatest(s.due_at, excluded.due_at) else s.due_at end,
        depth = case when excluded.seen_at is null then s.depth else excluded.depth end,
        -- Moved once an hour: while no index is concerned the update is a cheap one (HOT).
        forget_at = case when s.forget_at < excluded.forget_at - interval '1 hour' then excluded.forget_at else s.forget_at end
      returning s.told, coalesce(s.quiet_until > clock_timestamp(), false) into stretches, is_quiet;
    end if;

    if one.kind in ('count', 'sum', 'distinct') then
      select c.told, coalesce(c.crossings, '[]') into stretches, crossings
      from signalops.cross_window(one.tenant, one.rule, one.since, one."group", one.kind, one.threshold, one.span,
        one.span + one.lateness + interval '1 hour', one.events, stretches) c;
      delete from signalops.window_events w
      where w.tenant_id = one.tenant and w.rule_id = one.rule and w.since = one.since and w.group_key = one."group"
        and w.at < one.first_at - one.span - one.lateness - interval '1 hour';
    end if;

    with events as (
      select e.*, c.value, c.since, c.until,
        e.verdict is null and (one.kind = 'each' or c.event is not null) as passes
      from jsonb_to_recordset(one.events)
        as e (event uuid, at timestamptz, verdict text, not_before timestamptz, delivery uuid, replay uuid, depth smallint)
      left join jsonb_to_recordset(crossings) as c (event uuid, value numeric, since timestamptz, until timestamptz) using (event)
    ), placed as (
      select *, row_number() over (partition by passes order by at, event) as place from events
    )
    select jsonb_agg(jsonb_build_object('tenant', one.tenant, 'event', p.event, 'rule', one.rule, 'version', one.version,
      'channel', one.channel, 'delivery', p.delivery, 'not_before', p.not_before, 'replay', p.replay, 'depth', p.depth,
      'digest_due', one.digest_due,
      'context', case when p.value is not null then
        jsonb_build_object('value', p.value, 'group', one.labels, 'since', p.since, 'until', p.until) end,
      'outcome', case
        when p.passes and one.cooldown is not null and (is_quiet or p.place > 1) then 'cooldown'
        when p.passes and one.digest_due is not null then 'digested'
        when p.passes then 'notified'
        when one.kind = 'each' or p.value is not null then p.verdict
        else 'counted' end))
    into weighed from placed p;
    parts := parts || weighed;

    if one.cooldown is not null and weighed @? '$[*] ? (@.outcome == "notified" || @.outcome == "digested")' then
      quiet := clock_timestamp() + one.cooldown;
    end if;
    update signalops.rule_groups s set told = stretches, quiet_until = coalesce(quiet, s.quiet_until)
    where s.tenant_id = one.tenant and s.rule_id = one.rule and s.since = one.since and s.group_key = one."group"
      and (s.told <> stretches or quiet is not null);
  end loop;
  select coalesce(jsonb_agg(m.match), '[]') into decided
  from unnest(parts) as p (part) cross join lateral jsonb_array_elements(p.part) as m (match);

  -- After all groups: a rule's digest is one row, and whoever waits for it must hold no group that another one wants.
  insert into signalops.digests as d (tenant_id, rule_id, rule_version, channel_id, due_at, matched, events, depth)
  select m.tenant, m.rule, max(m.version), (array_agg(m.channel order by m.version desc))[1], max(m.digest_due), count(*),
    (array_agg(m.event order by m.event))[1:100], max(m.depth)
  from jsonb_to_recordset(decided) as m (tenant uuid, rule uuid, version integer, channel uuid, event uuid, digest_due timestamptz,
    depth smallint, outcome text)
  where m.outcome = 'digested'
  group by m.tenant, m.rule order by m.tenant, m.rule
  on conflict (tenant_id, rule_id) do update set matched = d.matched + excluded.matched,
    events = (d.events || excluded.events)[1:100], depth = greatest(d.depth, excluded.depth),
    rule_version = greatest(d.rule_version, excluded.rule_version),
    channel_id = case when excluded.rule_version >= d.rule_version then excluded.channel_id else d.channel_id end;
  return decided;
end
$$;
comment on function signalops.weigh(jsonb) is
  'Decides what follows from matches of rules with state: [{tenant, rule, version, since, channel, group, labels, kind, threshold, span, '
  'lateness, cooldown, digest_due, events: [{event, at, weight, item, verdict, not_before, delivery, replay, depth}]}], one item per '
  'group; verdict is silenced or quiet where nobody is to be told. Returns matches with their outcomes, as record_batch takes them.';

create or replace function signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) returns void
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  decided jsonb := results -> 'matches';
  jobs jsonb;
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

    select jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery)) into jobs
    from jsonb_to_recordset(decided) as m (tenant uuid, delivery uuid, outcome text, not_before timestamptz)
    where coalesce(m.outcome, 'notified') = 'notified' and m.not_before is null;
    if jobs is not null then
      perform signalops.enqueue_deliveries(jobs);
    end if;
  end if;
  if results -> 'dead' <> '[]' then
    insert into signalops.dead_letters (tenant_id, id, kind, event_id, error)
    select d.tenant, d.event, 'event', d.event, left(d.error, 500)
    from jsonb_to_recordset(results -> 'dead') as d (tenant uuid, event uuid, error text);
  end if;

  -- A batch that was bisected around a poisonous event is recorded in several parts.
  insert into signalops.batches as b (tenant_id, batch, job_id, worker, ruleset, rules, events, dead)
  select p.tenant, in_batch, job, worker, p.ruleset, p.rules, p.events, p.dead
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, ruleset bigint, rules integer, events integer, dead integer)
  on conflict (tenant_id, batch) do update
    set events = b.events + excluded.events, dead = b.dead + excluded.dead, processed_at = clock_timestamp();

  -- Last, since the counters stay locked until the commit; and in one order, so that two workers can't lock each other out.
  insert into signalops.usage_counters as u (tenant_id, meter, day, quantity)
  select p.tenant, 'events', (signalops.time_of(in_batch) at time zone 'UTC')::date, p.billed
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, billed bigint) where p.billed > 0 order by p.tenant
  on conflict (tenant_id, meter, day) do update set quantity = u.quantity + excluded.quantity;

  perform signalops.act_for(null);
end
$$;
comment on function signalops.record_batch(uuid, bigint, text, jsonb) is
  'Records what was decided about a batch: matches, deliveries with their jobs, dead events, usage. {parts: [{tenant, ruleset, rules, '
  'events, billed, dead}], matches: [{tenant, event, rule, version, channel, delivery, outcome, not_before, context, replay}], groups: '
  'what weigh decides, dead: [{tenant, event, error}]}. A match without an outcome is notified of; one with not_before waits till then.';

create or replace function signalops.enqueue_due_deliveries(at_most integer) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
-- Whatever the statistics say of what is due, it is little of the table.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
  with due as (
    select tenant_id, id from signalops.deliveries
    where next_attempt_at <= now()
    order by next_attempt_at limit at_most for update skip locked
  ), woken as (
    update signalops.deliveries d set status = 'pending', next_attempt_at = null, updated_at = now()
    from due where d.tenant_id = due.tenant_id and d.id = due.id
    returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id) as job
  )
  select coalesce((select signalops.enqueue_deliveries(jobs) from (select jsonb_agg(job) as jobs from woken) w where jobs is not null), 0)
$$;

create or replace function signalops.enqueue_lost_deliveries(older_than interval, at_most integer) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  with old as (
    select tenant_id, id from signalops.deliveries
    where status in ('pending', 'sending') and next_attempt_at is null and updated_at < now() - older_than
    order by updated_at limit at_most for update skip locked
  ), lost as (
    update signalops.deliveries d set updated_at = now()
    from old where d.tenant_id = old.tenant_id and d.id = old.id and not exists (
      select from procrastinate.procrastinate_jobs j
      where j.status = 'todo' and j.task_name = 'send_delivery' and j.args ->> 'delivery' = old.id::text)
    returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id) as job
  )
  select coalesce((select signalops.enqueue_deliveries(jobs) from (select jsonb_agg(job) as jobs from lost) l where jobs is not null), 0)
$$;

create function signalops.tell_digests(at_most integer) returns bigint
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
revoke all on function signalops.tell_digests(integer) from public;
grant execute on function signalops.tell_digests(integer) to signalops_worker;

create function signalops.tell_absences(at_most integer) returns bigint
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
revoke all on function signalops.tell_absences(integer) from public;
grant execute on function signalops.tell_absences(integer) to signalops_worker;

create function signalops.forget_groups(at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  one record;
  forgotten bigint := 0;
begin
  for one in
    delete from signalops.rule_groups g
    using (
      select tenant_id, rule_id, since, group_key from signalops.rule_groups
      where forget_at <= now() and due_at is null order by forget_at limit at_most for update skip locked
    ) past
    where g.tenant_id = past.tenant_id and g.rule_id = past.rule_id and g.since = past.since and g.group_key = past.group_key
    returning g.tenant_id, g.rule_id, g.since, g.group_key
  loop
    delete from signalops.window_events w
    where w.tenant_id = one.tenant_id and w.rule_id = one.rule_id and w.since = one.since and w.group_key = one.group_key;
    forgotten := forgotten + 1;
  end loop;
  return forgotten;
end
$$;
comment on function signalops.forget_groups(integer) is
  'Removes groups of rules, with what their windows hold, that can''t matter any more; returns how many.';
revoke all on function signalops.forget_groups(integer) from public;
grant execute on function signalops.forget_groups(integer) to signalops_worker;

create function signalops.arm_absence() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  said record;
begin
  select v.since, v.absent into said from signalops.rule_versions v
  where v.tenant_id = new.tenant_id and v.rule_id = new.id and v.version = new.active_version;
  -- Groups are known from their first event on; without groups the time runs from the moment the rule is enabled.
  if new.enabled and coalesce(said.absent -> 'groupBy', '[]') = '[]' and said.absent is not null then
    insert into signalops.rule_groups as g (tenant_id, rule_id, since, group_key, labels, due_at, forget_at)
    values (new.tenant_id, new.id, said.since, '[]', '{}',
      now() + (said.absent ->> 'after')::interval + coalesce(said.absent ->> 'lateness', '0s')::interval, now())
    on conflict (tenant_id, rule_id, since, group_key) do update set due_at = excluded.due_at, seen_at = null
    where tg_op = 'UPDATE' and not old.enabled;
  end if;
  return null;
end
$$;
comment on function signalops.arm_absence() is
  'Starts the time of a rule with an absence. What a changed or disabled rule waits for, perhaps in very many groups, tell_absences passes over.';
revoke all on function signalops.arm_absence() from public;
-- At the commit: the version of a new rule is stored after the rule.
create constraint trigger arm_absence after insert or update of enabled, active_version on signalops.rules
  deferrable initially deferred for each row execute function signalops.arm_absence();
comment on trigger arm_absence on signalops.rules is 'A dead man''s switch runs from the moment its rule is enabled.';
