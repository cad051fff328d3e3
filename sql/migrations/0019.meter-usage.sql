-- Station usage: meters. What is counted, by event time, in the transaction that processes the events; and which events made which figure.

create function signalops.is_time_zone(wanted text) returns boolean
language plpgsql stable
as $$
begin
  perform now() at time zone wanted;
  return wanted ~ '^(UTC|[A-Z][A-Za-z_]+(/[A-Za-z0-9_+-]+)+)$';
exception when invalid_parameter_value then
  return false;
end
$$;
comment on function signalops.is_time_zone(text) is 'Whether a name is one of the IANA database, such as Europe/Berlin; abbreviations are not.';

alter table signalops.tenants
  add column time_zone text not null default 'UTC' check (signalops.is_time_zone(time_zone)),
  add column metering bigint not null default 0,
  add column closed_until timestamptz not null default '-infinity';
comment on column signalops.tenants.time_zone is 'IANA time zone in which its days and billing periods begin; fixed once something is counted.';
comment on column signalops.tenants.metering is 'Version of its meters and limits: 0 until it has any, and one more with each change.';
comment on column signalops.tenants.closed_until is
  'End of the last billing period that is closed: what happened before and is counted from now on is late, and billed in the open period.';
call signalops.admit_group('signalops.tenants', 'signalops_worker', 'id');

create function signalops.period_of(moment timestamptz, zone text) returns date
language sql immutable parallel safe
return date_trunc('month', moment at time zone zone)::date;
comment on function signalops.period_of(timestamptz, text) is 'The billing period of a moment: the first day of the calendar month in a time zone.';

create function signalops.starts_at(day date, zone text) returns timestamptz
language sql immutable parallel safe
-- Where the clock goes back at midnight, as in Havana, a day's first midnight is the one that follows the day before.
return least(day::timestamp at time zone zone, (day::timestamp - interval '1 second') at time zone zone + interval '1 second');
comment on function signalops.starts_at(date, text) is 'The moment at which a day, or the period that it begins, starts in a time zone.';

create table signalops.meters (
  tenant_id uuid not null references signalops.tenants (id) on delete cascade,
  key text not null check (key ~ '^[a-z][a-z0-9_]{0,62}$' and key <> 'events'),
  since bigint not null,
  until bigint check (until > since),
  name text not null check (length(name) between 1 and 200),
  aggregation text not null check (aggregation in ('count', 'sum', 'max', 'min', 'avg', 'latest', 'unique_count')),
  field text check ((field is null) = (aggregation = 'count')),
  grammar smallint not null,
  pattern jsonb not null check (jsonb_typeof(pattern) = 'object'),
  group_by text[] not null default '{}',
  unit text check (length(unit) between 1 and 63),
  origin text not null default 'tenant' check (origin in ('tenant', 'plan')),
  created_at timestamptz not null default now(),
  ended_at timestamptz check ((ended_at is null) = (until is null)),
  primary key (tenant_id, key, since)
);
comment on table signalops.meters is
  'What of a tenant''s events is counted, besides their number (the meter events). Never changed, only ended: a key means the same for ever.';
comment on column signalops.meters.tenant_id is 'Whose events it counts.';
comment on column signalops.meters.key is 'Its name in usage, prices and limits, such as api_calls.';
comment on column signalops.meters.since is 'The first version of the tenant''s metering in which it counts.';
comment on column signalops.meters.until is 'The first version in which it counts no more; NULL: it counts.';
comment on column signalops.meters.name is 'The name for people.';
comment on column signalops.meters.aggregation is 'What is made of the events: how many, or of a field the sum, max, min, avg, latest value, or how many different ones.';
comment on column signalops.meters.field is 'Path of the field, such as payload.bytes; NULL for count.';
comment on column signalops.meters.grammar is 'Version of the pattern language.';
comment on column signalops.meters.pattern is 'Which events it counts, in the language of rules.';
comment on column signalops.meters.group_by is 'Paths of the fields by which it keeps its figures apart.';
comment on column signalops.meters.unit is 'What it counts in, such as GB; NULL: pieces.';
comment on column signalops.meters.origin is 'tenant: its own; plan: brought by its plan.';
comment on column signalops.meters.created_at is 'When it was made; what was processed before is not counted.';
comment on column signalops.meters.ended_at is 'When it ended; NULL: it counts.';
call signalops.protect('signalops.meters');
grant select, insert (tenant_id, key, since, name, aggregation, field, grammar, pattern, group_by, unit), update (ended_at)
  on signalops.meters to signalops_api;
