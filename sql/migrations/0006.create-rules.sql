-- Rules with their versions, what matched, and what rules over time remember.
-- Stage: pre

create table signalops.rules (
  tenant_id uuid not null references signalops.tenants on delete cascade,
  id uuid not null,
  name text not null check (length(name) between 1 and 200),
  active_version integer not null check (active_version > 0),
  enabled boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  enabled_at timestamptz,
  deleted_at timestamptz,
  primary key (tenant_id, id),
  check (deleted_at is null or not enabled)
);
comment on table signalops.rules is 'A tenant''s rules; their content is in the versions.';
comment on column signalops.rules.tenant_id is 'Whose rule it is.';
comment on column signalops.rules.id is 'UUIDv7.';
comment on column signalops.rules.name is 'What the tenant calls it.';
comment on column signalops.rules.active_version is 'The version that decides now.';
comment on column signalops.rules.enabled is 'false: it is not evaluated.';
comment on column signalops.rules.created_at is 'When it was made.';
comment on column signalops.rules.updated_at is 'When it was changed last.';
comment on column signalops.rules.enabled_at is 'When it was enabled again; NULL: it was never disabled.';
comment on column signalops.rules.deleted_at is
  'When it was deleted; NULL: it is not. The row stays, since matches name its versions; its name is free again.';
-- Serves add-rule: a tenant has one rule of a name.
create unique index rules_by_name on signalops.rules (tenant_id, name) where deleted_at is null;

create table signalops.rule_versions (
  tenant_id uuid not null,
  rule_id uuid not null,
  version integer not null check (version > 0),
  grammar smallint not null,
  pattern jsonb not null,
  channel_id uuid not null,
  template jsonb not null,
  created_at timestamptz not null default now(),
  state_version integer not null default 1,
  conditions integer not null default 1 check (conditions > 0),
  severity text not null default 'info' check (severity in ('info', 'warning', 'error', 'critical')),
  time_window jsonb,
  absent jsonb,
  cooldown jsonb,
  digest jsonb,
  active_hours jsonb,
  primary key (tenant_id, rule_id, version),
  foreign key (tenant_id, channel_id) references signalops.channels,
  foreign key (tenant_id, rule_id) references signalops.rules on delete cascade,
  check (state_version >= 1 and state_version <= version),
  check (absent is null or time_window is null)
);
comment on table signalops.rule_versions is
  'What a rule said, version by version; a version never changes, and every match names the one that decided it.';
comment on column signalops.rule_versions.tenant_id is 'Whose rule it is.';
comment on column signalops.rule_versions.rule_id is 'The rule.';
comment on column signalops.rule_versions.version is '1, 2, 3 ...';
comment on column signalops.rule_versions.grammar is
  'The grammar that the pattern is written in: 1 = field path to value, 2 = event patterns. Upgraded when read.';
comment on column signalops.rule_versions.pattern is 'The condition, as it was written.';
comment on column signalops.rule_versions.channel_id is 'The action: the channel to notify.';
comment on column signalops.rule_versions.template is 'The action: {subject, body} in Liquid; what is missing gets a default.';
comment on column signalops.rule_versions.created_at is 'When it was made.';
comment on column signalops.rule_versions.state_version is
  'The version from which pattern, time_window and absent have stood as they do: what was counted since then still counts.';
comment on column signalops.rule_versions.conditions is
  'How many conditions the pattern has once every $or is expanded: its cost in memory once compiled.';
comment on column signalops.rule_versions.severity is 'info, warning, error or critical: how urgent a notification is.';
comment on column signalops.rule_versions.time_window is
  'Fires once when enough happens within a time: {count | sum | distinct, within, groupBy, lateness}; NULL: on each match.';
comment on column signalops.rule_versions.absent is 'Fires when nothing matches for a time: {after, groupBy, lateness}; NULL: on matches.';
comment on column signalops.rule_versions.cooldown is 'After a notification none for a time, per group: {for, groupBy}; NULL: none.';
comment on column signalops.rule_versions.digest is 'Matches are collected into one notification: {every} or {at, timeZone}; NULL: one each.';
comment on column signalops.rule_versions.active_hours is 'When notifications go out: {timeZone, days, from, to, otherwise}; NULL: at any time.';
-- Serves count-versions: those of the last days.
create index rule_versions_recent on signalops.rule_versions (tenant_id, created_at);

