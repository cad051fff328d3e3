-- Station rules: conditions over time, noise control and severity in the versions of a rule; deletion that keeps them; silences.

alter table signalops.rule_versions
  add column since integer not null default 1 check (since between 1 and version),
  add column conditions integer not null default 1 check (conditions > 0),
  add column severity text not null default 'info' check (severity in ('info', 'warning', 'error', 'critical')),
  add column time_window jsonb,
  add column absent jsonb check (absent is null or time_window is null),
  add column cooldown jsonb,
  add column digest jsonb,
  add column active_hours jsonb;
comment on column signalops.rule_versions.since is
  'The version from which pattern, time_window and absent have stood as they do: what was counted since then still counts.';
comment on column signalops.rule_versions.conditions is
  'How many conditions the pattern has once every $or is expanded: what it costs to hold it compiled.';
comment on column signalops.rule_versions.severity is 'info, warning, error or critical: how urgent a notification is.';
comment on column signalops.rule_versions.time_window is
  'Fires once when enough happens within a time: {count | sum | distinct, within, groupBy, lateness}; NULL: on each match.';
comment on column signalops.rule_versions.absent is
  'Fires when nothing matches for a time: {after, groupBy, lateness}; NULL: on matches.';
comment on column signalops.rule_versions.cooldown is 'After a notification none for a time, per group: {for, groupBy}; NULL: none.';
comment on column signalops.rule_versions.digest is 'Matches are collected and told together: {every} or {at, timeZone}; NULL: at once.';
comment on column signalops.rule_versions.active_hours is
  'When notifications go out: {timeZone, days, from, to, otherwise}; NULL: at any time.';

alter table signalops.rules
  add column updated_at timestamptz not null default now(),
  add column enabled_at timestamptz,
  add column deleted_at timestamptz check (deleted_at is null or not enabled),
  drop constraint rules_tenant_id_name_key;
comment on column signalops.rules.updated_at is 'When it was changed last.';
comment on column signalops.rules.enabled_at is 'When it was enabled again; NULL: it was never disabled.';
comment on column signalops.rules.deleted_at is
  'When it was deleted; NULL: it is not. The row stays, since matches name its versions; its name is free again.';
-- Serves add-rule: a tenant has one rule of a name.
create unique index rules_by_name on signalops.rules (tenant_id, name) where deleted_at is null;
revoke delete on signalops.rules from signalops_api;

create table signalops.silences (
  tenant_id uuid not null references signalops.tenants (id) on delete cascade,
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
comment on table signalops.silences is 'Times in which matches of some events notify nobody. They are evaluated and counted all the same.';
comment on column signalops.silences.tenant_id is 'Whose silence it is.';
comment on column signalops.silences.id is 'UUIDv7.';
comment on column signalops.silences.grammar is 'The grammar that the pattern is written in.';
comment on column signalops.silences.pattern is 'Which events: a pattern as rules have it.';
comment on column signalops.silences.starts_at is 'From when on.';
comment on column signalops.silences.ends_at is 'Until when; ended early, it is set to that moment.';
comment on column signalops.silences.reason is 'Why, for those who wonder where their notification is.';
comment on column signalops.silences.created_at is 'When it was made.';
call signalops.protect('signalops.silences');
grant select, insert, update on signalops.silences to signalops_api;
grant select on signalops.silences to signalops_worker;

create trigger bump_ruleset after insert or update or delete on signalops.silences
  for each row execute function signalops.bump_ruleset();
comment on trigger bump_ruleset on signalops.silences is 'A silence holds from the next batch on, as a change of a rule does.';