grant select, update (ended_at) on signalops.meters to signalops_worker;
-- Serves active-meters. And there is one meter of a key at a time.
create unique index meters_active on signalops.meters (tenant_id, key) where until is null;

create function signalops.bump_metering(tenant uuid) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ update signalops.tenants set metering = metering + 1 where id = tenant and id = signalops.current_tenant() returning metering $$;
comment on function signalops.bump_metering(uuid) is
  'Starts a new version of the meters of the tenant that the transaction acts for; returns it. Whoever counts by an older one finds out.';
revoke all on function signalops.bump_metering(uuid) from public;
grant execute on function signalops.bump_metering(uuid) to signalops_api, signalops_worker;

create function signalops.version_meter() returns trigger
language plpgsql
as $$
declare
  version bigint;
begin
  if tg_op = 'INSERT' and exists (
    select from signalops.meters m where m.tenant_id = new.tenant_id and m.key = new.key
      and (m.aggregation, m.field, m.pattern, m.group_by) is distinct from (new.aggregation, new.field, new.pattern, new.group_by)
  ) then
    raise 'the meter % counted something else before: choose another key', new.key using errcode = 'unique_violation';
  elsif tg_op = 'UPDATE' and (
    old.until is not null or (to_jsonb(new) - '{until,ended_at}'::text[]) <> (to_jsonb(old) - '{until,ended_at}'::text[])
  ) then
    raise 'the meter % can be ended, not changed', old.key using errcode = 'check_violation';
  end if;
  version := signalops.bump_metering(new.tenant_id);
  if version is null and has_table_privilege('signalops.tenants', 'update') then
    -- Without a tenant: the owner's. Whoever else it is, the policy refuses the row.
    update signalops.tenants set metering = metering + 1 where id = new.tenant_id returning metering into version;
  end if;
  if tg_op = 'INSERT' then
    new.since := version;
  else
    new.until := version;
    new.ended_at := coalesce(new.ended_at, now());
  end if;
  return new;
end
$$;
comment on function signalops.version_meter() is 'Gives meters the versions of the metering between which they count, and keeps them from being changed.';
create trigger version_meter before insert or update on signalops.meters for each row execute function signalops.version_meter();
comment on trigger version_meter on signalops.meters is 'A figure of last year means what it meant then.';

create table signalops.usage_entries (
  tenant_id uuid not null,
  meter text not null,
  period date not null,
  id uuid not null,
  batch uuid not null,
  hour timestamptz not null,
  grp text not null,
  is_late boolean not null,
  events integer not null check (events > 0),
  value numeric,
  latest_at timestamptz,
  latest_event uuid,
  event_ids uuid[] not null,
  primary key (tenant_id, meter, period, id)
) partition by range (id);
comment on table signalops.usage_entries is
  'The ledger of usage: what each batch added to each counter, and of which events. Partitioned by month of the id, which is a UUIDv7.';
comment on column signalops.usage_entries.tenant_id is 'Whose usage it is.';
comment on column signalops.usage_entries.meter is 'The meter''s key; events: all events.';
comment on column signalops.usage_entries.period is 'The billing period that it is billed in, by its first day.';
comment on column signalops.usage_entries.id is 'UUIDv7 made by the worker that processed the batch.';
comment on column signalops.usage_entries.batch is 'The batch in which the events were processed.';
comment on column signalops.usage_entries.hour is 'Start of the hour in which the events happened, in the tenant''s time zone.';
comment on column signalops.usage_entries.grp is 'The group, as the JSON list of the values of the meter''s group_by; [] when it has none.';
comment on column signalops.usage_entries.is_late is 'Whether the period in which the events happened was closed already.';
comment on column signalops.usage_entries.events is 'How many events.';
comment on column signalops.usage_entries.value is 'Their number (count), sum (sum, avg), extreme (max, min) or latest value; NULL for unique_count.';
comment on column signalops.usage_entries.latest_at is 'When the latest of them happened; NULL but for latest.';
comment on column signalops.usage_entries.latest_event is 'The latest of them; NULL but for latest.';
comment on column signalops.usage_entries.event_ids is 'The events.';
call signalops.protect('signalops.usage_entries');
call signalops.admit_group('signalops.usage_entries', 'signalops_worker');
grant select on signalops.usage_entries to signalops_api;
grant select, insert on signalops.usage_entries to signalops_worker;