create table signalops.ruleset_versions (
  tenant_id uuid primary key references signalops.tenants on delete cascade,
  version bigint not null default 1
);
comment on table signalops.ruleset_versions is 'How often a tenant''s rules changed: a worker''s compiled rules are valid for one value only.';
comment on column signalops.ruleset_versions.tenant_id is 'Whose rules they are.';
comment on column signalops.ruleset_versions.version is 'Counted up in the transaction of each change.';

create table signalops.silences (
  tenant_id uuid not null references signalops.tenants on delete cascade,
  id uuid not null,
  grammar smallint not null,
  pattern jsonb not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  reason text not null check (length(reason) between 1 and 500),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  check (starts_at < ends_at)
);
comment on table signalops.silences is 'Time ranges in which matches of some events notify nobody. The events are evaluated and counted as usual.';
comment on column signalops.silences.tenant_id is 'Whose silence it is.';
comment on column signalops.silences.id is 'UUIDv7.';
comment on column signalops.silences.grammar is 'The grammar that the pattern is written in.';
comment on column signalops.silences.pattern is 'Which events: a pattern as rules have it.';
comment on column signalops.silences.starts_at is 'From when on.';
comment on column signalops.silences.ends_at is 'Until when; ended early, it is set to that moment.';
comment on column signalops.silences.reason is 'Why, for those who wonder where their notification is.';
comment on column signalops.silences.created_at is 'When it was made.';

create table signalops.matches (
  tenant_id uuid not null,
  event_id uuid not null,
  rule_id uuid not null,
  rule_version integer not null,
  outcome text not null default 'notified' check (outcome in ('notified', 'counted', 'late', 'ignored', 'silenced', 'outside_hours',
    'cooldown', 'digested')),
  primary key (tenant_id, event_id, rule_id)
) partition by range (event_id);
comment on table signalops.matches is 'Which rule, in which version, matched which event. Partitioned as events are.';
comment on column signalops.matches.tenant_id is 'Whose event it is.';
comment on column signalops.matches.event_id is 'The event.';
comment on column signalops.matches.rule_id is 'The rule that matched.';
comment on column signalops.matches.rule_version is 'The version that decided.';
comment on column signalops.matches.outcome is
  'notified: a delivery was made. counted: towards a window or absence. late, ignored: not counted (came in too late; the measured field is '
  'missing). silenced, outside_hours (active hours), cooldown: no notification. digested: in a digest with others.';

