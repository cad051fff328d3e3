-- Meters, the usage they count, limits and corrections.
-- Stage: pre

create table signalops.meters (
  tenant_id uuid not null references signalops.tenants on delete cascade,
  key text not null check (key ~ '^[a-z][a-z0-9_]{0,62}$' and key <> 'events'),
  first_version bigint not null,
  end_version bigint,
  name text not null check (length(name) between 1 and 200),
  aggregation text not null check (aggregation in ('count', 'sum', 'max', 'min', 'avg', 'latest', 'unique_count')),
  field text,
  grammar smallint not null,
  pattern jsonb not null check (jsonb_typeof(pattern) = 'object'),
  group_by text[] not null default '{}',
  unit text check (length(unit) between 1 and 63),
  origin text not null default 'tenant' check (origin in ('tenant', 'plan')),
  created_at timestamptz not null default now(),
  ended_at timestamptz,
  allows_negative boolean not null default true,
  primary key (tenant_id, key, first_version),
  check (end_version > first_version),
  check ((field is null) = (aggregation = 'count')),
  check ((ended_at is null) = (end_version is null))
);
comment on table signalops.meters is
  'What of a tenant''s events is counted, besides their number (the meter events). Never changed, only ended: a key never changes its meaning.';
comment on column signalops.meters.tenant_id is 'Whose events it counts.';
comment on column signalops.meters.key is 'Its name in usage, prices and limits, such as api_calls.';
comment on column signalops.meters.first_version is 'The first version of the tenant''s meters_version in which it counts.';
comment on column signalops.meters.end_version is 'The first version in which it counts no more; NULL: it counts.';
comment on column signalops.meters.name is 'The name for people.';
comment on column signalops.meters.aggregation is
  'What is made of the events: how many, or of a field the sum, max, min, avg, latest value, or how many different ones.';
comment on column signalops.meters.field is 'Path of the field, such as payload.bytes; NULL for count.';
comment on column signalops.meters.grammar is 'Version of the pattern language.';
comment on column signalops.meters.pattern is 'Which events it counts, in the language of rules.';
comment on column signalops.meters.group_by is 'Paths of the fields by which it keeps its figures apart.';
comment on column signalops.meters.unit is 'What it counts in, such as GB; NULL: pieces.';
comment on column signalops.meters.origin is 'tenant: its own; plan: brought by its plan.';
comment on column signalops.meters.created_at is 'When it was made; what was processed before is not counted.';
comment on column signalops.meters.ended_at is 'When it ended; NULL: it counts.';
comment on column signalops.meters.allows_negative is
  'Whether values below 0 count; for a plan''s meter only if the plan allows it, since the billed tenant sends them.';
-- Serves active-meters. And there is one meter of a key at a time.
create unique index meters_active on signalops.meters (tenant_id, key) where end_version is null;