alter table signalops.usage_counters rename to usage_counters_by_day;
alter table signalops.usage_counters_by_day rename constraint usage_counters_pkey to usage_counters_by_day_pkey;

create table signalops.usage_counters (
  tenant_id uuid not null,
  meter text not null,
  hour timestamptz not null,
  grp text not null,
  period date not null check (extract(day from period) = 1),
  aggregation text not null,
  is_late boolean not null,
  events bigint not null check (events > 0),
  value numeric,
  latest_at timestamptz,
  latest_event uuid,
  primary key (tenant_id, meter, hour, grp, period)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.usage_counters is
  'Usage by hour and group: added to in the transaction that takes the events out of the inbox, so each is counted exactly once.';
comment on column signalops.usage_counters.tenant_id is 'Whose usage it is.';
comment on column signalops.usage_counters.meter is 'The meter''s key; events: all events.';
comment on column signalops.usage_counters.hour is 'Start of the hour in which the events happened, in the tenant''s time zone.';
comment on column signalops.usage_counters.grp is 'The group, as the JSON list of the values of the meter''s group_by; [] when it has none.';
comment on column signalops.usage_counters.period is 'The billing period that it is billed in, by its first day.';
comment on column signalops.usage_counters.aggregation is 'The meter''s: what is made of the events.';
comment on column signalops.usage_counters.is_late is 'Whether the period in which the events happened was closed already.';
comment on column signalops.usage_counters.events is 'How many events.';
comment on column signalops.usage_counters.value is 'Their number (count), sum (sum, avg), extreme (max, min) or latest value; NULL for unique_count.';
comment on column signalops.usage_counters.latest_at is 'When the latest of them happened; NULL but for latest.';
comment on column signalops.usage_counters.latest_event is 'The latest of them; NULL but for latest.';
call signalops.protect('signalops.usage_counters');
call signalops.admit_group('signalops.usage_counters', 'signalops_worker');
grant select on signalops.usage_counters to signalops_api;
grant select, insert, update on signalops.usage_counters to signalops_worker;
-- Serves usage_by for what is billed late: few rows, which lie in hours long before their period.
create index usage_counters_late on signalops.usage_counters (tenant_id, period, meter) where is_late;

create table signalops.usage_items (
  tenant_id uuid not null,
  meter text not null,
  hour timestamptz not null,
  grp text not null,
  period date not null,
  item text not null,
  primary key (tenant_id, meter, hour, grp, period, item)
);
comment on table signalops.usage_items is 'The different values that a meter of unique_count has met, by hour: those of a day or a month are not the sum of the hours''.';
comment on column signalops.usage_items.tenant_id is 'Whose usage it is.';
comment on column signalops.usage_items.meter is 'The meter''s key.';
comment on column signalops.usage_items.hour is 'As of the counter.';
comment on column signalops.usage_items.grp is 'As of the counter.';
comment on column signalops.usage_items.period is 'As of the counter.';
comment on column signalops.usage_items.item is 'The value as JSON; long ones as their SHA-256.';
call signalops.protect('signalops.usage_items');
call signalops.admit_group('signalops.usage_items', 'signalops_worker');
grant select on signalops.usage_items to signalops_api;
grant select, insert on signalops.usage_items to signalops_worker;

create table signalops.usage_adjustments (
  tenant_id uuid not null references signalops.tenants (id) on delete cascade,
  id uuid not null,
  meter text not null,
  hour timestamptz not null,
  grp text not null,
  period date not null,
  is_late boolean not null,
  quantity numeric not null check (quantity <> 0 and quantity not in ('NaN', 'Infinity', '-Infinity')),
  reason text not null check (length(reason) between 1 and 500),
  author text not null check (length(author) between 1 and 200),
  key_id uuid,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
comment on table signalops.usage_adjustments is 'Corrections of usage by a person, on record beside what was counted and never within it.';
comment on column signalops.usage_adjustments.tenant_id is 'Whose usage it corrects.';
comment on column signalops.usage_adjustments.id is 'UUIDv7.';
comment on column signalops.usage_adjustments.meter is 'The meter''s key; one that counts, sums or counts different values.';
comment on column signalops.usage_adjustments.hour is 'As of a counter: the hour whose usage is corrected.';
comment on column signalops.usage_adjustments.grp is 'As of a counter.';
comment on column signalops.usage_adjustments.period is 'The billing period that it is billed in, by its first day.';
comment on column signalops.usage_adjustments.is_late is 'Whether the period of the hour was closed already.';
comment on column signalops.usage_adjustments.quantity is 'What is added, in the meter''s unit; negative: taken off.';
comment on column signalops.usage_adjustments.reason is 'Why.';
comment on column signalops.usage_adjustments.author is 'Who answers for it.';
comment on column signalops.usage_adjustments.key_id is 'The API key it came with; NULL: from the command line.';
comment on column signalops.usage_adjustments.created_at is 'When it was made.';
call signalops.protect('signalops.usage_adjustments');
grant select, insert on signalops.usage_adjustments to signalops_api;
grant select on signalops.usage_adjustments to signalops_worker;
-- Serves usage_by.
create index usage_adjustments_by_meter on signalops.usage_adjustments (tenant_id, meter, hour);

-- The proof reads all that figures are made of, of every tenant.
call signalops.admit_owner('signalops.meters', 'The command line lists the meters of a tenant; the audit reads what they count.');
call signalops.admit_owner('signalops.usage_entries', 'The audit holds counters against their entries.');
call signalops.admit_owner('signalops.usage_counters', 'The audit holds counters against their entries.');
call signalops.admit_owner('signalops.usage_items', 'The audit counts different values anew.');
call signalops.admit_owner('signalops.usage_adjustments', 'The command line corrects usage; the audit reads the corrections.');
call signalops.admit_owner('signalops.batches', 'The audit holds what was accepted against what was processed.');
call signalops.admit_owner('signalops.dead_letters', 'The audit counts the events that died.');

do $$ begin perform signalops.make_partitions(); end $$;

-- What was counted by day of receipt is counted anew, from the events: a figure without its entries could not be proven.
insert into signalops.usage_entries (tenant_id, meter, period, id, batch, hour, grp, is_late, events, value, event_ids)
select e.tenant_id, 'events', signalops.period_of(e.hour, 'UTC'), signalops.new_id(), e.batch, e.hour, '[]', false, count(*), count(*), array_agg(e.id)
from (
  select s.tenant_id, s.id, s.batch, date_trunc('hour', least(s.occurred_at, signalops.time_of(s.id)), 'UTC') as hour
  from signalops.event_status s where s.depth = 0 and s.status = 'processed'
) e
group by e.tenant_id, e.batch, e.hour;
insert into signalops.usage_counters (tenant_id, meter, hour, grp, period, aggregation, is_late, events, value)
select tenant_id, meter, hour, grp, period, 'count', false, sum(events), sum(value) from signalops.usage_entries
group by tenant_id, meter, hour, grp, period;
drop table signalops.usage_counters_by_day;

drop function signalops.read_batch(uuid);
create function signalops.read_batch(wanted uuid)
returns table (tenant uuid, ruleset bigint, metering bigint, time_zone text, closed_until timestamptz, events text)
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
  -- Closing a period waits for every transaction that may have read an older closed_until. Taking the batch gave this one its
  -- number, by which it is waited for; so closed_until is read after that, in a statement of its own.
  return query
    select t.tenant_id, coalesce((select r.version from signalops.rulesets r where r.tenant_id = t.tenant_id), 0),
      n.metering, n.time_zone, n.closed_until,
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
    cross join lateral (
      select s.metering, s.time_zone, s.closed_until from signalops.tenants s where s.id = t.tenant_id limit 1
    ) n
    group by t.tenant_id, n.metering, n.time_zone, n.closed_until;
  perform signalops.act_for(null);
end
$$;
comment on function signalops.read_batch(uuid) is
  'Takes a batch and returns its events by tenant, with the versions of the rules and meters to use, the time zone, and until when '
  'the tenant''s billing periods are closed: [{id, depth, type, source, occurredAt, payload, attributes, replay, replay_rules}].';

create function signalops.count_usage(in_batch uuid, metered jsonb) returns void
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  -- Items and counters stay locked until the commit: each in one order, so that two workers can't lock each other out.
  if metered @? '$[*].items' then
    insert into signalops.usage_items (tenant_id, meter, hour, grp, period, item)
    select m.tenant, m.meter, m.hour, m.grp, m.period, i.item
    from jsonb_to_recordset(metered) as m (tenant uuid, meter text, period date, hour timestamptz, grp text, items jsonb),
      jsonb_array_elements_text(m.items) as i (item)
    order by m.tenant, m.meter, m.hour, m.grp, m.period, i.item
    on conflict do nothing;
  end if;

  -- One statement: reading the elements costs as much as storing them. Their ids are made by the worker: here it took 3 us each.
  with counted as materialized (
    select * from jsonb_to_recordset(metered) as m (tenant uuid, id uuid, meter text, aggregation text, period date,
      hour timestamptz, grp text, is_late boolean, events integer, value numeric, latest_at timestamptz, latest_event uuid,
      event_ids uuid[])
  ), entered as (
    insert into signalops.usage_entries
      (tenant_id, meter, period, id, batch, hour, grp, is_late, events, value, latest_at, latest_event, event_ids)
    select tenant, meter, period, id, in_batch, hour, grp, is_late, events, value, latest_at, latest_event, event_ids from counted
  )
  insert into signalops.usage_counters as u
    (tenant_id, meter, hour, grp, period, aggregation, is_late, events, value, latest_at, latest_event)
  select tenant, meter, hour, grp, period, aggregation, is_late, events, value, latest_at, latest_event
  from counted order by tenant, meter, hour, grp, period
  on conflict (tenant_id, meter, hour, grp, period) do update set
    events = u.events + excluded.events,
    value = case u.aggregation when 'max' then greatest(u.value, excluded.value) when 'min' then least(u.value, excluded.value)
      when 'latest' then case when (excluded.latest_at, excluded.latest_event) > (u.latest_at, u.latest_event)
        then excluded.value else u.value end
      else u.value + excluded.value end,
    latest_event = case when (excluded.latest_at, excluded.latest_event) > (u.latest_at, u.latest_event)
      then excluded.latest_event else u.latest_event end,
    latest_at = greatest(u.latest_at, excluded.latest_at);
end
$$;
comment on function signalops.count_usage(uuid, jsonb) is
  'Adds to the counters what a batch counts, with its entries: [{tenant, id, meter, aggregation, period, hour, grp, is_late, events, '
  'value, latest_at, latest_event, event_ids, items}], one element for each counter.';

alter table signalops.batches
  add column metering bigint not null default 0,
  add column billed integer;
update signalops.batches b set billed = (
  select count(*) from signalops.event_status e where e.tenant_id = b.tenant_id and e.batch = b.batch and e.depth = 0 and e.status = 'processed');
alter table signalops.batches alter column billed set not null;
comment on column signalops.batches.metering is 'The version of the tenant''s meters that it used.';
comment on column signalops.batches.billed is 'Events of these that were counted: neither operational events nor replays.';

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
  insert into signalops.batches as b (tenant_id, batch, job_id, worker, ruleset, rules, metering, events, billed, dead)
  select p.tenant, in_batch, job, worker, p.ruleset, p.rules, p.metering, p.events, p.billed, p.dead
  from jsonb_to_recordset(results -> 'parts')
    as p (tenant uuid, ruleset bigint, rules integer, metering bigint, events integer, billed integer, dead integer)
  on conflict (tenant_id, batch) do update set events = b.events + excluded.events, billed = b.billed + excluded.billed,
    dead = b.dead + excluded.dead, processed_at = clock_timestamp();

  -- Last, since turns and counters stay locked until the commit; and in one order, so that two workers can't lock each other out.
  if decided <> '[]' then
    perform signalops.start_deliveries(decided);
  end if;
  if results -> 'metered' <> '[]' then
    perform signalops.count_usage(in_batch, results -> 'metered');
  end if;

  perform signalops.act_for(null);
end
$$;
comment on function signalops.record_batch(uuid, bigint, text, jsonb) is
  'Records what was decided about a batch: matches, deliveries with their jobs, dead events, usage. {parts: [{tenant, ruleset, rules, '
  'metering, events, billed, dead}], matches: [{tenant, event, rule, version, channel, delivery, outcome, not_before, context, replay}], '
  'groups: what signalops.weigh takes, dead: [{tenant, event, error}], metered: what count_usage takes}.';