create table signalops.rule_states (
  tenant_id uuid not null,
  rule_id uuid not null,
  state_version integer not null,
  group_key text not null,
  labels jsonb not null,
  last_match_at timestamptz,
  notified_ranges tstzmultirange not null default '{}',
  cooldown_until timestamptz,
  due_at timestamptz,
  expires_at timestamptz not null,
  causation_depth smallint not null default 0,
  primary key (tenant_id, rule_id, state_version, group_key)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.rule_states is 'What a rule remembers of each of its groups. Its row lock makes many workers count as one.';
comment on column signalops.rule_states.tenant_id is 'Whose rule it is.';
comment on column signalops.rule_states.rule_id is 'The rule.';
comment on column signalops.rule_states.state_version is 'The state''s version: rule_versions.state_version.';
comment on column signalops.rule_states.group_key is
  'The JSON list of the values of the fields it groups by, or its hash; []: the rule does not group.';
comment on column signalops.rule_states.labels is 'The same values by field, for people.';
comment on column signalops.rule_states.last_match_at is 'The latest event time of a match; NULL: none since the rule was enabled.';
comment on column signalops.rule_states.notified_ranges is
  'The ranges of event time in which a window was reached and notified: an event that extends one of them does not notify again.';
comment on column signalops.rule_states.cooldown_until is 'Until when the cooldown lasts.';
comment on column signalops.rule_states.due_at is 'When an absence fires, unless something matches before; NULL: it fired, or the rule has none.';
comment on column signalops.rule_states.expires_at is 'When nothing that it remembers can matter any more.';
comment on column signalops.rule_states.causation_depth is 'The causation_depth of the latest match (see events.causation_depth): the notice of an absence is one deeper.';
-- Serves fire_absences.
create index rule_states_by_due on signalops.rule_states (due_at) where due_at is not null;
-- Serves expire_rule_states.
create index rule_states_by_expiry on signalops.rule_states (expires_at);
-- Serves unpark_rule_states.
create index rule_states_parked on signalops.rule_states (tenant_id) where due_at = 'infinity';

create table signalops.window_events (
  tenant_id uuid not null,
  rule_id uuid not null,
  state_version integer not null,
  group_key text not null,
  at timestamptz not null,
  event_id uuid not null,
  value numeric not null,
  distinct_value text,
  primary key (tenant_id, rule_id, state_version, group_key, at, event_id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.window_events is 'The matches in rules'' windows: as long as one of them, or a late one, may need them.';
comment on column signalops.window_events.tenant_id is 'Whose rule it is.';
comment on column signalops.window_events.rule_id is 'The rule.';
comment on column signalops.window_events.state_version is 'As in rule_states.';
comment on column signalops.window_events.group_key is 'As in rule_states.';
comment on column signalops.window_events.at is 'Event time: when it occurred, but not after it came in.';
comment on column signalops.window_events.event_id is 'The event.';
comment on column signalops.window_events.value is 'What it adds: 1, or the measured number of a sum.';
comment on column signalops.window_events.distinct_value is 'The measured value where distinct ones count, as canonical JSON or its hash; else NULL.';

create table signalops.digests (
  tenant_id uuid not null,
  rule_id uuid not null,
  rule_version integer not null,
  channel_id uuid not null,
  opened_at timestamptz not null default clock_timestamp(),
  due_at timestamptz not null,
  matched bigint not null check (matched > 0),
  events uuid[] not null,
  causation_depth smallint not null,
  primary key (tenant_id, rule_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.digests is 'The digests that are being collected. The transaction that removes one makes its delivery.';
comment on column signalops.digests.tenant_id is 'Whose rule it is.';
comment on column signalops.digests.rule_id is 'The rule.';
comment on column signalops.digests.rule_version is 'The version that collected last: its template is rendered.';
comment on column signalops.digests.channel_id is 'Where that version sends to.';
comment on column signalops.digests.opened_at is 'When the first match came.';
comment on column signalops.digests.due_at is 'When it is sent.';
comment on column signalops.digests.matched is 'How many matches it collected.';
comment on column signalops.digests.events is 'The first 100 of their events.';
comment on column signalops.digests.causation_depth is 'The largest causation_depth of them (see events.causation_depth).';
-- Serves flush_digests.
create index digests_by_due on signalops.digests (due_at);

create table signalops.backtests (
  tenant_id uuid not null references signalops.tenants on delete cascade,
  id uuid not null,
  request jsonb not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  status text not null default 'queued' check (status in ('queued', 'running', 'done', 'failed', 'cancelled')),
  iterations integer not null default 0,
  scanned bigint not null default 0,
  scanned_until timestamptz,
  state jsonb,
  result jsonb,
  error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  check (ends_at > starts_at),
  check (state is null or status = 'running'),
  check (((error is not null) = (status = 'failed')) and length(error) <= 500)
);
comment on table signalops.backtests is
  'Backtests of rules on past events. A job works for about a second and saves its state here: the newest 50 of a tenant.';
comment on column signalops.backtests.tenant_id is 'Whose events they are.';
comment on column signalops.backtests.id is 'UUIDv7.';
comment on column signalops.backtests.request is
  'The request with its rules as they were then: {candidate, baseline, silences, types, examples}.';
comment on column signalops.backtests.starts_at is 'Events received from then on.';
comment on column signalops.backtests.ends_at is 'Events received before.';
comment on column signalops.backtests.status is 'queued -> running -> done; or -> failed, or -> cancelled.';
comment on column signalops.backtests.iterations is 'How many iterations of the work are saved: of two workers at one slice only the first saves it.';
comment on column signalops.backtests.scanned is 'Events looked through.';
comment on column signalops.backtests.scanned_until is 'All events received before are looked through; NULL: not begun.';
comment on column signalops.backtests.state is 'From where the next slice goes on; NULL before the first and after the last.';
comment on column signalops.backtests.result is 'What was found, so far or in the end.';
comment on column signalops.backtests.error is 'Why it failed, in a sentence.';
comment on column signalops.backtests.created_at is 'When it was asked for.';
comment on column signalops.backtests.updated_at is 'When it was saved last.';