create table signalops.usage_counters (
  tenant_id uuid not null,
  meter text not null,
  hour timestamptz not null,
  group_key text not null,
  period date not null check (extract(day from period) = 1),
  aggregation text not null,
  is_late boolean not null,
  events bigint not null check (events > 0),
  value numeric,
  latest_at timestamptz,
  latest_event uuid,
  primary key (tenant_id, meter, hour, group_key, period)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.usage_counters is
  'Usage by hour and group: added to in the transaction that takes the events out of the inbox, so each is counted exactly once.';
comment on column signalops.usage_counters.tenant_id is 'Whose usage it is.';
comment on column signalops.usage_counters.meter is 'The meter''s key; events: all events.';
comment on column signalops.usage_counters.hour is 'Start of the hour in which the events happened, in the tenant''s time zone.';
comment on column signalops.usage_counters.group_key is 'The group, as the JSON list of the values of the meter''s group_by; [] when it has none.';
comment on column signalops.usage_counters.period is 'The billing period that it is billed in, by its first day.';
comment on column signalops.usage_counters.aggregation is 'The meter''s: what is made of the events.';
comment on column signalops.usage_counters.is_late is 'Whether the period in which the events happened was closed already.';
comment on column signalops.usage_counters.events is 'How many events.';
comment on column signalops.usage_counters.value is
  'Their number (count), sum (sum, avg), extreme (max, min) or latest value; NULL for unique_count.';
comment on column signalops.usage_counters.latest_at is 'When the latest of them happened; NULL except for the aggregation latest.';
comment on column signalops.usage_counters.latest_event is 'The latest of them; NULL except for the aggregation latest.';
-- Serves usage_by for what is billed late: few rows, which lie in hours long before their period.
create index usage_counters_late on signalops.usage_counters (tenant_id, period, meter) where is_late;

create table signalops.usage_entries (
  tenant_id uuid not null,
  meter text not null,
  period date not null,
  id uuid not null,
  batch uuid not null,
  hour timestamptz not null,
  group_key text not null,
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
comment on column signalops.usage_entries.group_key is 'The group, as the JSON list of the values of the meter''s group_by; [] when it has none.';
comment on column signalops.usage_entries.is_late is 'Whether the period in which the events happened was closed already.';
comment on column signalops.usage_entries.events is 'How many events.';
comment on column signalops.usage_entries.value is 'Their number (count), sum (sum, avg), extreme (max, min) or latest value; NULL for unique_count.';
comment on column signalops.usage_entries.latest_at is 'When the latest of them happened; NULL except for the aggregation latest.';
comment on column signalops.usage_entries.latest_event is 'The latest of them; NULL except for the aggregation latest.';
comment on column signalops.usage_entries.event_ids is 'The events.';

create table signalops.usage_distinct_values (
  tenant_id uuid not null,
  meter text not null,
  hour timestamptz not null,
  group_key text not null,
  period date not null,
  distinct_value text not null,
  primary key (tenant_id, meter, hour, group_key, period, distinct_value)
) with (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
comment on table signalops.usage_distinct_values is
  'The different values that a meter of unique_count has met, by hour: those of a day or a month are not the sum of the hours''.';
comment on column signalops.usage_distinct_values.tenant_id is 'Whose usage it is.';
comment on column signalops.usage_distinct_values.meter is 'The meter''s key.';
comment on column signalops.usage_distinct_values.hour is 'As of the counter.';
comment on column signalops.usage_distinct_values.group_key is 'As of the counter.';
comment on column signalops.usage_distinct_values.period is 'As of the counter.';
comment on column signalops.usage_distinct_values.distinct_value is 'The value as JSON; long ones as their SHA-256.';

create table signalops.usage_row_counts (
  tenant_id uuid not null,
  period date not null,
  rows bigint not null check (rows >= 0),
  limited_from_version bigint,
  primary key (tenant_id, period)
) with (fillfactor = 50);
comment on table signalops.usage_row_counts is
  'How many counters of groups and distinct values a tenant''s usage of a month takes: what one event can multiply.';
comment on column signalops.usage_row_counts.tenant_id is 'Whose usage it is.';
comment on column signalops.usage_row_counts.period is 'As of the counters.';
comment on column signalops.usage_row_counts.rows is 'Rows of usage_distinct_values, and of usage_counters with a group.';
comment on column signalops.usage_row_counts.limited_from_version is
  'The version of the meters from which on neither groups nor distinct values are counted for the month; NULL: they are.';
-- Serves limit_cardinality: the months that are still counted for.
create index usage_sizes_by_period on signalops.usage_row_counts (period) where limited_from_version is null;

create table signalops.limits (
  tenant_id uuid not null references signalops.tenants on delete cascade,
  meter text not null,
  origin text not null check (origin in ('tenant', 'plan')),
  starts_on date not null,
  soft numeric check (soft >= 0 and soft < 'Infinity'),
  hard numeric check (hard >= 0 and hard < 'Infinity'),
  thresholds smallint[] not null default '{}' check ((1 <= all (thresholds)) and (1000 >= all (thresholds)) and
    (array_position(thresholds, null) is null) and cardinality(thresholds) <= 20),
  overage text not null default 'refuse' check (overage in ('refuse', 'accept')),
  set_at timestamptz not null default now(),
  primary key (tenant_id, meter, origin, starts_on),
  check ((thresholds = '{}') or (coalesce(soft, hard) is not null))
);
comment on table signalops.limits is
  'How much of a meter may be accepted in a calendar month. The tenant''s own go before its plan''s, later ones before earlier ones.';
comment on column signalops.limits.tenant_id is 'Whose limit it is.';
comment on column signalops.limits.meter is 'The key of the meter: events, or one that counts or sums.';
comment on column signalops.limits.origin is 'tenant: agreed with it; plan: brought by its plan.';
comment on column signalops.limits.starts_on is 'The first day, in the tenant''s time zone, on which it is in effect.';
comment on column signalops.limits.soft is 'The amount at which a notice is emitted; NULL: none.';
comment on column signalops.limits.hard is
  'The amount beyond which events are refused, or marked; NULL: none. With neither soft nor hard there is no limit.';
comment on column signalops.limits.thresholds is 'Percentages of hard (of soft, without hard) at which notices are emitted.';
comment on column signalops.limits.overage is 'Overage beyond hard: refuse, or accept (and mark).';
comment on column signalops.limits.set_at is 'When it was set.';

create table signalops.accepted_counters (
  tenant_id uuid not null,
  period date not null check (extract(day from period) = 1),
  accepted numeric not null default 0 check (accepted >= 0 and accepted < 'Infinity'),
  meter text not null default 'events',
  notified jsonb not null default '{}' check (jsonb_typeof(notified) = 'object'),
  next_threshold numeric not null default 0,
  limited_meters_version bigint not null default 0,
  primary key (tenant_id, period, meter)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.accepted_counters is
  'What was accepted in a month of each limited meter and of events, counted in the accepting transaction: the limit is exact across processes.';
comment on column signalops.accepted_counters.tenant_id is 'Whose count it is.';
comment on column signalops.accepted_counters.period is 'First day of the calendar month, in the tenant''s time zone.';
comment on column signalops.accepted_counters.accepted is 'The amount accepted; duplicates, refusals and operational events do not count.';
comment on column signalops.accepted_counters.meter is 'The meter''s key.';
comment on column signalops.accepted_counters.notified is
  'The amounts of which the tenant was notified, by threshold or limit: {"50": 60000, "soft": 100000, "hard": 120000}, where 50 is a threshold.';
comment on column signalops.accepted_counters.next_threshold is
  'Fast-path bound: below this amount no limit or threshold can be reached, so accept skips all checks. 0: unknown, take the slow path.';
comment on column signalops.accepted_counters.limited_meters_version is
  'The tenants.limited_meters_version of its counts; a row with an older one (its meter had no limit) starts again from usage_counters.';

create table signalops.usage_adjustments (
  tenant_id uuid not null references signalops.tenants on delete cascade,
  id uuid not null,
  meter text not null,
  hour timestamptz not null,
  group_key text not null,
  period date not null,
  is_late boolean not null,
  quantity numeric not null check (quantity <> 0 and quantity not in ('NaN', 'Infinity', '-Infinity')),
  reason text not null check (length(reason) between 1 and 500),
  author text not null check (length(author) between 1 and 200),
  key_id uuid,
  created_at timestamptz not null default now(),
  idempotency_key text check (length(idempotency_key) between 1 and 255),
  body_hash bytea,
  constraint usage_adjustments_by_key unique (tenant_id, idempotency_key),
  primary key (tenant_id, id),
  check ((body_hash is null) = (idempotency_key is null))
);
comment on table signalops.usage_adjustments is 'Corrections of usage by a person, on record beside what was counted and never within it.';
comment on column signalops.usage_adjustments.tenant_id is 'Whose usage it corrects.';
comment on column signalops.usage_adjustments.id is 'UUIDv7.';
comment on column signalops.usage_adjustments.meter is 'The meter''s key; one that counts, sums or counts different values.';
comment on column signalops.usage_adjustments.hour is 'As of a counter: the hour whose usage is corrected.';
comment on column signalops.usage_adjustments.group_key is 'As of a counter.';
comment on column signalops.usage_adjustments.period is 'The billing period that it is billed in, by its first day.';
comment on column signalops.usage_adjustments.is_late is 'Whether the period of the hour was closed already.';
comment on column signalops.usage_adjustments.quantity is 'What is added, in the meter''s unit; negative: taken off.';
comment on column signalops.usage_adjustments.reason is 'Why.';
comment on column signalops.usage_adjustments.author is 'Who answers for it.';
comment on column signalops.usage_adjustments.key_id is 'The API key it came with; NULL: from the command line.';
comment on column signalops.usage_adjustments.created_at is 'When it was made.';
comment on column signalops.usage_adjustments.idempotency_key is 'With which it was sent; NULL: without one.';
comment on column signalops.usage_adjustments.body_hash is 'SHA-256 of what was sent with the key: the key stands for nothing else.';
-- Serves usage_by.
create index usage_adjustments_by_meter on signalops.usage_adjustments (tenant_id, meter, hour);
