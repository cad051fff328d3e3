-- Station rules: rules with their versions, and what matched; before them the channels, which they refer to and send writes.

create table signalops.channels (
  tenant_id uuid not null references signalops.tenants (id) on delete cascade,
  id uuid not null,
  name text not null check (length(name) between 1 and 200),
  kind text not null check (kind in ('email', 'webhook')),
  config jsonb not null,
  secret bytea,
  enabled boolean not null default true,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, name)
);
comment on table signalops.channels is 'Where a tenant''s notifications can go.';
comment on column signalops.channels.tenant_id is 'Whose channel it is.';
comment on column signalops.channels.id is 'UUIDv7.';
comment on column signalops.channels.name is 'What the tenant calls it; rules on the command line name it so.';
comment on column signalops.channels.kind is 'email or webhook.';
comment on column signalops.channels.config is 'What is no secret: {to} of an email, {url} of a webhook.';
comment on column signalops.channels.secret is 'Signing secret or credentials, encrypted (Fernet) with the installation''s key; NULL: needs none.';
comment on column signalops.channels.enabled is 'false: deliveries through it become dead letters at once.';
comment on column signalops.channels.created_at is 'When it was made.';
call signalops.protect('signalops.channels');
grant select, insert, update, delete on signalops.channels to signalops_api;
grant select, update on signalops.channels to signalops_worker;

create table signalops.rules (
  tenant_id uuid not null references signalops.tenants (id) on delete cascade,
  id uuid not null,
  name text not null check (length(name) between 1 and 200),
  active_version integer not null check (active_version > 0),
  enabled boolean not null default true,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, name)
);
comment on table signalops.rules is 'A tenant''s rules; what a rule says stands in its versions.';
comment on column signalops.rules.tenant_id is 'Whose rule it is.';
comment on column signalops.rules.id is 'UUIDv7.';
comment on column signalops.rules.name is 'What the tenant calls it.';
comment on column signalops.rules.active_version is 'The version that decides now.';
comment on column signalops.rules.enabled is 'false: it is not evaluated.';
comment on column signalops.rules.created_at is 'When it was made.';
call signalops.protect('signalops.rules');
grant select, insert, update, delete on signalops.rules to signalops_api;
grant select on signalops.rules to signalops_worker;

create table signalops.rule_versions (
  tenant_id uuid not null,
  rule_id uuid not null,
  version integer not null check (version > 0),
  grammar smallint not null,
  pattern jsonb not null,
  channel_id uuid not null,
  template jsonb not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, rule_id, version),
  foreign key (tenant_id, rule_id) references signalops.rules (tenant_id, id) on delete cascade,
  foreign key (tenant_id, channel_id) references signalops.channels (tenant_id, id)
);
comment on table signalops.rule_versions is 'What a rule said, version by version; a version never changes, and every match names the one that decided it.';
comment on column signalops.rule_versions.tenant_id is 'Whose rule it is.';
comment on column signalops.rule_versions.rule_id is 'The rule.';
comment on column signalops.rule_versions.version is '1, 2, 3 ...';
comment on column signalops.rule_versions.grammar is 'The grammar that the pattern is written in: 1 = field path to value, 2 = event patterns. Upgraded when read.';
comment on column signalops.rule_versions.pattern is 'The condition, as it was written.';
comment on column signalops.rule_versions.channel_id is 'The action: the channel to notify.';
comment on column signalops.rule_versions.template is 'The action: {subject, body} in Liquid; what is missing gets a default.';
comment on column signalops.rule_versions.created_at is 'When it was made.';
call signalops.protect('signalops.rule_versions');
grant select, insert on signalops.rule_versions to signalops_api;
grant select on signalops.rule_versions to signalops_worker;

create table signalops.rulesets (
  tenant_id uuid primary key references signalops.tenants (id) on delete cascade,
  version bigint not null default 1
);
comment on table signalops.rulesets is 'How often a tenant''s rules changed: a worker''s compiled rules hold for one value only.';
comment on column signalops.rulesets.tenant_id is 'Whose rules they are.';
comment on column signalops.rulesets.version is 'Counted up in the transaction of each change.';
call signalops.protect('signalops.rulesets');
grant select, insert, update on signalops.rulesets to signalops_api;
grant select on signalops.rulesets to signalops_worker;

create function signalops.bump_ruleset() returns trigger
language plpgsql
as $$
begin
  insert into signalops.rulesets (tenant_id) values (coalesce(new.tenant_id, old.tenant_id))
  on conflict (tenant_id) do update set version = signalops.rulesets.version + 1;
  return null;
exception when foreign_key_violation then
  return null; -- the tenant itself is being deleted
end
$$;
comment on function signalops.bump_ruleset() is 'Counts a change of a tenant''s rules.';
create trigger bump_ruleset after insert or update or delete on signalops.rules
  for each row execute function signalops.bump_ruleset();
comment on trigger bump_ruleset on signalops.rules is 'No worker evaluates the rules of before the change in a batch that it takes after it.';

create table signalops.matches (
  tenant_id uuid not null,
  event_id uuid not null,
  rule_id uuid not null,
  rule_version integer not null,
  primary key (tenant_id, event_id, rule_id)
) partition by range (event_id);
comment on table signalops.matches is 'Which rule, in which version, matched which event. Partitioned as events are.';
comment on column signalops.matches.tenant_id is 'Whose event it is.';
comment on column signalops.matches.event_id is 'The event.';
comment on column signalops.matches.rule_id is 'The rule that matched.';
comment on column signalops.matches.rule_version is 'The version that decided.';
call signalops.protect('signalops.matches');
grant select on signalops.matches to signalops_api;
grant select, insert on signalops.matches to signalops_worker;
